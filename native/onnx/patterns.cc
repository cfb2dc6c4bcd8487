// Operators that exporters write as several nodes.
#include <cmath>

#include "native/onnx/importer.h"

namespace linnet::onnx {
namespace {

class Matcher {
 public:
  Matcher(const GraphProto& graph, const ImportState& state) : graph_(graph), state_(state) {
    for (int i = 0; i < graph.node_size(); ++i) {
      for (const std::string& output : graph.node(i).output()) makers_[output] = i;
      for (const std::string& input : graph.node(i).input()) readers_[input].push_back(i);
    }
  }
  const NodeProto& node(int i) const { return graph_.node(i); }
  bool is(int i, std::string_view op) const {
    return i >= 0 && node(i).op_type() == op && node(i).output_size() > 0;
  }
  // The node that makes a value; -1 for none.
  int Maker(const std::string& name) const {
    const auto found = makers_.find(name);
    return found == makers_.end() ? -1 : found->second;
  }
  // The only reader of a node's output; -1 when there are more or it is the graph's output.
  int Reader(int i) const {
    const std::string& name = node(i).output(0);
    const auto found = readers_.find(name);
    if (name == state_.output || found == readers_.end() || found->second.size() != 1) return -1;
    return found->second[0];
  }
  // The other input of a node of two.
  std::string Other(int i, const std::string& input) const {
    if (node(i).input_size() != 2) return {};
    return node(i).input(0) == input ? node(i).input(1) : node(i).input(0);
  }
  const Tensor* Constant(const std::string& name) const {
    const auto found = state_.values.find(name);
    return found == state_.values.end() ? nullptr : std::get_if<Tensor>(&found->second);
  }
  bool IsNumber(const std::string& name, double value) const {
    const Tensor* tensor = Constant(name);
    return tensor != nullptr && tensor->stored() == 1 &&
           std::abs(tensor->Float(0) - value) < 1e-3 * std::abs(value);
  }
  bool IsVector(const std::string& name) const {
    const Tensor* tensor = Constant(name);
    return tensor != nullptr && tensor->dims.size() == 1;
  }
  // A constant that is known when the pattern is read: perhaps with axes of size 1 put in.
  bool IsChannels(const std::string& name) const {
    const Tensor* tensor = Constant(name);
    if (tensor == nullptr) {
      const int maker = Maker(name);
      return is(maker, "Unsqueeze") && IsVector(node(maker).input(0));
    }
    return CountOf(tensor->dims) > 0 &&
           std::ranges::count_if(tensor->dims, [](int64_t size) { return size != 1; }) <= 1;
  }
  bool IsAll(const std::string& name, float value) const {
    const Tensor* tensor = Constant(name);
    if (tensor == nullptr || tensor->integer) return false;
    return std::ranges::all_of(tensor->floats, [&](float each) { return each == value; });
  }
  bool MeansLastAxis(int i) const {
    if (!is(i, "ReduceMean") || node(i).input_size() < 1) return false;
    for (const AttributeProto& attribute : node(i).attribute()) {
      if (attribute.name() == "axes") return attribute.ints_size() == 1 && attribute.ints(0) == -1;
      if (attribute.name() == "keepdims" && attribute.i() == 0) return false;
    }
    return node(i).input_size() == 2 && IsNumber(node(i).input(1), -1);
  }

