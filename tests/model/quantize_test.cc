#include "model/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "graphs.h"
#include "gtest/gtest.h"
#include "kernels/pool.h"
#include "model/prune.h"
#include "model/quantize_parts.h"
#include "model/train.h"

namespace linnet {
namespace {

std::vector<float> RandomValues(size_t count, uint64_t seed, float low, float high) {
  RandomStream random(Seed{static_cast<uint8_t>(seed)}, 7);
  std::vector<float> values(count);
  for (float& value : values) {
    value = low + (high - low) * random.Uniform();
  }
  return values;
}

Model WithRandomParameters(Graph graph, uint64_t seed) {
  const size_t count = graph.ParamCount();
  Model model{.graph = std::move(graph), .parameters = RandomValues(count, seed, -0.3f, 0.3f)};
  for (const Node& node : model.graph.nodes) {
    if (node.op != Op::kBatchNorm) continue;
    const ParamInfo& variance = model.graph.params[node.params[3]];
    for (size_t i = 0; i < variance.count; ++i) {
      float& value = model.parameters[variance.offset + i];
      value = 0.5f + std::abs(value);
    }
  }
  return model;
}

// Every operator that 8 bits know, in the ways they meet.
std::vector<NamedGraph> Int8Graphs() {
  std::vector<NamedGraph> all;
  {
    TestGraph t({7}, 5);
    t.Dense(t.Relu(t.Dense(0, 7, 33)), 33, 5);
    all.push_back({"mlp", t.graph_});
  }
  {
    TestGraph t({9, 10, 3}, 4);
    uint32_t x = t.Relu(t.Conv(0, {3, 3, 3, 20}, 1, 1));
    x = t.Add(Op::kMaxPool, {x}, {}, {3, 2, 2, 2, 1, 0, 1, 0});
    x = t.Add(Op::kFlatten, {x});
    t.Dense(x, 5 * 5 * 20, 4);
    all.push_back({"conv_pool", t.graph_});
  }
  {
    TestGraph t({8, 7, 6}, 12);
    const uint32_t w = t.Param({3, 3, 2, 12}), b = t.Param({12});
    const uint32_t x = t.Add(Op::kConv2d, {0}, {w, b}, {2, 1, 2, 2, 1, 2, 2, 2, 3});
    t.Add(Op::kGlobalAvgPool,
          {t.Add(Op::kClip, {x}, {},
                 {std::bit_cast<uint32_t>(-0.4f), std::bit_cast<uint32_t>(0.9f)})});
    all.push_back({"groups_dilation_clip", t.graph_});
  }
  {
    TestGraph t({6, 6, 8}, 8);
    const uint32_t w = t.Param({3, 3, 1, 8}), b = t.Param({8});
    uint32_t x = t.Add(Op::kConv2d, {0}, {w, b}, {1, 1, 1, 1, 1, 1, 1, 1, 8});
    x = t.Relu(t.Add(Op::kAdd, {x, 0}));
    x = t.Conv(x, {1, 1, 8, 8}, 1, 0);
    const uint32_t both = t.Add(Op::kAdd, {t.Relu(x), x});
    t.Add(Op::kGlobalAvgPool, {t.Add(Op::kAvgPool, {both}, {}, {2, 2, 2, 2, 0, 0, 0, 0, 0})});
    all.push_back({"depthwise_residual", t.graph_});
  }
  {
    TestGraph t({7, 5, 3}, 10);
    const uint32_t x = t.Relu(t.Conv(0, {3, 3, 3, 10}, 1, 1));
    t.Add(Op::kGlobalAvgPool, {t.Add(Op::kAvgPool, {x}, {}, {3, 2, 2, 1, 1, 0, 1, 1, 1})});
    all.push_back({"average_pool_with_its_padding", t.graph_});
  }
  {
    TestGraph t({5, 5, 2}, 9);
    const uint32_t x = t.Conv(0, {3, 3, 2, 9}, 1, 0);
    std::vector<uint32_t> norm;
    for (int i = 0; i < 4; ++i) norm.push_back(t.Param({9}));
    for (int i = 2; i < 4; ++i) t.graph_.params[norm[i]].role = ParamRole::kBuffer;
    t.Add(Op::kGlobalAvgPool,
          {t.Relu(t.Add(Op::kBatchNorm, {x}, norm,
                        {std::bit_cast<uint32_t>(1e-5f), std::bit_cast<uint32_t>(0.1f)}))});
    all.push_back({"batch_norm", t.graph_});
  }
  return all;
}

std::vector<float> Predict(const Model& model, const std::vector<float>& x, size_t batch) {
  auto predictor = Predictor::Create(model.graph, batch, BestKernels());
  EXPECT_TRUE(predictor) << predictor.error().message;
  std::vector<float> y(batch * model.graph.classes);
  if (predictor) (*predictor)->Run(model.parameters, x.data(), batch, y.data());
  return y;
}

TEST(QuantizeTest, WrongCalibrationIsRefused) {
  const Model model = *BuiltinModel("mlp-2nn", Seed{});
  const auto none = QuantizeInt8(model, {}, Calibration::kBetter, BestKernels());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalid);
  EXPECT_EQ(none.error().message, "calibration has 0 values, wanted one or more examples of 784");
}

TEST(QuantizeTest, AnOperatorThat8BitsDoNotKnowIsNamed) {
  TestGraph t({4}, 4);
  t.Add(Op::kSoftmax, {t.Dense(0, 4, 4)});
  const Model model = WithRandomParameters(t.graph_, 1);
  const std::vector<float> x(4);
  const auto made = QuantizeInt8(model, x, Calibration::kBetter, BestKernels());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kUnsupported);
  EXPECT_TRUE(made.error().message.starts_with("node 1 (softmax) is not computed in 8 bits"))
      << made.error().message;
}

