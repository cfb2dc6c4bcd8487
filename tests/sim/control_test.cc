// SCAFFOLD and FedDyn keep a vector at each participant and one at the server, which has to stay
// the mean of them all, whatever happens on the way.
#include <cmath>
#include <set>

#include "support/federation.h"

namespace linnet::testing {
namespace {

struct ControlRow {
  const char *name, *strategy, *config, *codec;
};
class ControlTest : public ::testing::TestWithParam<ControlRow> {};

TEST_P(ControlTest, TheServersVectorStaysTheMeanOfTheParticipantsUnderDropsAndLateUpdates) {
  constexpr size_t kParticipants = 10;
  SimulationOptions options = StrokesSimulation(
      StrCat(R"({"name": "c", "model": {"builtin": "softmax-regression"}, "strategy": {"id": ")",
             GetParam().strategy, R"(", "config": )", GetParam().config,
             R"(}, "upload": {"codec": ")", GetParam().codec,
             R"("}, "train": {"learningRate": 0.05}, "round": {"cohort": 7, "overSelect": 1.43,)",
             R"("minimum": 3, "maxRounds": 50}})"),
      kParticipants, 20, 5);
  // An update takes some seven frames and is lost with one of them: about 30 % of them are.
  options.faults = {.drop = 0.05, .delay_ms = 200};
  const SimulationResult result = Must(Simulate(std::move(options)));
  ASSERT_EQ(result.history.size(), 50u);
  uint64_t late = 0;
  for (const RoundMetrics& round : result.history) late += round.late;
  EXPECT_GT(late, 0u);
  EXPECT_GT(result.dropped, 100u);

  std::set<AssignmentId> claimed;
  for (const ClaimRecord& claim : result.claims) claimed.insert(claim.id);
  std::vector<double> mean;
  for (const auto& participant : result.participants) {
    // Counted, and the verdict was on its way when the simulation ended.
    const bool counted = claimed.contains(participant.staged);
    const auto& values = counted ? participant.staged_values : participant.values;
    for (const auto& [name, control] : values) {
      EXPECT_EQ(name, "c/control");
      mean.resize(control.size());
      for (size_t i = 0; i < control.size(); ++i) mean[i] += double{control[i]} / kParticipants;
    }
  }
  ASSERT_GT(mean.size(), 0u);
  ASSERT_GT(result.strategy_state.size(), 8 * mean.size());
  const uint8_t* server =
      result.strategy_state.data() + result.strategy_state.size() - 8 * mean.size();
  double largest = 0, furthest = 0;
  for (size_t i = 0; i < mean.size(); ++i) {
    const double c = LoadLE<double>(server + 8 * i) / kParticipants;
    largest = std::max(largest, std::fabs(c));
    furthest = std::max(furthest, std::fabs(c - mean[i]));
  }
  EXPECT_GT(largest, 1e-4);
  EXPECT_LE(furthest, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ControlTest,
    ::testing::Values(ControlRow{"scaffold", "scaffold", "{}", "f32"},
                      ControlRow{"feddyn", "feddyn", "{}", "f32"},
                      ControlRow{"feddyn_strong", "feddyn", R"({"alpha": 0.1})", "f32"},
                      ControlRow{"feddyn_eden", "feddyn", R"({"alpha": 0.1})", "eden"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace linnet::testing
