// A strategy that fails: the round is given up with its reason, and the federation with it when
// that goes on.
#include "support/federation.h"

namespace linnet::testing {
namespace {

int g_good_rounds = 0, g_rounds = 0;
lnt_plugin g_table;

// fedavg, which after some rounds fails to finalize.
StrategyChain Failing(int good_rounds) {
  static const lnt_plugin* real = nullptr;
  PluginEntry entry = *Must(BuiltinTable().Find("fedavg"));
  real = entry.table;
  g_good_rounds = good_rounds;
  g_rounds = 0;
  g_table = *real;
  g_table.finalize = [](lnt_handle handle) {
    if (g_rounds++ < g_good_rounds) return real->finalize(handle);
    return lnt_status{LNT_E_DATA};
  };
  g_table.last_error = [](lnt_handle, char* text, uint32_t cap, uint32_t* len) {
    constexpr std::string_view kWhy = "found a bad day, wanted a good one";
    return lnt_answer(kWhy.data(), uint32_t(kWhy.size()), text, cap, len);
  };
  entry.table = &g_table;
  return entry;
}

SimulationOptions Options() {
  return StrokesSimulation(R"({"name": "f", "model": {"builtin": "softmax-regression"},
    "round": {"cohort": 4, "minimum": 3, "maxRounds": 6}})",
                           4, 10, 1);
}

TEST(FailingStrategyTest, AStrategyThatKeepsFailingEndsTheFederationWithItsReason) {
  for (const int good : {0, 2}) {
    SimulationOptions options = Options();
    options.strategy = Failing(good);
    std::vector<std::string> given_up;
    options.on_notice = [&](const Notice& notice) {
      if (notice.kind == Notice::Kind::kAttemptVoid) given_up.push_back(notice.text);
    };
    const SimulationResult result = Must(Simulate(std::move(options)));
    EXPECT_EQ(result.failure,
              "the strategy failed 5 times in a row, the model of round " + std::to_string(good) +
                  " stands: strategy fedavg: finalize: found a bad day, wanted a good one");
    EXPECT_FALSE(result.finished);
    ASSERT_EQ(given_up.size(), 4u);
    EXPECT_NE(given_up[0].find("strategy fedavg: finalize: found a bad day"), std::string::npos);
    // The model is that of a run which ends before.
    SimulationOptions sound = Options();
    const Bytes initial = SaveModel(sound.initial);
    EXPECT_EQ(result.history.size(), size_t(good));
    if (good == 0) {
      EXPECT_EQ(*result.model, initial);
      continue;
    }
    sound.on_round = [&](const RoundMetrics& round) { return round.round < uint64_t(good); };
    EXPECT_EQ(*result.model, *Must(Simulate(std::move(sound))).model);
  }
}

TEST(FailingStrategyTest, ARoundThatFailsOnceIsTriedAgain) {
  SimulationOptions options = Options();
  options.strategy = Failing(2);
  options.on_notice = [&](const Notice& notice) {
    if (notice.kind == Notice::Kind::kAttemptVoid) g_good_rounds = 1000;
  };
  const SimulationResult result = Must(Simulate(std::move(options)));
  EXPECT_EQ(result.failure, "");
  ASSERT_EQ(result.history.size(), 6u);
  EXPECT_EQ(result.history[2].attempt, 1u);
  EXPECT_EQ(*result.model, *Must(Simulate(Options())).model);
}

TEST(FailingStrategyTest, RulesThatNeedMoreUpdatesThanTheMinimumAreRefusedAtTheStart) {
  for (const auto& [strategy, wanted] :
       {std::pair(R"({"id": "krum", "config": {"hostile": 2}})", "at least 7 (2f + 3 with f = 2)"),
        std::pair(R"({"id": "bulyan", "config": {"hostile": 1}})",
                  "at least 7 (4f + 3 with f = 1)")}) {
    SimulationOptions options = StrokesSimulation(
        StrCat(R"({"name": "f", "model": {"builtin": "softmax-regression"}, "strategy": )",
               strategy, R"(, "round": {"cohort": 8, "minimum": 6, "maxRounds": 6}})"),
        8, 10, 1);
    const auto result = Simulate(std::move(options));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kInvalid);
    EXPECT_NE(result.error().message.find("round.minimum 6: strategy "), std::string::npos)
        << result.error().message;
    EXPECT_NE(result.error().message.find(wanted), std::string::npos) << result.error().message;
  }
}

}  // namespace
}  // namespace linnet::testing
