// The optimisation strategies with both of their sides: two participants with the losses
// f_k(w) = h_k / 2 (w - a_k)^2, h = (1, 4), a = (0, 1), rate .1, equal weights, from w = 0. Wanted
// are rounds 1, 2, 3 and the limit, computed from the papers' formulas in exact arithmetic.
#include <cmath>

#include "fed/aggregation_work.h"
#include "support/federation.h"

namespace linnet::testing {
namespace {

constexpr double kRate = 0.1, kCurvature[2] = {1, 4}, kOptimum[2] = {0, 1};

Model OneWeight() {
  Model model;
  model.graph.name = "one";
  model.graph.input_shape = {1};
  model.graph.classes = 1;
  model.graph.nodes = {{Op::kLinear, {0}, {0}, {}}};
  model.graph.params = {{"w", {1, 1}, 0, 1}};
  model.parameters = {0};
  return model;
}

// What a participant's own training does with start() and terms().
void TrainQuadratic(TrainWork& work, int k, int steps) {
  ASSERT_TRUE(work.Prepare());
  const TrainOptions options = Must(TrainWork::Options(work.settings, work.task));
  double y = double{work.start()[0]}, velocity = 0;
  const GradientTerms& terms = work.terms();
  for (int step = 0; step < steps; ++step) {
    double gradient = kCurvature[k] * (y - kOptimum[k]);
    if (!terms.constant.empty()) gradient += double{terms.constant[0]};
    if (!terms.anchor.empty()) gradient += double{options.proximal} * (y - double{terms.anchor[0]});
    velocity = double{options.momentum} * velocity + gradient;
    y -= kRate * velocity;
  }
  work.parameters = {static_cast<float>(y)};
  work.examples = 1;
  work.steps = static_cast<uint64_t>(steps);
  work.Finish();
  ASSERT_TRUE(work.status) << work.status.error().message;
}

struct MicroCase {
  const char *name, *strategy, *config;
  int steps[2];
  double wanted[3], limit;
  float momentum = 0;
};

// w after each round. `participants_know` = false: they train as plain SGD does, and the server
// does what it does.
std::vector<double> RunRounds(const MicroCase& row, int rounds, bool participants_know) {
  auto model = std::make_shared<Model>(OneWeight());
  StrategyChain chain(*Must(BuiltinTable().Find(row.strategy)));
  chain.reducer_config = Must(Json::Parse(row.config));
  const StrategyLinks links = Must(LinksOf(chain.reducer));
  auto host = Must(AggregationHost::Create(
      chain, MakeUpdateLayout(model->graph.params, links.uplink), BestKernels(), {}));
  std::vector<float> control[2];
  std::vector<double> path;
  for (int round = 1; round <= rounds; ++round) {
    const StrategyTask task = Must(ReadStrategyTask(*host));
    std::vector<Bytes> bytes;
    for (int k = 0; k < 2; ++k) {
      TrainWork work;
      work.base = model;
      work.settings.learning_rate = static_cast<float>(kRate);
      work.settings.optimizer = row.momentum > 0 ? "momentum" : "sgd";
      work.settings.momentum = row.momentum;
      work.codec = {CodecKind::kF32, 32};
      work.task = task.task;
      work.layout = host->layout();
      if (task.values) {
        work.downlink.resize(task.values->size() / sizeof(float));
        std::memcpy(work.downlink.data(), task.values->data(), task.values->size());
      }
      work.control = control[k];
      if (!participants_know) {
        work.task.algorithm = ClientAlgorithm::kSgd;
        work.task.uplink.clear();
      }
      TrainQuadratic(work, k, row.steps[k]);
      if (!participants_know) work.encoded.resize(host->layout().UpdateBytes(work.codec));
      control[k] = work.next_control;
      bytes.push_back(std::move(work.encoded));
    }
    EXPECT_TRUE(host->BeginRound({.round = static_cast<uint64_t>(round),
                                  .population = 2,
                                  .cohort = 2,
                                  .expected_updates = 2,
                                  .grid_exp = Must(GridExponent(64, 1, 2))},
                                 model->parameters));
    std::vector<EncodedUpdate> updates;
    for (size_t k = 0; k < 2; ++k)
      updates.push_back({bytes[k], {CodecKind::kF32, 32}, {}, MakeUpdate(k, 1)});
    const auto folded = host->Fold(updates);
    if (!folded) return path;  // what the participants should have sent is missing
    Model next = *model;
    next.parameters = Must(host->Finish(model->parameters));
    model = std::make_shared<Model>(std::move(next));
    path.push_back(double{model->parameters[0]});
  }
  return path;
}

const MicroCase kCases[] = {
    {"fedavg (2,2)", "fedavg", "{}", {2, 2}, {.32, .5072, .616712}, .7710843373},
    {"fedavg (5,5)", "fedavg", "{}", {5, 5}, {.46112, .61519172, .666670933445}, .6925023465},
    {"fedprox", "fedprox", R"({"mu":1})", {2, 2}, {.3, .483, .59463}, .7692307692},
    {"fedavg (2,5)", "fedavg", "{}", {2, 5}, {.46112, .6658019456, .756656167613}, .8291735597},
    {"fednova", "fednova", "{}", {2, 5}, {.322784, .487715649344, .571990114483}, .6600440869},
    {"scaffold (2,2)", "scaffold", "{}", {2, 2}, {.32, .5312, .652352}, .8},
    {"scaffold (5,5)", "scaffold", "{}", {5, 5}, {.46112, .697709144, .785305408756}, .8},
    {"scaffold (2,2), momentum", "scaffold", "{}", {2, 2}, {.42, .6384, .733824}, .8, .5f},
    {"scaffold (2,5), momentum",
     "scaffold",
     "{}",
     {2, 5},
     {.58802, .7400146004062, .7817026317169},
     .8,
     .5f},
    {"feddyn", "feddyn", R"({"alpha":1})", {2, 2}, {.6, .942, 1.03518}, .8},
};

TEST(MicroCaseTest, FollowThePapersThroughTheWire) {
  for (const MicroCase& row : kCases) {
    const std::vector<double> path = RunRounds(row, 400, true);
    ASSERT_EQ(path.size(), 400u) << row.name;
    for (int round = 0; round < 3; ++round)
      EXPECT_NEAR(path[size_t(round)], row.wanted[round], 1e-6) << row.name << " " << round + 1;
    EXPECT_NEAR(path.back(), row.limit, 1e-6) << row.name;
  }
}

TEST(MicroCaseTest, MissTheirMarkWithoutTheParticipantsSide) {
  for (const MicroCase& row : kCases) {
    if (std::string_view(row.strategy) == "fedavg") continue;
    const std::vector<double> path = RunRounds(row, 3, false);
    const bool missed = path.size() < 3 || std::fabs(path[2] - row.wanted[2]) > 1e-3;
    EXPECT_TRUE(missed) << row.name;
  }
}

TEST(ClientTaskTest, TheTextOfATaskReadsBack) {
  ClientTask task;
  task.algorithm = ClientAlgorithm::kScaffold;
  task.loss_before = true;
  task.mu = 0.5f;
  task.uplink = {{"a", false}, {"c", true}};
  task.downlink = {{"c", true}};
  task.values[0] = 7;
  task.value_bytes = 4000;
  EXPECT_EQ(Must(ParseClientTask("scaffold", ClientTaskText(task))), task);
  EXPECT_EQ(ClientTaskText({}), "");
  EXPECT_EQ(Must(ParseClientTask("sgd", "")), ClientTask());
}

TEST(ClientTaskTest, WhatIsNotOfferedIsRefusedWithItsName) {
  const struct {
    const char *client, *config, *message;
  } rows[] = {
      {"adam", "", "client \"adam\""},
      {"sgd", "7", "wanted an object"},
      {"sgd", "{", ""},
      {"prox", R"({"mu":-1})", "client.mu is -1"},
      {"dyn", "", "client.alpha"},
      {"sgd", R"({"uplink":[{"name":"x","like":"scalar"}]})", "\"x\" is not offered"},
      {"sgd", R"({"uplink":[{"name":"c","like":"parameters"}]})", "\"c\" is not offered"},
      {"sgd", R"({"uplink":[{"name":"a"}]})", "client.uplink"},
      {"scaffold", "", "wants \"c\""},
      {"sgd", R"({"values":"00","valueBytes":4})", "client.values"},
  };
  for (const auto& row : rows) {
    const auto task = ParseClientTask(row.client, row.config);
    ASSERT_FALSE(task) << row.config;
    EXPECT_TRUE(task.error().message.contains(row.message)) << task.error().message;
  }
}

TEST(ClientTaskTest, NormalizedStepsAreThoseOfThePaper) {
  EXPECT_EQ(NormalizedSteps(7, 0, 0.1, 0), 7);
  // Momentum .9, 2 steps: the first gradient counts 1 + (1 + .9), the second 1, over ... = 2.9.
  EXPECT_NEAR(NormalizedSteps(2, 0.9, 0.1, 0), 2.9, 1e-12);
  // Proximal: 1 + (1 - lr mu) of two steps.
  EXPECT_NEAR(NormalizedSteps(2, 0, 0.1, 1), 1.9, 1e-12);
}

}  // namespace
}  // namespace linnet::testing
