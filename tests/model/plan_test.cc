#include "model/plan.h"

#include <algorithm>
#include <bit>
#include <span>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/steps.h"

namespace linnet {
namespace {

Graph Builtin(std::string_view name) { return BuiltinModel(name, SeedFromInt(1)).value().graph; }

size_t CountSteps(const Program& program, StepOp op) {
  return size_t(std::ranges::count(program.steps, op, &Step::op));
}

// What lives in the arena, when and where: found again from the program, not from the planner.
struct Life {
  uint64_t begin, end;  // bytes
  size_t first, last;   // steps
  uint32_t value;
};

std::vector<Life> Lives(const Plan& plan) {
  std::vector<Life> lives;
  for (uint32_t v = 0; v < plan.program.values.size(); ++v) {
    const Value& value = plan.program.values[v];
    size_t first = plan.program.steps.size(), last = 0;
    for (size_t i = 0; i < plan.program.steps.size(); ++i) {
      const Step& step = plan.program.steps[i];
      if (std::ranges::count(step.outputs, v) > 0) first = std::min(first, i), last = i;
      if (std::ranges::count(step.inputs, v) > 0) last = i;
    }
    if (value.role != Role::kTemporary || first == plan.program.steps.size()) continue;
    const uint64_t bytes =
        value.count * value.element_bytes * (value.per_example ? plan.max_batch : 1);
    lives.push_back({plan.slots[v].offset, plan.slots[v].offset + bytes, first, last, v});
  }
  return lives;
}

TEST(PlanTest, ValuesThatLiveAtTheSameTimeShareNoMemory) {
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const Result<Plan> plan = MakePlan(TrainingProgram(row.graph), 5);
    ASSERT_TRUE(plan);
    const std::vector<Life> lives = Lives(*plan);
    for (const Life& a : lives) {
      EXPECT_EQ(a.begin % 64, 0u);
      EXPECT_LE(a.end, plan->arena_bytes);
      for (const Life& b : lives) {
        if (a.value >= b.value || a.last < b.first || b.last < a.first) continue;
        // An elementwise step may write where its dying input was.
        const Life& early = a.first < b.first ? a : b;
        const Life& late = a.first < b.first ? b : a;
        const Step& step = plan->program.steps[late.first];
        const bool in_place =
            early.last == late.first && early.begin == late.begin && early.end == late.end &&
            std::ranges::any_of(TraitsOf(step.op).in_place, [&](const InPlace& pair) {
              return step.outputs[pair.output] == late.value &&
                     step.inputs[pair.input] == early.value;
            });
        EXPECT_TRUE(in_place || a.end <= b.begin || b.end <= a.begin)
            << "values " << a.value << " and " << b.value;
      }
    }
  }
}

TEST(PlanTest, AWorkspaceSharesNoMemoryWithWhatItsStepNeeds) {
  const Result<Plan> plan = MakePlan(TrainingProgram(Builtin("cnn-small")), 4);
  ASSERT_TRUE(plan);
  for (size_t i = 0; i < plan->program.steps.size(); ++i) {
    const Step& step = plan->program.steps[i];
    uint64_t bytes = 0;
    if (const auto* conv = std::get_if<Conv2dShape>(&step.shape)) {
      Conv2dShape shape = *conv;
      shape.batch = plan->max_batch;
      bytes = Conv2dWorkspace(shape) * sizeof(float);
    }
    const uint64_t begin = plan->workspace[i], end = begin + bytes;
    EXPECT_LE(end, plan->arena_bytes);
    for (const Life& life : Lives(*plan)) {
      if (i < life.first || life.last < i) continue;
      EXPECT_TRUE(end <= life.begin || life.end <= begin || bytes == 0) << "step " << i;
    }
  }
}

TEST(PlanTest, TheArenaIsSmallerThanTheSumOfAllValues) {
  for (const std::string& name : BuiltinModelNames()) {
    SCOPED_TRACE(name);
    const Result<Plan> training = MakePlan(TrainingProgram(Builtin(name)), 32);
    ASSERT_TRUE(training);
    if (name == "softmax-regression") continue;
    EXPECT_LT(training->arena_bytes, training->unshared_bytes * 9 / 10);
    const Result<Plan> inference = MakePlan(InferenceProgram(Builtin(name)), 32);
    ASSERT_TRUE(inference);
    EXPECT_LE(inference->arena_bytes, inference->unshared_bytes);
    // Beside what training needs, packed weights at most.
    uint64_t prepared = 0;
    for (const Step& step :
         std::span(inference->program.steps).first(inference->program.prepared_steps)) {
      for (const uint32_t output : step.outputs) {
        prepared += inference->program.values[output].count * sizeof(float) + 64;
      }
    }
    EXPECT_LE(inference->arena_bytes, training->arena_bytes + prepared);
  }
}

TEST(PlanTest, AnArenaOverOneGibibyteIsRefused) {
  const Result<Plan> plan = MakePlan(TrainingProgram(Builtin("mlp-256-128")), 1 << 20);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::kLimit);
  EXPECT_TRUE(plan.error().message.contains("1073741824")) << plan.error().message;
  const Result<Plan> wide = MakePlan(InferenceProgram(Builtin("mlp-2nn")), size_t{1} << 29);
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code, Code::kLimit);
}

