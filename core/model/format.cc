// The `.linnet` format, version 2. All integers are little-endian.
//
//   offset  0  8 bytes  magic
//           8  u32      version
//          12  u32      tensors
//          16  u64      bytes of the file
//          24  u64      bytes of the graph section, which starts at 64
//          32  u64      offset of the first tensor: the first multiple of 64 behind the graph
//          40  u64      parameters
//          48  16 bytes zero
//   graph section, u32 each (a text: its length, its bytes, zeros up to a multiple of 4):
//           name; rank and sizes of the input; classes; loss;
//           nodes, and for each: operator, inputs, parameters, attributes, then the three lists;
//           tensors, and for each: name, element type (1 = f32), role, frozen (0 or 1), rank
//           and sizes
//   tensors in that order, each at a multiple of 64, zeros between them and behind the last.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/aligned.h"
#include "model/graph_bytes.h"
#include "model/model.h"
#include "model/ops.h"
#include "model/quantize.h"

namespace linnet {
namespace {

// The high bit, the line ends and the end-of-file character show a file that went through text
// mode.
constexpr std::array<uint8_t, 8> kMagic = {0xec, 'L', 'N', 'T', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t kVersion = 2;
constexpr size_t kHeaderBytes = 64;
constexpr uint32_t kElementF32 = 1;
// More of one list than any node or graph has.
constexpr uint32_t kMaxList = 64;
constexpr uint32_t kMaxTensors = 4 * kMaxNodes;
constexpr uint32_t kMaxText = 128;

uint64_t RoundUp(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

// ---- Writing

void AppendText(Bytes& out, std::string_view text) {
  AppendLE(out, static_cast<uint32_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
  out.resize(RoundUp(out.size(), 4));
}

void AppendShape(Bytes& out, const Shape& shape) {
  AppendLE(out, static_cast<uint32_t>(shape.size()));
  for (const uint32_t size : shape) AppendLE(out, size);
}

uint64_t TensorBytes(const ParamInfo& param) {
  return RoundUp(param.count * sizeof(float), kAlignment);
}

}  // namespace

Bytes EncodeGraph(const Graph& graph) {
  Bytes out;
  AppendText(out, graph.name);
  AppendShape(out, graph.input_shape);
  AppendLE(out, graph.classes);
  AppendLE(out, static_cast<uint32_t>(graph.loss));
  AppendLE(out, static_cast<uint32_t>(graph.nodes.size()));
  for (const Node& node : graph.nodes) {
    AppendLE(out, static_cast<uint32_t>(node.op));
    for (const auto* list : {&node.inputs, &node.params, &node.attributes}) {
      AppendLE(out, static_cast<uint32_t>(list->size()));
    }
    for (const auto* list : {&node.inputs, &node.params, &node.attributes}) {
      for (const uint32_t entry : *list) AppendLE(out, entry);
    }
  }
  AppendLE(out, static_cast<uint32_t>(graph.params.size()));
  for (const ParamInfo& param : graph.params) {
    AppendText(out, param.name);
    AppendLE(out, kElementF32);
    AppendLE(out, static_cast<uint32_t>(param.role));
    AppendLE(out, uint32_t{param.frozen});
    AppendShape(out, param.shape);
  }
  return out;
}

namespace {

// Everything before the first tensor.
Bytes EncodeHead(const Graph& graph) {
  const Bytes section = EncodeGraph(graph);
  const uint64_t graph_bytes = section.size();
  Bytes out(kHeaderBytes);
  out.insert(out.end(), section.begin(), section.end());
  out.resize(RoundUp(out.size(), kAlignment));
  uint64_t file_bytes = out.size();
  for (const ParamInfo& param : graph.params) file_bytes += TensorBytes(param);
  std::ranges::copy(kMagic, out.begin());
  StoreLE<uint32_t>(&out[8], kVersion);
  StoreLE<uint32_t>(&out[12], static_cast<uint32_t>(graph.params.size()));
  StoreLE<uint64_t>(&out[16], file_bytes);
  StoreLE<uint64_t>(&out[24], graph_bytes);
  StoreLE<uint64_t>(&out[32], out.size());
  StoreLE<uint64_t>(&out[40], graph.ParamCount());
  return out;
}

// ---- Reading

// Takes the graph section apart; after the first error every read gives zeros and `status` stays.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : rest_(bytes) {}

  uint32_t U32(std::string_view what, uint32_t max) {
    if (!status_) return 0;
    if (rest_.size() < 4) {
      Stop(StrCat("the graph section ends before ", what));
      return 0;
    }
    const uint32_t value = LoadLE<uint32_t>(rest_.data());
    rest_ = rest_.subspan(4);
    if (value > max) {
      Stop(StrCat(what, " is ", value, ", wanted at most ", max));
      return 0;
    }
    return value;
  }

  // `count` is at most what was admitted by U32, so the list is small.
  std::vector<uint32_t> List(std::string_view what, uint32_t count) {
    std::vector<uint32_t> list;
    for (uint32_t i = 0; i < count && status_; ++i) list.push_back(U32(what, ~uint32_t{0}));
    return list;
  }

  Shape ReadShape(std::string_view what) { return List(what, U32(what, kMaxRank)); }

  std::string Text(std::string_view what) {
    const uint32_t size = U32(what, kMaxText);
    const size_t padded = RoundUp(size, 4);
    if (!status_) return {};
    if (rest_.size() < padded) {
      Stop(StrCat("the graph section ends inside ", what));
      return {};
    }
    std::string text(AsText(rest_.first(size)));
    rest_ = rest_.subspan(padded);
    return text;
  }

  const Status& status() const { return status_; }
  size_t rest() const { return rest_.size(); }

 private:
  void Stop(std::string message) {
    if (status_) status_ = Fail(Code::kData, message);
  }
  ByteSpan rest_;
  Status status_;
};

}  // namespace

Result<Graph> DecodeGraph(ByteSpan bytes) {
  Reader reader(bytes);
  Graph graph;
  graph.name = reader.Text("the graph's name");
  graph.input_shape = reader.ReadShape("the input's shape");
  graph.classes = reader.U32("the number of classes", ~uint32_t{0});
  graph.loss = static_cast<Loss>(reader.U32("the loss", 1));
  const uint32_t nodes = reader.U32("the number of nodes", kMaxNodes);
  for (uint32_t i = 0; i < nodes && reader.status(); ++i) {
    Node node{};
    node.op = static_cast<Op>(reader.U32("an operator", 0xffff));
    const uint32_t inputs = reader.U32("a node's number of inputs", kMaxList);
    const uint32_t params = reader.U32("a node's number of parameters", kMaxList);
    const uint32_t attributes = reader.U32("a node's number of attributes", kMaxList);
    node.inputs = reader.List("a node's inputs", inputs);
    node.params = reader.List("a node's parameters", params);
    node.attributes = reader.List("a node's attributes", attributes);
    graph.nodes.push_back(std::move(node));
  }
  const uint32_t tensors = reader.U32("the number of tensors", kMaxTensors);
  for (uint32_t i = 0; i < tensors && reader.status(); ++i) {
    ParamInfo param;
    param.name = reader.Text("a tensor's name");
    if (reader.U32("a tensor's element type", kElementF32) != kElementF32 && reader.status()) {
      return Fail(Code::kData, "tensor ", param.name, " has element type 0, wanted 1 (f32)");
    }
    param.role = static_cast<ParamRole>(reader.U32("a tensor's role", 1));
    param.frozen = reader.U32("a tensor's frozen flag", 1) != 0;
    param.shape = reader.ReadShape("a tensor's shape");
    param.offset = graph.ParamCount();
    param.count = ElementCount(param.shape);
    graph.params.push_back(std::move(param));
  }
  LINNET_TRY_STATUS(reader.status());
  if (reader.rest() > 0) {
    return Fail(Code::kData, "the graph section has ", reader.rest(), " bytes too many");
  }
  return graph;
}

namespace {

// The graph of a file whose bytes before the tensors are what SaveModel writes.
Result<Graph> DecodeHead(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes) {
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, wanted a header of ", kHeaderBytes);
  }
  if (IsQuantizedModel(bytes)) {
    return Fail(Code::kUnsupported,
                "it is quantized: it is run (linnet eval, linnet infer), not trained or shared; "
                "wanted a model in f32");
  }
  if (!std::ranges::equal(bytes.first(kMagic.size()), kMagic)) {
    return Fail(Code::kData, "it does not start as a .linnet file does");
  }
  if (const auto version = LoadLE<uint32_t>(&bytes[8]); version != kVersion) {
    return Fail(Code::kVersion, "it has format version ", version, ", wanted ", kVersion);
  }
  const auto file_bytes = LoadLE<uint64_t>(&bytes[16]), graph_bytes = LoadLE<uint64_t>(&bytes[24]);
  if (file_bytes != bytes.size()) {
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, wanted the ", file_bytes,
                " that its header says");
  }
  if (graph_bytes > bytes.size() - kHeaderBytes) {
    return Fail(Code::kData, "its graph section is said to have ", graph_bytes,
                " bytes, more than the file");
  }
  LINNET_TRY(Graph graph, DecodeGraph(bytes.subspan(kHeaderBytes, graph_bytes)));
  if (const Status valid = ValidateGraph(graph); !valid) {
    return Fail(Code::kData, valid.error().message);
  }
  const Bytes head = EncodeHead(graph);
  if (bytes.size() < head.size() || !std::ranges::equal(bytes.first(head.size()), head)) {
    return Fail(Code::kData, "its header or graph section is not what a ", file_bytes,
                "-byte model of this graph has (", LoadLE<uint64_t>(&head[16]), " bytes)");
  }
  return graph;
}

Result<Model> Decode(ByteSpan bytes) {
  LINNET_TRY(Graph graph, DecodeHead(bytes));
  // The head was equal to what EncodeHead makes, so the file has room for every tensor.
  ByteSpan rest = bytes.subspan(LoadLE<uint64_t>(&bytes[32]));
  Model model{.graph = std::move(graph), .parameters = {}};
  model.parameters.resize(model.graph.ParamCount());
  for (const ParamInfo& param : model.graph.params) {
    float* const values = model.parameters.data() + param.offset;
    const size_t size = param.count * sizeof(float);
    std::memcpy(values, rest.data(), size);
    for (uint64_t i = 0; i < param.count; ++i) {
      if (!std::isfinite(values[i])) {
        return Fail(Code::kData, "element ", i, " of ", param.name, " is not finite");
      }
    }
    const ByteSpan padding = rest.subspan(size, TensorBytes(param) - size);
    if (std::ranges::any_of(padding, [](uint8_t byte) { return byte != 0; })) {
      return Fail(Code::kData, "the bytes behind ", param.name, " are not zero");
    }
    rest = rest.subspan(TensorBytes(param));
  }
  return model;
}

}  // namespace

Bytes SaveModel(const Model& model) {
  const Status valid = ValidateGraph(model.graph);
  LINNET_CHECK_MSG(valid.has_value(), valid.error().message);
  LINNET_CHECK(model.parameters.size() == model.graph.ParamCount());
  Bytes out = EncodeHead(model.graph);
  size_t at = out.size();
  out.resize(LoadLE<uint64_t>(&out[16]));
  for (const ParamInfo& param : model.graph.params) {
    std::memcpy(&out[at], model.parameters.data() + param.offset, param.count * sizeof(float));
    at += TensorBytes(param);
  }
  return out;
}

Result<Model> LoadModel(ByteSpan bytes) {
  Result<Model> model = Decode(bytes);
  if (!model) return Annotate(model.error(), "the model");
  return model;
}

}  // namespace linnet
