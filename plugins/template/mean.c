/* A complete strategy in one C file: the exact weighted mean of the updates, times a configured
 * rate. Change what a round does; README.md builds it. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linnet/plugin.h"

enum { kInstances = 256, kRows = 16 };

/* The head of blob 1; the sums follow it. */
typedef struct partial_head {
  uint32_t version;
  int32_t grid_exp;
  uint64_t updates, weight_sum, elements;
} partial_head;

typedef struct instance {
  double rate;
  uint32_t tensors, rows;
  uint64_t* starts; /* of each tensor in sums, and the end */
  double* sums;     /* of weight * x, each term rounded to the round's grid: exact, in any order */
  double magic;     /* 1.5 * 2^(52 + grid_exp): adding and subtracting it rounds to the grid */
  uint32_t weights[kRows];
  partial_head partial;
  unsigned char* incoming; /* pages of a partial that is being merged */
  uint64_t incoming_size;
  char error[160];
} instance;

static const lnt_host* g_host;
static _Atomic(instance*) g_instances[kInstances];

static const char kDescription[] =
    "{\"id\":\"template-mean\",\"version\":\"1.0.0\",\"licence\":\"Apache-2.0\","
    "\"description\":\"The weighted mean of the updates, times a rate.\","
    "\"config\":{\"type\":\"object\",\"properties\":{"
    "\"rate\":{\"type\":\"number\",\"minimum\":0,\"maximum\":10,\"default\":1}}}}";

static instance* find(lnt_handle h) {
  return h >= 1 && h <= kInstances ? g_instances[h - 1] : NULL;
}

static lnt_status fail(instance* self, lnt_status status, const char* message) {
  snprintf(self->error, sizeof(self->error), "%s", message);
  return status;
}

/* The place of a chunk in sums, or NULL. */
static double* place(instance* self, uint32_t tensor, uint64_t off, uint32_t count) {
  if (tensor >= self->tensors) return NULL;
  const uint64_t room = self->starts[tensor + 1] - self->starts[tensor];
  return off <= room && count <= room - off ? self->sums + self->starts[tensor] + off : NULL;
}

LNT_MEMBER(uint32_t, count)(void) { return 1; }

LNT_MEMBER(lnt_status, describe)(uint32_t index, void* json, uint32_t cap, uint32_t* len) {
  if (index != 0) return LNT_E_INVALID;
  return lnt_answer(kDescription, sizeof(kDescription) - 1, json, cap, len);
}

LNT_MEMBER(lnt_status, create)(uint32_t index, const void* config, uint32_t len, lnt_handle* out,
                               lnt_caps* caps) {
  if (index != 0) return LNT_E_INVALID;
  instance* self = calloc(1, sizeof(instance));
  if (self == NULL) return LNT_E_NOMEM;
  self->rate = 1;
  lnt_json_number(config, len, "rate", &self->rate);
  for (uint32_t i = 0; i < kInstances; ++i) {
    instance* empty = NULL;
    if (!atomic_compare_exchange_strong(&g_instances[i], &empty, self)) continue;
    const lnt_caps mine = {
        sizeof(lnt_caps), LNT_ABI_VERSION, LNT_MODE_STREAM, LNT_CAP_MERGE | LNT_CAP_EXACT, 0, 0};
    const uint32_t room = caps->struct_size;
    memcpy(caps, &mine, room < sizeof(mine) ? room : sizeof(mine));
    *out = i + 1;
    return LNT_OK;
  }
  free(self);
  return LNT_E_NOMEM;
}

LNT_MEMBER(void, destroy)(lnt_handle h) {
  instance* self = find(h);
  if (self == NULL) return;
  g_instances[h - 1] = NULL;
  free(self->starts);
  free(self->sums);
  free(self->incoming);
  free(self);
}

LNT_MEMBER(lnt_status, set_layout)
(lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names, uint32_t names_len) {
  instance* self = find(h);
  if (self == NULL) return LNT_E_INVALID;
  (void)names;
  (void)names_len;
  self->tensors = n;
  self->starts = calloc(n + 1, sizeof(uint64_t));
  if (self->starts == NULL) return fail(self, LNT_E_NOMEM, "no memory for the layout");
  for (uint32_t i = 0; i < n; ++i) {
    lnt_tensor row;
    lnt_read(&row, sizeof(row), (const char*)t + (size_t)i * t->struct_size, t->struct_size);
    if (row.dtype != LNT_F32)
      return fail(self, LNT_E_LAYOUT, "found a tensor of another dtype, wanted f32");
    self->starts[i + 1] = self->starts[i] + row.elem_count;
  }
  self->sums = calloc(self->starts[n] ? self->starts[n] : 1, sizeof(double));
  return self->sums != NULL ? LNT_OK : fail(self, LNT_E_NOMEM, "no memory for the sums");
}

