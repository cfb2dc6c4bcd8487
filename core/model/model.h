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

// Operators of the graph. Values are stable: they stand in `.linnet` files. Shapes are those of one
// example, images are [height, width, channels], axes count from 0 (the batch is none of them).
// `{...}` are the attributes, in order; those marked f32 are std::bit_cast<uint32_t>(float).
enum class Op : uint16_t {
  // x; w[in, out], b[out] -> [out]; a higher-rank x is flattened.
  kDense = 1,
  // x[h, w, c]; w[kh, kw, c / groups, out], b[out]
  // {stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w, groups}
  kConv2d = 2,
  kRelu = 3,
  // x[h, w, c] {size_h, size_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right};
  // windows that do not fit are dropped, padding is never the maximum.
  kMaxPool = 4,
  kFlatten = 5,  // -> [elements]
  kAdd = 6,      // a + b of one shape
  // As max_pool, and {..., count_include_pad 0 | 1}: whether padding counts in the divisor.
  kAvgPool = 7,
  kGlobalAvgPool = 8,  // x[h, w, c] -> [c]
  // x[..., c]; scale[c], shift[c], mean[c] and variance[c] (buffers) {epsilon f32, momentum f32}.
  // Training normalizes by the batch and sets running = (1 - momentum) running + momentum batch
  // (the variance with the divisor n - 1), inference normalizes by the buffers. Ioffe and Szegedy
  // (2015), in PyTorch's form.
  kBatchNorm = 9,
  kLayerNorm = 10,  // x[..., c]; scale[c], shift[c] {epsilon f32}, over the last axis
  // x[h, w, c]; scale[c], shift[c] {groups, epsilon f32}, over h, w and the channels of a group.
  kGroupNorm = 11,
  kGelu = 12,  // {0 by erf | 1 by tanh}
  kSilu = 13,  // x sigmoid(x)
  kSigmoid = 14,
  kTanh = 15,
  kSoftmax = 16,    // over the last axis
  kLeakyRelu = 17,  // {slope f32}: x where x > 0, else slope x
  kClip = 18,       // {low f32, high f32}
  kLinear = 19,     // x[..., in]; w[in, out] and, if any, b[out] -> [..., out]
  // ids[...]; table[vocabulary, dim] -> [..., dim]. Ids are whole numbers in f32, rounded down and
  // held to [0, vocabulary); they get no gradient.
  kEmbedding = 20,
  // x[t, i]; w_input[i, 3 h], w_hidden[h, 3 h], b_input[3 h], b_hidden[3 h] {return_sequence 0 | 1,
  // reset_after 0 | 1, reverse 0 | 1} -> [t, h] or the last [h]. Gates in the order reset, update,
  // new; reset_after applies the reset gate behind the hidden product (cuDNN, PyTorch), else before
  // it (Cho et al. 2014). The state starts as zeros.
  kGru = 21,
  // qkv[t, 3 d] = q | k | v, each heads x (d / heads) {heads, causal 0 | 1} -> [t, d], scaled by
  // 1 / sqrt(d / heads). Vaswani et al. (2017), section 3.2.
  kAttention = 22,
  kMul = 23,         // a * b of one shape
  kSub = 24,         // a - b of one shape
  kScale = 25,       // {factor f32}
  kAddParam = 26,    // x; p of the shape of x's last axes, added to each of the rest
  kMulParam = 27,    // the same, multiplied
  kMatmul = 28,      // a[..., m, k], b[..., k, n] {transpose_a 0 | 1, transpose_b 0 | 1}
  kConcat = 29,      // two or more {axis}
  kReshape = 30,     // {dimensions...}
  kTranspose = 31,   // {permutation...}: the output's axis i is x's axis permutation[i]
  kReduceMean = 32,  // {axis, keep 0 | 1}; keep leaves an axis of size 1
  kReduceSum = 33,   // {axis, keep 0 | 1}
  kSlice = 34,       // {axis, begin, end}
  kDropout = 35,     // {rate f32}: inference passes x on, training scales what stays
  kPad = 36,         // x[h, w, c] {top, left, bottom, right} with zeros
};
// "dense", "conv2d", ...; empty for a value that is no operator.
std::string_view OpName(Op op);

struct Node {
  Op op;
  std::vector<uint32_t> inputs;  // value ids: 0 = the graph's input, i + 1 = node i's output
  std::vector<uint32_t> params;  // indices into Graph::params
  std::vector<uint32_t> attributes;
  friend bool operator==(const Node&, const Node&) = default;
};

// What a tensor of parameters is. Values are stable.
enum class ParamRole : uint8_t {
  kWeight = 0,
  kBuffer = 1,  // kept by the forward pass (statistics of batch norm): it never has a gradient
};

// One named tensor of parameters, at `offset` elements in the flat vector.
struct ParamInfo {
  std::string name;  // "dense1.weight"
  std::vector<uint32_t> shape;
  uint64_t offset = 0, count = 0;
  ParamRole role = ParamRole::kWeight;
  bool frozen = false;  // not trained: no gradient, no step of the optimizer
  friend bool operator==(const ParamInfo&, const ParamInfo&) = default;
};

// What training minimizes: the mean over the batch, and over the rows of one example. Values are
// stable.
enum class Loss : uint8_t {
  // Softmax cross-entropy in nats; the output is [..., classes], one label for each of its rows.
  kCrossEntropy = 0,
  // The mean of (output - target)^2; `classes` is the number of outputs.
  kMse = 1,
};

// Nodes in topological order; the last node's output is the graph's.
struct Graph {
  std::string name;                   // "mlp-2nn"
  std::vector<uint32_t> input_shape;  // of one example
  uint32_t classes = 0;
  std::vector<Node> nodes;
  std::vector<ParamInfo> params;  // layout order
  Loss loss = Loss::kCrossEntropy;
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

// Models by name, weights drawn from the seed by each layer's role: the same bits on every target.
//   mlp-2nn (784-200-200-10), mlp-256-128, softmax-regression      any input
//   cnn-small, cnn-mnist (McMahan et al. 2017), dscnn-small (depthwise separable, batch norm),
//   lenet-niid                                                     [height, width, channels]
//   autoencoder[:19-20-8-20-19] (tanh, mean squared error; all widths)   any input
//   gru-char, transformer-tiny[:LAYERS-HEADS-WIDTH] (4-4-64)       ids [context]
// With 28x28x1 or 64 symbols as input, 10 classes or 65 symbols as output. kNotFound lists the
// known names, kInvalid says what shape or numbers are wanted.
Result<Model> BuiltinModel(std::string_view name, const Seed& seed);
// For other data: `classes` is the vocabulary of a text; an autoencoder's outputs are its inputs.
Result<Model> BuiltinModel(std::string_view name, const Seed& seed,
                           std::vector<uint32_t> input_shape, uint32_t classes);
// Without what may follow a colon.
std::vector<std::string> BuiltinModelNames();

// The `.linnet` format: canonical bytes (one model, one byte string): little-endian, fixed header,
// graph, 64-byte-aligned tensors in layout order. Blake2b of the bytes names the model.
Bytes SaveModel(const Model& model);
// kData for malformed, truncated or non-canonical bytes and for values that are not finite.
Result<Model> LoadModel(ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_MODEL_MODEL_H_
