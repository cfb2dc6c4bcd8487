#include "model/train_state.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/graphs.h"
#include "model/train.h"

namespace linnet {
namespace {

using Kind = TrainOptions::Optimizer;

TrainState Example() {
  return {.steps = 7, .parameters = {1, 2, 3}, .first = {4, 5, 6}, .second = {}, .note = "a note"};
}

TEST(TrainStateTest, DamagedBytesAreAnError) {
  const Bytes good = SaveTrainState(Example());
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(LoadTrainState(ByteSpan(good).first(size))) << size;
  // Header and padding: magic, version, the sizes and what must be zero.
  for (size_t i = 0; i < 128; ++i) {
    if (i >= 16 && i < 24) continue;                          // the number of steps
    if (i >= 64 && i < 64 + Example().note.size()) continue;  // the note
    Bytes bad = good;
    bad[i] ^= 0x80;
    EXPECT_FALSE(LoadTrainState(bad)) << i;
  }
  TrainState infinite = Example();
  infinite.first[1] = std::numeric_limits<float>::infinity();
  const auto loaded = LoadTrainState(SaveTrainState(infinite));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::kData);
  EXPECT_EQ(loaded.error().message, "the state of the training: it has a value that is not finite");
}

TEST(TrainStateTest, WhatIsSavedIsLoaded) {
  EXPECT_EQ(LoadTrainState(SaveTrainState(Example())).value(), Example());
  EXPECT_EQ(LoadTrainState(SaveTrainState(TrainState{})).value(), TrainState{});
}

TEST(TrainStateTest, AStateOfAnotherOptimizerOrGraphIsRefused) {
  const Graph graph = BuiltinModel("softmax-regression", SeedFromInt(1)).value().graph;
  const auto adam = Trainer::Create(graph, {.optimizer = Kind::kAdam}, 4, BestKernels()).value();
  const auto sgd = Trainer::Create(graph, {}, 4, BestKernels()).value();
  const Status refused = adam->SetState(sgd->State());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_EQ(refused.error().message,
            "the state has 7850 parameters and 0 and 0 values of the optimizer, this training has "
            "7850, 7850 and 7850");
  EXPECT_FALSE(sgd->SetState(Example()));
}

// With dropout, statistics of batch norm and a schedule.
TEST(TrainStateTest, ATrainingGoesOnToTheSameBits) {
  for (const NamedGraph& row : OperatorGraphs()) {
    for (const Kind kind : {Kind::kSgd, Kind::kNesterov, Kind::kAdamW}) {
      SCOPED_TRACE(row.name);
      TrainOptions options{.optimizer = kind, .learning_rate = 0.01f};
      options.schedule = ParseSchedule("cosine:steps=10,end=0.1").value();
      const TestBatch data(4, row.graph, 3);
      const auto whole = Trainer::Create(row.graph, options, 3, BestKernels()).value();
      const auto rest = Trainer::Create(row.graph, options, 3, BestKernels()).value();
      std::ranges::copy(RandomParameters(3, row.graph), whole->parameters().begin());
      for (int step = 0; step < 3; ++step) data.Step(*whole, 3);
      const Bytes stopped = SaveTrainState(whole->State());
      ASSERT_TRUE(rest->SetState(LoadTrainState(stopped).value()));
      for (int step = 0; step < 3; ++step) {
        EXPECT_EQ(data.Step(*whole, 3), data.Step(*rest, 3));
      }
      EXPECT_EQ(whole->State(), rest->State());
    }
  }
}

}  // namespace
}  // namespace linnet
