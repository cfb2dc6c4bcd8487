/* The aggregation-plugin ABI of Linnet, major version 1.
 *
 * A plugin decides how the updates of a round become the next model. It is written against this
 * header alone, in C11 or C++17 and later, and the same source becomes
 *   - a shared object with one symbol, linnet_plugin_v1 (native: trusted code, it can do all the
 * host can),
 *   - a standalone .wasm with its own memory whose exports are the members of lnt_plugin (for
 * strangers' code),
 *   - a static entry linnet_plugin_v1_NAME, compiled with -DLNT_STATIC=NAME (the built-in
 * strategies). plugins/template/ is a complete plugin in C; plugin.hpp makes one from a C++ class.
 *
 * Rules
 *  1. Everything that crosses BY CONTENT is pointer-free, of fixed-width members, naturally
 * aligned, begins with its size (struct_size) and has the same layout on LP64 and wasm32. The
 * reader copies min(its size, the size given) and fills the rest with zeros (lnt_read); so structs
 * grow at their end, and only in a new minor version. Tables of functions hold pointers and never
 * cross into wasm.
 *  2. A member of lnt_plugin that is NULL, or that struct_size does not reach, or in wasm an export
 * that is missing, means "not offered" (LNT_HAS).
 *  3. lnt_status is 0 for good, > 0 for information, < 0 for an error; the text comes from
 * last_error. A text says what was found and what was wanted.
 *  4. Pointers are valid during the call only. The callee fills the caller's buffer; nothing is
 * freed on the other side; large things are paged. No exception and no longjmp crosses.
 *  5. An instance is never entered twice at once; different instances may be, from different
 * threads. A plugin starts no thread, uses no thread-local state, reads no clock and draws no
 * noise.
 *  6. What comes out is a function of configuration, layout, state, the round with its seed, the
 * ordered updates and the base alone: never of the sizes of the chunks, of addresses or of time.
 * Compile with -ffp-contract=off and without -ffast-math.
 *
 * Before each function stands its contract in brackets: the states of the instance in which the
 * host calls it.
 *
 *   created --set_layout--> ready --round_begin--> open --finalize--> closing --round_end--> ready
 *
 * round_begin is also called in `open`: the host gave that round up, and it leaves no trace in the
 * server state. A round that is given up in `closing`, or in which a function answered an error,
 * ends the instance: the host calls last_error and destroy, makes another one and writes the last
 * saved state into it. */
#ifndef LINNET_PLUGIN_H
#define LINNET_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define LNT_NOEXCEPT noexcept
#define LNT_STATIC_ASSERT static_assert
#else
#define LNT_NOEXCEPT
#define LNT_STATIC_ASSERT _Static_assert
#endif

#define LNT_CAT_(a, b) a##_##b
#define LNT_CAT(a, b) LNT_CAT_(a, b)
#if defined(LNT_STATIC) /* linked into a host, also into its WASM: several plugins in one program \
                         */
#define LNT_ENTRY LNT_CAT(linnet_plugin_v1, LNT_STATIC)
#define LNT_EXPORT(n)
#elif defined(__wasm__)
#define LNT_ENTRY linnet_plugin_v1
#define LNT_EXPORT(n) __attribute__((export_name(#n), visibility("default")))
#elif defined(_WIN32)
#define LNT_ENTRY linnet_plugin_v1
#define LNT_EXPORT(n) __declspec(dllexport)
#else
#define LNT_ENTRY linnet_plugin_v1
#define LNT_EXPORT(n) __attribute__((visibility("default")))
#endif

/* A new major breaks and has another symbol; a new minor only appends. abi_version = major << 16 |
 * minor. */
#define LNT_ABI_MAJOR 1u
#define LNT_ABI_MINOR 0u
#define LNT_ABI_VERSION ((LNT_ABI_MAJOR << 16) | LNT_ABI_MINOR)

/* ---- Values */

typedef int32_t
    lnt_status; /* 0 good, > 0 information, < 0 error; never an enum type in a signature */
