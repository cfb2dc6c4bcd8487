// Hostile participants of a simulation: who they are, what they send, and what becomes of it.
#include <algorithm>
#include <map>

#include "kernels/pool.h"
#include "support/federation.h"

namespace linnet::testing {
namespace {

TEST(AttackTest, IsReadAndWritten) {
  for (const char* text : {"scale:-4", "gaussian:0.3", "alie:1.5", "inner-product:0.1", "mimic",
                           "label-flip", "scale:2.5"})
    EXPECT_EQ(AttackText(Must(ParseAttack(text))), text);
  EXPECT_EQ(AttackText(Must(ParseAttack("scale"))), "scale:-4");
  EXPECT_EQ(AttackText(Must(ParseAttack("sign-flip"))), "scale:-1");
}

TEST(AttackTest, WhatIsWrongIsNamedWithWhatIsWanted) {
  const struct {
    const char *text, *message;
  } rows[] = {
      {"", "wanted one of scale:NUMBER, sign-flip"},
      {"scael:2", "attack \"scael:2\""},
      {"scale:", "wanted scale:NUMBER"},
      {"scale:x", "wanted scale:NUMBER"},
      {"scale:1e7", "at most 1e6"},
      {"mimic:2", "wanted mimic without a number"},
  };
  for (const auto& row : rows) {
    const auto attack = ParseAttack(row.text);
    ASSERT_FALSE(attack) << row.text;
    EXPECT_TRUE(attack.error().message.contains(row.message)) << attack.error().message;
  }
}

// Works of one round over a model of two weights, trained to these parameters.
struct Trained {
  std::shared_ptr<Model> base = std::make_shared<Model>();
  std::vector<TrainWork> works;

