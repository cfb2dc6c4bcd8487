// Graphs built node by node.
#ifndef LINNET_TESTS_MODEL_TEST_GRAPH_H_
#define LINNET_TESTS_MODEL_TEST_GRAPH_H_

#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/model.h"

namespace linnet {

// Builds a graph node by node. Node functions take and return value ids.
class TestGraph {
 public:
  TestGraph(std::vector<uint32_t> input_shape, uint32_t classes) {
    graph_.name = "test";
    graph_.input_shape = std::move(input_shape);
    graph_.classes = classes;
  }
  uint32_t Param(std::vector<uint32_t> shape) {
    uint64_t count = 1;
    for (const uint32_t size : shape) count *= size;
    const std::string name = "p" + std::to_string(graph_.params.size());
    graph_.params.push_back({name, std::move(shape), graph_.ParamCount(), count});
    return uint32_t(graph_.params.size() - 1);
  }
  uint32_t Add(Op op, std::vector<uint32_t> inputs, std::vector<uint32_t> params = {},
               std::vector<uint32_t> attributes = {}) {
    graph_.nodes.push_back({op, std::move(inputs), std::move(params), std::move(attributes)});
    return uint32_t(graph_.nodes.size());
  }
  uint32_t Dense(uint32_t x, uint32_t in, uint32_t out) {
    const uint32_t weights = Param({in, out}), bias = Param({out});
    return Add(Op::kDense, {x}, {weights, bias});
  }
  uint32_t Conv(uint32_t x, std::vector<uint32_t> kernel, uint32_t stride, uint32_t pad) {
    const uint32_t out = kernel[3];
    const uint32_t weights = Param(std::move(kernel)), bias = Param({out});
    return Add(Op::kConv2d, {x}, {weights, bias}, {stride, stride, pad, pad, pad, pad, 1, 1, 1});
  }
  uint32_t Linear(uint32_t x, uint32_t in, uint32_t out) {
    const uint32_t weights = Param({in, out}), bias = Param({out});
    return Add(Op::kLinear, {x}, {weights, bias});
  }
  uint32_t Gru(uint32_t x, uint32_t in, uint32_t hidden, std::vector<uint32_t> attributes) {
    const uint32_t w_input = Param({in, 3 * hidden}), w_hidden = Param({hidden, 3 * hidden});
    const uint32_t b_input = Param({3 * hidden}), b_hidden = Param({3 * hidden});
    return Add(Op::kGru, {x}, {w_input, w_hidden, b_input, b_hidden}, std::move(attributes));
  }
  uint32_t Norm(Op op, uint32_t x, uint32_t channels, std::vector<uint32_t> attributes) {
    std::vector<uint32_t> params = {Param({channels}), Param({channels})};
    if (op == Op::kBatchNorm) {
      for (int i = 0; i < 2; ++i) {
        params.push_back(Param({channels}));
        graph_.params.back().role = ParamRole::kBuffer;
      }
    }
    return Add(op, {x}, std::move(params), std::move(attributes));
  }
  uint32_t Relu(uint32_t x) { return Add(Op::kRelu, {x}); }
  uint32_t Pool(uint32_t x, uint32_t size) {
    return Add(Op::kMaxPool, {x}, {}, {size, size, size, size, 0, 0, 0, 0});
  }
  Graph graph_;
};

inline uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_TEST_GRAPH_H_