LNT_MEMBER(lnt_status, round_begin)(lnt_handle h, const lnt_round* round, uint32_t size) {
  instance* self = find(h);
  lnt_round mine;
  if (self == NULL) return LNT_E_INVALID;
  lnt_read(&mine, sizeof(mine), round, size);
  if (mine.grid_exp < -900 || mine.grid_exp > 0)
    return fail(self, LNT_E_INVALID, "the grid is out of range");
  self->magic = 1.5;
  for (int32_t i = 0; i < 52 + mine.grid_exp; ++i) self->magic *= 2;
  for (int32_t i = 0; i > 52 + mine.grid_exp; --i) self->magic /= 2;
  self->partial.version = 1;
  self->partial.grid_exp = mine.grid_exp;
  self->partial.elements = self->starts[self->tensors];
  self->partial.updates = self->partial.weight_sum = self->incoming_size = 0;
  memset(self->sums, 0, self->partial.elements * sizeof(double));
  return LNT_OK;
}

LNT_MEMBER(lnt_status, updates_begin)(lnt_handle h, const lnt_update* u, uint32_t size,
                                      uint32_t n) {
  instance* self = find(h);
  if (self == NULL || n < 1 || n > kRows) return LNT_E_INVALID;
  for (uint32_t r = 0; r < n; ++r) {
    lnt_update row;
    lnt_read(&row, sizeof(row), (const char*)u + (size_t)r * size, size);
    if (row.weight < 1 || row.weight >= 1u << 29)
      return fail(self, LNT_E_DATA, "a weight is not in 1 to 2^29 - 1");
    self->weights[r] = row.weight;
  }
  self->rows = n;
  return LNT_OK;
}

LNT_MEMBER(lnt_status, updates_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows, uint32_t stride, uint32_t count) {
  instance* self = find(h);
  double* sums = self != NULL ? place(self, tensor, off, count) : NULL;
  if (sums == NULL) return LNT_E_INVALID;
  for (uint32_t r = 0; r < self->rows; ++r) {
    const float* x = (const float*)(const void*)((const char*)rows + (size_t)r * stride);
    const double weight = self->weights[r], magic = self->magic;
    for (uint32_t i = 0; i < count; ++i) sums[i] += (weight * (double)x[i] + magic) - magic;
  }
  return LNT_OK;
}

LNT_MEMBER(lnt_status, updates_end)(lnt_handle h) {
  instance* self = find(h);
  if (self == NULL) return LNT_E_INVALID;
  for (uint32_t r = 0; r < self->rows; ++r) self->partial.weight_sum += self->weights[r];
  self->partial.updates += self->rows;
  return LNT_OK;
}

LNT_MEMBER(lnt_status, finalize)(lnt_handle h) {
  instance* self = find(h);
  if (self == NULL) return LNT_E_INVALID;
  return self->partial.updates > 0
             ? LNT_OK
             : fail(self, LNT_E_TOO_FEW, "found no update, wanted at least 1");
}

LNT_MEMBER(lnt_status, result_chunk)
(lnt_handle h, uint32_t tensor, uint64_t off, const void* base, void* out, uint32_t count) {
  instance* self = find(h);
  const double* sums = self != NULL ? place(self, tensor, off, count) : NULL;
  if (sums == NULL || self->partial.weight_sum == 0) return LNT_E_INVALID;
  const double total = (double)self->partial.weight_sum, limit = self->magic / 0.75;
  for (uint32_t i = 0; i < count; ++i) {
    /* Written so that NaN fails too. */
    if (!(sums[i] < limit && sums[i] > -limit))
      return fail(self, LNT_E_DATA, "a sum is beyond the grid, so it is not exact");
  }
  for (uint32_t i = 0; i < count; ++i) {
    ((float*)out)[i] = ((const float*)base)[i] + (float)(self->rate * (sums[i] / total));
  }
  return LNT_OK;
}