TEST(QuantizeTest, Int8IsNearToF32AndTheSameOnEveryTargetBatchAndThread) {
  const size_t examples = 70;
  for (const auto& [name, graph] : Int8Graphs()) {
    SCOPED_TRACE(name);
    const Model model = WithRandomParameters(graph, 3);
    const std::vector<float> x = RandomValues(examples * graph.InputCount(), 4, -1, 1);
    const auto made = QuantizeInt8(model, x, Calibration::kBetter, BestKernels());
    ASSERT_TRUE(made) << made.error().message;
    const std::vector<float> exact = Predict(model, x, examples);
    const auto [low, high] = std::ranges::minmax(exact);
    std::vector<float> first;
    const std::unique_ptr<Executor> pool = MakePool(2);
    for (const Kernels* kernels : AllKernels()) {
      for (Executor* executor : {static_cast<Executor*>(nullptr), pool.get()}) {
        auto predictor = QuantizedPredictor::Create(*made, examples, *kernels, executor);
        ASSERT_TRUE(predictor) << predictor.error().message;
        std::vector<float> y(examples * graph.classes), single(graph.classes);
        (*predictor)->Run(x.data(), examples, y.data());
        if (first.empty()) first = y;
        ASSERT_EQ(y, first) << kernels->target;
        (*predictor)->Run(x.data() + graph.InputCount(), 1, single.data());
        ASSERT_TRUE(std::equal(single.begin(), single.end(), y.begin() + graph.classes));
      }
    }
    // A step of a code is 1/127 of a range; some of them add up.
    for (size_t i = 0; i < exact.size(); ++i) {
      ASSERT_NEAR(first[i], exact[i], 0.06f * (high - low)) << i;
    }
  }
}

TEST(QuantizeTest, AnAveragePoolThatLeavesItsPaddingOutIsNamed) {
  TestGraph t({4, 4, 2}, 2);
  const uint32_t conv = t.Conv(0, {1, 1, 2, 2}, 1, 0);
  t.Add(Op::kGlobalAvgPool, {t.Add(Op::kAvgPool, {conv}, {}, {2, 2, 1, 1, 1, 1, 0, 0, 0})});
  const std::vector<float> x(32);
  const auto made =
      QuantizeInt8(WithRandomParameters(t.graph_, 1), x, Calibration::kBetter, BestKernels());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kUnsupported);
  EXPECT_TRUE(made.error().message.starts_with("node 1 (avg_pool) does not count its padding"))
      << made.error().message;
}

