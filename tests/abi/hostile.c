/* Plugins that do what no plugin may, one for each MISDEED (IN says in which function, for those
 * that do it anywhere): for the sandbox's tests. Otherwise a plain mean of updates of up to 262144
 * values, streamed, or shown in blocks when BLOCK is defined. */
#include "linnet/plugin.h"

enum {
  NONE,
  /* In the function IN: */
  LOOP,
  TRAP,
  POINTER,   /* calls a function that is none */
  OUTSIDE,   /* writes beyond its memory */
  RECURSION, /* without end */
  BOMB,      /* takes all the memory that it can get */
  STATUS,    /* answers with a number that is no status */
  FLOOD,     /* logs without end */
  /* When it is loaded: */
  IMPORT,
  LATE_BUFFER,
  NO_BUFFER,
  LENGTH,
  MANY,
  EMPTY,
  CHANGING,
  MARKUP_ID,
  TAKEN_ID,
  NO_JSON,
  RELAXED,
  ATOMICS,
  /* In a round: */
  BLOB,
  METRICS,
  METRICS_INFINITE,
  SETTINGS_CLIP,
  SETTINGS_CODEC,
  SETTINGS_BOUND,
  NAN_RESULT,
  INFINITE_RESULT,
  HUGE_RESULT,
  COLUMNS, /* writes beside its columns of the result */
  AGAIN,   /* wants passes without end */
  MODES,
  SIZE,    /* changes the size of the host's struct */
  COUNTING /* traps in its third round */
};
enum {
  AT_NOTHING,
  AT_INITIALIZE,
  AT_COUNT,
  AT_DESCRIBE,
  AT_CREATE,
  AT_DESTROY,
  AT_SET_LAYOUT,
  AT_ROUND_BEGIN,
  AT_UPDATES_BEGIN,
  AT_UPDATES_CHUNK,
  AT_UPDATES_END,
  AT_FINALIZE,
  AT_RESULT_CHUNK,
  AT_ROUND_END,
  AT_BLOB_SIZE,
  AT_BLOB_READ
};
#ifndef IN
#define IN AT_NOTHING
#endif

static const lnt_host* g_host;
enum { VALUES = 262144 };
static double g_sums[VALUES];
static uint64_t g_weight;
static uint32_t g_rows, g_weights[16], g_rounds;
static uint64_t g_first[16];
static volatile uint32_t g_depth;

static char g_heap[8 << 20];
static uint32_t g_used;
static void* allocate(uint32_t bytes) {
  if (MISDEED == NO_BUFFER || bytes > sizeof(g_heap) - g_used) return NULL;
  if (MISDEED == LATE_BUFFER) return (void*)0xffff0000u;
  void* at = g_heap + g_used;
  g_used += (bytes + 15) / 16 * 16;
  return at;
}
/* The last block only: what the host takes and gives back in turn. */
static void release(void* block) { g_used = (uint32_t)((char*)block - g_heap); }

#define IMPORT_OF(module, name) __attribute__((import_module(module), import_name(name)))
IMPORT_OF("linnet", "log") void host_log(uint32_t level, const char* text, uint32_t size);
IMPORT_OF("env", "open") int stolen(int);

static uint32_t deeper(uint32_t x) {
  volatile uint32_t room[256];
  room[x % 256] = x;
  return deeper(x + 1) + room[(x + 1) % 256];
}

static lnt_status misbehave(void) {
  if (MISDEED == LOOP) {
    while (g_depth == 0) ++g_weight;
  }
  if (MISDEED == TRAP) __builtin_trap();
  if (MISDEED == POINTER) ((void (*)(void))(g_depth + 12345u))();
  if (MISDEED == OUTSIDE) *(volatile uint32_t*)0xfffffff0u = 1;
  if (MISDEED == RECURSION) g_depth = deeper(1);
  for (uint32_t at = 0; MISDEED == BOMB && at != 0xffffffffu;) {
    at = (uint32_t)__builtin_wasm_memory_grow(0, 256);
    for (uint32_t i = 0; at != 0xffffffffu && i < 256; ++i) *(volatile char*)((at + i) << 16) = 1;
  }
  if (MISDEED == STATUS) return -2147483647 - 1;
  for (uint32_t i = 0; MISDEED == FLOOD && i < 20000; ++i)
    host_log(7, "a\x1b[31m line\nof many", 18);
  return LNT_OK;
}
#define HERE(function)                      \
  if (IN == AT_##function) {                \
    const lnt_status status_ = misbehave(); \
    if (status_ < 0) return status_;        \
  }