enum {
  LNT_OK = 0,
  LNT_FLUSH = 1,          /* updates_end: the buffer is full, finalize is due */
  LNT_MORE = 2,           /* pass_end, finalize: run one more pass */
  LNT_SKIPPED = 3,        /* the call was understood and had nothing to do */
  LNT_E_INVALID = -1,     /* an argument is wrong */
  LNT_E_UNSUPPORTED = -2, /* not offered by this plugin */
  LNT_E_NOMEM = -3,
  LNT_E_STATE = -4, /* not in this state of the instance */
  LNT_E_CONFIG = -5,
  LNT_E_LAYOUT = -6,
  LNT_E_DATA = -7,    /* not finite, beyond the grid, or bytes that do not decode */
  LNT_E_TOO_FEW = -8, /* updates for this strategy */
  LNT_E_VERSION = -9, /* of a stored blob */
  LNT_E_CANCELLED = -10,
  LNT_E_INTERNAL = -11,
  /* made by the host only */
  LNT_E_TRAP = -100,
  LNT_E_DEADLINE = -101,
  LNT_E_QUOTA = -102
};

/* Types of elements. */
enum {
  LNT_F32 = 1,
  LNT_F64 = 2,
  LNT_I8 = 3,
  LNT_U8 = 4,
  LNT_I32 = 5,
  LNT_U32 = 6,
  LNT_I64 = 7,
  LNT_U64 = 8,
  LNT_F16 = 9,
  LNT_BF16 = 10,
  LNT_BYTES = 64 /* opaque, of variable length */
};

/* What a tensor is to the strategy. */
enum {
  LNT_ROLE_PARAM = 0,
  LNT_ROLE_BUFFER = 1,  /* e.g. batch-norm statistics: always the plain weighted mean */
  LNT_ROLE_CONTROL = 2, /* control variates, scalars */
  LNT_ROLE_AUX = 3,
  LNT_ROLE_OPAQUE = 4
};

/* lnt_caps.modes, a set of bits. */
enum { LNT_MODE_STREAM = 1u, LNT_MODE_BLOCK = 2u };

/* lnt_caps.caps, a set of bits. */
enum {
  LNT_CAP_MERGE = 1u << 0, /* blob 1 can be read and merged */
  LNT_CAP_STATE = 1u << 1, /* blob 0 is the server state */
  LNT_CAP_ASYNC = 1u << 2, /* may answer LNT_FLUSH */
  LNT_CAP_EXACT = 1u << 3, /* the same bits for every order of the updates; STREAM requires it */
  LNT_CAP_MODULAR = 1u << 4,
  LNT_CAP_PARALLEL_WINDOWS =
      1u << 5, /* pass_block may run at once on disjoint windows of one instance */
  LNT_NEED_L2 = 1u << 8,
  LNT_NEED_LOSS = 1u << 9,
  LNT_NEED_STEPS = 1u << 10,
  LNT_NEED_RNG = 1u << 11,
  LNT_NEED_BASE = 1u << 12 /* base_chunk is called after round_begin */
};

/* Kinds of blobs. */
enum {
  LNT_BLOB_STATE =
      0, /* server state, stored with each round's checkpoint; carries its own version */
  LNT_BLOB_PARTIAL = 1, /* what was folded so far, mergeable: edges read it, the root writes it */
  LNT_BLOB_RESULT = 2,  /* opaque result */
  LNT_BLOB_CLIENT = 3,  /* settings for the participants: JSON, checked by the host */
  LNT_BLOB_DOWNLINK = 4 /* the values of `downlink` (describe) in its order, f32, little-endian */
};

/* One row of the layout. Its order: the scalars of `uplink` (role CONTROL, rank 0, one element), so
 * that a strategy knows them before it sees the update; the PARAM tensors of the model; for each
 * tensor of `uplink` one CONTROL tensor per PARAM tensor and like it, named "NAME/PARAM". Buffers
 * of the model are the host's: always the plain weighted mean. dtype is LNT_F32, in tests also
 * LNT_F64: a strategy that does not take it answers LNT_E_LAYOUT. */
typedef struct lnt_tensor {
  uint32_t struct_size, name_off, name_len, role, dtype,
      rank; /* the name lies in `names` of set_layout, UTF-8 */
  uint32_t dims[8];
  uint32_t mod_bits, flags;      /* mod_bits: k of a mod-2^k group, else 0; flags: 0 */
  uint64_t elem_off, elem_count; /* position in the flat model vector of its dtype */
} lnt_tensor;

