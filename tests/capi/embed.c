/* linnet.h from C11, through the shared library: models, training, errors, and a session's first
 * steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linnet/linnet.h"

static int failures = 0;
#define EXPECT(condition)                                                            \
  do {                                                                               \
    if (!(condition)) {                                                              \
      printf("%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
             linnet_last_error());                                                   \
      ++failures;                                                                    \
    }                                                                                \
  } while (0)

enum { kImages = 200, kPixels = 784, kClasses = 10 };

static void ErrorsComeFirst(void) {
  EXPECT(linnet_create_builtin_model("mlp-2n", 1) == NULL);
  EXPECT(strstr(linnet_last_error(), "mlp-2nn") != NULL);
  EXPECT(linnet_load_model("LNET?", 5) == NULL);
  EXPECT(linnet_create_session("{\"nam\": \"x\"}", NULL, 0) == NULL);
  EXPECT(strstr(linnet_last_error(), "the nearest is \"name\"") != NULL);
  EXPECT(linnet_create_session("{\"name\": 7}", NULL, 0) == NULL);
  EXPECT(linnet_create_session("{", NULL, 0) == NULL);
  EXPECT(linnet_create_session(NULL, "not a state", 11) == NULL);

  linnet_session* session = linnet_create_session(NULL, NULL, 0);
  const float x[4] = {0, 1, NAN, 3};
  const int32_t y[2] = {0, 1};
  EXPECT(linnet_on_connected(session, 0) < 0); /* before linnet_start */
  EXPECT(linnet_set_data(session, x, y, 2, 2, 2, 0) < 0);
  EXPECT(strstr(linnet_last_error(), "feature 0 of example 1") != NULL);
  EXPECT(linnet_set_data(session, x, y, 2, 1, 1, 0) < 0); /* label 1 of 1 class */
  EXPECT(linnet_set_strokes(session, 1, 5, 4, 60) < 0);
  EXPECT(linnet_session_model(session) == NULL);
  EXPECT(linnet_start(session, 0) == LINNET_OK);
  EXPECT(linnet_start(session, 0) < 0);
  EXPECT(linnet_set_callbacks(session, NULL, NULL, NULL, 1) < 0);
  EXPECT(linnet_finish_training(session, 1, &(linnet_train_result){0}, 0) < 0);
  linnet_destroy_session(session);
}

static void AModelLearnsAndSurvivesItsBytes(void) {
  static float x[kImages * kPixels], logits[kImages * kClasses], again[kImages * kClasses];
  static int32_t y[kImages];
  EXPECT(linnet_draw_strokes(1, 7, 0, kImages, x, y) == LINNET_OK);
  linnet_model* model = linnet_create_builtin_model("softmax-regression", 1);
  EXPECT(model != NULL);
  EXPECT(strstr(linnet_describe_model(model), "\"inputShape\":[28,28,1]") != NULL);
  EXPECT(strstr(linnet_builtin_names(), "cnn-small") != NULL);

  double first = 0, last = 0, accuracy = 0;
  const char* settings = "{\"learningRate\": 0.1, \"batchSize\": 10}";
  EXPECT(linnet_train_model(model, "{\"learningRat\": 0.1}", x, y, kImages, &first) < 0);
  EXPECT(linnet_train_model(model, settings, x, y, 0, &first) < 0);
  EXPECT(linnet_train_model(model, settings, x, y, kImages, &first) == LINNET_OK);
  for (int i = 0; i < 8; ++i) {
    EXPECT(linnet_train_model(model, settings, x, y, kImages, &last) == LINNET_OK);
  }
  EXPECT(last < first / 2);
  EXPECT(linnet_evaluate_model(model, x, y, kImages, &accuracy, NULL) == LINNET_OK);
  EXPECT(accuracy > 0.9);

  const uint8_t* bytes = NULL;
  size_t size = 0, count = 0;
  uint8_t digest[32], other[32];
  EXPECT(linnet_save_model(model, &bytes, &size) == LINNET_OK);
  linnet_model* copy = linnet_load_model(bytes, size);
  EXPECT(copy != NULL);
  EXPECT(linnet_model_digest(model, digest) == LINNET_OK);
  EXPECT(linnet_model_digest(copy, other) == LINNET_OK);
  EXPECT(memcmp(digest, other, 32) == 0);
  EXPECT(linnet_infer(model, x, kImages, logits) == LINNET_OK);
  EXPECT(linnet_infer(copy, x, kImages, again) == LINNET_OK);
  EXPECT(memcmp(logits, again, sizeof(logits)) == 0);
  linnet_model_parameters(copy, &count)[0] += 1;
  EXPECT(count == kPixels * kClasses + kClasses);
  EXPECT(linnet_model_digest(copy, other) == LINNET_OK);
  EXPECT(memcmp(digest, other, 32) != 0);
  EXPECT(linnet_load_model(bytes, size - 1) == NULL);
  linnet_destroy_model(copy);
  linnet_destroy_model(model);
}