  explicit Trained(const std::vector<std::vector<float>>& parameters) : works(parameters.size()) {
    base->parameters = {1, 2};
    for (size_t i = 0; i < works.size(); ++i) {
      works[i].base = base;
      works[i].round = 1;
      works[i].assignment[0] = uint8_t(i + 1);
      works[i].parameters = parameters[i];
    }
  }
};

TEST(AdversaryTest, SendsWhatTheAttackSays) {
  // Updates (1, 2), (3, 2), (2, 5) of honest ones, and (1, 1) of a hostile one.
  const std::vector<std::vector<float>> honest = {{2, 4}, {4, 4}, {3, 7}, {2, 3}};
  const struct {
    const char* attack;
    float wanted[2];
  } rows[] = {
      {"scale:-4", {1 - 4, 2 - 4}},
      {"sign-flip", {0, 1}},
      {"inner-product:0.5", {1 - 0.5f * 2, 2 - 0.5f * 3}},
      // Deviations of the honest: sqrt(2/3) and sqrt(2).
      {"alie:1.5", {1 + 2 - 1.5f * 0.81649658f, 2 + 3 - 1.5f * 1.41421356f}},
  };
  for (const auto& row : rows) {
    bool found = false;
    for (uint64_t seed = 0; !found && seed < 64; ++seed) {
      Trained trained(honest);
      Adversary adversary({1, true, Must(ParseAttack(row.attack))}, 4, 4, SeedFromInt(seed));
      std::vector<TrainWork*> works;
      for (size_t i = 0; i < 4; ++i) {
        adversary.Enlist(i, trained.works[i]);
        works.push_back(&trained.works[i]);
      }
      ASSERT_EQ(adversary.assignments().size(), 1u);
      if (!adversary.assignments().contains(trained.works[3].assignment)) continue;
      found = true;
      adversary.Corrupt(works);
      for (size_t i = 0; i < 3; ++i) EXPECT_EQ(trained.works[i].parameters, honest[i]);
      for (size_t j = 0; j < 2; ++j)
        EXPECT_NEAR(trained.works[3].parameters[j], row.wanted[j], 1e-6) << row.attack << " " << j;
    }
    EXPECT_TRUE(found);
  }
}

SimulationOptions Attacked(const char* strategy, Hostility hostility, int rounds = 8) {
  SimulationOptions options = StrokesSimulation(
      StrCat(
          R"({"name": "h", "model": {"builtin": "softmax-regression"}, "strategy": )", strategy,
          R"(, "upload": {"codec": "f32"}, "train": {"learningRate": 0.1}, "round": {"cohort": 8,)",
          R"( "minimum": 8, "maxRounds": )", rounds, "}}"),
      12, 20, 3);
  options.hostility = hostility;
  return options;
}

Hostility Of(size_t count, const char* attack, bool every_round = true) {
  return {count, every_round, Must(ParseAttack(attack))};
}

TEST(HostileTest, SoManyOfEachRoundAreHostileAndNotAlwaysTheSame) {
  const SimulationResult result =
      Must(Simulate(Attacked(R"({"id": "median"})", Of(3, "scale:-4"))));
  EXPECT_EQ(result.hostile.size(), 3u * 8);
  EXPECT_EQ(result.HostileCounted(), 3u * 8);
  std::map<PublicKey, int> by_participant;
  ASSERT_EQ(result.claims.size(), 64u);
  for (size_t round = 0; round < 8; ++round) {
    int hostile = 0;
    for (size_t i = 0; i < 8; ++i) {
      const ClaimRecord& claim = result.claims[8 * round + i];
      const bool is = result.hostile.contains(claim.id);
      hostile += is;
      if (is) ++by_participant[claim.participant];
    }
    EXPECT_EQ(hostile, 3) << round;
  }
  EXPECT_GT(by_participant.size(), 3u);
}

TEST(HostileTest, SoManyOfAllAreAlwaysHostile) {
  const SimulationResult result =
      Must(Simulate(Attacked(R"({"id": "median"})", Of(3, "scale:-4", false))));
  std::map<PublicKey, bool> hostile;
  for (const ClaimRecord& claim : result.claims) {
    const bool is = result.hostile.contains(claim.id);
    const auto [known, first] = hostile.emplace(claim.participant, is);
    EXPECT_TRUE(first || known->second == is);
  }
  EXPECT_LE(std::ranges::count_if(hostile, [](const auto& one) { return one.second; }), 3);
  EXPECT_GT(result.HostileCounted(), 0u);
}

TEST(HostileTest, TheMeanFallsAndTheMedianStands) {
  const auto best = [](const char* strategy, Hostility hostility) {
    double accuracy = 0;
    for (const RoundMetrics& round : Must(Simulate(Attacked(strategy, hostility))).history)
      accuracy = std::max(accuracy, round.accuracy);
    return accuracy;
  };
  const double honest = best(R"({"id": "fedavg"})", {});
  EXPECT_GT(honest, 0.4);
  EXPECT_LT(best(R"({"id": "fedavg"})", Of(2, "scale:-4")), 0.2);
  EXPECT_GT(best(R"({"id": "median"})", Of(2, "scale:-4")), 0.3);
  EXPECT_GT(best(R"({"id": "multi-krum", "config": {"hostile": 2}})", Of(2, "gaussian:1")),
            honest - 0.15);
}

TEST(HostileTest, EveryAttackHasTheSameBitsWhateverTheThreads) {
  const auto pool = MakePool(2);
  std::set<Bytes> models;
  for (const char* attack :
       {"scale:-4", "gaussian:0.3", "alie:1.5", "inner-product:0.1", "mimic", "label-flip"}) {
    SimulationOptions options = Attacked(R"({"id": "fedavg"})", Of(3, attack), 2);
    const SimulationResult one = Must(Simulate(options));
    options.executor = pool.get();
    const SimulationResult two = Must(Simulate(std::move(options)));
    EXPECT_EQ(*one.model, *two.model) << attack;
    EXPECT_TRUE(models.insert(*one.model).second) << attack;
  }
}

TEST(HostileTest, MoreThanThereAreIsRefused) {
  const auto many = Simulate(Attacked(R"({"id": "median"})", Of(9, "mimic")));
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().message,
            "found 9 hostile participants, wanted at most 8, who are invited to a round");
  EXPECT_FALSE(Simulate(Attacked(R"({"id": "median"})", Of(13, "mimic", false))));
  SimulationOptions options = Attacked(R"({"id": "median"})", Of(1, "label-flip"));
  auto unlabelled = std::make_shared<Dataset>(*options.clients[2].data);
  unlabelled->labels.clear();
  options.clients[2].data = unlabelled;
  const auto flip = Simulate(std::move(options));
  ASSERT_FALSE(flip);
  EXPECT_TRUE(flip.error().message.contains("has no labels")) << flip.error().message;
}

// Parameters that are not finite train nobody: the round is given up again and again.
TEST(HostileTest, ARoundThatIsGivenUpTooOftenEndsTheSimulation) {
  SimulationOptions options = Attacked(R"({"id": "fedavg"})", Of(8, "scale:-1000000"));
  options.federation.limits.max_abs = 1;  // refused, all of them
  options.max_attempts = 3;
  const auto result = Simulate(std::move(options));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->history.empty());
  EXPECT_TRUE(result->failure.contains("round 1, attempt 2 is given up")) << result->failure;
}

}  // namespace
}  // namespace linnet::testing