// A builtin model as training leaves it: the statistics of batch norm are far from 0 and 1.
Model Trained(const char* name) {
  Model model = *BuiltinModel(name, Seed{});
  RandomStream random(Seed{3}, 1);
  for (const Node& node : model.graph.nodes) {
    if (node.op != Op::kBatchNorm) continue;
    for (size_t i = 0; i < node.params.size(); ++i) {
      const ParamInfo& param = model.graph.params[node.params[i]];
      const bool positive = i == 0 || i == 3;  // scale, variance
      for (size_t j = 0; j < param.count; ++j) {
        model.parameters[param.offset + j] =
            positive ? 0.5f + random.Uniform() : random.Uniform() - 0.5f;
      }
    }
  }
  return model;
}

TEST(QuantizeTest, FoldingTakesEveryBatchNormOutOfADepthwiseModelAndKeepsItsOutputs) {
  const Model model = Trained("dscnn-small"), folded = FoldBatchNorm(model);
  EXPECT_EQ(std::ranges::count(model.graph.nodes, Op::kBatchNorm, &Node::op), 7);
  EXPECT_EQ(std::ranges::count(folded.graph.nodes, Op::kBatchNorm, &Node::op), 0);
  ASSERT_TRUE(ValidateGraph(folded.graph)) << ValidateGraph(folded.graph).error().message;
  EXPECT_EQ(folded.parameters.size(), folded.graph.ParamCount());
  EXPECT_LT(folded.parameters.size(), model.parameters.size());
  const std::vector<float> x = RandomValues(4 * model.graph.InputCount(), 6, 0, 1);
  const std::vector<float> wanted = Predict(model, x, 4), found = Predict(folded, x, 4);
  const auto [low, high] = std::ranges::minmax(wanted);
  ASSERT_GT(high - low, 0.1f);
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(found[i], wanted[i], 1e-5f * (high - low)) << i;
  }
}

TEST(QuantizeTest, TheBuiltinImageModelsKeepTheirOutputsInInt8AndInt4) {
  const size_t examples = 64;
  for (const char* name : {"cnn-mnist", "dscnn-small"}) {
    SCOPED_TRACE(name);
    const Model model = Trained(name);
    const std::vector<float> x = RandomValues(examples * model.graph.InputCount(), 6, 0, 1);
    const std::vector<float> exact = Predict(model, x, examples);
    const auto int8 = QuantizeInt8(model, x, Calibration::kBetter, BestKernels());
    ASSERT_TRUE(int8) << int8.error().message;
    const auto int4 = QuantizeInt4(model);
    ASSERT_TRUE(int4) << int4.error().message;
    const auto [low, high] = std::ranges::minmax(exact);
    for (const auto& [made, tolerance] : {std::pair(&*int8, 0.05f), std::pair(&*int4, 0.25f)}) {
      auto predictor = QuantizedPredictor::Create(*made, examples, BestKernels());
      ASSERT_TRUE(predictor) << predictor.error().message;
      std::vector<float> y(exact.size());
      (*predictor)->Run(x.data(), examples, y.data());
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_NEAR(y[i], exact[i], tolerance * (high - low)) << i;
      }
    }
  }
}

// In 4 bits, two of four, blocks of zeros and single zeros: behind convolutions too.
TEST(QuantizeTest, TheDenseLayersOfAnImageModelRunInTheirCompressedForm) {
  for (const char* name : {"cnn-small", "lenet-niid"}) {
    const Model model = *BuiltinModel(name, SeedFromInt(1));
    const size_t bytes = model.parameters.size() * sizeof(float);
    const auto expect = [&](std::string_view form, const Model& as, double share, size_t batch,
                            const Result<std::unique_ptr<QuantizedPredictor>>& predictor) {
      SCOPED_TRACE(StrCat(name, " ", form, ", batch ", batch));
      ASSERT_TRUE(predictor) << predictor.error().message;
      EXPECT_LT(static_cast<double>((*predictor)->weight_bytes()),
                share * static_cast<double>(bytes));
      const std::vector<float> x = RandomValues(batch * model.graph.InputCount(), 6, 0, 1);
      const std::vector<float> exact = Predict(as, x, batch);
      std::vector<float> y(exact.size());
      (*predictor)->Run(x.data(), batch, y.data());
      for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], exact[i], 1e-4f) << i;
    };
    for (const size_t batch : {1, 9}) {
      const QuantizedModel int4 = *QuantizeInt4(model);
      expect("int4", Dequantize(int4), 0.3, batch,
             QuantizedPredictor::Create(int4, batch, BestKernels()));
      for (const auto& [form, pruning, share] :
           {std::tuple("block", Pruning::kBlock, 0.5),
            {"global", Pruning::kGlobal, 0.5},
            {"2:4", Pruning::kTwoOfFour, batch == 1 ? 0.75 : 1.01}}) {
        Model pruned = model;
        ApplyMask(PruneMask(model.graph, model.parameters, pruning, 0.95), pruned.parameters);
        expect(form, pruned, share, batch,
               QuantizedPredictor::CreateSparse(pruned, batch, BestKernels()));
      }
    }
  }
}