LNT_MEMBER(lnt_status, round_end)(lnt_handle h, void* json, uint32_t cap, uint32_t* len) {
  instance* self = find(h);
  char text[64];
  if (self == NULL) return LNT_E_INVALID;
  const int n = snprintf(text, sizeof(text), "{\"updates\":%u}", (unsigned)self->partial.updates);
  return lnt_answer(text, (uint32_t)n, json, cap, len);
}

/* Blob 1: what was folded so far. There is no state between rounds, so the other kinds are empty.
 */
LNT_MEMBER(lnt_status, blob_size)(lnt_handle h, uint32_t kind, uint64_t* size) {
  instance* self = find(h);
  if (self == NULL) return LNT_E_INVALID;
  *size = kind == LNT_BLOB_PARTIAL ? sizeof(self->partial) + self->partial.elements * sizeof(double)
                                   : 0;
  return LNT_OK;
}

LNT_MEMBER(lnt_status, blob_read)(lnt_handle h, uint32_t kind, uint64_t off, void* dst,
                                  uint32_t len) {
  instance* self = find(h);
  if (self == NULL || kind != LNT_BLOB_PARTIAL) return LNT_E_UNSUPPORTED;
  const uint64_t head = sizeof(self->partial),
                 total = head + self->partial.elements * sizeof(double);
  if (off > total || len > total - off)
    return fail(self, LNT_E_INVALID, "a page reaches past the end");
  for (uint32_t i = 0; i < len; ++i, ++off) {
    ((unsigned char*)dst)[i] = off < head ? ((unsigned char*)&self->partial)[off]
                                          : ((unsigned char*)self->sums)[off - head];
  }
  return LNT_OK;
}

LNT_MEMBER(lnt_status, blob_write)
(lnt_handle h, uint32_t kind, uint64_t total, uint64_t off, const void* src, uint32_t len) {
  instance* self = find(h);
  if (self == NULL || kind != LNT_BLOB_PARTIAL) return LNT_E_UNSUPPORTED;
  const uint64_t elements = self->partial.elements;
  if (total != sizeof(partial_head) + elements * sizeof(double)) {
    return fail(self, LNT_E_DATA, "a partial of another size");
  }
  if (off == 0) self->incoming_size = 0;
  if (off != self->incoming_size || len > total - off)
    return fail(self, LNT_E_INVALID, "a page is out of order");
  if (self->incoming == NULL) self->incoming = malloc(total);
  if (self->incoming == NULL) return fail(self, LNT_E_NOMEM, "no memory for a partial");
  memcpy(self->incoming + off, src, len);
  self->incoming_size += len;
  if (self->incoming_size < total) return LNT_OK;

  self->incoming_size = 0;
  partial_head head;
  memcpy(&head, self->incoming, sizeof(head));
  if (head.version != 1 || head.grid_exp != self->partial.grid_exp || head.elements != elements) {
    return fail(self, LNT_E_DATA, "found a partial of another version, grid or layout");
  }
  for (uint64_t i = 0; i < elements; ++i) {
    double sum;
    memcpy(&sum, self->incoming + sizeof(head) + i * sizeof(sum), sizeof(sum));
    self->sums[i] += sum;
  }
  self->partial.updates += head.updates;
  self->partial.weight_sum += head.weight_sum;
  return LNT_OK;
}

LNT_MEMBER(lnt_status, last_error)(lnt_handle h, char* utf8, uint32_t cap, uint32_t* len) {
  const instance* self = find(h);
  const char* text = self != NULL ? self->error : "no such instance, or no memory for one";
  return lnt_answer(text, (uint32_t)strlen(text), utf8, cap, len);
}

static const lnt_plugin kTable = {
    .struct_size = sizeof(lnt_plugin),
    .abi_version = LNT_ABI_VERSION,
    .count = lnt_count,
    .describe = lnt_describe,
    .create = lnt_create,
    .destroy = lnt_destroy,
    .set_layout = lnt_set_layout,
    .round_begin = lnt_round_begin,
    .updates_begin = lnt_updates_begin,
    .updates_chunk = lnt_updates_chunk,
    .updates_end = lnt_updates_end,
    .finalize = lnt_finalize,
    .result_chunk = lnt_result_chunk,
    .round_end = lnt_round_end,
    .blob_size = lnt_blob_size,
    .blob_read = lnt_blob_read,
    .blob_write = lnt_blob_write,
    .last_error = lnt_last_error,
};

LNT_MODULE(kTable, g_host, malloc, free);
