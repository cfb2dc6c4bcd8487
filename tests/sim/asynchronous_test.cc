// Asynchronous rounds in whole federations: faults, restarts, and what each counted update is part
// of.
#include <cmath>
#include <map>
#include <set>

#include "kernels/pool.h"
#include "support/federation.h"

namespace linnet::testing {
namespace {

constexpr char kSmall[] = R"({"name": "a", "model": {"builtin": "softmax-regression"},
  "strategy": {"id": "fedbuff"}, "train": {"learningRate": 0.1, "batchSize": 10},
  "round": {"mode": "asynchronous", "buffer": 4, "concurrency": 6, "maxStaleness": 5,
            "maxRounds": 8, "deadlineMs": 20000}})";

Result<SimulationResult> RunSmall(uint64_t seed, Faults faults = {}, Executor* executor = nullptr,
                                  const char* federation = kSmall) {
  SimulationOptions options = StrokesSimulation(federation, 8, 20, seed);
  options.clients[1].rows.resize(7);  // not all take as long
  options.faults = faults;
  options.executor = executor;
  return Simulate(std::move(options));
}

TEST(AsynchronousTest, EveryBufferMakesAModelAndTheModelLearns) {
  const SimulationResult result = Must(RunSmall(1, {.delay_ms = 200}));
  EXPECT_TRUE(result.finished);
  ASSERT_EQ(result.history.size(), 8u);
  double oldest = 0;
  for (const RoundMetrics& round : result.history) {
    EXPECT_EQ(round.counted, 4u);
    EXPECT_TRUE(std::isfinite(round.staleness));
    oldest = std::max(oldest, round.staleness);
  }
  EXPECT_EQ(result.history.front().staleness, 0);
  EXPECT_GT(oldest, 0);
  EXPECT_GT(result.history.back().accuracy, 0.35);
}

TEST(AsynchronousTest, TheSameSeedGivesTheSameBitsWhateverTheThreadCount) {
  const auto pool = MakePool(2);
  const Faults faults{.delay_ms = 300};
  const SimulationResult one = Must(RunSmall(7, faults)),
                         two = Must(RunSmall(7, faults, pool.get()));
  EXPECT_EQ(*one.model, *two.model);
  EXPECT_EQ(one.last_partial, two.last_partial);
}

TEST(AsynchronousTest, AParticipantAloneFillsTheBuffer) {
  SimulationOptions options = StrokesSimulation(kSmall, 1, 20, 1);
  const SimulationResult result = Must(Simulate(std::move(options)));
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.participants.at(0).rounds_counted, 8u * 4);
  EXPECT_EQ(result.claims.size(), 8u * 4);
}

// No assignment is in two commits, the metrics say what was committed, and whatever a participant
// believes counted was committed, once.
void CheckInvariants(const SimulationResult& result, const char* name, uint64_t seed) {
  SCOPED_TRACE(StrCat(name, ", seed ", seed));
  EXPECT_TRUE(result.finished) << "virtual ms " << result.virtual_ms;
  std::set<AssignmentId> ids;
  std::map<PublicKey, uint64_t> rounds, examples;
  for (const ClaimRecord& claim : result.claims) {
    EXPECT_TRUE(ids.insert(claim.id).second) << "claimed twice: " << Hex(claim.id);
    EXPECT_LE(claim.age, 5u);
    ++rounds[claim.participant];
    examples[claim.participant] += claim.examples;
  }
  uint64_t counted = 0;
  double ages = 0, told = 0;
  for (const RoundMetrics& round : result.history) {
    EXPECT_EQ(round.counted, 4u);
    counted += round.counted;
    told += round.staleness * round.counted;
  }
  EXPECT_EQ(counted + result.buffered, result.claims.size());
  for (size_t i = 0; i < counted; ++i) ages += double(result.claims[i].age);
  EXPECT_NEAR(ages, told, 1e-9);
  for (const auto& ledger : result.participants) {
    EXPECT_LE(ledger.rounds_counted, rounds[ledger.key]);
    EXPECT_LE(ledger.examples_counted, examples[ledger.key]);
  }
}

struct FaultRow {
  const char* name;
  Faults faults;
};

