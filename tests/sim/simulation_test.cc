// Whole federations under a virtual clock: determinism, faults, and the invariants of DESIGN
// section 6.
#include "sim/simulation.h"

#include <map>
#include <set>

#include "kernels/pool.h"
#include "support/federation.h"

namespace linnet {
namespace {

using testing::StrokesSimulation;

constexpr char kSmall[] = R"({"name": "small", "model": {"builtin": "softmax-regression"},
  "train": {"learningRate": 0.1, "batchSize": 10},
  "round": {"cohort": 5, "minimum": 3, "maxRounds": 8, "deadlineMs": 20000},
  "upload": {"codec": "eden", "bits": 1}})";

Result<SimulationResult> RunSmall(uint64_t seed, Faults faults = {}, Executor* executor = nullptr,
                                  const char* federation = kSmall) {
  SimulationOptions options = StrokesSimulation(federation, 8, 20, seed);
  options.faults = faults;
  options.executor = executor;
  return Simulate(std::move(options));
}

TEST(SimulationTest, ARoundClosesAndTheModelLearns) {
  auto result = RunSmall(1);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->history.size(), 8u);
  EXPECT_TRUE(result->finished);
  EXPECT_GT(result->history.back().accuracy, result->history.front().accuracy);
  EXPECT_GT(result->history.back().accuracy, 0.3);
  for (const RoundMetrics& round : result->history) {
    EXPECT_EQ(round.counted, 5u);
    EXPECT_EQ(round.invited, 5u);
    EXPECT_GT(round.uplink_bytes, 0u);
  }
}

TEST(SimulationTest, TheSameSeedGivesTheSameBitsWhateverTheThreadCount) {
  auto one = RunSmall(7);
  auto pool = MakePool(2);
  auto two = RunSmall(7, {}, pool.get());
  auto other = RunSmall(8);
  ASSERT_TRUE(one && two && other);
  EXPECT_EQ(*one->model, *two->model);
  EXPECT_EQ(one->last_partial, two->last_partial);
  EXPECT_NE(*one->model, *other->model);  // the seed matters at all
}

TEST(SimulationTest, DelaysDoNotChangeTheBitsWhenTheSameUpdatesCount) {
  // Everybody is invited and everybody counts: the arrival order is all that differs.
  constexpr char kAll[] = R"({"name": "all", "model": {"builtin": "softmax-regression"},
    "round": {"cohort": 8, "minimum": 8, "maxRounds": 4}, "upload": {"codec": "f32"}})";
  auto calm = RunSmall(3, {}, nullptr, kAll);
  auto slow = RunSmall(3, {.delay_ms = 500}, nullptr, kAll);
  ASSERT_TRUE(calm && slow);
  EXPECT_NE(calm->virtual_ms, slow->virtual_ms);
  EXPECT_EQ(*calm->model, *slow->model);
  EXPECT_EQ(calm->last_partial, slow->last_partial);
}

// The invariants: no assignment is in two commits, the metrics say what was committed, and whatever
// a participant believes counted was committed.
void CheckInvariants(const SimulationResult& result, uint64_t seed) {
  SCOPED_TRACE(StrCat("seed ", seed));
  std::set<AssignmentId> ids;
  std::map<PublicKey, uint64_t> rounds, examples;
  for (const ClaimRecord& claim : result.claims) {
    EXPECT_TRUE(ids.insert(claim.id).second) << "claimed twice: " << Hex(claim.id);
    ++rounds[claim.participant];
    examples[claim.participant] += claim.examples;
  }
  uint64_t counted = 0;
  for (size_t i = 0; i < result.history.size(); ++i) {
    EXPECT_EQ(result.history[i].round, i + 1);
    counted += result.history[i].counted;
  }
  EXPECT_EQ(counted, result.claims.size());
  for (const auto& ledger : result.participants) {
    EXPECT_LE(ledger.rounds_counted, rounds[ledger.key]);
    EXPECT_LE(ledger.examples_counted, examples[ledger.key]);
  }
}

struct FaultRow {
  const char* name;
  Faults faults;
};
class SimulationFaults : public ::testing::TestWithParam<FaultRow> {};

