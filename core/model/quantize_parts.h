// What the files of quantization share.
#ifndef LINNET_MODEL_QUANTIZE_PARTS_H_
#define LINNET_MODEL_QUANTIZE_PARTS_H_

#include <span>
#include <vector>

#include "model/quantize.h"

namespace linnet {

// `least_scales` (one for each column, or none) bounds the scales of kInt8 from below.
QuantizedTensor QuantizeTensor(const ParamInfo& param, WeightFormat format, const float* values,
                               std::span<const float> least_scales);
void DequantizeTensor(const ParamInfo& param, const QuantizedTensor& tensor, float* values);

// kUnsupported names a node that is not computed in 8 bits.
Status CheckInt8Operators(const Graph& graph);

// For each value the one that stands for it in 8 bits: of a layer whose output only a rectifier
// (relu or clip) reads, the rectifier's output; of any other value, itself.
std::vector<uint32_t> RectifiedValues(const Graph& graph);

// Whether a node hands its input's codes on: flatten, reshape, dropout, max_pool.
bool KeepsCodes(Op op);

// The codes for ranges that include zero; low <= 0 <= high.
ActivationCode CodeForRange(float low, float high);

// The model up to one of its values (1 and up), which is flattened; `shape` is that value's.
Model UpTo(const Model& model, uint32_t value, const std::vector<uint32_t>& shape);

// Puts each batch norm that alone reads a dense, linear or convolution into that layer. Parameters
// that are no longer used are dropped.
Model FoldBatchNorm(const Model& model);

}  // namespace linnet

#endif  // LINNET_MODEL_QUANTIZE_PARTS_H_