/* One participant's contribution, after the host decoded and checked it. */
typedef struct lnt_update {
  uint32_t struct_size, flags; /* flags: 0 */
  uint64_t ordinal; /* index in the round's sorted invitations; asynchronous: journal number */
  uint64_t client_tag_lo, client_tag_hi; /* pseudonym, stable in a run; 0 when anonymous */
  uint64_t base_version, server_version; /* age = server_version - base_version */
  uint32_t weight, reserved; /* 1 to 2^29 - 1, in units of 2^weight_unit_exp of the round */
  double num_examples, num_steps, l2_norm, loss_before, loss_after,
      train_seconds; /* NaN: unknown */
} lnt_update;

typedef struct lnt_round {
  uint32_t struct_size, flags; /* flags: 0 */
  uint64_t run_lo, run_hi, round, server_version, population, cohort, expected_updates;
  int32_t grid_exp, weight_unit_exp; /* exact mean: terms are rounded to multiples of 2^grid_exp */
  uint8_t seed[32];                  /* the only source of randomness */
} lnt_round;

/* Filled in by create. The host sets struct_size to the room it has; the plugin writes at most that
 * much. */
typedef struct lnt_caps {
  uint32_t struct_size, abi_version, modes, caps;
  uint64_t state_bytes_hint, scratch_bytes_hint; /* 0: unknown */
} lnt_caps;

/* An instance; never a pointer, 0 is none. */
typedef uint32_t lnt_handle;

/* ---- The plugin
 * Natively the members of this table. In wasm exports "lnt_" + the member's name with the same
 * parameters: pointers become i32 offsets into the plugin's own memory, uint64_t becomes i64.
 * Further exports there: memory, lnt_abi() -> LNT_ABI_VERSION, lnt_buffer(bytes) -> offset or 0,
 * lnt_buffer_free(offset), _initialize. */
