// Constants of an ONNX graph.
#ifndef LINNET_NATIVE_ONNX_TENSOR_H_
#define LINNET_NATIVE_ONNX_TENSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace linnet::onnx {

class TensorProto;

using Dims = std::vector<int64_t>;

// Stands for the size of the batch in every shape and in arithmetic with shapes. A prime above
// every size that is admitted, so what it divides contains the batch, and once only.
inline constexpr int64_t kBatch = 1'073'741'827;

// The product; -1 when it is negative or passes kBatch times the most elements a value may have.
int64_t CountOf(const Dims& dims);
// "[batch, 3, 224, 224]"
std::string DimsText(const Dims& dims);

// Either floats or integers (bool too). All elements equal: one value may stand for them, whatever
// the dims; so a shape with the batch in it can be filled without memory.
struct Tensor {
  Dims dims;
  bool integer = false;
  std::vector<float> floats;
  std::vector<int64_t> integers;
  std::string name;      // of the initializer, which is trained; "" for other constants
  bool is_int8 = false;  // integers that the file keeps as int8

  int64_t count() const { return CountOf(dims); }
  size_t stored() const { return integer ? integers.size() : floats.size(); }
  float Float(size_t i) const {
    if (integer) return static_cast<float>(Integer(i));
    return floats[floats.size() == 1 ? 0 : i];
  }
  int64_t Integer(size_t i) const {
    if (!integer) return static_cast<int64_t>(Float(i));
    return integers[integers.size() == 1 ? 0 : i];
  }
};

Tensor IntegerTensor(std::vector<int64_t> values);  // of rank 1

// kData when the data does not have the size of the dims, kUnsupported for other element types and
// for data in another file.
Result<Tensor> DecodeTensor(const TensorProto& proto);

// The tensor with axis i of the result = its axis permutation[i].
Tensor Permute(const Tensor& tensor, const std::vector<size_t>& permutation);
// Broadcast to `dims` as ONNX does; kInvalid when it does not fit, kLimit when it is too large.
Result<Tensor> Broadcast(const Tensor& tensor, const Dims& dims);
// The shape of an elementwise operation on the two.
Result<Dims> BroadcastDims(const Dims& a, const Dims& b);

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_TENSOR_H_
