// What web/src/worker/wasm.ts reads and writes by offset.
#include <cstddef>

#include "linnet/linnet.h"

static_assert(sizeof(void*) == 4 && sizeof(size_t) == 4);

static_assert(offsetof(linnet_action, kind) == 0 && offsetof(linnet_action, id) == 8 &&
              offsetof(linnet_action, delay_ms) == 16 && offsetof(linnet_action, data) == 24 &&
              offsetof(linnet_action, size) == 28 && sizeof(linnet_action) == 32);
static_assert(offsetof(linnet_task, kind) == 0 && offsetof(linnet_task, id) == 8 &&
              offsetof(linnet_task, settings_json) == 16 &&
              offsetof(linnet_task, parameters) == 20 && offsetof(linnet_task, count) == 24 &&
              sizeof(linnet_task) == 32);
static_assert(offsetof(linnet_train_result, examples) == 0 &&
              offsetof(linnet_train_result, steps) == 8 &&
              offsetof(linnet_train_result, loss_before) == 16 &&
              offsetof(linnet_train_result, loss_after) == 24 && sizeof(linnet_train_result) == 32);
static_assert(offsetof(linnet_evaluate_result, examples) == 0 &&
              offsetof(linnet_evaluate_result, correct) == 8 &&
              offsetof(linnet_evaluate_result, loss_sum) == 16 &&
              sizeof(linnet_evaluate_result) == 24);
