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

namespace linnet {

using Doubles = std::vector<double>;

inline Doubles ReferenceNode(const Node& node, const Graph& graph, const Doubles& parameters,
                             const std::vector<uint32_t>& in_shape,
                             const std::vector<uint32_t>& out_shape,
                             const std::vector<const Doubles*>& inputs) {
  const Doubles& x = *inputs[0];
  size_t out_count = 1;
  for (const uint32_t size : out_shape) out_count *= size;
  Doubles y(out_count);
  const auto param = [&](size_t i) {
    return parameters.data() + graph.params[node.params[i]].offset;
  };
  switch (node.op) {
    case Op::kDense:
      for (size_t o = 0; o < out_count; ++o) {
        y[o] = param(1)[o];
        for (size_t i = 0; i < x.size(); ++i) y[o] += x[i] * param(0)[i * out_count + o];
      }
      break;
    case Op::kConv2d: {
      const auto& kernel = graph.params[node.params[0]].shape;
      const int stride = int(node.attributes[0]), pad = int(node.attributes[2]);
      const int height = int(in_shape[0]), width = int(in_shape[1]), channels = int(in_shape[2]);
      for (size_t at = 0; at < out_count; ++at) {
        const int o = int(at % out_shape[2]), ox = int(at / out_shape[2] % out_shape[1]),
                  oy = int(at / out_shape[2] / out_shape[1]);
        y[at] = param(1)[o];
        for (int ky = 0; ky < int(kernel[0]); ++ky)
          for (int kx = 0; kx < int(kernel[1]); ++kx) {
            const int row = oy * stride + ky - pad, col = ox * stride + kx - pad;
            if (row < 0 || col < 0 || row >= height || col >= width) continue;
            for (int c = 0; c < channels; ++c)
              y[at] += x[(row * width + col) * channels + c] *
                       param(0)[((ky * int(kernel[1]) + kx) * channels + c) * int(kernel[3]) + o];
          }
      }
      break;
    }
    case Op::kRelu:
      for (size_t i = 0; i < out_count; ++i) y[i] = std::max(0.0, x[i]);
      break;
    case Op::kMaxPool: {
      const size_t size = node.attributes[0];
      std::fill(y.begin(), y.end(), -1e300);
      for (size_t row = 0; row < out_shape[0] * size; ++row)
        for (size_t col = 0; col < out_shape[1] * size; ++col)
          for (size_t c = 0; c < out_shape[2]; ++c) {
            double& best = y[(row / size * out_shape[1] + col / size) * out_shape[2] + c];
            best = std::max(best, x[(row * in_shape[1] + col) * out_shape[2] + c]);
          }
      break;
    }
    case Op::kFlatten:
      y = x;
      break;
    case Op::kAdd:
      for (size_t i = 0; i < out_count; ++i) y[i] = x[i] + (*inputs[1])[i];
      break;
    default:
      break;
  }
  return y;
}

// The logits of one example of a valid graph.
inline Doubles ReferenceLogits(const Graph& graph, const Doubles& parameters,
                               std::span<const float> example) {
  const auto shapes = InferShapes(graph).value();
  std::vector<Doubles> values = {Doubles(example.begin(), example.end())};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    std::vector<const Doubles*> inputs;
    for (const uint32_t input : graph.nodes[i].inputs) inputs.push_back(&values[input]);
    Doubles y = ReferenceNode(graph.nodes[i], graph, parameters, shapes[graph.nodes[i].inputs[0]],
                              shapes[i + 1], inputs);
    values.push_back(std::move(y));
  }
  return values.back();
}

// Mean softmax cross-entropy in nats.
inline double ReferenceLoss(const Graph& graph, const Doubles& parameters, std::span<const float> x,
                            std::span<const int32_t> y) {
  double loss = 0;
  for (size_t b = 0; b < y.size(); ++b) {
    const Doubles logits =
        ReferenceLogits(graph, parameters, x.subspan(b * graph.InputCount(), graph.InputCount()));
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit - largest);
    loss += std::log(sum) + largest - logits[y[b]];
  }
  return loss / double(y.size());
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_REFERENCE_H_
