// The coordinator dies between any two of its actions, and nobody can tell from the model.
#include "support/federation.h"

namespace linnet::testing {
namespace {

struct KillRow {
  const char* name;
  const char* strategy;  // of the federation file
};
void PrintTo(const KillRow& row, std::ostream* to) { *to << row.name; }

constexpr KillRow kRows[] = {
    {"fedavg", R"({"id":"fedavg"})"},
    {"fedavgm", R"({"id":"fedavgm","config":{"momentum":0.5}})"},
    {"fedadagrad", R"({"id":"fedadagrad"})"},
    {"fedadam", R"({"id":"fedadam"})"},
    {"fedyogi", R"({"id":"fedyogi"})"},
    {"scaffold", R"({"id":"scaffold"})"},
    {"feddyn", R"({"id":"feddyn","config":{"alpha":0.1}})"},
    {"centered_clipping", R"({"id":"centered-clipping","config":{"radius":0.5}})"},
    {"norm_clip", R"({"id":"norm-clip"})"},
    {"chain", R"({"chain":[{"clip":{"norm":5}},{"id":"median"},{"id":"fedadam"}]})"},
};

class KillTest : public ::testing::TestWithParam<KillRow> {};
INSTANTIATE_TEST_SUITE_P(Rows, KillTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

// Two rounds of everybody, so that whichever attempt commits has the same updates.
SimulationResult RunTwo(const char* strategy, uint64_t kill_after) {
  SimulationOptions options = StrokesSimulation(
      StrCat(R"({"name": "k", "model": {"builtin": "softmax-regression"}, "strategy": )", strategy,
             R"(, "round": {"cohort": 2, "minimum": 2, "maxRounds": 2}})"),
      2, 6, 3);
  options.evaluation = std::make_shared<Dataset>(
      MakeStrokes({.seed = 1, .first_writer = 1000, .last_writer = 1000, .per_writer = 4}));
  options.faults.kill_after = kill_after;
  return Must(Simulate(std::move(options)));
}

TEST_P(KillTest, BetweenAnyTwoActionsOfTwoRoundsChangesNoBit) {
  const SimulationResult calm = RunTwo(GetParam().strategy, 0);
  ASSERT_EQ(calm.history.size(), 2u);
  ASSERT_GT(calm.actions, 30u);
  for (uint64_t at = 1; at <= calm.actions; ++at) {
    SCOPED_TRACE(StrCat("killed after action ", at, " of ", calm.actions));
    const SimulationResult killed = RunTwo(GetParam().strategy, at);
    EXPECT_EQ(killed.restarts, 1u);
    EXPECT_TRUE(killed.finished);
    EXPECT_TRUE(*killed.model == *calm.model);
    EXPECT_TRUE(killed.strategy_state == calm.strategy_state);
    EXPECT_EQ(killed.claims.size(), 4u);
    for (const auto& participant : killed.participants) EXPECT_LE(participant.rounds_counted, 2u);
  }
}

}  // namespace
}  // namespace linnet::testing
