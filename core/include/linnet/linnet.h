/* The embedding API: take part in a federation, load, train and run models, from any language.
 *
 * Plain C11. Sessions do no I/O: the caller owns sockets, timers, files and threads, feeds events
 * in and carries actions out. A handle is used by one thread at a time; different handles may be
 * used at once. Text is UTF-8 with its length beside it or zero-terminated as said. Functions that
 * can fail return LINNET_OK (0) or a negative code; linnet_last_error() has the words for the
 * calling thread. Memory that is handed out stays valid until the next call on the same handle. */
#ifndef LINNET_LINNET_H_
#define LINNET_LINNET_H_

#include <stddef.h>
#include <stdint.h>

#include "linnet/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define LINNET_API __declspec(dllexport)
#else
#define LINNET_API __attribute__((visibility("default")))
#endif

typedef int32_t linnet_status; /* 0 = good, < 0 = minus a linnet::Code (core/base/result.h) */
#define LINNET_OK 0

/* The last error of the calling thread, zero-terminated; "" when there was none. */
LINNET_API const char* linnet_last_error(void);
/* "0.1.0 (AVX3_ZEN4)": version and the SIMD target in use. */
LINNET_API const char* linnet_version(void);

/* ---- Threads. Only a pool makes them; results have the same bits with any number. */
typedef struct linnet_pool linnet_pool;

/* `threads` >= 1 in all, the caller's included. In a page they are workers, which must be started
 * with the engine (web/src/worker/wasm.ts); an engine built without threads has the caller's. */
LINNET_API linnet_pool* linnet_create_pool(uint32_t threads);
LINNET_API uint32_t linnet_pool_threads(const linnet_pool* pool);
/* After the handles that use it. */
LINNET_API void linnet_destroy_pool(linnet_pool* pool);

/* ---- Models */
typedef struct linnet_model linnet_model;

/* `name` as linnet_builtin_names(); the seed fixes the initial weights. NULL on error. */
LINNET_API linnet_model* linnet_create_builtin_model(const char* name, uint64_t seed);
LINNET_API const char* linnet_builtin_names(void); /* comma-separated */
/* From `.linnet` bytes, which are copied. NULL on error; quantized models are such. */
LINNET_API linnet_model* linnet_load_model(const void* bytes, size_t size);
LINNET_API void linnet_destroy_model(linnet_model* model);
/* Computes on this pool (NULL: on the calling thread); it serves one handle at a time. */
LINNET_API void linnet_set_model_pool(linnet_model* model, linnet_pool* pool);
/* Canonical bytes; *bytes stays valid until the next call on this model. */
LINNET_API linnet_status linnet_save_model(linnet_model* model, const uint8_t** bytes,
                                           size_t* size);
/* 32 bytes: BLAKE2b-256 of the canonical bytes. */
LINNET_API linnet_status linnet_model_digest(linnet_model* model, uint8_t out[32]);
/* {"name", "inputShape", "classes", "parameters", "layers": [{"name", "shape", "offset", "count"}]}
 */
LINNET_API const char* linnet_describe_model(linnet_model* model);
/* The flat f32 parameters in layout order; writable. */
LINNET_API float* linnet_model_parameters(linnet_model* model, size_t* count);
/* logits[n * classes] for x[n * inputs]; x is scaled as in training. */
LINNET_API linnet_status linnet_infer(linnet_model* model, const float* x, size_t n, float* logits);
/* One pass over x[n * inputs], y[n] in the given order; settings_json as the federation's "train"
 * (may be
 * "{}"). *loss (may be NULL) = mean loss before each step. */
LINNET_API linnet_status linnet_train_model(linnet_model* model, const char* settings_json,
                                            const float* x, const int32_t* y, size_t n,
                                            double* loss);
/* *accuracy and *loss (either may be NULL) over x, y. */
LINNET_API linnet_status linnet_evaluate_model(linnet_model* model, const float* x,
                                               const int32_t* y, size_t n, double* accuracy,
                                               double* loss);

/* ---- Data made here: digits drawn by simulated pens. x[count * 784] in 0..1, y[count]. */
LINNET_API linnet_status linnet_draw_strokes(uint64_t seed, uint32_t writer, uint32_t first_index,
                                             uint32_t count, float* x, int32_t* y);

/* ---- Sessions: one participant of one federation */
typedef struct linnet_session linnet_session;

/* options_json: {"federation": "", "token": "", "name": "", "runtime": "c", "properties": {},
 * "followModel": false, "maxStepsPerRound": 1000000, "maxModelBytes": 268435456}. `state` = bytes
 * of an earlier LINNET_ACTION_PERSIST, or NULL for a new device. NULL on error. */
LINNET_API linnet_session* linnet_create_session(const char* options_json, const void* state,
                                                 size_t state_size);
LINNET_API void linnet_destroy_session(linnet_session* session);
/* As linnet_set_model_pool. Before linnet_start. */
LINNET_API linnet_status linnet_set_session_pool(linnet_session* session, linnet_pool* pool);

/* Training data: x[n * features] raw values, y[n] in [0, classes); copied, and scaled as the
 * federation says: "unit" divides by source_max (pixels of 0..255: 255), or by each feature's own
 * range when it is 0. A tenth, fixed by the device key, is held out for evaluation. Before or after
 * linnet_start; replaces what was set. */
LINNET_API linnet_status linnet_set_data(linnet_session* session, const float* x, const int32_t* y,
                                         size_t n, size_t features, uint32_t classes,
                                         float source_max);
/* The same from the simulated pens: writers first..last, `per_writer` images each. */
LINNET_API linnet_status linnet_set_strokes(linnet_session* session, uint64_t seed,
                                            uint32_t first_writer, uint32_t last_writer,
                                            uint32_t per_writer);

