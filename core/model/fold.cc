// Graphs made of graphs: batch norm as part of the layer before it, for inference; a graph up to
// one of its values.
#include <algorithm>
#include <cmath>

#include "model/ops.h"
#include "model/quantize_parts.h"

namespace linnet {
namespace {

bool HasOutputChannels(Op op) { return op == Op::kDense || op == Op::kLinear || op == Op::kConv2d; }

// How many nodes read each value; the graph's output counts as read once more.
std::vector<uint32_t> CountReaders(const Graph& graph) {
  std::vector<uint32_t> readers(graph.nodes.size() + 1);
  for (const Node& node : graph.nodes) {
    for (const uint32_t input : node.inputs) ++readers[input];
  }
  ++readers[graph.nodes.size()];
  return readers;
}

// How many nodes use each parameter.
std::vector<uint32_t> CountUses(const Graph& graph) {
  std::vector<uint32_t> uses(graph.params.size());
  for (const Node& node : graph.nodes) {
    for (const uint32_t param : node.params) ++uses[param];
  }
  return uses;
}

// Drops parameters without a use and closes the gaps.
Model Compact(const Model& model) {
  const std::vector<uint32_t> uses = CountUses(model.graph);
  Model out{.graph = model.graph, .parameters = {}};
  out.graph.params.clear();
  std::vector<uint32_t> moved(uses.size());
  for (size_t i = 0; i < uses.size(); ++i) {
    if (uses[i] == 0) continue;
    moved[i] = static_cast<uint32_t>(out.graph.params.size());
    ParamInfo param = model.graph.params[i];
    const float* values = model.parameters.data() + param.offset;
    param.offset = out.parameters.size();
    out.parameters.insert(out.parameters.end(), values, values + param.count);
    out.graph.params.push_back(std::move(param));
  }
  for (Node& node : out.graph.nodes) {
    for (uint32_t& param : node.params) param = moved[param];
  }
  return out;
}

}  // namespace

std::vector<uint32_t> RectifiedValues(const Graph& graph) {
  const std::vector<uint32_t> readers = CountReaders(graph);
  std::vector<uint32_t> stands(graph.nodes.size() + 1);
  for (uint32_t i = 0; i < stands.size(); ++i) stands[i] = i;
  for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != Op::kRelu && node.op != Op::kClip) continue;
    const uint32_t x = node.inputs[0];
    if (x == 0 || readers[x] != 1 || stands[x] != x) continue;
    const Op maker = graph.nodes[x - 1].op;
    if (HasOutputChannels(maker) || maker == Op::kAdd) stands[x] = i + 1;
  }
  return stands;
}

Model FoldBatchNorm(const Model& model) {
  const std::vector<uint32_t> readers = CountReaders(model.graph), uses = CountUses(model.graph);
  Model out{.graph = model.graph, .parameters = model.parameters};
  std::vector<uint32_t> moved = {0};  // value ids of the new graph
  out.graph.nodes.clear();
  for (uint32_t i = 0; i < model.graph.nodes.size(); ++i) {
    Node node = model.graph.nodes[i];
    for (uint32_t& input : node.inputs) input = moved[input];
    const uint32_t x = model.graph.nodes[i].inputs[0];
    if (node.op == Op::kBatchNorm && x > 0 && readers[x] == 1) {
      const Node& layer = model.graph.nodes[x - 1];
      if (HasOutputChannels(layer.op) && layer.params.size() == 2 && uses[layer.params[0]] == 1 &&
          uses[layer.params[1]] == 1) {
        const auto at = [&](uint32_t param) {
          return out.parameters.data() + model.graph.params[param].offset;
        };
        const float epsilon = FloatAttribute(node.attributes[0]);
        const ParamInfo& weights = model.graph.params[layer.params[0]];
        const size_t channels = weights.shape.back();
        for (size_t j = 0; j < channels; ++j) {
          const float factor = at(node.params[0])[j] / std::sqrt(at(node.params[3])[j] + epsilon);
          for (size_t k = j; k < weights.count; k += channels) at(layer.params[0])[k] *= factor;
          float& bias = at(layer.params[1])[j];
          bias = (bias - at(node.params[2])[j]) * factor + at(node.params[1])[j];
        }
        moved.push_back(moved[x]);
        continue;
      }
    }
    out.graph.nodes.push_back(std::move(node));
    moved.push_back(static_cast<uint32_t>(out.graph.nodes.size()));
  }
  return Compact(out);
}

Model UpTo(const Model& model, uint32_t value, const Shape& shape) {
  const Graph& from = model.graph;
  std::vector<bool> wanted(value + 1);
  wanted[value] = true;
  for (uint32_t i = value; i > 0; --i) {
    if (!wanted[i]) continue;
    for (const uint32_t input : from.nodes[i - 1].inputs) wanted[input] = true;
  }
  Model out;
  out.graph.name = from.name;
  out.graph.input_shape = from.input_shape;
  out.graph.classes = static_cast<uint32_t>(ElementCount(shape));
  std::vector<uint32_t> moved(value + 1), moved_params(from.params.size(), ~uint32_t{0});
  for (uint32_t i = 1; i <= value; ++i) {
    if (!wanted[i]) continue;
    Node node = from.nodes[i - 1];
    for (uint32_t& input : node.inputs) input = moved[input];
    for (uint32_t& param : node.params) {
      uint32_t& to = moved_params[param];
      if (to == ~uint32_t{0}) {
        to = static_cast<uint32_t>(out.graph.params.size());
        ParamInfo info = from.params[param];
        const float* values = model.parameters.data() + info.offset;
        info.offset = out.parameters.size();
        out.parameters.insert(out.parameters.end(), values, values + info.count);
        out.graph.params.push_back(std::move(info));
      }
      param = to;
    }
    out.graph.nodes.push_back(std::move(node));
    moved[i] = static_cast<uint32_t>(out.graph.nodes.size());
  }
  out.graph.nodes.push_back(
      {.op = Op::kFlatten, .inputs = {moved[value]}, .params = {}, .attributes = {}});
  return out;
}

}  // namespace linnet
