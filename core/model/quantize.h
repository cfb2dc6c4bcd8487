// Models whose weights take 8 or 4 bits, and the passes that make them.
#ifndef LINNET_MODEL_QUANTIZE_H_
#define LINNET_MODEL_QUANTIZE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace linnet {

// How a tensor of parameters is kept. Values are stable.
enum class WeightFormat : uint8_t {
  kF32 = 0,
  // w = code * scale[j], j the index along the last axis (the output channel); codes -127..127.
  kInt8 = 1,
  // The tensor as a matrix [rows, columns], columns = the last axis, in groups of kInt4Group rows:
  // w = (code - 8) * scale[group, column], codes 0..15, scales as IEEE half precision.
  kInt4 = 2,
};

// Rows of a column that share a scale.
inline constexpr size_t kInt4Group = 32;

struct QuantizedTensor {
  WeightFormat format = WeightFormat::kF32;
  std::vector<float> values;      // kF32: the parameters; kInt8: the scales
  std::vector<int8_t> int8;       // kInt8: count codes
  std::vector<uint8_t> int4;      // kInt4: [(rows + 1) / 2, columns], row 2i in the low four bits
  std::vector<uint16_t> scales4;  // kInt4: [groups, columns]
  friend bool operator==(const QuantizedTensor&, const QuantizedTensor&) = default;
};

// value = (code - zero_point) * scale, codes 0..127; scale 0: the value stays f32.
struct ActivationCode {
  float scale = 0;
  uint8_t zero_point = 0;
  friend bool operator==(const ActivationCode&, const ActivationCode&) = default;
};

// A value, as Model is. int8: tensors of two and more axes are kInt8 and each value of the graph
// has a code. int4: only the weights are quantized.
struct QuantizedModel {
  Graph graph;                              // batch norm is folded into the layer before it
  std::vector<QuantizedTensor> tensors;     // one for each of graph.params
  std::vector<ActivationCode> activations;  // one for each value (0 = input, i + 1 = node i)
  friend bool operator==(const QuantizedModel&, const QuantizedModel&) = default;
};

// Whether tensors and codes fit the graph and int8 models have operators that 8 bits know; kInvalid
// or kUnsupported says what does not.
Status ValidateQuantizedModel(const QuantizedModel& model);
// int8: the activations have codes.
bool HasInt8Activations(const QuantizedModel& model);

enum class Calibration : uint8_t {
  kPercentile,  // leaves out the 0.1 % of values that are farthest out
  kMinError,    // the range with the least mean squared error of the values
  kBetter,      // of the two the one whose outputs are nearer to those in f32
};

// Post-training quantization to 8 bits (Krishnamoorthi 2018): weights per output channel and
// symmetric, activations per tensor by their ranges on x[examples, InputCount()], some hundred
// examples. Operators: dense, linear, conv2d, relu, clip, max_pool, avg_pool, global_avg_pool,
// flatten, reshape, add, dropout, and batch_norm behind a dense, linear or conv2d; kUnsupported
// names a node that is something else. kInvalid: no examples.
Result<QuantizedModel> QuantizeInt8(const Model& model, std::span<const float> x,
                                    Calibration calibration, const Kernels& kernels);
// Weights of two and more axes in 4 bits, by groups; every operator. Each group takes of some
// scales the one with the least squared error.
Result<QuantizedModel> QuantizeInt4(const Model& model);

// The weights as they are computed with, in f32.
Model Dequantize(const QuantizedModel& model);

// ---- Quantization-aware training: forward with quantized weights, the gradient straight through
// to the f32 weights (Bengio et al. 2013; Jacob et al. 2018).
// Writes the parameters as the format would keep them to `out`; may be in place.
void FakeQuantize(const Graph& graph, WeightFormat format, std::span<const float> parameters,
                  std::span<float> out);

// A planned forward pass in 8 bits, or with 4-bit or sparse weights in the dense layers that the
// model is or ends in; the rest of it is computed in f32. After Create nothing
// allocates.
class QuantizedPredictor {
 public:
  // Work is cut over the executor's workers (null: this thread); it changes no bit.
  static Result<std::unique_ptr<QuantizedPredictor>> Create(const QuantizedModel& model,
                                                            size_t max_batch,
                                                            const Kernels& kernels,
                                                            Executor* executor = nullptr);
  // A model in f32 with zeros (prune.h): the weights of each layer of the chain of dense layers
  // that it is or ends in take the sparse form that is fastest for them, or none.
  static Result<std::unique_ptr<QuantizedPredictor>> CreateSparse(const Model& model,
                                                                  size_t max_batch,
                                                                  const Kernels& kernels);
  virtual ~QuantizedPredictor() = default;
  // output[batch, outputs] for x[batch, InputCount()]; 1 <= batch <= max_batch.
  virtual void Run(const float* x, size_t batch, float* output) = 0;
  // Of packed weights, and of the arena.
  virtual size_t weight_bytes() const = 0;
  virtual size_t arena_bytes() const = 0;
};

// The file of a quantized model, a kind of `.linnet` of its own: canonical (one model, one byte
// string), little-endian.
Bytes SaveQuantizedModel(const QuantizedModel& model);
// kData for malformed, truncated or non-canonical bytes.
Result<QuantizedModel> LoadQuantizedModel(ByteSpan bytes);
bool IsQuantizedModel(ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_MODEL_QUANTIZE_H_