/* Bring your own training. The callback gets the round's base in params[count] (layout order) and
 * writes the new values there. settings_json = the federation's "train" plus "round". It returns
 * LINNET_OK, or a negative code to give the assignment up. */
typedef struct linnet_train_result {
  uint64_t examples, steps;
  double loss_before, loss_after; /* NaN = unknown */
} linnet_train_result;
typedef linnet_status (*linnet_train_callback)(void* user, const char* settings_json, float* params,
                                               size_t count, linnet_train_result* result);
typedef struct linnet_evaluate_result {
  uint64_t examples, correct;
  double loss_sum;
} linnet_evaluate_result;
typedef linnet_status (*linnet_evaluate_callback)(void* user, const float* params, size_t count,
                                                  linnet_evaluate_result* result);
/* Either may be NULL. `examples` is told to the coordinator. */
LINNET_API linnet_status linnet_set_callbacks(linnet_session* session, linnet_train_callback train,
                                              linnet_evaluate_callback evaluate, void* user,
                                              uint64_t examples);
/* The same for a caller that cannot answer within a call (a page's promise): before linnet_start,
 * say what is done outside (0 or 1 each). Such work then waits as a task; other work goes on
 * meanwhile. */
LINNET_API linnet_status linnet_train_outside(linnet_session* session, int32_t train,
                                              int32_t evaluate, uint64_t examples);
enum { LINNET_TASK_NONE = 0, LINNET_TASK_TRAIN = 1, LINNET_TASK_EVALUATE = 2 };
typedef struct linnet_task {
  int32_t kind;
  uint32_t reserved;
  uint64_t id;
  const char* settings_json; /* as the callback's; valid until the next call on this session */
  float* parameters;         /* TRAIN: to be overwritten; valid until the task is finished */
  size_t count;
} linnet_task;
/* The oldest task that was not handed out yet; kind NONE when there is none. */
LINNET_API linnet_status linnet_next_task(linnet_session* session, linnet_task* out);
LINNET_API linnet_status linnet_finish_training(linnet_session* session, uint64_t task,
                                                const linnet_train_result* result, uint64_t now_ms);
LINNET_API linnet_status linnet_finish_evaluation(linnet_session* session, uint64_t task,
                                                  const linnet_evaluate_result* result,
                                                  uint64_t now_ms);
/* Gives the task up. */
LINNET_API linnet_status linnet_fail_task(linnet_session* session, uint64_t task,
                                          const char* reason, uint64_t now_ms);

/* Events in. now_ms: any clock that only grows. After each, take the actions with
 * linnet_next_action. */
LINNET_API linnet_status linnet_start(linnet_session* session, uint64_t now_ms);
LINNET_API linnet_status linnet_on_connected(linnet_session* session, uint64_t now_ms);
LINNET_API linnet_status linnet_on_disconnected(linnet_session* session, uint64_t now_ms);
LINNET_API linnet_status linnet_on_frame(linnet_session* session, const void* frame, size_t size,
                                         uint64_t now_ms);
LINNET_API linnet_status linnet_on_timer(linnet_session* session, uint64_t timer, uint64_t now_ms);
LINNET_API linnet_status linnet_on_stored(linnet_session* session, uint64_t ticket, int32_t ok,
                                          uint64_t now_ms);
/* Computes for about max_steps minibatches. Returns 1 while there is more, 0 when idle, < 0 on
 * error. */
LINNET_API linnet_status linnet_run(linnet_session* session, uint32_t max_steps, uint64_t now_ms);
LINNET_API linnet_status linnet_leave(linnet_session* session, const char* reason);
LINNET_API linnet_status linnet_pause(linnet_session* session, int32_t paused);

/* Actions out, in order. */
enum {
  LINNET_ACTION_NONE = 0,         /* nothing left */
  LINNET_ACTION_CONNECT = 1,      /* open a WebSocket, subprotocol "linnet.v1" */
  LINNET_ACTION_SEND = 2,         /* data: one binary frame */
  LINNET_ACTION_CLOSE = 3,        /* data: the reason, text */
  LINNET_ACTION_SET_TIMER = 4,    /* id, delay_ms; moves a timer that is set */
  LINNET_ACTION_CANCEL_TIMER = 5, /* id */
  LINNET_ACTION_PERSIST = 6,      /* id = ticket; data: the state, replaces what was kept */
  LINNET_ACTION_NOTICE = 7        /* data: JSON {"kind", "text", ...} for people and pages */
};
typedef struct linnet_action {
  int32_t kind;
  uint32_t reserved;
  uint64_t id, delay_ms;
  const uint8_t* data; /* valid until the next call on this session */
  size_t size;
} linnet_action;
LINNET_API linnet_status linnet_next_action(linnet_session* session, linnet_action* out);

/* The newest global model (a copy, destroy it), or NULL when none has arrived. */
LINNET_API linnet_model* linnet_session_model(linnet_session* session);
/* logits[n * classes] of the newest global model for raw x[n * inputs], scaled as the training data
 * is. `classes` must be the model's; minus kState while no model has arrived. */
LINNET_API linnet_status linnet_session_infer(linnet_session* session, const float* x, size_t n,
                                              float* logits, size_t classes);
/* {"device", "roundsCounted", "examplesCounted", "examples", "heldOut", "ended", "progress": of the
 * training under way, 0 to 1, or null, "model": as linnet_describe_model, or null} */
LINNET_API const char* linnet_describe_session(linnet_session* session);

#ifdef __cplusplus
}
#endif
#endif /* LINNET_LINNET_H_ */
