#include "model/cost.h"

#include "model/ops.h"

namespace linnet {
namespace {

uint64_t NodeFlops(const Graph& graph, const Node& node, const std::vector<Shape>& shapes,
                   const Shape& out) {
  const uint64_t elements = ElementCount(out);
  const auto input = [&](size_t i) -> const Shape& { return shapes[node.inputs[i]]; };
  const auto param = [&](size_t i) -> const Shape& { return graph.params[node.params[i]].shape; };
  switch (node.op) {
    case Op::kDense:
    case Op::kLinear:
      return 2 * param(0)[0] * elements;
    case Op::kConv2d:
      return 2 * ElementCount(param(0)) / param(0)[3] * elements;
    case Op::kMaxPool:
    case Op::kAvgPool:
      return uint64_t{node.attributes[0]} * node.attributes[1] * elements;
    case Op::kGru:
      return 2 * input(0)[0] * (ElementCount(param(0)) + ElementCount(param(1)));
    case Op::kAttention: {
      const uint64_t t = out[0], d = out[1];
      return 4 * t * t * d;
    }
    case Op::kMatmul: {
      const Shape& a = input(0);
      return 2 * elements * a[a.size() - (node.attributes[0] != 0 ? 2 : 1)];
    }
    case Op::kGlobalAvgPool:
    case Op::kReduceMean:
    case Op::kReduceSum:
      return ElementCount(input(0));
    case Op::kFlatten:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kConcat:
    case Op::kSlice:
    case Op::kPad:
    case Op::kDropout:
    case Op::kEmbedding:
      return 0;
    default:
      return elements;
  }
}

}  // namespace

Result<std::vector<uint64_t>> CountFlops(const Graph& graph) {
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  std::vector<uint64_t> flops;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    flops.push_back(NodeFlops(graph, graph.nodes[i], shapes, shapes[i + 1]));
  }
  return flops;
}

}  // namespace linnet
