/* Plugins that do what no plugin may, one for each MISDEED: for the sandbox's tests. A mean without
 * state otherwise. */
#include "linnet/plugin.h"

#define LOOP 1
#define RECURSION 2
#define OUTSIDE 3
#define BOMB 4
#define LENGTH 5
#define IMPORT 6
#define BLOB 7
#define METRICS 8
#define LATE_BUFFER 9

static const lnt_host* g_host;
static double g_sum;
static volatile uint32_t g_depth;

#if MISDEED == IMPORT
__attribute__((import_module("env"), import_name("open"))) int stolen(int);
#endif

static char g_heap[8 << 20];
static uint32_t g_used;
static void* allocate(uint32_t bytes) {
  if (bytes > sizeof(g_heap) - g_used) return NULL;
  void* at = g_heap + g_used;
  g_used += (bytes + 15) / 16 * 16;
  return at;
}
/* The last block only: what the host takes and gives back in turn. */
static void release(void* block) { g_used = (uint32_t)((char*)block - g_heap); }

#if MISDEED == RECURSION
static uint32_t deeper(uint32_t x) {
  volatile uint32_t room[256];
  room[x % 256] = x;
  return deeper(x + 1) + room[(x + 1) % 256];
}
#endif

LNT_MEMBER(uint32_t, count)(void) { return 1; }
LNT_MEMBER(lnt_status, describe)(uint32_t index, void* json, uint32_t cap, uint32_t* len) {
  static const char kText[] =
      "{\"config\":{},\"id\":\"hostile\",\"licence\":\"MIT\",\"version\":\"1\"}";
  if (index != 0) return LNT_E_INVALID;
  lnt_answer(kText, sizeof(kText) - 1, json, cap, len);
#if MISDEED == LENGTH
  *len = 0xfffffff0u;
#endif
  return LNT_OK;
}
LNT_MEMBER(lnt_status, create)
(uint32_t index, const void* config, uint32_t len, lnt_handle* out, lnt_caps* caps) {
  (void)config;
  (void)len;
  if (index != 0) return LNT_E_INVALID;
#if MISDEED == IMPORT
  *out = (lnt_handle)stolen(1);
#endif
  *out = 1;
  caps->modes = LNT_MODE_STREAM;
  caps->caps = LNT_CAP_EXACT;
  return LNT_OK;
}
LNT_MEMBER(void, destroy)(lnt_handle h) { (void)h; }
LNT_MEMBER(lnt_status, set_layout)
(lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names, uint32_t size) {
  (void)h, (void)t, (void)n, (void)names, (void)size;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, round_begin)(lnt_handle h, const lnt_round* round, uint32_t size) {
  (void)round, (void)size;
  g_sum = 0;
  return h == 1 ? LNT_OK : LNT_E_INVALID;
}
LNT_MEMBER(lnt_status, updates_begin)
(lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n) {
  (void)h, (void)u, (void)size, (void)n;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, updates_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows, uint32_t stride, uint32_t count) {
  (void)h, (void)tensor, (void)off, (void)rows, (void)stride, (void)count;
#if MISDEED == LOOP
  while (g_depth == 0) g_sum += 1;
#elif MISDEED == RECURSION
  g_depth = deeper(1);
#elif MISDEED == OUTSIDE
  *(volatile uint32_t*)0xfffffff0u = 1;
#elif MISDEED == BOMB
  for (;;) {
    const uint32_t at = (uint32_t)__builtin_wasm_memory_grow(0, 256);
    if (at == 0xffffffffu) break;
    for (uint32_t i = 0; i < 256; ++i) *(volatile char*)((at + i) << 16) = 1;
  }
#endif
  return LNT_OK;
}
LNT_MEMBER(lnt_status, updates_end)(lnt_handle h) {
  (void)h;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, finalize)(lnt_handle h) { return h == 1 ? LNT_OK : LNT_E_INVALID; }
LNT_MEMBER(lnt_status, result_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* base, void* out, uint32_t count) {
  (void)h, (void)tensor, (void)off;
  for (uint32_t i = 0; i < count; ++i) ((float*)out)[i] = ((const float*)base)[i];
  return LNT_OK;
}
LNT_MEMBER(lnt_status, round_end)(lnt_handle h, void* json, uint32_t cap, uint32_t* len) {
  (void)h;
#if MISDEED == METRICS
  return lnt_answer("{\"a\":\"<img src=x>\"}", 19, json, cap, len);
#else
  return lnt_answer("{}", 2, json, cap, len);
#endif
}
LNT_MEMBER(lnt_status, blob_size)(lnt_handle h, uint32_t kind, uint64_t* size) {
  (void)h, (void)kind;
  *size = 0;
#if MISDEED == BLOB
  if (kind == LNT_BLOB_PARTIAL) *size = UINT64_MAX;
#endif
  return LNT_OK;
}
LNT_MEMBER(lnt_status, blob_read)(lnt_handle h, uint32_t kind, uint64_t off, void* to,
                                  uint32_t len) {
  (void)h, (void)kind, (void)off, (void)to, (void)len;
  return LNT_OK;
}
LNT_MEMBER(lnt_status, last_error)(lnt_handle h, char* text, uint32_t cap, uint32_t* len) {
  (void)h;
  return lnt_answer("no words", 8, text, cap, len);
}

static const lnt_plugin kTable = {.struct_size = sizeof(lnt_plugin),
                                  .abi_version = LNT_ABI_VERSION};
#if MISDEED == LATE_BUFFER
LNT_EXPORT(lnt_abi) uint32_t lnt_abi(void) { return kTable.abi_version; }
LNT_EXPORT(lnt_buffer) void* lnt_buffer(uint32_t bytes) { return (void*)(0xffff0000u + 0 * bytes); }
LNT_EXPORT(lnt_buffer_free) void lnt_buffer_free(void* p) {
  (void)p, (void)allocate, (void)release, (void)g_host;
}
#else
LNT_MODULE(kTable, g_host, allocate, release);
#endif
