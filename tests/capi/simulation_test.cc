// linnet/simulate.h: whole federations in steps.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "linnet/simulate.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

constexpr const char* kOptions = R"({"federation":{"name":"test",
  "model":{"builtin":"softmax-regression"},"train":{"learningRate":0.1,"batchSize":10},
  "strategy":{"id":"fedavg"},"round":{"cohort":4,"minimum":3,"maxRounds":3},
  "evaluate":{"data":"strokes?writers=1000-1001&per=50"}},
  "participants":6,"data":"strokes?writers=0-5&per=30","seed":7})";

linnet_simulation* Create(const std::string& options) {
  std::vector<linnet_strategy> strategies;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) strategies.push_back(plugin.entry);
  return linnet_create_simulation(options.c_str(), strategies.data(), strategies.size());
}

struct Told {
  std::vector<Json> rounds;
  Json summary;
};
Told RunAll(uint32_t max_events) {
  Told told;
  linnet_simulation* simulation = Create(kOptions);
  EXPECT_NE(simulation, nullptr) << linnet_last_error();
  linnet_status more = 1;
  while (more == 1) {
    more = linnet_run_simulation(simulation, max_events);
    while (const char* event = linnet_next_simulation_event(simulation))
      told.rounds.push_back(*Json::Parse(event));
  }
  EXPECT_EQ(more, 0);
  EXPECT_EQ(linnet_simulation_model(simulation), nullptr) << "before the end";
  told.summary = *Json::Parse(linnet_finish_simulation(simulation));
  linnet_model* model = linnet_simulation_model(simulation);
  EXPECT_NE(model, nullptr);
  linnet_destroy_model(model);
  linnet_destroy_simulation(simulation);
  return told;
}

TEST(SimulationApiTest, StepsOfAnyLengthGiveTheSameBits) {
  const Told one = RunAll(1), all = RunAll(1000000);
  ASSERT_EQ(one.rounds.size(), 3u);
  EXPECT_EQ(one.rounds[2].Find("model")->as_string(), one.summary.Find("model")->as_string());
  EXPECT_GT(one.summary.Find("accuracy")->as_double(), 0.5);
  EXPECT_EQ(one.summary.Dump(), all.summary.Dump());
}

TEST(SimulationApiTest, WhatCannotWorkIsAnErrorWithWords) {
  const struct {
    const char *options, *words;
  } rows[] = {
      {"[", "syntax error"},
      {"{}", "options.federation: wanted an object"},
      {R"({"federation":{"name":"a","model":{"builtin":"mlp-2nn"}},"participants":0})",
       "options.participants is 0"},
      {R"({"federation":{"name":"a","model":{"builtin":"mlp-2nn"}},"clients":3})",
       "options.clients"},
      {R"({"federation":{"name":"a","model":{"builtin":"mlp-2nn"}},"data":"mnist:x"})", "strokes"},
      {R"({"federation":{"name":"a","model":{"builtin":"mlp-2nn"},"strategy":{"id":"fedav"}}})",
       "did you mean \"fedavg\""},
      {R"({"federation":{"name":"a","model":{"file":"x.linnet"}}})", "model.file"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Create(row.options), nullptr) << row.options;
    EXPECT_TRUE(std::string(linnet_last_error()).contains(row.words)) << linnet_last_error();
  }
}

}  // namespace
}  // namespace linnet::testing