typedef struct lnt_plugin {
  uint32_t struct_size, abi_version;

  /* [any time] Strategies in this module, at least 1. Required. */
  uint32_t (*count)(void);

  /* [any time] Writes at most cap bytes of UTF-8 JSON and the whole length to *len: when that is
   * above cap the host calls again with more room (json may be NULL when cap is 0). Required.
   * Members: "id" (lower-case words with hyphens), "version" (a string), "licence" (SPDX),
   * "config": a JSON Schema of the subset type (object, number, integer, boolean, string),
   * properties, required, default, enum, minimum, maximum, description.
   * Optional members, what the strategy needs of the participants:
   * "client": how they train, of org.linnet.client/1: "sgd" (default), "prox", "scaffold", "dyn";
   * "uplink": [{"name": "c", "like": "parameters"}, {"name": "a", "like": "scalar"}, ...]: what
   * comes with each update, of org.linnet.client/1 (scaffold: c, like parameters: c_k' - c_k; any:
   * a, a scalar: FedNova's a_k); it follows the update's way (see lnt_tensor), in f32 beside the
   * codec;
   * "downlink": the same form: what goes out with each invitation (scaffold: c), read as
   * LNT_BLOB_DOWNLINK. */
  lnt_status (*describe)(uint32_t index, void* json, uint32_t cap, uint32_t* len);

  /* [any time] Makes an instance. config_json is canonical (keys sorted, no spaces) and satisfies
   * the schema, with defaults filled in; it is not terminated. Required. */
  lnt_status (*create)(uint32_t index, const void* config_json, uint32_t len, lnt_handle* out,
                       lnt_caps* caps);

  /* [every state] The handle is not used again. Required. */
  void (*destroy)(lnt_handle);

  /* [created] n tensors at a stride of t->struct_size, in layout order. Required. */
  lnt_status (*set_layout)(lnt_handle, const lnt_tensor* t, uint32_t n, const char* names,
                           uint32_t names_len);

  /* [ready, open] Empties the accumulator. Required. */
  lnt_status (*round_begin)(lnt_handle, const lnt_round*, uint32_t round_size);

  /* [open, before the first update; with LNT_NEED_BASE] The global values, ascending (tensor, off),
   * each once. */
  lnt_status (*base_chunk)(lnt_handle, uint32_t tensor, uint64_t off, const void* base,
                           uint32_t count);

  /* STREAM: one pass, O(model) memory. n rows, 1 to 16, are as many updates at once, at a stride of
   * update_size. */
  /* [open] */
  lnt_status (*updates_begin)(lnt_handle, const lnt_update* u, uint32_t update_size, uint32_t n);
  /* [open, between begin and end] Elements [off, off + count) of a tensor, one row per update,
   * ascending (tensor, off), each element once. Values are finite. Rows are aligned for their
   * dtype. */
  lnt_status (*updates_chunk)(lnt_handle, uint32_t tensor, uint64_t off, const void* rows,
                              uint32_t row_stride_bytes, uint32_t count);
  /* [open] LNT_FLUSH when the buffer is full; strategies with LNT_CAP_ASYNC get one row at a time.
   */
  lnt_status (*updates_end)(lnt_handle);

  /* BLOCK: the host has collected the updates and shows column windows of all n of them, in ordinal
   * order (the rows of a window and u[] in pass_begin agree), in as many passes as the plugin asks
   * for. O(n * window + n * n) memory. */
  /* [open] Pass 0, 1, ...; u[n] at a stride of update_size, the same in every pass. LNT_E_TOO_FEW
   * when n is too small for the strategy. */
  lnt_status (*pass_begin)(lnt_handle, uint32_t pass, const lnt_update* u, uint32_t update_size,
                           uint32_t n);
  /* [open, between pass_begin and pass_end] Elements [off, off + count) of a tensor, n rows; each
   * element once in a pass, ascending (tensor, off). `out` has count elements of the tensor's
   * dtype, is valid in every pass and does not overlap rows; the aggregated update (a delta) that
   * is written there in the last pass stands, and those of earlier passes are dropped. With
   * LNT_CAP_PARALLEL_WINDOWS windows come in any order and at once from several threads: then
   * pass_block changes nothing in the instance that another window reads. */
  lnt_status (*pass_block)(lnt_handle, uint32_t tensor, uint64_t off, const void* rows,
                           uint32_t row_stride_bytes, uint32_t count, void* out);
  /* [open] LNT_MORE: run one more pass (at most 64 in a round); else finalize is next. */
  lnt_status (*pass_end)(lnt_handle);

  /* [open] After the last update, merge or pass; may answer LNT_MORE in BLOCK mode. */
  lnt_status (*finalize)(lnt_handle);

  /* [closing] The new values of a window, ascending (tensor, off), each element exactly once; base
   * = its current global values. out may be base. A reducer obeys result(base) = base + result(0).
   * After BLOCK passes out holds what the last pass wrote there, is not base, and the new value is
   * base + out, or what a strategy makes of the two. CONTROL tensors: base is zeros, and what is
   * written is dropped. Required. */
  lnt_status (*result_chunk)(lnt_handle, uint32_t tensor, uint64_t off, const void* base, void* out,
                             uint32_t count);

  /* [closing] Metrics of the round: a flat JSON object of finite numbers; sizes as in describe. */
  lnt_status (*round_end)(lnt_handle, void* metrics_json, uint32_t cap, uint32_t* len);

  /* Blobs, paged by (offset, length). Kind 0 in `ready`; kind 1 in `open`; kinds 2, 3, 4 in `ready`
   * and `closing`. A kind that the strategy has not is of size 0. Pages are written in ascending
   * order without gaps; what was written counts when `total` is reached: kind 0 replaces, kind 1
   * merges, and a refused blob changes nothing. Merging is associative and commutative, bit by bit.
   */
  lnt_status (*blob_size)(lnt_handle, uint32_t kind, uint64_t* size);
  lnt_status (*blob_read)(lnt_handle, uint32_t kind, uint64_t off, void* dst, uint32_t len);
  lnt_status (*blob_write)(lnt_handle, uint32_t kind, uint64_t total, uint64_t off, const void* src,
                           uint32_t len);

  /* [every state; handle 0: of the last describe or create that failed] UTF-8, not terminated;
   * sizes as in describe. */
  lnt_status (*last_error)(lnt_handle, char* utf8, uint32_t cap, uint32_t* len);

  /* [any time; native only, in wasm an extension is a set of exports] A table by its name, or NULL.
   */
  const void* (*extension)(const char* id, uint32_t id_len);

  /* New members are appended here, and only in a new minor version. */
} lnt_plugin;

/* ---- The host
 * Natively a table that lives as long as the module; in wasm optional imports of module "linnet"
 * without ctx. It may be called from inside a plugin's function only. A member may be NULL. */
