// The functions that steps.cc lists, by the files they are in.
#ifndef LINNET_MODEL_STEPS_FAMILIES_H_
#define LINNET_MODEL_STEPS_FAMILIES_H_

#include "model/ops.h"
#include "model/steps.h"

namespace linnet {

// steps_products.cc
void RunDense(const StepRun& r);
void RunDenseGradInput(const StepRun& r);
void RunDenseGradWeights(const StepRun& r);
void RunBiasGrad(const StepRun& r);
void RunMatmul(const StepRun& r);
void RunPackDense(const StepRun& r);
void DenseGradient(Differentiator& d, const Step& step, uint32_t dy);
void MatmulGradient(Differentiator& d, const Step& step, uint32_t dy);
uint64_t DenseWorkspace(const Step& step, size_t batch, size_t workers);
uint64_t MatmulWorkspace(const Step& step, size_t batch, size_t workers);
// The gradient of what is added to each of `rows` rows.
uint64_t BiasGradWorkspace(const Step& step, size_t batch, size_t workers);
Step BiasGradStep(uint32_t dy, size_t rows, size_t cols);

// steps_image.cc
void RunConv2d(const StepRun& r);
void RunConv2dGradInput(const StepRun& r);
void RunConv2dGradWeights(const StepRun& r);
void RunPackConv2d(const StepRun& r);
void RunMaxPool(const StepRun& r);
void RunMaxPoolGrad(const StepRun& r);
void RunAvgPool(const StepRun& r);
void RunAvgPoolGrad(const StepRun& r);
void RunPad(const StepRun& r);
void RunCrop(const StepRun& r);
void ConvGradient(Differentiator& d, const Step& step, uint32_t dy);
void MaxPoolGradient(Differentiator& d, const Step& step, uint32_t dy);
void AvgPoolGradient(Differentiator& d, const Step& step, uint32_t dy);
void PadGradient(Differentiator& d, const Step& step, uint32_t dy);
uint64_t ConvWorkspace(const Step& step, size_t batch, size_t workers);

// steps_elementwise.cc
void RunRelu(const StepRun& r);
void RunReluGrad(const StepRun& r);
void RunActivation(const StepRun& r);
void RunActivationGrad(const StepRun& r);
void RunAdd(const StepRun& r);
void RunSub(const StepRun& r);
void RunMul(const StepRun& r);
void RunScale(const StepRun& r);
void RunDropout(const StepRun& r);
void RunAddRows(const StepRun& r);
void RunMulRows(const StepRun& r);
void RunMulRowsGrad(const StepRun& r);
void RunAffineRows(const StepRun& r);
void RunGradientAdd(const StepRun& r);
void ReluGradient(Differentiator& d, const Step& step, uint32_t dy);
void ActivationGradient(Differentiator& d, const Step& step, uint32_t dy);
void AddGradient(Differentiator& d, const Step& step, uint32_t dy);
void SubGradient(Differentiator& d, const Step& step, uint32_t dy);
void MulGradient(Differentiator& d, const Step& step, uint32_t dy);
void SameGradient(Differentiator& d, const Step& step, uint32_t dy);
void AddRowsGradient(Differentiator& d, const Step& step, uint32_t dy);
void MulRowsGradient(Differentiator& d, const Step& step, uint32_t dy);

// fake_quantize.cc
void RunFakeQuantize(const StepRun& r);
void RunFakeQuantizeGrad(const StepRun& r);
void FakeQuantizeGradient(Differentiator& d, const Step& step, uint32_t dy);

// steps_norm.cc
void RunBatchNorm(const StepRun& r);
void RunBatchNormGrad(const StepRun& r);
void RunBatchNormUpdate(const StepRun& r);
void RunBatchNormFold(const StepRun& r);
void RunLayerNorm(const StepRun& r);
void RunLayerNormGrad(const StepRun& r);
void RunGroupNorm(const StepRun& r);
void RunGroupNormGrad(const StepRun& r);
void RunSoftmax(const StepRun& r);
void RunSoftmaxGrad(const StepRun& r);
void RunCrossEntropy(const StepRun& r);
void RunSquaredError(const StepRun& r);
void BatchNormGradient(Differentiator& d, const Step& step, uint32_t dy);
void LayerNormGradient(Differentiator& d, const Step& step, uint32_t dy);
void GroupNormGradient(Differentiator& d, const Step& step, uint32_t dy);
void SoftmaxGradient(Differentiator& d, const Step& step, uint32_t dy);
uint64_t NormalizationWorkspace(const Step& step, size_t batch, size_t workers);

// steps_shape.cc
void RunReduce(const StepRun& r);
void RunSpread(const StepRun& r);
void RunTranspose(const StepRun& r);
void RunConcat(const StepRun& r);
void RunSlice(const StepRun& r);
void RunSliceGrad(const StepRun& r);
void ReduceGradient(Differentiator& d, const Step& step, uint32_t dy);
void TransposeGradient(Differentiator& d, const Step& step, uint32_t dy);
void ConcatGradient(Differentiator& d, const Step& step, uint32_t dy);
void SliceGradient(Differentiator& d, const Step& step, uint32_t dy);

// steps_sequence.cc
void RunEmbedding(const StepRun& r);
void RunEmbeddingGrad(const StepRun& r);
void RunGru(const StepRun& r);
void RunGruGrad(const StepRun& r);
void RunGruGradWeights(const StepRun& r);
void RunAttention(const StepRun& r);
void RunAttentionGrad(const StepRun& r);
void EmbeddingGradient(Differentiator& d, const Step& step, uint32_t dy);
void GruGradient(Differentiator& d, const Step& step, uint32_t dy);
void AttentionGradient(Differentiator& d, const Step& step, uint32_t dy);
uint64_t GruWorkspace(const Step& step, size_t batch, size_t workers);
uint64_t GruGradWeightsWorkspace(const Step& step, size_t batch, size_t workers);
uint64_t AttentionStepWorkspace(const Step& step, size_t batch, size_t workers);

}  // namespace linnet

#endif  // LINNET_MODEL_STEPS_FAMILIES_H_
