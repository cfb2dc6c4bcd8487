#include <algorithm>
#include <set>

#include "model/model.h"
#include "model/ops.h"

namespace linnet {
namespace {

Status CheckText(std::string_view what, std::string_view text) {
  constexpr size_t kMaxName = 128;
  if (text.empty() || text.size() > kMaxName) {
    return Fail(Code::kInvalid, what, " has ", text.size(), " bytes, wanted 1 to ", kMaxName);
  }
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (!std::ranges::all_of(text, printable)) {
    return Fail(Code::kInvalid, what, " has a byte that is not printable ASCII");
  }
  return {};
}

Status CheckShape(std::string_view what, const Shape& shape) {
  if (shape.empty() || shape.size() > kMaxRank) {
    return Fail(Code::kInvalid, what, " has rank ", shape.size(), ", wanted 1 to ", kMaxRank);
  }
  if (std::ranges::find(shape, 0u) != shape.end()) {
    return Fail(Code::kInvalid, what, " is ", ShapeText(shape), ", wanted no zero");
  }
  if (ElementCount(shape) > kMaxElements) {
    return Fail(Code::kInvalid, what, " is ", ShapeText(shape), ", wanted at most ", kMaxElements,
                " elements");
  }
  return {};
}

Status CheckParams(const Graph& graph) {
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (size_t i = 0; i < graph.params.size(); ++i) {
    const ParamInfo& param = graph.params[i];
    LINNET_TRY_STATUS(CheckText(StrCat("the name of parameter ", i), param.name));
    const std::string what = StrCat("parameter ", i, " (", param.name, ")");
    if (!names.insert(param.name).second) {
      return Fail(Code::kInvalid, what, " has the name of an earlier one");
    }
    LINNET_TRY_STATUS(CheckShape(what, param.shape));
    if (param.count != ElementCount(param.shape) || param.offset != offset) {
      return Fail(Code::kInvalid, what, " has count ", param.count, " at offset ", param.offset,
                  ", wanted ", ElementCount(param.shape), " at ", offset);
    }
    offset += param.count;
    if (offset > kMaxElements) {
      return Fail(Code::kInvalid, what, " makes ", offset, " parameters, wanted at most ",
                  kMaxElements);
    }
  }
  return {};
}

// A value or parameter that nothing reads would be bytes without a meaning.
Status CheckUses(const Graph& graph) {
  std::vector<bool> value_used(graph.nodes.size() + 1), param_used(graph.params.size());
  for (const Node& node : graph.nodes) {
    for (const uint32_t input : node.inputs) value_used[input] = true;
    for (const uint32_t param : node.params) param_used[param] = true;
  }
  for (size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
    if (!value_used[i + 1]) {
      return Fail(Code::kInvalid, NodeText(graph, i),
                  ": no node takes its output, and only the last may be the graph's");
    }
  }
  for (size_t i = 0; i < graph.params.size(); ++i) {
    if (!param_used[i]) {
      return Fail(Code::kInvalid, "parameter ", i, " (", graph.params[i].name,
                  ") is used by no node");
    }
  }
  return {};
}

Result<Shape> InferNode(const Graph& graph, size_t index, const std::vector<Shape>& shapes) {
  const Node& node = graph.nodes[index];
  const OpTraits* traits = FindOp(node.op);
  if (traits == nullptr) {
    return Fail(Code::kUnsupported, "node ", index, ": operator ", static_cast<int>(node.op),
                " is unknown");
  }
  const std::string where = NodeText(graph, index);
  const auto check_count = [&](std::string_view what, size_t found, CountRange wanted) -> Status {
    if (wanted.min <= found && found <= wanted.max) return {};
    const std::string text =
        wanted.min == wanted.max ? StrCat(wanted.min) : StrCat(wanted.min, " to ", wanted.max);
    return Fail(Code::kInvalid, where, " has ", found, " ", what, ", wanted ", text);
  };
  LINNET_TRY_STATUS(check_count("inputs", node.inputs.size(), traits->inputs));
  LINNET_TRY_STATUS(check_count("parameters", node.params.size(), traits->params));
  LINNET_TRY_STATUS(check_count("attributes", node.attributes.size(), traits->attributes));
  OpArguments arguments{.inputs = {}, .params = {}, .attributes = node.attributes};
  for (const uint32_t input : node.inputs) {
    if (input > index) {
      return Fail(Code::kInvalid, where, " takes value ", input,
                  ", wanted one made before it, 0 to ", index);
    }
    arguments.inputs.push_back(&shapes[input]);
  }
  for (size_t i = 0; i < node.params.size(); ++i) {
    const uint32_t param = node.params[i];
    if (param >= graph.params.size()) {
      return Fail(Code::kInvalid, where, " uses parameter ", param, " of ", graph.params.size());
    }
    const ParamInfo& info = graph.params[param];
    const bool is_buffer = info.role == ParamRole::kBuffer;
    if (is_buffer != (i >= traits->first_buffer)) {
      return Fail(Code::kInvalid, where, ": ", info.name, " is a ",
                  is_buffer ? "buffer, wanted a weight" : "weight, wanted a buffer");
    }
    arguments.params.push_back(&info.shape);
  }
  Result<Shape> shape = traits->infer(arguments);
  if (!shape) return Annotate(shape.error(), where);
  LINNET_TRY_STATUS(CheckShape(StrCat("the output of ", where), *shape));
  return shape;
}

}  // namespace

std::string NodeText(const Graph& graph, size_t index) {
  return StrCat("node ", index, " (", OpName(graph.nodes[index].op), ")");
}

uint64_t Graph::ParamCount() const {
  return params.empty() ? 0 : params.back().offset + params.back().count;
}

uint64_t Graph::InputCount() const { return ElementCount(input_shape); }

Result<std::vector<Shape>> InferShapes(const Graph& graph) {
  LINNET_TRY_STATUS(CheckShape("the input", graph.input_shape));
  if (graph.nodes.empty() || graph.nodes.size() > kMaxNodes) {
    return Fail(Code::kInvalid, "the graph has ", graph.nodes.size(), " nodes, wanted 1 to ",
                kMaxNodes);
  }
  LINNET_TRY_STATUS(CheckParams(graph));
  std::vector<Shape> shapes = {graph.input_shape};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    LINNET_TRY(Shape shape, InferNode(graph, i, shapes));
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

Status ValidateGraph(const Graph& graph) {
  LINNET_TRY_STATUS(CheckText("the graph's name", graph.name));
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  if (graph.params.empty()) return Fail(Code::kInvalid, "the graph has no parameters");
  if (graph.loss != Loss::kCrossEntropy && graph.loss != Loss::kMse) {
    return Fail(Code::kInvalid, "the graph's loss is ", static_cast<int>(graph.loss),
                ", wanted 0 (cross-entropy) or 1 (mean squared error)");
  }
  LINNET_TRY_STATUS(CheckUses(graph));
  const bool mse = graph.loss == Loss::kMse;
  const uint32_t min_classes = mse ? 1 : 2;
  if (graph.classes < min_classes) {
    return Fail(Code::kInvalid, "the graph has ", graph.classes, " classes, wanted ", min_classes,
                " or more");
  }
  const Shape& output = shapes.back();
  const std::string last = NodeText(graph, graph.nodes.size() - 1);
  if (mse && ElementCount(output) != graph.classes) {
    return Fail(Code::kInvalid, last, ": the last output is ", ShapeText(output), ", wanted ",
                graph.classes, " values, the graph's classes");
  }
  if (!mse && output.back() != graph.classes) {
    return Fail(Code::kInvalid, last, ": the last output is ", ShapeText(output), ", wanted [",
                output.size() > 1 ? "..., " : "", graph.classes, "], one logit for each class");
  }
  return {};
}

}  // namespace linnet
