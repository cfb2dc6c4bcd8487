// Every strategy in whole federations, with its participants' side.
#include <algorithm>
#include <set>

#include "kernels/pool.h"
#include "support/federation.h"

namespace linnet::testing {
namespace {

struct StrategyRow {
  const char* name;
  const char* strategy;  // of the federation file
  const char* upload = "f32";
};
void PrintTo(const StrategyRow& row, std::ostream* to) { *to << row.name; }

constexpr StrategyRow kRows[] = {
    {"fedavg", R"({"id":"fedavg"})"},
    {"fedavgm", R"({"id":"fedavgm","config":{"momentum":0.5}})"},
    {"fedadagrad", R"({"id":"fedadagrad","config":{"serverLearningRate":0.05}})"},
    {"fedadam", R"({"id":"fedadam","config":{"serverLearningRate":0.03}})"},
    {"fedyogi", R"({"id":"fedyogi","config":{"serverLearningRate":0.03}})"},
    {"fedprox", R"({"id":"fedprox","config":{"mu":0.1}})"},
    {"fednova", R"({"id":"fednova"})"},
    {"scaffold", R"({"id":"scaffold"})"},
    {"feddyn", R"({"id":"feddyn","config":{"alpha":0.1}})"},
    {"qfedavg", R"({"id":"qfedavg"})"},
    {"median", R"({"id":"median"})"},
    {"trimmed_mean", R"({"id":"trimmed-mean","config":{"beta":0.2}})"},
    {"krum", R"({"id":"krum","config":{"hostile":1}})"},
    {"multi_krum", R"({"id":"multi-krum","config":{"hostile":1}})"},
    {"bulyan", R"({"id":"bulyan","config":{"hostile":1}})"},
    {"geometric_median", R"({"id":"geometric-median"})"},
    {"centered_clipping", R"({"id":"centered-clipping","config":{"radius":0.5}})"},
    {"norm_clip", R"({"id":"norm-clip"})"},
    {"median_eden", R"({"id":"median"})", "eden"},
    {"scaffold_eden", R"({"id":"scaffold"})", "eden"},
    {"chain",
     R"({"chain":[{"clip":{"norm":5}},{"id":"median"},{"id":"fedavgm","config":{"momentum":0.5}}]})"},
};

Result<SimulationResult> RunStrategy(const StrategyRow& row, Faults faults, Executor* executor) {
  SimulationOptions options = StrokesSimulation(
      StrCat(R"({"name": "s", "model": {"builtin": "softmax-regression"}, "strategy": )",
             row.strategy, R"(, "upload": {"codec": ")", row.upload,
             R"("}, "train": {"learningRate": 0.1}, "round": {"cohort": 8, "minimum": 8,)",
             R"( "maxRounds": 10}})"),
      8, 20, 3);
  options.clients[0].rows.resize(9);  // not all take as many steps
  options.faults = faults;
  options.executor = executor;
  return Simulate(std::move(options));
}

