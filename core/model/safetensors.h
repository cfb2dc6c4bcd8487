// safetensors files in and out: named tensors without code, as other systems keep weights.
//
// The format: u64 length of the header, the header (JSON: for each tensor its dtype, shape and the
// range of its bytes), the bytes of all tensors one after the other.
#ifndef LINNET_MODEL_SAFETENSORS_H_
#define LINNET_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/model.h"

namespace linnet {

enum class TensorLayout : uint8_t {
  kLinnet,   // as Graph::params has them
  kPytorch,  // matrices [out, in], kernels [out, in, h, w], rows behind an image by [c, h, w]
};

struct SafetensorsOptions {
  TensorLayout layout = TensorLayout::kLinnet;
  // The tensor `first` of the file is the parameter `second` of the graph.
  std::vector<std::pair<std::string, std::string>> renames;
};

// The parameters of `graph`, each from the tensor of its name: F32, F16 or BF16. Every tensor of
// the file must be used, but for PyTorch's num_batches_tracked. kData for bytes that are no such
// file and values that are not finite, kInvalid, kNotFound and kUnsupported naming the tensor.
Result<Model> ReadSafetensors(ByteSpan bytes, const Graph& graph,
                              const SafetensorsOptions& options = {});

// F32, or BF16 rounded to nearest.
Bytes WriteSafetensors(const Model& model, TensorLayout layout = TensorLayout::kLinnet,
                       bool bf16 = false);

}  // namespace linnet

#endif  // LINNET_MODEL_SAFETENSORS_H_