static void ASessionAsksForItsFirstActionsAndKeepsItsDevice(void) {
  linnet_session* session = linnet_create_session("{\"name\": \"embed\"}", NULL, 0);
  EXPECT(linnet_set_strokes(session, 1, 3, 3, 50) == LINNET_OK);
  EXPECT(strstr(linnet_describe_session(session), "\"heldOut\":5") != NULL);
  EXPECT(linnet_start(session, 10) == LINNET_OK);
  uint8_t state[1024];
  size_t state_size = 0;
  int connects = 0, frames = 0, timers = 0;
  linnet_action action;
  while (linnet_next_action(session, &action) == LINNET_OK && action.kind != LINNET_ACTION_NONE) {
    connects += action.kind == LINNET_ACTION_CONNECT;
    if (action.kind == LINNET_ACTION_PERSIST && action.size <= sizeof(state)) {
      memcpy(state, action.data, action.size);
      state_size = action.size;
      EXPECT(linnet_on_stored(session, action.id, 1, 11) == LINNET_OK);
    }
  }
  EXPECT(connects == 1);
  EXPECT(state_size > 0);
  EXPECT(linnet_on_connected(session, 12) == LINNET_OK);
  while (linnet_next_action(session, &action) == LINNET_OK && action.kind != LINNET_ACTION_NONE) {
    frames += action.kind == LINNET_ACTION_SEND && action.size > 0;
    timers += action.kind == LINNET_ACTION_SET_TIMER;
  }
  EXPECT(frames == 1); /* hello */
  EXPECT(timers == 1); /* until the answer */
  /* A stranger's bytes end the connection, not the program. */
  EXPECT(linnet_on_frame(session, "garbage!", 8, 13) == LINNET_OK);
  int closes = 0;
  while (linnet_next_action(session, &action) == LINNET_OK && action.kind != LINNET_ACTION_NONE) {
    closes += action.kind == LINNET_ACTION_CLOSE;
  }
  EXPECT(closes == 1);
  EXPECT(linnet_run(session, 10, 14) == 0);

  char before[128], after[128];
  snprintf(before, sizeof(before), "%.76s", linnet_describe_session(session));
  linnet_destroy_session(session);
  session = linnet_create_session("{}", state, state_size);
  EXPECT(session != NULL);
  snprintf(after, sizeof(after), "%.76s", linnet_describe_session(session));
  EXPECT(strcmp(before, after) == 0); /* {"device":"64 characters" */
  linnet_destroy_session(session);
}

int main(void) {
  ErrorsComeFirst();
  AModelLearnsAndSurvivesItsBytes();
  ASessionAsksForItsFirstActionsAndKeepsItsDevice();
  printf("%s: %s\n", linnet_version(), failures == 0 ? "good" : "failed");
  return failures == 0 ? 0 : 1;
}