TEST_P(SimulationFaults, NothingIsCountedTwiceAndTheFederationFinishes) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    auto result = RunSmall(seed, GetParam().faults);
    ASSERT_TRUE(result) << "seed " << seed << ": " << result.error().message;
    EXPECT_TRUE(result->finished) << "seed " << seed << ", virtual ms " << result->virtual_ms;
    CheckInvariants(*result, seed);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, SimulationFaults,
    ::testing::Values(
        FaultRow{"Drops", {.drop = 0.03}}, FaultRow{"Delays", {.delay_ms = 3000}},
        FaultRow{"Duplicates", {.duplicate = 0.1}}, FaultRow{"Cuts", {.cut = 0.02}},
        FaultRow{"Restarts", {.restart = 0.3}},
        FaultRow{
            "All",
            {.drop = 0.01, .duplicate = 0.05, .cut = 0.01, .delay_ms = 1000, .restart = 0.15}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(SimulationTest, AFaultyRunIsRepeatableFromItsSeedAlone) {
  const Faults faults{.drop = 0.02, .cut = 0.02, .delay_ms = 700, .restart = 0.2};
  auto first = RunSmall(11, faults);
  auto pool = MakePool(2);
  auto second = RunSmall(11, faults, pool.get());
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->virtual_ms, second->virtual_ms);
  EXPECT_EQ(first->dropped, second->dropped);
  EXPECT_EQ(*first->model, *second->model);
  EXPECT_GT(first->cuts + first->dropped + first->restarts, 0u);
}

TEST(SimulationTest, ARestartContinuesToTheSameModelAsAnUndisturbedRun) {
  // All participants are in each round, so whatever attempt commits holds the same updates.
  for (const char* strategy : {"fedavg", "fedavgm", "fedadam"}) {
    const std::string federation =
        StrCat(R"({"name": "r", "model": {"builtin": "softmax-regression"}, "strategy": {"id": ")",
               strategy, R"("}, "round": {"cohort": 8, "minimum": 8, "maxRounds": 6}})");
    auto calm = RunSmall(5, {}, nullptr, federation.c_str());
    auto broken = RunSmall(5, {.restart = 0.4}, nullptr, federation.c_str());
    ASSERT_TRUE(calm && broken);
    EXPECT_GT(broken->restarts, 0u) << strategy;
    EXPECT_EQ(*calm->model, *broken->model) << strategy;
  }
}

TEST(SimulationTest, FederatedEvaluationReportsWhereThereIsNoCentralData) {
  SimulationOptions options = StrokesSimulation(kSmall, 8, 40, 2);
  options.evaluation = nullptr;
  auto result = Simulate(std::move(options));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_GT(result->history.back().accuracy, 0.2);
  EXPECT_GT(result->history.back().accuracy_mean, 0.2);
}

TEST(SimulationTest, OverSelectionTellsTheSurplusLate) {
  constexpr char kOver[] = R"({"name": "over", "model": {"builtin": "softmax-regression"},
    "round": {"cohort": 4, "minimum": 3, "overSelect": 2, "maxRounds": 3}})";
  auto result = RunSmall(4, {.delay_ms = 50}, nullptr, kOver);
  ASSERT_TRUE(result) << result.error().message;
  for (const RoundMetrics& round : result->history) {
    EXPECT_EQ(round.invited, 8u);
    EXPECT_EQ(round.counted, 4u);
    EXPECT_EQ(round.late, 4u);
  }
}

TEST(SimulationTest, TheTargetEndsTheFederation) {
  constexpr char kTarget[] = R"({"name": "t", "model": {"builtin": "mlp-256-128"},
    "round": {"cohort": 8, "minimum": 6, "maxRounds": 60,
              "target": {"metric": "accuracy", "value": 0.6}}})";
  auto result = RunSmall(1, {}, nullptr, kTarget);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->target_reached);
  EXPECT_LT(result->history.size(), 60u);
  EXPECT_GE(result->history.back().accuracy, 0.6);
}

}  // namespace
}  // namespace linnet