TEST(QuantizeTest, ALargeBiasBesideTinyWeightsStaysExact) {
  TestGraph t({4}, 2);
  t.Dense(0, 4, 2);
  Model model{.graph = t.graph_, .parameters = std::vector<float>(10, 1e-9f)};
  model.parameters[8] = 1000;
  model.parameters[9] = -1000;
  const std::vector<float> x = RandomValues(32, 1, 0, 1);
  const auto made = QuantizeInt8(model, x, Calibration::kPercentile, BestKernels());
  ASSERT_TRUE(made);
  auto predictor = QuantizedPredictor::Create(*made, 1, BestKernels());
  float y[2];
  (*predictor)->Run(x.data(), 1, y);
  EXPECT_NEAR(y[0], 1000, 0.01);
  EXPECT_NEAR(y[1], -1000, 0.01);
}

TEST(QuantizeTest, Int4KeepsEachWeightWithinHalfAStepOfItsGroup) {
  TestGraph t({75}, 3);
  t.Dense(0, 75, 3);
  const Model model = WithRandomParameters(t.graph_, 9);
  const auto made = QuantizeInt4(model);
  ASSERT_TRUE(made);
  const Model back = Dequantize(*made);
  for (size_t group = 0; group < 75; group += kInt4Group) {
    for (size_t j = 0; j < 3; ++j) {
      float largest = 0;
      for (size_t i = group; i < std::min<size_t>(75, group + kInt4Group); ++i) {
        largest = std::max(largest, std::abs(model.parameters[i * 3 + j]));
      }
      for (size_t i = group; i < std::min<size_t>(75, group + kInt4Group); ++i) {
        ASSERT_NEAR(back.parameters[i * 3 + j], model.parameters[i * 3 + j], largest / 7);
      }
    }
  }
  for (size_t i = 225; i < 228; ++i) EXPECT_EQ(back.parameters[i], model.parameters[i]);
}

TEST(QuantizeTest, FakeQuantizationIsWhatTheFormatKeeps) {
  const Model model = *BuiltinModel("mlp-2nn", Seed{});
  std::vector<float> once(model.parameters.size()), twice(once.size());
  FakeQuantize(model.graph, WeightFormat::kInt8, model.parameters, once);
  FakeQuantize(model.graph, WeightFormat::kInt8, once, twice);
  EXPECT_NE(once, model.parameters);
  for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(twice[i], once[i], 1e-6f);
  FakeQuantize(model.graph, WeightFormat::kInt4, model.parameters, once);
  EXPECT_EQ(once, Dequantize(*QuantizeInt4(model)).parameters);
}

TEST(HalfTest, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half >> 10 & 31) == 31 && (half & 1023) != 0) continue;
    ASSERT_EQ(FloatToHalf(HalfToFloat(static_cast<uint16_t>(half))), half);
  }
}

TEST(HalfTest, RoundingGoesToTheEvenNeighbour) {
  EXPECT_EQ(FloatToHalf(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(FloatToHalf(1.0f + 0x1.8p-10f), 0x3c02);
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);
  EXPECT_EQ(FloatToHalf(0x1.8p-24f), 2);
  EXPECT_EQ(FloatToHalf(65519.9f), 0x7bff);
  EXPECT_EQ(FloatToHalf(-65520.0f), 0xfc00);
}

}  // namespace
}  // namespace linnet
