// The model as a value: a graph, and its parameters in one flat vector.
#ifndef LINNET_MODEL_MODEL_H_
#define LINNET_MODEL_MODEL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"

namespace linnet {

// Operators of the graph. Values are stable: they stand in `.linnet` files.
enum class Op : uint16_t {
  kDense = 1,   // x[b, in] w[in, out] + bias[out]; a higher-rank x is flattened
  kConv2d = 2,  // NHWC; attributes stride, pad
  kRelu = 3,
  kMaxPool = 4,  // attribute size (= stride)
  kFlatten = 5,
  kAdd = 6,  // elementwise sum of two values of one shape (residual paths)
};
// "dense", "conv2d", ...; empty for a value that is no operator.
std::string_view OpName(Op op);

struct Node {
  Op op;
  std::vector<uint32_t> inputs;  // value ids: 0 = the graph's input, i + 1 = node i's output
  std::vector<uint32_t> params;  // indices into Graph::params (dense, conv2d: weights, bias)
  std::vector<uint32_t> attributes;
  friend bool operator==(const Node&, const Node&) = default;
};

// One named tensor of parameters, at `offset` elements in the flat vector.
struct ParamInfo {
  std::string name;  // "dense1.weight"
  std::vector<uint32_t> shape;
  uint64_t offset = 0, count = 0;
  friend bool operator==(const ParamInfo&, const ParamInfo&) = default;
};

// Nodes in topological order; the last node's output is the logits [batch, classes].
struct Graph {
  std::string name;                   // "mlp-2nn"
  std::vector<uint32_t> input_shape;  // of one example
  uint32_t classes = 0;
  std::vector<Node> nodes;
  std::vector<ParamInfo> params;  // layout order
  uint64_t ParamCount() const;
  uint64_t InputCount() const;  // elements of one example
  friend bool operator==(const Graph&, const Graph&) = default;
};

// Checks every shape, reference and size; kInvalid names the node and what was wanted. Everything
// from outside goes through it. Limits: 4096 nodes, 2^28 parameters, rank 8.
Status ValidateGraph(const Graph& graph);
// The shape of each value (0 = input, i + 1 = node i) for one example.
Result<std::vector<std::vector<uint32_t>>> InferShapes(const Graph& graph);

struct Model {
  Graph graph;
  std::vector<float> parameters;  // graph.ParamCount() values in layout order
};

// "mlp-2nn" (784-200-200-10), "mlp-256-128", "cnn-small", "softmax-regression"; `input_shape` and
// `classes` may differ from 28x28x1 and 10 (csv data). Weights by He/Glorot uniform from the seed,
// the same bits on every target. kNotFound lists the known names.
Result<Model> BuiltinModel(std::string_view name, const Seed& seed,
                           std::vector<uint32_t> input_shape = {28, 28, 1}, uint32_t classes = 10);
std::vector<std::string> BuiltinModelNames();

// The `.linnet` format: canonical bytes (one model, one byte string): little-endian, fixed header,
// graph, 64-byte-aligned tensors in layout order. Blake2b of the bytes names the model.
Bytes SaveModel(const Model& model);
// kData for malformed, truncated or non-canonical bytes and for values that are not finite.
Result<Model> LoadModel(ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_MODEL_MODEL_H_
