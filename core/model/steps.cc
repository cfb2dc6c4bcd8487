#include "model/steps.h"

#include "model/steps_families.h"

namespace linnet {
namespace {

constexpr InPlace kFirst[] = {{0, 0}};
constexpr InPlace kSecond[] = {{0, 1}};
constexpr InPlace kEither[] = {{0, 0}, {0, 1}};
constexpr InPlace kNormGrad[] = {{0, 4}};
constexpr InPlace kGates[] = {{1, 0}};

// In the order of StepOp: run, gradient, workspace, in place.
constexpr StepTraits kSteps[] = {
    {StepOp::kDense, RunDense, DenseGradient, DenseWorkspace},
    {StepOp::kDenseGradInput, RunDenseGradInput, nullptr, DenseWorkspace},
    {StepOp::kDenseGradWeights, RunDenseGradWeights, nullptr, DenseWorkspace},
    {StepOp::kBiasGrad, RunBiasGrad, nullptr, BiasGradWorkspace},
    {StepOp::kMatmul, RunMatmul, MatmulGradient, MatmulWorkspace},
    {StepOp::kConv2d, RunConv2d, ConvGradient, ConvWorkspace},
    {StepOp::kConv2dGradInput, RunConv2dGradInput, nullptr, ConvWorkspace},
    {StepOp::kConv2dGradWeights, RunConv2dGradWeights, nullptr, ConvWorkspace},
    {StepOp::kPackDense, RunPackDense},
    {StepOp::kPackConv2d, RunPackConv2d},
    {StepOp::kRelu, RunRelu, ReluGradient, nullptr, kFirst},
    {StepOp::kReluGrad, RunReluGrad, nullptr, nullptr, kSecond},
    {StepOp::kActivation, RunActivation, ActivationGradient, nullptr, kFirst},
    {StepOp::kActivationGrad, RunActivationGrad, nullptr, nullptr, kSecond},
    {StepOp::kAdd, RunAdd, AddGradient, nullptr, kEither},
    {StepOp::kSub, RunSub, SubGradient, nullptr, kEither},
    {StepOp::kMul, RunMul, MulGradient, nullptr, kEither},
    {StepOp::kScale, RunScale, SameGradient, nullptr, kFirst},
    {StepOp::kDropout, RunDropout, SameGradient, nullptr, kFirst},
    {StepOp::kAddRows, RunAddRows, AddRowsGradient, nullptr, kFirst},
    {StepOp::kMulRows, RunMulRows, MulRowsGradient, nullptr, kFirst},
    {StepOp::kMulRowsGrad, RunMulRowsGrad},
    {StepOp::kAffineRows, RunAffineRows, nullptr, nullptr, kFirst},
    {StepOp::kFakeQuantize, RunFakeQuantize, FakeQuantizeGradient},
    {StepOp::kFakeQuantizeGrad, RunFakeQuantizeGrad, nullptr, nullptr, kSecond},
    {StepOp::kGradientAdd, RunGradientAdd},
    {StepOp::kBatchNorm, RunBatchNorm, BatchNormGradient, NormalizationWorkspace},
    {StepOp::kBatchNormGrad, RunBatchNormGrad, nullptr, NormalizationWorkspace, kNormGrad},
    {StepOp::kBatchNormUpdate, RunBatchNormUpdate},
    {StepOp::kBatchNormFold, RunBatchNormFold},
    {StepOp::kLayerNorm, RunLayerNorm, LayerNormGradient},
    {StepOp::kLayerNormGrad, RunLayerNormGrad, nullptr, NormalizationWorkspace, kNormGrad},
    {StepOp::kGroupNorm, RunGroupNorm, GroupNormGradient, NormalizationWorkspace},
    {StepOp::kGroupNormGrad, RunGroupNormGrad, nullptr, NormalizationWorkspace, kNormGrad},
    {StepOp::kSoftmax, RunSoftmax, SoftmaxGradient, nullptr, kFirst},
    {StepOp::kSoftmaxGrad, RunSoftmaxGrad, nullptr, nullptr, kEither},
    {StepOp::kMaxPool, RunMaxPool, MaxPoolGradient},
    {StepOp::kMaxPoolGrad, RunMaxPoolGrad},
    {StepOp::kAvgPool, RunAvgPool, AvgPoolGradient},
    {StepOp::kAvgPoolGrad, RunAvgPoolGrad},
    {StepOp::kPad, RunPad, PadGradient},
    {StepOp::kCrop, RunCrop},
    {StepOp::kReduce, RunReduce, ReduceGradient},
    {StepOp::kSpread, RunSpread},
    {StepOp::kTranspose, RunTranspose, TransposeGradient},
    {StepOp::kConcat, RunConcat, ConcatGradient},
    {StepOp::kSlice, RunSlice, SliceGradient},
    {StepOp::kSliceGrad, RunSliceGrad},
    {StepOp::kEmbedding, RunEmbedding, EmbeddingGradient},
    {StepOp::kEmbeddingGrad, RunEmbeddingGrad},
    {StepOp::kGru, RunGru, GruGradient, GruWorkspace, kGates},
    {StepOp::kGruGrad, RunGruGrad, nullptr, GruWorkspace},
    {StepOp::kGruGradWeights, RunGruGradWeights, nullptr, GruGradWeightsWorkspace},
    {StepOp::kAttention, RunAttention, AttentionGradient, AttentionStepWorkspace},
    {StepOp::kAttentionGrad, RunAttentionGrad, nullptr, AttentionStepWorkspace},
    {StepOp::kCrossEntropy, RunCrossEntropy},
    {StepOp::kSquaredError, RunSquaredError},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < std::size(kSteps); ++i) {
    if (static_cast<size_t>(kSteps[i].op) != i) return false;
  }
  return std::size(kSteps) == static_cast<size_t>(StepOp::kSquaredError) + 1;
}
static_assert(IsInOrder());

}  // namespace

const StepTraits& TraitsOf(StepOp op) { return kSteps[static_cast<size_t>(op)]; }

void Execute(const Plan& plan, const Kernels& kernels, PlanRun& run) {
  LINNET_CHECK(run.batch >= 1 && run.batch <= plan.max_batch);
  for (size_t i = plan.program.prepared_steps; i < plan.program.steps.size(); ++i) {
    TraitsOf(plan.program.steps[i].op).run(StepRun(plan, kernels, run, i));
  }
}

void Prepare(const Plan& plan, const Kernels& kernels, PlanRun& run) {
  LINNET_CHECK(run.batch == 1);
  for (size_t i = 0; i < plan.program.prepared_steps; ++i) {
    TraitsOf(plan.program.steps[i].op).run(StepRun(plan, kernels, run, i));
  }
}

}  // namespace linnet