TEST(AsynchronousTest, NothingIsCountedTwiceAndTheFederationFinishesWhateverHappens) {
  constexpr FaultRow kRows[] = {
      {"drops", {.drop = 0.03}},
      {"delays", {.delay_ms = 3000}},
      {"duplicates", {.duplicate = 0.1}},
      {"cuts", {.cut = 0.02}},
      {"restarts", {.restart = 0.3}},
      {"all", {.drop = 0.01, .duplicate = 0.05, .cut = 0.01, .delay_ms = 1000, .restart = 0.15}}};
  for (const FaultRow& row : kRows) {
    for (uint64_t seed = 1; seed <= 25; ++seed) {
      const auto result = RunSmall(seed, row.faults);
      ASSERT_TRUE(result) << row.name << ", seed " << seed << ": " << result.error().message;
      CheckInvariants(*result, row.name, seed);
    }
  }
}

TEST(AsynchronousTest, ADeathAfterAnyActionLosesNothingThatWasCounted) {
  constexpr char kTwo[] = R"({"name": "a", "model": {"builtin": "softmax-regression"},
    "strategy": {"id": "fedbuff"}, "round": {"mode": "asynchronous", "buffer": 4, "concurrency": 3,
    "maxStaleness": 5, "maxRounds": 2}})";
  const auto run = [&](uint64_t kill_after) {
    SimulationOptions options = StrokesSimulation(kTwo, 4, 5, 3);
    options.faults.kill_after = kill_after;
    return Must(Simulate(std::move(options)));
  };
  const uint64_t actions = run(0).actions;
  ASSERT_GT(actions, 100u);
  for (uint64_t at = 1; at <= actions; ++at) {
    const SimulationResult result = run(at);
    EXPECT_EQ(result.restarts, 1u);
    CheckInvariants(result, "killed after action", at);
  }
}

TEST(AsynchronousTest, OneByOneTheModelHasTheSameBitsWhereverTheCoordinatorDied) {
  constexpr char kOne[] = R"({"name": "a", "model": {"builtin": "softmax-regression"},
    "strategy": {"id": "fedbuff"}, "round": {"mode": "asynchronous", "buffer": 3, "concurrency": 1,
    "maxRounds": 2}})";
  const auto run = [&](uint64_t kill_after) {
    SimulationOptions options = StrokesSimulation(kOne, 1, 9, 3);
    options.faults.kill_after = kill_after;
    return Must(Simulate(std::move(options)));
  };
  const SimulationResult calm = run(0);
  for (uint64_t at = 1; at <= calm.actions; ++at) {
    const SimulationResult killed = run(at);
    EXPECT_TRUE(*killed.model == *calm.model) << "killed after action " << at;
    EXPECT_EQ(killed.claims.size(), calm.claims.size()) << "killed after action " << at;
  }
}

TEST(AsynchronousTest, FederatedEvaluationGoesOnBesideTheTraining) {
  SimulationOptions options = StrokesSimulation(kSmall, 8, 40, 2);
  options.evaluation = nullptr;
  const SimulationResult result = Must(Simulate(std::move(options)));
  EXPECT_TRUE(result.finished);
  EXPECT_GT(result.history.back().accuracy, 0.2);
}

TEST(AsynchronousTest, AStrategyOfTheOtherKindIsRefusedByName) {
  const auto refused = [](const char* strategy, const char* round) {
    SimulationOptions options = StrokesSimulation(
        StrCat(R"({"name": "a", "model": {"builtin": "softmax-regression"}, "strategy": )",
               strategy, R"(, "round": )", round, "}"),
        2, 5, 1);
    const auto result = Simulate(std::move(options));
    return result ? std::string() : result.error().message;
  };
  constexpr char kAsynchronous[] = R"({"mode": "asynchronous", "buffer": 4})";
  EXPECT_EQ(refused(R"({"id": "fedavg"})", kAsynchronous),
            "strategy.id: found fedavg, wanted one for asynchronous rounds, such as fedbuff");
  EXPECT_EQ(refused(R"({"id": "fedbuff"})", R"({"cohort": 2})"),
            "round.mode: found synchronous, wanted asynchronous, which is what fedbuff is for");
  EXPECT_EQ(refused(R"({"id": "fedbuff", "config": {"bufferSize": 5}})", kAsynchronous),
            "strategy.config.bufferSize: found 5, wanted what round.buffer says, 4; leave it away");
}

}  // namespace
}  // namespace linnet::testing