LNT_MEMBER(uint32_t, count)(void) {
  HERE(COUNT);
  return MISDEED == MANY ? 100000u : MISDEED == EMPTY ? 0u : 1u;
}
static lnt_status answer(const char* text, void* to, uint32_t cap, uint32_t* len) {
  uint32_t size = 0;
  while (text[size] != '\0') ++size;
  return lnt_answer(text, size, to, cap, len);
}
LNT_MEMBER(lnt_status, describe)(uint32_t index, void* json, uint32_t cap, uint32_t* len) {
  static uint32_t asked;
  HERE(DESCRIBE);
  if (index != 0) return LNT_E_INVALID;
  const char* id = MISDEED == MARKUP_ID                 ? "<img src=x>"
                   : MISDEED == TAKEN_ID                ? "fedavg"
                   : MISDEED == CHANGING && asked++ > 0 ? "other"
                                                        : "hostile";
  char text[] = "{\"config\":{},\"licence\":\"MIT\",\"version\":\"1\",\"id\":\"           \"}";
  uint32_t at = sizeof(text) - 1 - 13;
  while (*id != '\0') text[at++] = *id++;
  text[at++] = '"';
  text[at++] = MISDEED == NO_JSON ? '{' : '}';
  text[at] = '\0';
  answer(text, json, cap, len);
  if (MISDEED == LENGTH) *len = 0xfffffff0u;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, create)
(uint32_t index, const void* config, uint32_t len, lnt_handle* out, lnt_caps* caps) {
  (void)config;
  HERE(CREATE);
  if (index != 0 || len == 0) return LNT_E_INVALID;
  *out = MISDEED == IMPORT ? (lnt_handle)stolen(1) : 1;
#ifdef BLOCK
  caps->modes = LNT_MODE_BLOCK;
#else
  caps->modes = MISDEED == MODES ? 0 : LNT_MODE_STREAM;
  caps->caps = LNT_CAP_EXACT;
#endif
  if (MISDEED == SIZE) caps->struct_size = 0xffffffffu;
  if (MISDEED == BLOB) caps->caps |= LNT_CAP_MERGE;
  return LNT_OK;
}
LNT_MEMBER(void, destroy)(lnt_handle h) {
  (void)h;
  if (IN == AT_DESTROY) misbehave();
}
LNT_MEMBER(lnt_status, set_layout)
(lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names, uint32_t size) {
  (void)h, (void)names, (void)size;
  HERE(SET_LAYOUT);
  if (n > 16) return LNT_E_LAYOUT;
  for (uint32_t i = 0; i < n; ++i) {
    if (t[i].elem_off + t[i].elem_count > VALUES) return LNT_E_LAYOUT;
    g_first[i] = t[i].elem_off;
  }
  return LNT_OK;
}
LNT_MEMBER(lnt_status, round_begin)(lnt_handle h, const lnt_round* round, uint32_t size) {
  (void)round, (void)size;
  HERE(ROUND_BEGIN);
  if (MISDEED == COUNTING && ++g_rounds == 3) __builtin_trap();
  for (uint32_t i = 0; i < VALUES; ++i) g_sums[i] = 0;
  g_weight = 0;
  return h == 1 ? LNT_OK : LNT_E_INVALID;
}

static void take_rows(const lnt_update* u, uint32_t size, uint32_t n) {
  g_rows = n;
  for (uint32_t i = 0; i < n && i < 16; ++i) {
    g_weights[i] = ((const lnt_update*)((const char*)u + i * size))->weight;
    g_weight += g_weights[i];
  }
}
LNT_MEMBER(lnt_status, updates_begin)
(lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n) {
  (void)h;
  HERE(UPDATES_BEGIN);
  take_rows(u, size, n);
  return LNT_OK;
}
LNT_MEMBER(lnt_status, updates_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows, uint32_t stride, uint32_t count) {
  (void)h;
  HERE(UPDATES_CHUNK);
  for (uint32_t r = 0; r < g_rows; ++r) {
    const float* x = (const float*)((const char*)rows + r * stride);
    double* sums = g_sums + g_first[tensor] + off;
    for (uint32_t i = 0; i < count; ++i) sums[i] += g_weights[r] * (double)x[i];
  }
  return LNT_OK;
}
LNT_MEMBER(lnt_status, updates_end)(lnt_handle h) {
  (void)h;
  HERE(UPDATES_END);
  return LNT_OK;
}