class StrategiesTest : public ::testing::TestWithParam<StrategyRow> {};
INSTANTIATE_TEST_SUITE_P(Rows, StrategiesTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_P(StrategiesTest, TheModelLearnsWithTheSameBitsWhateverTheThreadsAndRestarts) {
  const auto plain = RunStrategy(GetParam(), {}, nullptr);
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_EQ(plain->history.size(), 10u);
  EXPECT_GT(plain->history.back().accuracy, 0.35);
  const auto pool = MakePool(2);
  const auto two = RunStrategy(GetParam(), {}, pool.get());
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(*plain->model, *two->model);
  const auto killed = RunStrategy(GetParam(), {.restart = 0.3}, nullptr);
  ASSERT_TRUE(killed) << killed.error().message;
  EXPECT_GT(killed->restarts, 0u);
  EXPECT_EQ(*plain->model, *killed->model);
  EXPECT_EQ(plain->strategy_state, killed->strategy_state);
}

TEST(StrategiesTest, EachMakesAModelOfItsOwn) {
  std::set<Bytes> models;
  for (const StrategyRow& row : kRows) {
    const auto result = RunStrategy(row, {}, nullptr);
    ASSERT_TRUE(result) << row.name << ": " << result.error().message;
    EXPECT_TRUE(models.insert(*result->model).second) << row.name;
  }
}

constexpr char kHead[] = "dense3.";

// FedRep: the last layer is each participant's own.
TEST(PersonalTest, TensorsThatDoNotTravelStayWithTheirParticipant) {
  for (const char* strategy : {"fedavg", "scaffold", "median"}) {
    SimulationOptions options = StrokesSimulation(
        StrCat(R"({"name": "p", "model": {"builtin": "mlp-256-128"}, "strategy": {"id": ")",
               strategy, R"("}, "upload": {"codec": "f32"}, "train": {"personal": [")", kHead, "*",
               R"("]}, "round": {"cohort": 4, "minimum": 4, "maxRounds": 3}})"),
        4, 20, 3);
    const Model initial = options.initial;
    const SimulationResult result = Must(Simulate(std::move(options)));
    const Model model = Must(LoadModel(*result.model));
    size_t personal = 0;
    for (const ParamInfo& param : model.graph.params) {
      const auto values = [&](std::span<const float> all) {
        return all.subspan(param.offset, param.count);
      };
      const bool head = param.name.starts_with(kHead);
      EXPECT_EQ(std::ranges::equal(values(model.parameters), values(initial.parameters)), head)
          << strategy << " " << param.name;
      if (!head) continue;
      ++personal;
      for (const auto& participant : result.participants) {
        const std::vector<float>& own = participant.values.at("p/personal");
        ASSERT_EQ(own.size(), model.parameters.size());
        EXPECT_FALSE(std::ranges::equal(values(own), values(initial.parameters))) << param.name;
        if (&participant == &result.participants.front()) continue;
        EXPECT_FALSE(std::ranges::equal(
            values(own), values(result.participants.front().values.at("p/personal"))))
            << param.name;
      }
    }
    EXPECT_EQ(personal, 2u);
  }
}

// Participants with two digits each, judged on their own held-out rows.
SimulationResult RunSkewed(const char* train) {
  SimulationOptions options = StrokesSimulation(
      StrCat(R"({"name": "p", "model": {"builtin": "mlp-256-128"}, "upload": {"codec": "f32"},)",
             R"( "train": {"learningRate": 0.1, "epochs": 2)", train,
             R"(}, "round": {"cohort": 8, "minimum": 8, "maxRounds": 6}})"),
      1, 1, 3);
  const auto data = std::make_shared<Dataset>(
      MakeStrokes({.seed = 1, .first_writer = 0, .last_writer = 39, .per_writer = 20}));
  options.clients = Must(Partition(data, "shards:2", 8, SeedFromInt(1)));
  options.evaluation = nullptr;
  return Must(Simulate(std::move(options)));
}

TEST(PersonalTest, OnDifferentDataOnesOwnModelIsBetterThanTheCommonOne) {
  const SimulationResult common = RunSkewed("");
  const SimulationResult ditto = RunSkewed(R"(, "ditto": 0.1)");
  const SimulationResult fed_rep = RunSkewed(R"(, "personal": ["dense3.*"], "personalEpochs": 2)");
  const double accuracy = common.history.back().accuracy;
  EXPECT_LT(accuracy, 0.85);
  EXPECT_GT(ditto.history.back().accuracy, accuracy + 0.1);
  EXPECT_GT(fed_rep.history.back().accuracy, accuracy + 0.1);
  // What each trains for itself does not touch what all train together.
  EXPECT_EQ(*common.model, *ditto.model);
  EXPECT_NE(*common.model, *fed_rep.model);
  for (const auto& participant : ditto.participants)
    EXPECT_EQ(participant.values.at("p/personal").size(),
              Must(LoadModel(*ditto.model)).parameters.size());
}

TEST(PersonalTest, StrongerTiesToTheCommonModelLeaveLessOfOnesOwn) {
  double distances[2];
  for (const int strong : {0, 1}) {
    const SimulationResult result = RunSkewed(strong ? R"(, "ditto": 5)" : R"(, "ditto": 0.1)");
    const Model common = Must(LoadModel(*result.model));
    const std::vector<float>& own = result.participants.front().values.at("p/personal");
    distances[strong] = 0;
    for (size_t i = 0; i < own.size(); ++i) {
      const double d = double{own[i]} - double{common.parameters[i]};
      distances[strong] += d * d;
    }
  }
  EXPECT_LT(distances[1], distances[0] / 4);
}

}  // namespace
}  // namespace linnet::testing
