#include "model/compress_train.h"

#include "gtest/gtest.h"
#include "quadrants.h"

namespace linnet {
namespace {

TEST(CompressTrainTest, OptionsOutOfRangeAreRefused) {
  const Model model = QuadrantModel(8);
  const auto message = [&](const PruningTrainer::Options& pruning) {
    const auto made =
        PruningTrainer::Create(model, pruning, Options(), Quadrants::kBatch, BestKernels());
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(message({.sparsity = 1}), "the sparsity is 1, wanted at least 0 and less than 1");
  EXPECT_EQ(message({.interval = 0}), "the interval is 0 steps, wanted 1 or more");
}

TEST(CompressTrainTest, TrainingWithQuantizedWeightsLearns) {
  auto trainer =
      QuantizedTrainer::Create(QuadrantModel(16), Options(), Quadrants::kBatch, BestKernels());
  ASSERT_TRUE(trainer) << trainer.error().message;
  Quadrants data;
  std::vector<float> examples;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*trainer)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
    if (i < 10) examples.insert(examples.end(), data.x.begin(), data.x.end());
  }
  const auto quantized =
      QuantizeInt8((*trainer)->model(), examples, Calibration::kBetter, BestKernels());
  ASSERT_TRUE(quantized) << quantized.error().message;
  auto predictor = QuantizedPredictor::Create(*quantized, Quadrants::kBatch, BestKernels());
  EXPECT_GT(Accuracy([&](const float* x, float* outputs) {
              (*predictor)->Run(x, Quadrants::kBatch, outputs);
            }),
            0.95);
}

TEST(CompressTrainTest, WhatWasPrunedStaysZeroAndTheRestLearns) {
  for (const Pruning pruning : {Pruning::kGlobal, Pruning::kLayer, Pruning::kTwoOfFour}) {
    const double sparsity = pruning == Pruning::kTwoOfFour ? 0.333 : 0.6;
    auto trainer = PruningTrainer::Create(
        QuadrantModel(16), {.pruning = pruning, .sparsity = 0.6, .steps = 600, .interval = 20},
        Options(), Quadrants::kBatch, BestKernels());
    ASSERT_TRUE(trainer) << trainer.error().message;
    Quadrants data;
    for (int i = 0; i < 1500; ++i) {
      data.Draw();
      (*trainer)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
    }
    const Model model = (*trainer)->model();
    EXPECT_NEAR(Sparsity(model.graph, model.parameters), sparsity, 0.01);
    auto predictor = QuantizedPredictor::CreateSparse(model, Quadrants::kBatch, BestKernels());
    ASSERT_TRUE(predictor) << predictor.error().message;
    EXPECT_GT(Accuracy([&](const float* x, float* outputs) {
                (*predictor)->Run(x, Quadrants::kBatch, outputs);
              }),
              0.93);
  }
}

}  // namespace
}  // namespace linnet
