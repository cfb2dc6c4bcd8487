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

// A rate that falls to 0: with one that stays, weights go on jumping between codes.
TrainOptions Settling() {
  TrainOptions options;
  options.optimizer = TrainOptions::Optimizer::kAdam;
  options.learning_rate = 0.01f;
  options.schedule = {.kind = Schedule::Kind::kCosine, .steps = 1500, .factor = 0};
  return options;
}

double QuantizedAccuracy(const QuantizedModel& quantized) {
  auto predictor = QuantizedPredictor::Create(quantized, Quadrants::kBatch, BestKernels());
  EXPECT_TRUE(predictor) << predictor.error().message;
  return Accuracy(
      [&](const float* x, float* outputs) { (*predictor)->Run(x, Quadrants::kBatch, outputs); });
}

// One unit that is a hundred times as large as the others, and is read with weights a hundred times
// as small: the same function (Nagel et al. 2019, section 3), but the codes of the layer's values
// are spent on that unit.
TEST(CompressTrainTest, TrainingWithRoundedActivationsMakesUpForWhatTheirCodesLose) {
  constexpr size_t kHidden = 16;
  Quadrants data;
  auto plain =
      Trainer::Create(QuadrantModel(kHidden).graph, Options(), Quadrants::kBatch, BestKernels());
  ASSERT_TRUE(plain);
  Model model = QuadrantModel(kHidden);
  std::ranges::copy(model.parameters, (*plain)->parameters().begin());
  std::vector<float> examples;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*plain)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
    if (i < 10) examples.insert(examples.end(), data.x.begin(), data.x.end());
  }
  std::ranges::copy((*plain)->parameters(), model.parameters.begin());
  // weights[2, hidden], bias[hidden], weights[hidden, 4]
  for (const size_t at : {size_t{0}, kHidden, 2 * kHidden}) model.parameters[at] *= 100;
  for (size_t k = 0; k < 4; ++k) model.parameters[3 * kHidden + k] /= 100;
  const auto quantize = [&](const Model& as) {
    return QuantizedAccuracy(*QuantizeInt8(as, examples, Calibration::kMinError, BestKernels()));
  };
  const double before = quantize(model);
  const TrainOptions options = Settling();
  auto trainer = QuantizedTrainer::Create(model, options, Quadrants::kBatch, BestKernels());
  ASSERT_TRUE(trainer) << trainer.error().message;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*trainer)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
  }
  EXPECT_LT(before, 0.94);
  EXPECT_GT(quantize((*trainer)->model()), 0.96);
}

// 4 bits, of weights that differ in size within each group.
TEST(CompressTrainTest, TrainingWithWeightsOfFourBitsMakesUpForWhatTheyLose) {
  constexpr uint32_t kHidden = 32;
  Model model = QuadrantModel(kHidden);
  Quadrants data;
  auto plain = Trainer::Create(model.graph, Options(), Quadrants::kBatch, BestKernels());
  ASSERT_TRUE(plain);
  std::ranges::copy(model.parameters, (*plain)->parameters().begin());
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*plain)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
  }
  std::ranges::copy((*plain)->parameters(), model.parameters.begin());
  // Half of the units small, and read with large weights.
  for (size_t j = 0; j < kHidden; j += 2) {
    for (const size_t at : {j, kHidden + j, 2 * kHidden + j}) model.parameters[at] *= 30;
    for (size_t k = 0; k < 4; ++k) model.parameters[3 * kHidden + 4 * j + k] /= 30;
  }
  const double before = QuantizedAccuracy(*QuantizeInt4(model));
  const TrainOptions options = Settling();
  auto trainer = QuantizedTrainer::Create(model, options, Quadrants::kBatch, BestKernels(),
                                          WeightFormat::kInt4);
  ASSERT_TRUE(trainer) << trainer.error().message;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*trainer)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
  }
  EXPECT_LT(before, 0.85);
  EXPECT_GT(QuantizedAccuracy(*QuantizeInt4((*trainer)->model())), 0.93);
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