 private:
  const GraphProto& graph_;
  const ImportState& state_;
  std::unordered_map<std::string, int> makers_;
  std::unordered_map<std::string, std::vector<int>> readers_;
};

// x/2 (1 + erf(x / sqrt 2)), with the half at either end.
bool MatchGelu(const Matcher& m, int erf, Fusion& fusion, std::vector<int>& nodes) {
  if (!m.is(erf, "Erf") || m.node(erf).input_size() != 1) return false;
  const int inner = m.Maker(m.node(erf).input(0));
  if (inner < 0 || m.Reader(inner) != erf || m.node(inner).input_size() != 2) return false;
  const auto input = [&](int i) { return m.node(inner).input(i); };
  std::string x;
  if (m.is(inner, "Div") && m.IsNumber(input(1), std::sqrt(2.0))) x = input(0);
  if (m.is(inner, "Mul")) {
    if (m.IsNumber(input(1), std::sqrt(0.5))) x = input(0);
    if (m.IsNumber(input(0), std::sqrt(0.5))) x = input(1);
  }
  const int plus = m.Reader(erf);
  if (x.empty() || !m.is(plus, "Add") || !m.IsNumber(m.Other(plus, m.node(erf).output(0)), 1))
    return false;
  const int first = m.Reader(plus);
  if (!m.is(first, "Mul")) return false;
  const std::string other = m.Other(first, m.node(plus).output(0));
  fusion = {.op = Op::kGelu, .input = x, .scale = {}, .shift = {}, .epsilon = 0, .groups = 0};
  nodes = {inner, erf, plus, first};
  const int half = m.Maker(other);
  if (m.is(half, "Mul") && m.Reader(half) == first && m.IsNumber(m.Other(half, x), 0.5)) {
    nodes.insert(nodes.begin(), half);
    return true;  // (x/2) (1 + erf)
  }
  const int second = m.Reader(first);
  if (!m.is(second, "Mul")) return false;
  const std::string last = m.Other(second, m.node(first).output(0));
  nodes.push_back(second);
  return (other == x && m.IsNumber(last, 0.5)) || (m.IsNumber(other, 0.5) && last == x);
}

// (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + shift
bool MatchLayerNorm(const Matcher& m, int root, Fusion& fusion, std::vector<int>& nodes) {
  if (!m.is(root, "Sqrt") || m.node(root).input_size() != 1) return false;
  const int plus = m.Maker(m.node(root).input(0));
  if (!m.is(plus, "Add") || m.Reader(plus) != root || m.node(plus).input_size() != 2) return false;
  const bool swapped = m.Constant(m.node(plus).input(0)) != nullptr;
  const Tensor* epsilon = m.Constant(m.node(plus).input(swapped ? 0 : 1));
  const int mean = m.Maker(m.node(plus).input(swapped ? 1 : 0));
  if (epsilon == nullptr || epsilon->stored() != 1 || !m.MeansLastAxis(mean) ||
      m.Reader(mean) != plus)
    return false;
  const int square = m.Maker(m.node(mean).input(0));
  const bool power = m.is(square, "Pow") && m.node(square).input_size() == 2 &&
                     m.IsNumber(m.node(square).input(1), 2);
  const bool product = m.is(square, "Mul") && m.node(square).input_size() == 2 &&
                       m.node(square).input(0) == m.node(square).input(1);
  if ((!power && !product) || m.Reader(square) != mean) return false;
  const std::string centred = m.node(square).input(0);
  const int minus = m.Maker(centred);
  if (!m.is(minus, "Sub") || m.node(minus).input_size() != 2) return false;
  const std::string x = m.node(minus).input(0);
  const int centre = m.Maker(m.node(minus).input(1));
  if (!m.MeansLastAxis(centre) || m.node(centre).input(0) != x) return false;
  const int over = m.Reader(root);
  if (!m.is(over, "Div") || m.node(over).input_size() != 2 || m.node(over).input(0) != centred)
    return false;
  fusion = {.op = Op::kLayerNorm,
            .input = x,
            .scale = {},
            .shift = {},
            .epsilon = epsilon->Float(0),
            .groups = 0};
  nodes = {centre, minus, square, mean, plus, root, over};
  const int times = m.Reader(over);
  if (!m.is(times, "Mul") || !m.IsVector(m.Other(times, m.node(over).output(0)))) return true;
  fusion.scale = m.Other(times, m.node(over).output(0));
  nodes.push_back(times);
  const int shift = m.Reader(times);
  if (!m.is(shift, "Add") || !m.IsVector(m.Other(shift, m.node(times).output(0)))) return true;
  fusion.shift = m.Other(shift, m.node(times).output(0));
  nodes.push_back(shift);
  return true;
}

// The groups of channels as those of an instance norm: reshaped to [batch, groups, rest] and back,
// then a scale and a shift for each channel.
bool MatchGroupNorm(const Matcher& m, int norm, Fusion& fusion, std::vector<int>& nodes) {
  if (!m.is(norm, "InstanceNormalization") || m.node(norm).input_size() != 3) return false;
  const int before = m.Maker(m.node(norm).input(0)), after = m.Reader(norm);
  if (!m.is(before, "Reshape") || m.Reader(before) != norm || !m.is(after, "Reshape") ||
      m.node(before).input_size() != 2 || !m.IsAll(m.node(norm).input(1), 1) ||
      !m.IsAll(m.node(norm).input(2), 0)) {
    return false;
  }
  const Tensor* dims = m.Constant(m.node(before).input(1));
  if (dims == nullptr || !dims->integer || dims->integers.size() != 3 || dims->Integer(1) <= 0 ||
      dims->Integer(2) != -1) {
    return false;
  }
  fusion = {.op = Op::kGroupNorm,
            .input = m.node(before).input(0),
            .scale = {},
            .shift = {},
            .epsilon = 1e-5f,
            .groups = dims->Integer(1),
            .shape = m.node(after).input_size() == 2 ? m.node(after).input(1) : ""};
  for (const AttributeProto& attribute : m.node(norm).attribute()) {
    if (attribute.name() == "epsilon") fusion.epsilon = attribute.f();
  }
  nodes = {before, norm, after};
  const int times = m.Reader(after);
  if (!m.is(times, "Mul") || !m.IsChannels(m.Other(times, m.node(after).output(0)))) return true;
  fusion.scale = m.Other(times, m.node(after).output(0));
  nodes.push_back(times);
  const int plus = m.Reader(times);
  if (!m.is(plus, "Add") || !m.IsChannels(m.Other(plus, m.node(times).output(0)))) return true;
  fusion.shift = m.Other(plus, m.node(times).output(0));
  nodes.push_back(plus);
  return true;
}

// x sigmoid(x)
bool MatchSilu(const Matcher& m, int gate, Fusion& fusion, std::vector<int>& nodes) {
  if (!m.is(gate, "Sigmoid") || m.node(gate).input_size() != 1) return false;
  const int times = m.Reader(gate);
  const std::string x = m.node(gate).input(0);
  if (!m.is(times, "Mul") || m.Other(times, m.node(gate).output(0)) != x) return false;
  fusion = {.op = Op::kSilu, .input = x, .scale = {}, .shift = {}, .epsilon = 0, .groups = 0};
  nodes = {gate, times};
  return true;
}

}  // namespace

Fusions FindFusions(const GraphProto& graph, const ImportState& state) {
  const Matcher matcher(graph, state);
  Fusions fusions;
  fusions.replaced.resize(static_cast<size_t>(graph.node_size()));
  for (int i = 0; i < graph.node_size(); ++i) {
    Fusion fusion;
    std::vector<int> nodes;
    if (!MatchGelu(matcher, i, fusion, nodes) && !MatchLayerNorm(matcher, i, fusion, nodes) &&
        !MatchGroupNorm(matcher, i, fusion, nodes) && !MatchSilu(matcher, i, fusion, nodes)) {
      continue;
    }
    for (const int node : nodes) fusions.replaced[static_cast<size_t>(node)] = true;
    fusions.replaced[static_cast<size_t>(nodes.back())] = false;
    fusions.at[nodes.back()] = std::move(fusion);
  }
  return fusions;
}

namespace {

// A group norm that gives its groups back as x has them; its scale and shift are of the channels.
Status ReadGroups(Call& call, const View& x, const Fusion& fusion) {
  const auto tensor = [&](const std::string& name) -> const Tensor* {
    const auto found = call.state.values.find(name);
    return found == call.state.values.end() ? nullptr : std::get_if<Tensor>(&found->second);
  };
  const Tensor* shape = tensor(fusion.shape);
  bool fits = shape != nullptr && shape->count() == static_cast<int64_t>(x.rank());
  for (size_t i = 1; fits && i < x.rank(); ++i) {
    const int64_t size = shape->Integer(i);
    fits = size == x.size(i) || size == 0 || size == -1;
  }
  if (!fits) {
    return Fail(Code::kUnsupported, "it reshapes the groups of ", DimsText(x.dims()),
                " to another shape");
  }
  for (const std::string& name : {fusion.scale, fusion.shift}) {
    const Tensor* vector = tensor(name);
    if (vector == nullptr || vector->count() == 1) continue;
    const size_t behind = x.rank() - 2, rank = vector->dims.size();
    if (rank <= behind || vector->dims[rank - 1 - behind] != vector->count()) {
      return Fail(Code::kUnsupported, "it scales or shifts groups by ", DimsText(vector->dims),
                  ", supported is a value for each channel");
    }
  }
  return ReturnGroupNorm(call, x, fusion.groups, fusion.epsilon, tensor(fusion.scale),
                         tensor(fusion.shift));
}

}  // namespace

Status ReadFusion(Call& call, const Fusion& fusion) {
  const auto found = call.state.values.find(fusion.input);
  const View* x = found == call.state.values.end() ? nullptr : std::get_if<View>(&found->second);
  if (x == nullptr || x->rank() == 0) return Fail(Code::kUnsupported, "it works on a constant");
  if (fusion.op == Op::kGroupNorm) return ReadGroups(call, *x, fusion);
  if (fusion.op != Op::kLayerNorm) {
    std::vector<uint32_t> attributes;
    if (fusion.op == Op::kGelu) attributes = {0};
    LINNET_TRY(View y, call.builder.EmitUnary(fusion.op, *x, {}, std::move(attributes)));
    return call.Return(std::move(y));
  }
  LINNET_TRY(const View at, call.builder.MoveLast(*x, x->rank() - 1));
  const auto vector = [&](const std::string& name, std::string_view what,
                          float otherwise) -> Result<uint32_t> {
    const uint32_t width = at.stored.back();
    if (name.empty()) return call.FilledParam(what, width, otherwise);
    const Tensor& tensor = std::get<Tensor>(call.state.values.at(name));
    if (tensor.count() != width) {
      return Fail(Code::kInvalid, "its ", what, " is ", DimsText(tensor.dims), ", wanted [", width,
                  "]");
    }
    std::vector<float> values(width);
    for (size_t i = 0; i < width; ++i) values[i] = tensor.Float(i);
    return call.Param(tensor, what, {width}, std::move(values));
  };
  LINNET_TRY(const uint32_t scale, vector(fusion.scale, "scale", 1));
  LINNET_TRY(const uint32_t shift, vector(fusion.shift, "shift", 0));
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kLayerNorm, at, {scale, shift},
                                            {std::bit_cast<uint32_t>(fusion.epsilon)}));
  return call.Return(std::move(y));
}

}  // namespace linnet::onnx
