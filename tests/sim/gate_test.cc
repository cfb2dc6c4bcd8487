// The gate's held-out score: a model that is much worse than the one before is never committed.
#include "support/federation.h"

namespace linnet::testing {
namespace {

lnt_plugin g_table;
const lnt_plugin* g_real = nullptr;
int g_finalized = 0, g_bad_from = 0, g_bad_to = 0;

// fedavg, whose results from one call to another are noughts, which no gate of its own would see.
StrategyChain Forgetful(int bad_from, int bad_to) {
  PluginEntry entry = *Must(BuiltinTable().Find("fedavg"));
  g_real = entry.table;
  g_finalized = 0;
  g_bad_from = bad_from;
  g_bad_to = bad_to;
  g_table = *g_real;
  g_table.finalize = [](lnt_handle handle) {
    ++g_finalized;
    return g_real->finalize(handle);
  };
  g_table.result_chunk = [](lnt_handle handle, uint32_t tensor, uint64_t offset, const void* base,
                            void* out, uint32_t count) {
    const lnt_status status = g_real->result_chunk(handle, tensor, offset, base, out, count);
    if (g_finalized >= g_bad_from && g_finalized < g_bad_to)
      std::fill_n(static_cast<float*>(out), count, 0.0f);
    return status;
  };
  entry.table = &g_table;
  return entry;
}

SimulationOptions Options(const char* gate) {
  return StrokesSimulation(
      StrCat(R"({"name": "g", "model": {"builtin": "softmax-regression"}, "round": {"cohort": 4,)",
             R"("minimum": 4, "maxRounds": 6})", gate, "}"),
      4, 20, 1);
}

TEST(GateTest, AWorseModelIsGivenUpAndTheRoundTriedAgain) {
  const SimulationResult calm = Must(Simulate(Options("")));
  for (const char* gate : {R"(, "gate": {"maxDrop": 0.1})", R"(, "gate": {"maxRise": 0.1})"}) {
    SimulationOptions options = Options(gate);
    options.strategy = Forgetful(4, 6);
    std::vector<std::string> given_up;
    options.on_notice = [&](const Notice& notice) {
      if (notice.kind == Notice::Kind::kAttemptVoid) given_up.push_back(notice.text);
    };
    const SimulationResult result = Must(Simulate(std::move(options)));
    ASSERT_EQ(result.history.size(), 6u);
    EXPECT_EQ(result.history[3].attempt, 2u);
    ASSERT_EQ(given_up.size(), 2u);
    EXPECT_TRUE(
        given_up[0].contains("round 4, attempt 0 is given up: strategy fedavg made a model whose "))
        << given_up[0];
    EXPECT_TRUE(given_up[0].contains("gate.max")) << given_up[0];
    EXPECT_EQ(*result.model, *calm.model) << "the updates of the attempt that counted are the same";
    EXPECT_EQ(result.history[5].accuracy, calm.history[5].accuracy);
  }
  SimulationOptions open = Options("");
  open.strategy = Forgetful(4, 6);
  EXPECT_LT(Must(Simulate(std::move(open))).history[3].accuracy, 0.2) << "without a gate";
}

TEST(GateTest, AStrategyThatKeepsMakingItWorseEndsTheFederation) {
  SimulationOptions options = Options(R"(, "gate": {"maxDrop": 0.1})");
  options.strategy = Forgetful(3, 1000);
  const SimulationResult result = Must(Simulate(std::move(options)));
  EXPECT_EQ(result.history.size(), 2u);
  EXPECT_TRUE(result.failure.starts_with(
      "the strategy failed 5 times in a row, the model of round 2 stands: strategy fedavg made a "
      "model whose accuracy on evaluate.data is "))
      << result.failure;
}

TEST(GateTest, ItWorksInAsynchronousRoundsAndAcrossRestarts) {
  SimulationOptions options = StrokesSimulation(
      R"({"name": "g", "model": {"builtin": "softmax-regression"}, "strategy": {"id": "fedbuff"},
        "round": {"mode": "asynchronous", "buffer": 3, "concurrency": 4, "maxRounds": 10},
        "gate": {"maxDrop": 0.5, "maxRise": 2}})",
      4, 20, 1);
  options.faults.restart = 0.2;
  const SimulationResult result = Must(Simulate(std::move(options)));
  EXPECT_GT(result.restarts, 0u);
  EXPECT_EQ(result.history.size(), 10u);
  EXPECT_GT(result.history.back().accuracy, 0.3);
}

TEST(GateTest, AGateWithoutDataIsRefused) {
  SimulationOptions options = Options(R"(, "gate": {"maxDrop": 0.1})");
  options.evaluation = nullptr;
  const auto result = Simulate(std::move(options));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "gate.maxDrop: given, but nothing measures it: give evaluate.data");
}

}  // namespace
}  // namespace linnet::testing
