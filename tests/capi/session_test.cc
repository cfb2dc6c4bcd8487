#include <algorithm>
#include <cmath>

#include "capi/table.h"
#include "model/quantize.h"

namespace linnet {
namespace {

using testing::Must;
using testing::Table;

constexpr char kTwo[] = R"({"name": "two", "model": {"builtin": "softmax-regression"},
  "round": {"cohort": 2, "minimum": 2, "maxRounds": 3, "deadlineMs": 10000},
  "upload": {"codec": "f32"}})";
constexpr char kOne[] = R"({"name": "one", "model": {"builtin": "softmax-regression"},
  "round": {"cohort": 1, "minimum": 1, "maxRounds": 2, "deadlineMs": 10000},
  "data": {"scale": "none"}, "upload": {"codec": "f32"}})";

Json Describe(linnet_session* session) {
  return Must(Json::Parse(linnet_describe_session(session)));
}

// Adds a constant to every parameter.
struct Adder {
  float step;
  uint64_t examples;
  int trained = 0, evaluated = 0;
  linnet_status status = LINNET_OK;
  std::string settings = {};
};
linnet_status Add(void* user, const char* settings, float* params, size_t count,
                  linnet_train_result* result) {
  auto& adder = *static_cast<Adder*>(user);
  ++adder.trained;
  adder.settings = settings;
  for (size_t i = 0; i < count; ++i) params[i] += adder.step;
  result->examples = adder.examples;
  result->steps = 1;
  return adder.status;
}
linnet_status Judge(void* user, const float*, size_t, linnet_evaluate_result* result) {
  ++static_cast<Adder*>(user)->evaluated;
  *result = {10, 7, 5.0};
  return LINNET_OK;
}

TEST(ModelTest, AQuantizedFileIsRefusedWithWhatRunsIt) {
  const Model model = Must(BuiltinModel("softmax-regression", SeedFromInt(1)));
  const Bytes bytes = SaveQuantizedModel(Must(QuantizeInt4(model)));
  EXPECT_EQ(linnet_load_model(bytes.data(), bytes.size()), nullptr);
  EXPECT_NE(std::string(linnet_last_error()).find("it is quantized: it is run (linnet eval"),
            std::string::npos)
      << linnet_last_error();
}

TEST(SessionTest, SessionsWithSimulatedPensTrainTheModelTogether) {
  Table table(kTwo);
  linnet_session* first = table.AddWriter(1);
  table.AddWriter(2);
  ASSERT_TRUE(table.Finish());
  EXPECT_EQ(table.coordinator->Status().history.size(), 3u);
  EXPECT_EQ(table.coordinator->Status().history[2].counted, 2u);
  EXPECT_EQ(Describe(first).Find("roundsCounted")->as_int(), 3);
  EXPECT_EQ(Describe(first).Find("examplesCounted")->as_int(),
            3 * 27);  // a tenth of 30 is held out
  EXPECT_EQ(table.Told(0, "evaluated").size(), 3u);
  EXPECT_EQ(table.Told(0, "finished").size(), 1u);
}

TEST(SessionTest, CallbacksDecideTheUpdateAndItsWeight) {
  Table table(kTwo);
  const float before = table.Committed().parameters[7];
  Adder small{0.25f, 10}, large{1.0f, 30};
  for (Adder* adder : {&small, &large}) {
    table.Add([&](linnet_session* session) {
      EXPECT_EQ(linnet_set_callbacks(session, Add, Judge, adder, adder->examples), LINNET_OK);
    });
  }
  ASSERT_TRUE(table.Finish());
  // Three rounds of (10 * 0.25 + 30 * 1) / 40.
  EXPECT_NEAR(table.Committed().parameters[7], before + 3 * 0.8125f, 1e-5);
  EXPECT_EQ(small.trained, 3);
  EXPECT_EQ(small.evaluated, 3);
  const Json settings = Must(Json::Parse(small.settings));
  EXPECT_EQ(settings.Find("learningRate")->as_double(), 0.1);
  EXPECT_EQ(settings.Find("round")->as_int(), 3);
  for (const RoundMetrics& metrics : table.coordinator->Status().history) {
    EXPECT_DOUBLE_EQ(metrics.accuracy, 0.7) << metrics.round;
    EXPECT_DOUBLE_EQ(metrics.loss, 0.5) << metrics.round;
  }
}

TEST(SessionTest, ATrainCallbackThatFailsGivesTheAssignmentUp) {
  Table table(kOne);
  Adder broken{1, 10};
  broken.status = -1;
  table.Add([&](linnet_session* session) {
    EXPECT_EQ(linnet_set_callbacks(session, Add, nullptr, &broken, 10), LINNET_OK);
  });
  ASSERT_TRUE(table.PassUntil([&] { return !table.Told(0, "error").empty(); }));
  EXPECT_NE(table.Told(0, "error")[0].Find("text")->as_string().find("returned -1"),
            std::string::npos);
  EXPECT_EQ(table.round(), 0u);
}