#ifdef BLOCK
LNT_MEMBER(lnt_status, pass_begin)
(lnt_handle h, uint32_t pass, const lnt_update* u, uint32_t size, uint32_t n) {
  (void)h, (void)pass;
  g_weight = 0;
  take_rows(u, size, n);
  return LNT_OK;
}
LNT_MEMBER(lnt_status, pass_block)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows, uint32_t stride, uint32_t count,
 void* out) {
  (void)h, (void)tensor, (void)off;
  for (uint32_t i = 0; i < count; ++i) {
    double sum = 0;
    for (uint32_t r = 0; r < g_rows; ++r)
      sum += g_weights[r] * (double)((const float*)((const char*)rows + r * stride))[i];
    ((float*)out)[i] = (float)(sum / (double)g_weight);
  }
  for (uint32_t i = 0; MISDEED == COLUMNS && count > 512 && i < 512; ++i) {
    ((float*)out)[-1 - (int32_t)i] = 1e9f;
    ((float*)out)[count + i] = 1e9f;
  }
  return LNT_OK;
}
LNT_MEMBER(lnt_status, pass_end)(lnt_handle h) {
  (void)h;
  return MISDEED == AGAIN ? LNT_MORE : LNT_OK;
}
#endif

LNT_MEMBER(lnt_status, finalize)(lnt_handle h) {
  HERE(FINALIZE);
  return h == 1 ? LNT_OK : LNT_E_INVALID;
}
LNT_MEMBER(lnt_status, result_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* base, void* out, uint32_t count) {
  (void)h, (void)tensor, (void)off;
  HERE(RESULT_CHUNK);
  float* to = (float*)out;
  for (uint32_t i = 0; i < count; ++i) {
#ifdef BLOCK
    const double update = (double)to[i];
#else
    const double update = g_sums[g_first[tensor] + off + i] / (double)g_weight;
#endif
    to[i] = (float)((double)((const float*)base)[i] + update);
  }
  for (int32_t i = 1; MISDEED == COLUMNS && count > 512 && i <= 512; ++i)
    to[-i] = to[(int32_t)count - 1 + i] = 1e9f;
  if (MISDEED == NAN_RESULT) to[count / 2] = __builtin_nanf("");
  if (MISDEED == INFINITE_RESULT) to[count - 1] = __builtin_inff();
  if (MISDEED == HUGE_RESULT) to[0] = 1e30f;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, round_end)(lnt_handle h, void* json, uint32_t cap, uint32_t* len) {
  (void)h;
  HERE(ROUND_END);
  return answer(MISDEED == METRICS            ? "{\"a\":\"<img src=x>\"}"
                : MISDEED == METRICS_INFINITE ? "{\"a\":1e999}"
                                              : "{}",
                json, cap, len);
}

static const char* settings(void) {
  return MISDEED == SETTINGS_CLIP    ? "{\"clipNorm\":0.001}"
         : MISDEED == SETTINGS_CODEC ? "{\"codec\":\"f32\"}"
         : MISDEED == SETTINGS_BOUND ? "{\"client\":\"prox\",\"mu\":1e9}"
                                     : "";
}
LNT_MEMBER(lnt_status, blob_size)(lnt_handle h, uint32_t kind, uint64_t* size) {
  (void)h;
  HERE(BLOB_SIZE);
  *size = 0;
  if (kind == LNT_BLOB_CLIENT)
    for (const char* text = settings(); text[*size] != '\0';) ++*size;
  if (MISDEED == BLOB && kind == LNT_BLOB_PARTIAL) *size = UINT64_MAX;
  if (IN == AT_BLOB_READ && kind == LNT_BLOB_CLIENT) *size = 10;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, blob_read)(lnt_handle h, uint32_t kind, uint64_t off, void* to,
                                  uint32_t len) {
  (void)h, (void)kind;
  HERE(BLOB_READ);
  for (uint32_t i = 0; i < len; ++i) ((char*)to)[i] = settings()[off + i];
  return LNT_OK;
}
LNT_MEMBER(lnt_status, last_error)(lnt_handle h, char* text, uint32_t cap, uint32_t* len) {
  (void)h;
  return lnt_answer("no words", 8, text, cap, len);
}
LNT_EXPORT(_initialize) void initialize(void) {
  if (IN == AT_INITIALIZE) misbehave();
#ifdef __wasm_relaxed_simd__
  typedef float v4 __attribute__((vector_size(16)));
  volatile v4 x = {1, 2, 3, 4};
  x = __builtin_wasm_relaxed_madd_f32x4(x, x, x);
#endif
#ifdef __wasm_atomics__
  __atomic_fetch_add((uint32_t*)&g_depth, 0, __ATOMIC_SEQ_CST);
#endif
}

static const lnt_plugin kTable = {.struct_size = sizeof(lnt_plugin),
                                  .abi_version = LNT_ABI_VERSION};
LNT_MODULE(kTable, g_host, allocate, release);
