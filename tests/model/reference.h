// The mean loss of a graph, interpreted in double straight from the graph: no program, no plan, no
// kernels. What central differences of it say is the truth that gradients are held against.
#ifndef LINNET_TESTS_MODEL_REFERENCE_H_
#define LINNET_TESTS_MODEL_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"
#include "reference_ops.h"

namespace linnet {

inline Doubles ReferenceConv(const ReferenceArgs& a) {
  const auto kernel = a.param_shape(0);
  const int height = int(a.in[0]), width = int(a.in[1]), channels = int(a.in[2]);
  const int group_in = int(kernel[2]), group_out = int(kernel[3]) / int(a.At(8));
  Doubles y(CountOf(a.out));
  for (size_t at = 0; at < y.size(); ++at) {
    const int o = int(at % a.out[2]), ox = int(at / a.out[2] % a.out[1]),
              oy = int(at / a.out[2] / a.out[1]);
    y[at] = a.param(1)[o];
    for (int ky = 0; ky < int(kernel[0]); ++ky)
      for (int kx = 0; kx < int(kernel[1]); ++kx) {
        const int row = oy * int(a.At(0)) + ky * int(a.At(6)) - int(a.At(2));
        const int col = ox * int(a.At(1)) + kx * int(a.At(7)) - int(a.At(3));
        if (row < 0 || col < 0 || row >= height || col >= width) continue;
        for (int c = 0; c < group_in; ++c)
          y[at] += a.x()[(row * width + col) * channels + o / group_out * group_in + c] *
                   a.param(0)[((ky * int(kernel[1]) + kx) * group_in + c) * int(kernel[3]) + o];
      }
  }
  return y;
}

// Dense and linear: each row of `in` elements.
inline Doubles ReferenceRows(const ReferenceArgs& a, size_t in) {
  const size_t out = a.out.back();
  Doubles y(CountOf(a.out));
  for (size_t at = 0; at < y.size(); ++at) {
    if (a.node.params.size() > 1) y[at] = a.param(1)[at % out];
    for (size_t i = 0; i < in; ++i) {
      y[at] += a.x()[at / out * in + i] * a.param(0)[i * out + at % out];
    }
  }
  return y;
}

inline Doubles ReferenceNode(const ReferenceArgs& a) {
  Doubles y(CountOf(a.out));
  const auto each = [&](auto value) {
    for (size_t i = 0; i < y.size(); ++i) y[i] = value(i);
    return y;
  };
  const Doubles &x = a.x(), &b = *a.inputs.back();
  switch (a.node.op) {
    case Op::kDense:
      return ReferenceRows(a, x.size());
    case Op::kLinear:
      return ReferenceRows(a, a.in.back());
    case Op::kConv2d:
      return ReferenceConv(a);
    case Op::kRelu:
      return each([&](size_t i) { return std::max(0.0, x[i]); });
    case Op::kMaxPool:
    case Op::kAvgPool:
      return ReferencePool(a);
    case Op::kFlatten:
    case Op::kReshape:
    case Op::kDropout:
      return x;
    case Op::kAdd:
      return each([&](size_t i) { return x[i] + b[i]; });
    case Op::kSub:
      return each([&](size_t i) { return x[i] - b[i]; });
    case Op::kMul:
      return each([&](size_t i) { return x[i] * b[i]; });
    case Op::kAddParam:
      return each([&](size_t i) { return x[i] + a.param(0)[i % CountOf(a.param_shape(0))]; });
    case Op::kMulParam:
      return each([&](size_t i) { return x[i] * a.param(0)[i % CountOf(a.param_shape(0))]; });
    case Op::kBatchNorm:
    case Op::kLayerNorm:
    case Op::kGroupNorm:
      return ReferenceNorm(a);
    case Op::kGelu:
    case Op::kSilu:
    case Op::kSigmoid:
    case Op::kTanh:
    case Op::kLeakyRelu:
    case Op::kClip:
    case Op::kScale:
      return each([&](size_t i) { return ReferenceActivation(a, x[i]); });
    case Op::kSoftmax:
      return ReferenceSoftmaxRows(x, a.in.back());
    case Op::kGlobalAvgPool:
    case Op::kReduceMean:
    case Op::kReduceSum:
      return ReferenceReduce(a);
    case Op::kMatmul:
      return ReferenceMatmul(a);
    case Op::kEmbedding:
      return each([&](size_t i) {
        const size_t dim = a.out.back();
        return a.param(0)[size_t(x[i / dim]) * dim + i % dim];
      });
    case Op::kGru:
      return ReferenceGru(a);
    case Op::kAttention:
      return ReferenceAttention(a);
    case Op::kConcat:
      return ReferenceConcat(a);
    case Op::kTranspose:
    case Op::kSlice:
    case Op::kPad:
      return each([&](size_t i) {
        const int source = SourceOf(a, i);
        return source < 0 ? 0.0 : x[size_t(source)];
      });
  }
  return y;
}

// Batch norm as in training: by the statistics of all examples' values.
inline std::vector<Doubles> ReferenceBatchNorm(const ReferenceArgs& a,
                                               const std::vector<Doubles>& examples) {
  Doubles joined;
  for (const Doubles& x : examples) joined.insert(joined.end(), x.begin(), x.end());
  const size_t c = a.in.back(), count = examples[0].size();
  const auto channel = [=](size_t i) { return i % c; };
  joined = NormalizeGroups(joined, c, a.Float(0), channel, channel, a.param(0), a.param(1));
  std::vector<Doubles> all;
  for (size_t b = 0; b < examples.size(); ++b) {
    const auto first = joined.begin() + std::ptrdiff_t(b * count);
    all.emplace_back(first, first + std::ptrdiff_t(count));
  }
  return all;
}

// The outputs of each example of x[batch, InputCount()].
inline std::vector<Doubles> ReferenceOutputs(const Graph& graph, const Doubles& parameters,
                                             std::span<const float> x, bool training) {
  const auto shapes = InferShapes(graph).value();
  const size_t batch = x.size() / graph.InputCount();
  // By value, then by example.
  std::vector<std::vector<Doubles>> values(1);
  for (size_t b = 0; b < batch; ++b) {
    const auto example = x.subspan(b * graph.InputCount(), graph.InputCount());
    values[0].emplace_back(example.begin(), example.end());
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<Doubles> outputs;
    for (size_t b = 0; b < batch; ++b) {
      ReferenceArgs args{
          .node = node,
          .in = shapes[node.inputs[0]],
          .out = shapes[i + 1],
          .inputs = {},
          .param =
              [&](size_t p) { return parameters.data() + graph.params[node.params[p]].offset; },
          .param_shape = [&](size_t p) { return graph.params[node.params[p]].shape; }};
      for (const uint32_t input : node.inputs) args.inputs.push_back(&values[input][b]);
      if (node.op == Op::kBatchNorm && training) {
        outputs = ReferenceBatchNorm(args, values[node.inputs[0]]);
        break;
      }
      outputs.push_back(ReferenceNode(args));
    }
    values.push_back(std::move(outputs));
  }
  return values.back();
}

// The mean loss of training: softmax cross-entropy in nats by labels y, or the mean squared error
// by targets.
inline double ReferenceLoss(const Graph& graph, const Doubles& parameters, std::span<const float> x,
                            std::span<const int32_t> y, std::span<const float> targets = {}) {
  const std::vector<Doubles> outputs = ReferenceOutputs(graph, parameters, x, true);
  Doubles all;
  for (const Doubles& example : outputs) all.insert(all.end(), example.begin(), example.end());
  double loss = 0;
  if (graph.loss == Loss::kMse) {
    for (size_t i = 0; i < all.size(); ++i) loss += (all[i] - targets[i]) * (all[i] - targets[i]);
    return loss / double(all.size());
  }
  const size_t classes = graph.classes, rows = all.size() / classes;
  for (size_t row = 0; row < rows; ++row) {
    const double* logits = all.data() + row * classes;
    const double largest = *std::max_element(logits, logits + classes);
    double sum = 0;
    for (size_t i = 0; i < classes; ++i) sum += std::exp(logits[i] - largest);
    loss += std::log(sum) + largest - logits[y[row]];
  }
  return loss / double(rows);
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_REFERENCE_H_