typedef struct lnt_host {
  uint32_t struct_size, abi_version;
  void* ctx;
  /* level: 0 debug, 1 information, 2 warning, 3 error. */
  void (*log)(void* ctx, uint32_t level, const char* utf8, uint32_t len);
  /* Not 0: leave soon, with LNT_E_CANCELLED. */
  int32_t (*cancelled)(void* ctx);
  /* Bytes [off, off + len) of the ChaCha20-IETF keystream of (round seed, nonce = stream); never
   * for privacy. */
  lnt_status (*random)(void* ctx, uint64_t stream, uint64_t off, void* dst, uint32_t len);
  /* A table by its name, or NULL. */
  const void* (*extension)(void* ctx, const char* id, uint32_t id_len);
} lnt_host;

/* Host extension "org.linnet.kernels/1": the host's vector code, with the bits that a plain loop
 * compiled with -ffp-contract=off has. A plugin works without it (plugin_kernels.hpp has the plain
 * loops). count is in elements; arrays do not overlap; values are finite. Called from inside a
 * function of the plugin only. */
#define LNT_KERNELS_V1 "org.linnet.kernels/1"
typedef struct lnt_kernels_v1 {
  uint32_t struct_size, reserved;
  const void* ctx; /* the first argument of each function */
  /* acc[i] += (weights[r] * (double)rows[r][i] + M) - M for each row r in turn, M = 1.5 * 2^(52 +
   * grid_exp): each term is rounded to a multiple of 2^grid_exp, so all sums are exact while |w x|
   * < 2^(51 + grid_exp) and |acc| < 2^(53 + grid_exp). 1 <= n <= 16; weights below 2^29. */
  void (*fold_exact)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                     const uint32_t* weights, uint32_t n, int32_t grid_exp, double* acc,
                     uint32_t count);
  /* y[i] += a * x[i], rounded after the product and after the sum. */
  void (*axpy)(const void* ctx, float a, const float* x, float* y, uint32_t count);
  /* Sum of (double)x[i] * y[i] by leaves of 4096 elements: in a leaf 16 lanes (i % 16) in order,
   * then lane l + lane l + 8, 4, 2, 1; leaves in ascending order. */
  double (*dot)(const void* ctx, const float* x, const float* y, uint32_t count);

  /* fold_exact with any finite weights: the product is rounded to f64, then to the grid. The sums
   * are as exact and as free of order; |w x| is bounded as there. */
  void (*fold_weighted)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                        const double* weights, uint32_t n, int32_t grid_exp, double* acc,
                        uint32_t count);
  /* out[i] = (float)(sum over r, ascending from 0, of weights[r] * (double)rows[r][i]), rounded
   * after each product and each sum. n >= 1. */
  void (*combine)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                  const double* weights, uint32_t n, float* out, uint32_t count);

  /* Columns of the rows which[0], ..., which[n - 1] (NULL: rows 0 to n - 1); -0 counts as +0. */
  /* The middle value; for even n (float)((a + b) / 2) of the middle two, in f64. n >= 1. */
  void (*column_median)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                        const uint32_t* which, uint32_t n, float* out, uint32_t count);
  /* The mean without the `trim` lowest and highest: (float)(sum / (n - 2 trim)), the sum in f64
   * from the lowest up. 2 trim < n. */
  void (*column_trimmed_mean)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                              const uint32_t* which, uint32_t n, uint32_t trim, float* out,
                              uint32_t count);
  /* The mean of the `keep` values nearest the median m (as column_median gives it): of the sorted
   * values v the stretch v[s], ..., v[s + keep - 1] with the least max(m - v[s], v[s + keep - 1] -
   * m) in f32, the lowest s of several; (float)(sum / keep), the sum in f64 from the lowest up. 1
   * <= keep <= n. */
  void (*column_closest_mean)(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                              const uint32_t* which, uint32_t n, uint32_t keep, float* out,
                              uint32_t count);

  /* Squared distances, continued over windows in ascending order without gaps, the same bits for
   * windows of any size. `at` is the position of the window's first element in the flat vector that
   * is measured; a distance is a sum and 16 lanes, all zero before the first window. For each i:
   *   d = a[i] - b[i] in f32;  lane[(at + i) % 16] += (double)d * (double)d;
   *   where at + i + 1 is a multiple of 4096: sum += the lanes (l += l + 8, then 4, 2, 1), and the
   * lanes are zero again. After the last window the caller adds the lanes to the sum once more in
   * the same way. */
  /* All pairs r < s of n rows: pair p counts (0,1), (0,2), ..., (0,n-1), (1,2), ...; sums[p],
   * lanes[16 * p]. */
  void (*pair_distances)(const void* ctx, const float* rows, uint32_t row_stride_bytes, uint32_t n,
                         uint64_t at, uint32_t count, double* lanes, double* sums);
  /* Each of n rows to one vector, NULL for zeros (then the squared norms); sums[r], lanes[16 * r].
   */
  void (*row_distances)(const void* ctx, const float* rows, uint32_t row_stride_bytes, uint32_t n,
                        const float* to, uint64_t at, uint32_t count, double* lanes, double* sums);
} lnt_kernels_v1;
#define LNT_KERNELS_HAVE(tbl, member) \
  ((tbl)->struct_size >= offsetof(lnt_kernels_v1, member) + sizeof((tbl)->member))