TEST(SessionTest, TrainingOutsideIsATaskThatWaits) {
  Table table(kOne);
  linnet_session* session = table.Add(
      [](linnet_session* made) { EXPECT_EQ(linnet_train_outside(made, 1, 0, 12), LINNET_OK); });
  linnet_task task{};
  ASSERT_TRUE(table.PassUntil([&] {
    EXPECT_EQ(linnet_next_task(session, &task), LINNET_OK);
    return task.kind == LINNET_TASK_TRAIN;
  }));
  EXPECT_EQ(task.count, table.Committed().parameters.size());
  EXPECT_EQ(task.parameters[3], table.Committed().parameters[3]);
  linnet_task none{};
  ASSERT_EQ(linnet_next_task(session, &none), LINNET_OK);
  EXPECT_EQ(none.kind, LINNET_TASK_NONE) << "a task is handed out once";
  EXPECT_EQ(linnet_run(session, 10, table.now_ms), 0);

  const linnet_train_result result{12, 1, 2.0, 1.0};
  EXPECT_LT(linnet_finish_training(session, task.id + 1, &result, table.now_ms), 0);
  const linnet_evaluate_result other{1, 1, 0};
  EXPECT_LT(linnet_finish_evaluation(session, task.id, &other, table.now_ms), 0);
  const float before = table.Committed().parameters[3];
  for (size_t i = 0; i < task.count; ++i) task.parameters[i] += 0.5f;
  EXPECT_EQ(linnet_finish_training(session, task.id, &result, table.now_ms), LINNET_OK);
  table.Settle();
  EXPECT_EQ(table.round(), 1u);
  EXPECT_NEAR(table.Committed().parameters[3], before + 0.5f, 1e-6);
  EXPECT_LT(linnet_finish_training(session, task.id, &result, table.now_ms), 0) << "only once";
}

TEST(SessionTest, AnOutsideResultThatIsNotFiniteIsRefusedHere) {
  Table table(kOne);
  linnet_session* session = table.Add(
      [](linnet_session* made) { EXPECT_EQ(linnet_train_outside(made, 1, 0, 12), LINNET_OK); });
  linnet_task task{};
  ASSERT_TRUE(table.PassUntil([&] {
    EXPECT_EQ(linnet_next_task(session, &task), LINNET_OK);
    return task.kind == LINNET_TASK_TRAIN;
  }));
  task.parameters[0] = std::nanf("");
  const linnet_train_result result{12, 1, 2.0, 1.0};
  EXPECT_LT(linnet_finish_training(session, task.id, &result, table.now_ms), 0);
  EXPECT_NE(std::string(linnet_last_error()).find("not finite"), std::string::npos);
  table.Settle();
  EXPECT_EQ(table.round(), 0u);
}

TEST(SessionTest, InferenceScalesRawValuesAsTheFederationSays) {
  struct Row {
    const char* name;
    const char* scale;
    float divisor;
  };
  for (const Row& row : {Row{.name = "unit", .scale = "unit", .divisor = 255},
                         Row{.name = "none", .scale = "none", .divisor = 1}}) {
    SCOPED_TRACE(row.name);
    Table table(StrCat(R"({"name": "s", "model": {"builtin": "softmax-regression"},
      "round": {"cohort": 1, "minimum": 1, "maxRounds": 1}, "upload": {"codec": "f32"},
      "data": {"scale": ")",
                       row.scale, "\"}}"));
    linnet_session* session = table.AddWriter(4);
    std::vector<float> raw(784), scaled(784), logits(10), expected(10);
    EXPECT_LT(linnet_session_infer(session, raw.data(), 1, logits.data(), 10), 0) << "no model yet";
    ASSERT_TRUE(table.Finish());
    for (size_t i = 0; i < raw.size(); ++i) {
      raw[i] = float(i % 256);
      scaled[i] = raw[i] * (1 / row.divisor);
    }
    EXPECT_LT(linnet_session_infer(session, raw.data(), 1, logits.data(), 9), 0);
    ASSERT_EQ(linnet_session_infer(session, raw.data(), 1, logits.data(), 10), LINNET_OK)
        << linnet_last_error();
    linnet_model* model = linnet_session_model(session);
    ASSERT_NE(model, nullptr);
    ASSERT_EQ(linnet_infer(model, scaled.data(), 1, expected.data()), LINNET_OK);
    linnet_destroy_model(model);
    EXPECT_EQ(logits, expected);
  }
}

TEST(SessionTest, APausedSessionDeclinesUntilItGoesOn) {
  Table table(kOne);
  linnet_session* session = table.AddWriter(1);
  ASSERT_EQ(linnet_pause(session, 1), LINNET_OK);
  int asked = 0;
  table.PassUntil([&] { return ++asked > 5; });
  EXPECT_EQ(table.round(), 0u);
  ASSERT_EQ(linnet_pause(session, 0), LINNET_OK);
  EXPECT_TRUE(table.Finish());
}

TEST(SessionTest, NewDataIsUsedFromTheNextRoundOn) {
  Table table(kOne);
  linnet_session* session = table.AddWriter(1);
  ASSERT_TRUE(table.PassUntil([&] { return table.round() >= 1; }));
  ASSERT_EQ(linnet_set_strokes(session, 1, 1, 1, 60), LINNET_OK);
  ASSERT_TRUE(table.Finish());
  EXPECT_EQ(Describe(session).Find("examples")->as_int(), 60);
  EXPECT_GE(Describe(session).Find("examplesCounted")->as_int(), 27 + 27);
}

}  // namespace
}  // namespace linnet
