// What participants train for themselves, by the engine, on losses that can be followed by hand.
#include <cmath>
#include <cstring>
#include <memory>

#include "support/federation.h"

namespace linnet::testing {
namespace {

// The square of (product of the weights) * x - target, one row.
std::unique_ptr<TrainWork> WorkOn(std::vector<float> weights, float x, float target) {
  auto model = std::make_shared<Model>();
  Graph& graph = model->graph;
  graph.name = "product";
  graph.input_shape = {1};
  graph.classes = 1;
  graph.loss = Loss::kMse;
  for (uint32_t i = 0; i < weights.size(); ++i) {
    graph.nodes.push_back({Op::kLinear, {i}, {i}, {}});
    graph.params.push_back({StrCat("w", i), {1, 1}, i, 1});
  }
  model->parameters = std::move(weights);
  auto data = std::make_shared<Dataset>();
  data->shape = {1};
  data->f32 = {x};
  data->targets = {target};
  data->scale = {1};
  data->offset = {0};
  auto work = std::make_unique<TrainWork>();
  work->base = model;
  work->settings.learning_rate = 0.1f;
  work->settings.batch_size = 1;
  work->codec = {CodecKind::kF32, 32};
  work->train = WholeView(data);
  return work;
}

void RunToTheEnd(TrainWork& work) {
  while (work.Run(1)) {
  }
  ASSERT_TRUE(work.status) << work.status.error().message;
}

float UpdateOf(const TrainWork& work) {
  float update;
  std::memcpy(&update, work.encoded.data(), sizeof(update));
  return update;
}

// With x = target = sqrt 2 the gradient is 4 (w - 1), the rate .1, lambda 1, two steps a round.
//   round 1, w = 0:   v = 0, .4, .4 - .1 (4 (.4 - 1) + .4) = .6
//   round 2, w = .32: v = .6, .6 - .1 (-1.6 + .28) = .732, .732 - .1 (-1.072 + .412) = .798
TEST(LocalTrainingTest, DittoTrainsAModelOfItsOwnTowardsTheCommonOne) {
  const float root = std::sqrt(2.0f);
  std::vector<float> own;
  const struct {
    float base, own, update;
  } rounds[] = {{0, 0.6f, 0.64f}, {0.32f, 0.798f, (1 - 0.32f) * 0.64f}};
  for (const auto& round : rounds) {
    const auto work = WorkOn({round.base}, root, root);
    work->settings.epochs = 2;
    work->own.ditto = 1;
    work->personal = own;
    EXPECT_EQ(work->progress(), 0);
    RunToTheEnd(*work);
    EXPECT_EQ(work->progress(), 1);
    EXPECT_EQ(work->steps, 2u);  // of what is sent
    EXPECT_NEAR(UpdateOf(*work), round.update, 1e-6);
    own = work->next_personal;
    ASSERT_EQ(own.size(), 1u);
    EXPECT_NEAR(own[0], round.own, 1e-6);
  }
  const auto without = WorkOn({0}, root, root);
  without->settings.epochs = 2;
  RunToTheEnd(*without);
  EXPECT_TRUE(without->next_personal.empty());
  EXPECT_NEAR(UpdateOf(*without), 0.64f, 1e-6);
}

// x = target = 1, weights .5 and .5 (the head): the head's gradient is 2 (.25 - 1) .5 = -.75, so it
// becomes .575; then the body's is 2 (.2875 - 1) .575 = -.819375.
TEST(LocalTrainingTest, FedRepTrainsTheHeadAloneAndThenTheBody) {
  const std::vector<std::string> head = {"w1"};
  const auto work = WorkOn({0.5f, 0.5f}, 1, 1);
  work->layout = Must(MakeUpdateLayout(work->base->graph, {}, head));
  work->own.head_epochs = 1;
  RunToTheEnd(*work);
  EXPECT_EQ(work->steps, 1u);
  ASSERT_EQ(work->encoded.size(), sizeof(float));
  EXPECT_NEAR(UpdateOf(*work), 0.0819375f, 1e-6);
  ASSERT_EQ(work->next_personal.size(), 2u);
  EXPECT_NEAR(work->next_personal[1], 0.575f, 1e-6);

  const auto together = WorkOn({0.5f, 0.5f}, 1, 1);
  together->layout = work->layout;
  RunToTheEnd(*together);
  EXPECT_NEAR(UpdateOf(*together), 0.075f, 1e-6);
}

TEST(LocalTrainingTest, WhatDoesNotGoTogetherIsRefused) {
  const struct {
    const char *train, *message;
  } rows[] = {
      {R"({"personalEpochs": 1})", "train.personalEpochs: found 1 without train.personal"},
      {R"({"personal": ["norm"], "ditto": 0.5})", "train.ditto: found beside train.personal"},
      {R"({"ditto": -1})", "train.ditto: found -1, wanted a number in 0..1000"},
      {R"({"personal": ["norm"], "personalEpochs": 1001})", "wanted an integer in 0..1000"},
  };
  for (const auto& row : rows) {
    const auto federation = ParseFederation(
        StrCat(R"({"name": "f", "model": {"builtin": "mlp-2nn"}, "train": )", row.train, "}"));
    ASSERT_FALSE(federation) << row.train;
    EXPECT_TRUE(federation.error().message.contains(row.message)) << federation.error().message;
  }
  const Federation federation = Must(ParseFederation(
      R"({"name": "f", "model": {"builtin": "mlp-2nn"}, "train": {"ditto": 0.5}})"));
  EXPECT_EQ(federation.ditto, 0.5f);
  EXPECT_EQ(Must(ParseFederation(PublicFederation(federation).Dump())).ditto, 0.5f);
}

}  // namespace
}  // namespace linnet::testing