/* ---- Entry
 * Called before any other function of the module, and not at the same time as another call of it.
 * NULL when the major of host->abi_version is not understood. */
typedef const lnt_plugin* (*lnt_entry_fn)(const lnt_host* host);
#define LNT_ENTRY_SYMBOL "linnet_plugin_v1"
#if defined(LNT_STATIC) || !defined(__wasm__)
LNT_EXPORT(linnet_plugin_v1) const lnt_plugin* LNT_ENTRY(const lnt_host* host) LNT_NOEXCEPT;
#endif

/* Whether a table has a member. */
#define LNT_HAS(tbl, member) \
  ((tbl)->struct_size >= offsetof(lnt_plugin, member) + sizeof((tbl)->member) && (tbl)->member)

/* ---- For authors
 * LNT_MEMBER(lnt_status, finalize)(lnt_handle h) { ... } defines lnt_finalize: an export in a
 * standalone wasm, otherwise static, to be put into the table. LNT_MODULE(table, host, malloc,
 * free) at the end of the file defines the entry, which stores the host in the variable `host`, or
 * the further exports of a wasm module. */
#if defined(__wasm__) && !defined(LNT_STATIC)
#define LNT_MEMBER(type, name) \
  __attribute__((export_name("lnt_" #name), visibility("default"))) type lnt_##name
#define LNT_MODULE(table, host_variable, allocate, release)                   \
  LNT_EXPORT(lnt_abi) uint32_t lnt_abi(void) {                                \
    host_variable = NULL;                                                     \
    return (table).abi_version;                                               \
  }                                                                           \
  LNT_EXPORT(lnt_buffer) void* lnt_buffer(uint32_t bytes) {                   \
    return (allocate)(bytes ? bytes : 1);                                     \
  }                                                                           \
  LNT_EXPORT(lnt_buffer_free) void lnt_buffer_free(void* p) { (release)(p); } \
  typedef int lnt_module_end
#else
#define LNT_MEMBER(type, name) static type lnt_##name
#define LNT_MODULE(table, host_variable, allocate, release)                    \
  const lnt_plugin* LNT_ENTRY(const lnt_host* host) LNT_NOEXCEPT {             \
    if (host == NULL || host->abi_version >> 16 != LNT_ABI_MAJOR) return NULL; \
    host_variable = host;                                                      \
    return &(table);                                                           \
  }                                                                            \
  typedef int lnt_module_end
#endif

/* Reads a struct of `size` bytes from the other side into one of ours: min of both, the rest zeros.
 */
static inline void lnt_read(void* to, uint32_t to_size, const void* from, uint32_t size) {
  for (uint32_t i = 0; i < to_size; ++i) {
    ((unsigned char*)to)[i] = i < size ? ((const unsigned char*)from)[i] : (unsigned char)0;
  }
}

/* Answers a text the way describe, round_end and last_error do. */
static inline lnt_status lnt_answer(const char* text, uint32_t size, void* to, uint32_t cap,
                                    uint32_t* len) {
  *len = size;
  for (uint32_t i = 0; i < size && i < cap; ++i) ((char*)to)[i] = text[i];
  return LNT_OK;
}

/* ---- Readers of the canonical configuration: flat keys of one object, without escapes in keys. */

/* The first character of the member's value and its length up to the end of the text; NULL when
 * absent. */
static inline const char* lnt_json_find(const void* json, uint32_t len, const char* key,
                                        uint32_t* left) {
  const char* s = (const char*)json;
  int depth = 0;
  for (uint32_t i = 0; i < len; ++i) {
    if (s[i] == '{' || s[i] == '[') ++depth;
    if (s[i] == '}' || s[i] == ']') --depth;
    if (s[i] != '"') continue;
    const uint32_t begin = ++i;
    while (i < len && s[i] != '"') i += s[i] == '\\' ? 2u : 1u;
    if (i + 1 >= len || s[i + 1] != ':' || depth != 1) continue;
    uint32_t k = 0;
    while (begin + k < i && key[k] != '\0' && key[k] == s[begin + k]) ++k;
    if (begin + k == i && key[k] == '\0') {
      *left = len - (i + 2);
      return s + i + 2;
    }
  }
  return NULL;
}

/* Decimal text to the nearest double for up to 15 significant digits and exponents within 22,
 * beyond that within a few units in the last place; the same bits on every target. Returns the
 * characters read, 0 for none. */
static inline uint32_t lnt_parse_number(const char* s, uint32_t len, double* out) {
  static const double kPower[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  uint32_t i = 0, digits = 0;
  const int negative = len > 0 && s[0] == '-';
  uint64_t mantissa = 0;
  int32_t exponent = 0;
  int point = 0;
  if (negative) ++i;
  for (; i < len; ++i) {
    if (s[i] == '.' && !point) {
      point = 1;
      continue;
    }
    if (s[i] < '0' || s[i] > '9') break;
    ++digits;
    if (mantissa < UINT64_C(1000000000000000000)) {
      mantissa = mantissa * 10 + (uint64_t)(s[i] - '0');
      exponent -= point;
    } else {
      exponent += 1 - point;
    }
  }
  if (digits == 0) return 0;
  if (i + 1 < len && (s[i] == 'e' || s[i] == 'E')) {
    uint32_t j = i + 1;
    int32_t e = 0;
    const int minus = s[j] == '-';
    if (s[j] == '-' || s[j] == '+') ++j;
    if (j < len && s[j] >= '0' && s[j] <= '9') {
      for (; j < len && s[j] >= '0' && s[j] <= '9'; ++j) e = e < 10000 ? e * 10 + (s[j] - '0') : e;
      exponent += minus ? -e : e;
      i = j;
    }
  }
  double value = (double)mantissa;
  for (; exponent > 0; exponent -= exponent > 22 ? 22 : exponent) {
    value *= kPower[exponent > 22 ? 22 : exponent];
  }
  for (; exponent < 0 && value > 0; exponent += exponent < -22 ? 22 : -exponent) {
    value /= kPower[exponent < -22 ? 22 : -exponent];
  }
  *out = negative ? -value : value;
  return i;
}

/* 1 and the value when the member is there and a number, else 0 and *out untouched. */
static inline int lnt_json_number(const void* json, uint32_t len, const char* key, double* out) {
  uint32_t left = 0;
  const char* value = lnt_json_find(json, len, key, &left);
  return value != NULL && lnt_parse_number(value, left, out) > 0;
}

/* 1 and 0 or 1 in *out when the member is there and a boolean, else 0. */
static inline int lnt_json_bool(const void* json, uint32_t len, const char* key, int* out) {
  uint32_t left = 0;
  const char* value = lnt_json_find(json, len, key, &left);
  if (value == NULL || left == 0 || (value[0] != 't' && value[0] != 'f')) return 0;
  *out = value[0] == 't';
  return 1;
}

/* 1 and where the characters between the quotes are (escapes as they stand), else 0. */
static inline int lnt_json_string(const void* json, uint32_t len, const char* key,
                                  const char** text, uint32_t* text_len) {
  uint32_t left = 0, n = 1;
  const char* value = lnt_json_find(json, len, key, &left);
  if (value == NULL || left == 0 || value[0] != '"') return 0;
  while (n < left && value[n] != '"') n += value[n] == '\\' ? 2u : 1u;
  if (n >= left) return 0;
  *text = value + 1;
  *text_len = n - 1;
  return 1;
}

LNT_STATIC_ASSERT(sizeof(lnt_tensor) == 80 && offsetof(lnt_tensor, elem_off) == 64, "layout");
LNT_STATIC_ASSERT(sizeof(lnt_update) == 104 && offsetof(lnt_update, weight) == 48, "layout");
LNT_STATIC_ASSERT(sizeof(lnt_round) == 104 && offsetof(lnt_round, seed) == 72, "layout");
LNT_STATIC_ASSERT(sizeof(lnt_caps) == 32, "layout");

#ifdef __cplusplus
}
#endif
#endif /* LINNET_PLUGIN_H */