TEST(ProgramTest, AReluBecomesPartOfTheLayerBeforeIt) {
  Program program = Lower(Builtin("cnn-small"), Mode::kInference);
  EXPECT_EQ(CountSteps(program, StepOp::kRelu), 3u);
  FuseRelu(program);
  EXPECT_EQ(CountSteps(program, StepOp::kRelu), 0u);
  EXPECT_EQ(std::ranges::count(program.steps, true, &Step::relu), 3);
}

TEST(ProgramTest, InInferenceANormalizationBecomesPartOfTheLayerBeforeIt) {
  const std::vector<uint32_t> attributes = {std::bit_cast<uint32_t>(1e-3f),
                                            std::bit_cast<uint32_t>(0.1f)};
  for (const uint32_t channels : {8u, 4u}) {
    SCOPED_TRACE(channels);
    TestGraph g({6}, 8);
    const uint32_t rows = g.Add(Op::kReshape, {g.Dense(0, 6, 8)}, {}, {8 / channels, channels});
    g.Dense(g.Relu(g.Norm(Op::kBatchNorm, rows, channels, attributes)), 8, 8);
    const Program program = InferenceProgram(g.graph_);
    // Not where the normalization's channels are not the layer's.
    const bool folds = channels == 8;
    EXPECT_EQ(program.steps.size() - program.prepared_steps, folds ? 2u : 3u);
    EXPECT_EQ(CountSteps(program, StepOp::kMulRows), folds ? 1u : 0u);
    EXPECT_EQ(CountSteps(program, StepOp::kPackDense), 2u);
    EXPECT_EQ(std::ranges::count(program.steps, true, &Step::relu), 1);
  }
}

TEST(ProgramTest, AReluStaysWhenSomethingElseTakesItsInput) {
  TestGraph g({4}, 3);
  const uint32_t x = g.Dense(0, 4, 3);
  g.Add(Op::kAdd, {g.Relu(x), x});
  Program program = Lower(g.graph_, Mode::kInference);
  FuseRelu(program);
  EXPECT_EQ(CountSteps(program, StepOp::kRelu), 1u);
}

TEST(ProgramTest, TheFirstLayerHasNoGradientOfItsInput) {
  EXPECT_EQ(CountSteps(TrainingProgram(Builtin("mlp-2nn")), StepOp::kDenseGradInput), 2u);
  EXPECT_EQ(CountSteps(TrainingProgram(Builtin("mlp-2nn")), StepOp::kDenseGradWeights), 3u);
  EXPECT_EQ(CountSteps(TrainingProgram(Builtin("cnn-small")), StepOp::kConv2dGradInput), 1u);
  EXPECT_EQ(CountSteps(TrainingProgram(Builtin("cnn-small")), StepOp::kConv2dGradWeights), 2u);
}

TEST(ProgramTest, SharedParametersAddUpTheirGradients) {
  EXPECT_TRUE(ParametersAreUsedOnce(TrainingProgram(Builtin("mlp-2nn"))));
  TestGraph g({4}, 4);
  const uint32_t weights = g.Param({4, 4}), bias = g.Param({4});
  g.Add(Op::kDense, {g.Add(Op::kDense, {0}, {weights, bias})}, {weights, bias});
  EXPECT_FALSE(ParametersAreUsedOnce(TrainingProgram(g.graph_)));
}

TEST(ProgramTest, FlopsAreThoseOfTheProducts) {
  EXPECT_EQ(Flops(Lower(Builtin("mlp-256-128"), Mode::kInference)),
            2u * (784 * 256 + 256 * 128 + 128 * 10));
  // Forward and the gradient of the weights for every layer, of the input for all but the first.
  EXPECT_EQ(Flops(TrainingProgram(Builtin("mlp-256-128"))),
            2u * (2 * 784 * 256 + 3 * (256 * 128 + 128 * 10)));
  EXPECT_EQ(Flops(Lower(Builtin("cnn-small"), Mode::kInference)),
            2u * (26 * 26 * 9 * 32 + 24 * 24 * 9 * 32 * 64 + 9216 * 128 + 128 * 10));
}

}  // namespace
}  // namespace linnet
