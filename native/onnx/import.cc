// The import of an ONNX file, node by node.
#include <algorithm>
#include <set>

#include "native/onnx/importer.h"
#include "native/onnx/onnx.h"

namespace linnet {
namespace onnx {
namespace {

constexpr int64_t kOldestOpset = 7, kNewestOpset = 21;
constexpr size_t kMaxFileNodes = 16 * kMaxNodes;

std::vector<OpRow> AllOps() {
  std::vector<OpRow> all;
  for (const auto rows : {ProductOps(), ImageOps(), ElementwiseOps(), ShapeOps(), QuantizedOps()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  std::ranges::sort(all, {}, &OpRow::name);
  return all;
}

std::string Supported() {
  std::string text;
  for (const OpRow& row : AllOps()) text += StrCat(text.empty() ? "" : ", ", row.name);
  return text;
}

// "node 12 (Conv, "/conv1/Conv")"
std::string NodeName(const GraphProto& graph, int index) {
  const NodeProto& node = graph.node(index);
  return StrCat("node ", index, " (", node.op_type(),
                node.name().empty() ? "" : StrCat(", \"", node.name(), "\""), ")");
}

Status CheckModel(const ModelProto& model, ImportState& state) {
  if (model.graph().node_size() == 0) return Fail(Code::kData, "it has no nodes");
  if (static_cast<size_t>(model.graph().node_size()) > kMaxFileNodes) {
    return Fail(Code::kLimit, "it has ", model.graph().node_size(), " nodes, wanted at most ",
                kMaxFileNodes);
  }
  for (const OperatorSetIdProto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") state.opset = opset.version();
  }
  if (state.opset < kOldestOpset || state.opset > kNewestOpset) {
    return Fail(Code::kVersion, "it is written in opset ", state.opset, ", supported are ",
                kOldestOpset, " to ", kNewestOpset);
  }
  return {};
}

// Which nodes the output needs. A node that takes a value made later or never is an error: the
// format wants topological order, so this is also how a cycle shows.
Result<std::vector<bool>> NeededNodes(const GraphProto& graph, ImportState& state) {
  std::unordered_map<std::string, int> maker;
  for (const TensorProto& tensor : graph.initializer()) maker.emplace(tensor.name(), -1);
  for (const ValueInfoProto& input : graph.input()) maker.emplace(input.name(), -1);
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& input : graph.node(i).input()) {
      if (!input.empty() && !maker.contains(input)) {
        return Fail(Code::kInvalid, NodeName(graph, i), ": its input \"", input,
                    "\" is made by no node before it");
      }
    }
    for (const std::string& output : graph.node(i).output()) {
      if (output.empty()) continue;
      if (!maker.emplace(output, i).second) {
        return Fail(Code::kInvalid, NodeName(graph, i), ": its output \"", output,
                    "\" was already made before it");
      }
    }
  }
  const auto found = maker.find(state.output);
  if (found == maker.end() || found->second < 0) {
    return Fail(Code::kNotFound, "no node makes the output \"", state.output, "\"");
  }
  std::vector<bool> needed(static_cast<size_t>(graph.node_size()));
  needed[static_cast<size_t>(found->second)] = true;
  ++state.uses[state.output];
  for (int i = found->second; i >= 0; --i) {
    if (!needed[static_cast<size_t>(i)]) continue;
    for (const std::string& input : graph.node(i).input()) {
      if (input.empty()) continue;
      ++state.uses[input];
      if (const int from = maker[input]; from >= 0) needed[static_cast<size_t>(from)] = true;
    }
  }
  return needed;
}

// Initializers, and what Constant nodes hold.
Status ReadConstants(const GraphProto& graph, ImportState& state) {
  for (const TensorProto& proto : graph.initializer()) {
    if (!state.uses.contains(proto.name())) continue;
    Result<Tensor> tensor = DecodeTensor(proto);
    if (!tensor) return Annotate(tensor.error(), StrCat("tensor \"", proto.name(), "\""));
    tensor->name = tensor->integer ? "" : proto.name();
    if (!state.values.emplace(proto.name(), std::move(*tensor)).second) {
      return Fail(Code::kInvalid, "tensor \"", proto.name(), "\" is there twice");
    }
  }
  for (int i = 0; i < graph.node_size(); ++i) {
    const NodeProto& node = graph.node(i);
    if (node.op_type() != "Constant" || node.output_size() != 1) continue;
    Call call(state, node);
    Result<Tensor> tensor = Fail(Code::kUnsupported, "its value is no number or tensor");
    if (const AttributeProto* value = call.attribute("value")) {
      tensor = DecodeTensor(value->t());
    } else if (const AttributeProto* number = call.attribute("value_float")) {
      tensor =
          Tensor{.dims = {}, .integer = false, .floats = {number->f()}, .integers = {}, .name = {}};
    } else if (const AttributeProto* whole = call.attribute("value_int")) {
      tensor = IntegerTensor({whole->i()});
      tensor->dims.clear();
    } else if (call.attribute("value_ints") != nullptr) {
      tensor = IntegerTensor(call.Ints("value_ints"));
    } else if (const AttributeProto* list = call.attribute("value_floats")) {
      tensor = Tensor{.dims = {list->floats_size()},
                      .integer = false,
                      .floats = {list->floats().begin(), list->floats().end()},
                      .integers = {},
                      .name = {}};
    }
    if (!tensor) return Annotate(tensor.error(), NodeName(graph, i));
    LINNET_TRY_STATUS(call.Return(std::move(*tensor)));
  }
  return {};
}

// Whether the file means channels last: what first moves the input's axes says so.
bool ChannelsLast(const ModelProto& model, const std::string& input) {
  std::set<std::string> reached = {input};
  for (const NodeProto& node : model.graph().node()) {
    const bool takes =
        std::ranges::any_of(node.input(), [&](const auto& name) { return reached.contains(name); });
    if (!takes) continue;
    if (node.op_type() == "Conv" || node.op_type().ends_with("Pool")) return false;
    if (node.op_type() == "Transpose") {
      for (const AttributeProto& attribute : node.attribute()) {
        if (attribute.name() == "perm" && attribute.ints_size() == 4) return attribute.ints(1) == 3;
      }
    }
    if (node.op_type() == "Flatten" || node.op_type() == "Reshape") break;
    reached.insert(node.output().begin(), node.output().end());
  }
  const std::string& producer = model.producer_name();
  return producer == "linnet" || producer == "tf2onnx" || producer == "keras2onnx";
}

Status ReadInput(const ModelProto& model, const OnnxImportOptions& options, ImportState& state) {
  const ValueInfoProto* input = nullptr;
  std::string found;
  for (const ValueInfoProto& candidate : model.graph().input()) {
    if (state.values.contains(candidate.name()) || !state.uses.contains(candidate.name())) continue;
    found += StrCat(input == nullptr ? "" : ", ", candidate.name());
    if (input != nullptr)
      return Fail(Code::kUnsupported, "it has the inputs ", found, ", supported is one");
    input = &candidate;
  }
  if (input == nullptr) return Fail(Code::kInvalid, "its output depends on no input");
  const auto& proto = input->type().tensor_type().shape();
  const std::string where = StrCat("input \"", input->name(), "\"");
  const size_t rank = static_cast<size_t>(proto.dim_size());
  if (rank < 1 || rank > kMaxRank) {
    return Fail(Code::kUnsupported, where, " has rank ", rank, ", supported is the batch and 1 to ",
                kMaxRank - 1, " axes");
  }
  if (!options.input_shape.empty() && options.input_shape.size() + 1 != rank) {
    return Fail(Code::kInvalid, where, " has ", rank - 1,
                " axes behind the batch, the given shape ", ShapeText(options.input_shape), " has ",
                options.input_shape.size());
  }
  Shape shape;
  for (size_t i = 0; i < rank; ++i) {
    const auto& dim = proto.dim(static_cast<int>(i));
    if (i == 0) {
      state.fixed_batch = dim.dim_param().empty() ? std::max<int64_t>(dim.dim_value(), 0) : 0;
      continue;
    }
    int64_t size = dim.dim_param().empty() ? dim.dim_value() : 0;
    if (size <= 0 && !options.input_shape.empty()) size = options.input_shape[i - 1];
    if (size <= 0) {
      return Fail(Code::kInvalid, where, ": its axis ", i,
                  " has no size; give the shape of one example");
    }
    if (size > static_cast<int64_t>(kMaxElements)) {
      return Fail(Code::kLimit, where, ": its axis ", i, " is ", size, ", wanted at most ",
                  kMaxElements);
    }
    shape.push_back(static_cast<uint32_t>(size));
  }
  if (shape.empty()) shape = {1};
  if (ElementCount(shape) > kMaxElements) {
    return Fail(Code::kLimit, where, " is ", ShapeText(shape), ", wanted at most ", kMaxElements,
                " elements");
  }
  View view = GraphBuilder::Plain(0, shape);
  if (rank == 1) view.axes = {{0}};
  using Layout = OnnxImportOptions::Layout;
  if (rank == 4 && (options.layout == Layout::kChannelsFirst ||
                    (options.layout == Layout::kGuess && !ChannelsLast(model, input->name())))) {
    view.stored = {shape[1], shape[2], shape[0]};
    view.axes = {{0}, {3}, {1}, {2}};
    if (shape[0] > 1) {
      state.notes.push_back(StrCat("the input is ", ShapeText(view.stored),
                                   ", channels last; in the file they come first"));
    }
  }
  view.sole = state.uses[input->name()] == 1;
  state.builder.graph.input_shape = view.stored;
  state.values.emplace(input->name(), std::move(view));
  return {};
}

Status ReadNode(Call& call, const std::vector<OpRow>& ops) {
  const std::string& name = call.node.op_type();
  if (!call.node.domain().empty() && call.node.domain() != "ai.onnx" &&
      call.node.domain() != "com.microsoft") {
    return Fail(Code::kUnsupported, "its operator is of the domain ", call.node.domain(),
                ", supported is the standard one");
  }
  if (call.all_constant()) return Fold(call);
  const auto row = std::ranges::lower_bound(ops, name, {}, &OpRow::name);
  const bool known = row != ops.end() && row->name == name;
  if (TakesCodes(call)) return ReadOnCodes(call, known ? &*row : nullptr);
  if (!known) {
    return Fail(Code::kUnsupported, "the operator ", name, " is not supported; supported are ",
                Supported());
  }
  return row->read(call);
}

// A dense layer without a bias is a linear one where nothing is to be flattened.
void DropZeroBiases(ImportState& state) {
  Graph& graph = state.builder.graph;
  const std::vector<Shape> shapes = InferShapes(graph).value();
  for (const uint32_t id : state.unbiased) {
    Node& node = state.builder.node(id);
    if (node.op != Op::kDense || shapes[node.inputs[0]].size() != 1) continue;
    node.op = Op::kLinear;
    node.params.resize(1);
  }
}

Status Finish(const ModelProto& model, const OnnxImportOptions& options, ImportState& state) {
  GraphBuilder& builder = state.builder;
  const Value& value = state.values.at(state.output);
  if (!std::holds_alternative<View>(value)) {
    return Fail(Code::kInvalid, "the output \"", state.output, "\" does not depend on the input");
  }
  View view = std::get<View>(value);
  const bool merged = std::ranges::any_of(view.axes, [](const auto& axis) {
    return axis.size() > 1 && std::ranges::find(axis, 0u) != axis.end();
  });
  if (!merged) {
    LINNET_TRY(view, builder.InOrder(view));
  } else {
    // [batch x rows, classes]: the rows of each example follow each other.
    View::Axis sequence;
    for (const auto& axis : view.axes) sequence.insert(sequence.end(), axis.begin(), axis.end());
    if (sequence[0] != 0) {
      return Fail(Code::kUnsupported, "the output \"", state.output, "\" is ",
                  DimsText(view.dims()), " and does not keep the batch first");
    }
    sequence.erase(sequence.begin());
    LINNET_TRY(view, builder.Permuted(view, sequence));
  }
  if (view.id == 0) return Fail(Code::kInvalid, "the output \"", state.output, "\" is the input");
  DropZeroBiases(state);
  builder.Finish(view.id);
  Graph& graph = builder.graph;
  graph.loss = options.loss.value_or(Loss::kCrossEntropy);
  graph.classes = graph.loss == Loss::kMse ? static_cast<uint32_t>(ElementCount(view.stored))
                                           : view.stored.back();
  const std::string& name = options.name.empty() ? model.graph().name() : options.name;
  for (const char c : name.substr(0, 128)) graph.name += c < 0x20 || c >= 0x7f ? '_' : c;
  if (graph.name.empty()) graph.name = "onnx";
  return ValidateGraph(graph);
}

Status Import(const ModelProto& model, const OnnxImportOptions& options, ImportState& state) {
  LINNET_TRY_STATUS(CheckModel(model, state));
  const GraphProto& graph = model.graph();
  if (graph.output_size() == 0) return Fail(Code::kData, "it has no output");
  state.output = options.output.empty() ? graph.output(0).name() : options.output;
  if (options.output.empty() && graph.output_size() > 1) {
    state.notes.push_back(
        StrCat("of its ", graph.output_size(), " outputs \"", state.output, "\" is taken"));
  }
  LINNET_TRY(const std::vector<bool> needed, NeededNodes(graph, state));
  LINNET_TRY_STATUS(ReadConstants(graph, state));
  LINNET_TRY_STATUS(ReadInput(model, options, state));
  const Fusions fusions = FindFusions(graph, state);
  const std::vector<OpRow> ops = AllOps();
  for (int i = 0; i < graph.node_size(); ++i) {
    const size_t at = static_cast<size_t>(i);
    if (!needed[at] || fusions.replaced[at] || graph.node(i).op_type() == "Constant") continue;
    Call call(state, graph.node(i));
    const auto fusion = fusions.at.find(i);
    const Status read =
        fusion == fusions.at.end() ? ReadNode(call, ops) : ReadFusion(call, fusion->second);
    if (!read) return Annotate(read.error(), NodeName(graph, i));
    if (call.node.output_size() > 0 && state.values.contains(state.output)) break;
  }
  if (!state.values.contains(state.output)) {
    return Fail(Code::kInvalid, "the output \"", state.output, "\" is not made");
  }
  if (state.roundings + state.dequantized > 0) {
    state.notes.push_back(StrCat("it is quantized: ", state.dequantized,
                                 " parameters are in f32 what their codes mean, ", state.roundings,
                                 " values are no longer rounded to codes"));
  }
  return Finish(model, options, state);
}

}  // namespace
}  // namespace onnx

Result<OnnxImport> ImportOnnx(ByteSpan bytes, const OnnxImportOptions& options) {
  constexpr size_t kMaxBytes = size_t{1} << 31;
  if (bytes.size() >= kMaxBytes) {
    return Fail(Code::kLimit, "the ONNX file has ", bytes.size(), " bytes, wanted less than ",
                kMaxBytes);
  }
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !model.has_graph()) {
    return Fail(Code::kData, "the ONNX file: it is damaged or no ONNX file");
  }
  onnx::ImportState state;
  if (const Status status = onnx::Import(model, options, state); !status) {
    return Annotate(status.error(), "the ONNX file");
  }
  return OnnxImport{.model = {.graph = std::move(state.builder.graph),
                              .parameters = std::move(state.builder.parameters)},
                    .notes = std::move(state.notes)};
}

std::vector<std::string> OnnxImportOperators() {
  std::vector<std::string> names;
  for (const onnx::OpRow& row : onnx::AllOps()) names.emplace_back(row.name);
  return names;
}

}  // namespace linnet
