// The shapes that operators give (ops.cc has the table), and the checks they share.
#ifndef LINNET_MODEL_OPS_INFER_H_
#define LINNET_MODEL_OPS_INFER_H_

#include "model/ops.h"

namespace linnet {

// ops_layers.cc: products with weights, embeddings, recurrence, attention
Result<Shape> InferDense(const OpArguments& arguments);
Result<Shape> InferLinear(const OpArguments& arguments);
Result<Shape> InferEmbedding(const OpArguments& arguments);
Result<Shape> InferGru(const OpArguments& arguments);
Result<Shape> InferAttention(const OpArguments& arguments);
Result<Shape> InferMatmul(const OpArguments& arguments);
// ops_image.cc: convolution, pooling, normalization
Result<Shape> InferConv2d(const OpArguments& arguments);
Result<Shape> InferMaxPool(const OpArguments& arguments);
Result<Shape> InferAvgPool(const OpArguments& arguments);
Result<Shape> InferGlobalAvgPool(const OpArguments& arguments);
Result<Shape> InferPad(const OpArguments& arguments);
Result<Shape> InferBatchNorm(const OpArguments& arguments);
Result<Shape> InferLayerNorm(const OpArguments& arguments);
Result<Shape> InferGroupNorm(const OpArguments& arguments);
// ops_shape.cc: element by element, and what moves elements
Result<Shape> InferSame(const OpArguments& arguments);
Result<Shape> InferElementwise(const OpArguments& arguments);
Result<Shape> InferGelu(const OpArguments& arguments);
Result<Shape> InferLeakyRelu(const OpArguments& arguments);
Result<Shape> InferClip(const OpArguments& arguments);
Result<Shape> InferScale(const OpArguments& arguments);
Result<Shape> InferDropout(const OpArguments& arguments);
Result<Shape> InferParamBroadcast(const OpArguments& arguments);
Result<Shape> InferFlatten(const OpArguments& arguments);
Result<Shape> InferReshape(const OpArguments& arguments);
Result<Shape> InferTranspose(const OpArguments& arguments);
Result<Shape> InferConcat(const OpArguments& arguments);
Result<Shape> InferSlice(const OpArguments& arguments);
Result<Shape> InferReduce(const OpArguments& arguments);

// "the bias is [5], wanted [4]"
Status CheckVector(std::string_view what, const Shape& found, uint64_t width);
Status CheckRange(std::string_view what, uint64_t found, uint64_t min, uint64_t max);
Status CheckFlag(std::string_view what, uint32_t found);
// A finite float attribute in [min, max].
Status CheckFloat(std::string_view what, uint32_t attribute, float min, float max);
// epsilon: finite and above 0.
Status CheckEpsilon(uint32_t attribute);

}  // namespace linnet

#endif  // LINNET_MODEL_OPS_INFER_H_
