#include "model/safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "base/json.h"
#include "model/ops.h"

namespace linnet {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 1 << 20;  // what Json::Parse takes

struct Entry {
  std::string name, dtype;
  Shape shape;
  uint64_t begin = 0, end = 0;
  bool used = false;
};

uint64_t ElementBytes(std::string_view dtype) { return dtype == "F32" ? 4 : 2; }

// ---- Layouts

// How a parameter lies in the other layout: its shape there, and where each of its elements stands
// here.
struct Mapping {
  Shape shape;
  std::vector<uint64_t> here;  // empty = in the same order
};

// The shape [h, w, c] whose elements `value` has, when it is an image made flat.
Shape FlattenedImage(const Graph& graph, const std::vector<Shape>& shapes, uint32_t value) {
  while (value > 0 && shapes[value].size() != 3) {
    const Node& node = graph.nodes[value - 1];
    if (node.inputs.size() != 1 ||
        ElementCount(shapes[node.inputs[0]]) != ElementCount(shapes[value]) ||
        !node.params.empty()) {
      return {};
    }
    value = node.inputs[0];
  }
  return shapes[value].size() == 3 ? shapes[value] : Shape{};
}

Mapping Transposed(const Shape& shape, const Shape& image) {
  const uint64_t in = shape[0], out = shape[1];
  Mapping mapping{.shape = {shape[1], shape[0]}, .here = {}};
  std::vector<uint64_t> rows;  // of [c, h, w]
  if (image.empty()) {
    for (uint64_t i = 0; i < in; ++i) rows.push_back(i);
  } else {
    for (uint64_t c = 0; c < image[2]; ++c) {
      for (uint64_t i = 0; i < uint64_t{image[0]} * image[1]; ++i) rows.push_back(i * image[2] + c);
    }
  }
  for (uint64_t o = 0; o < out; ++o) {
    for (const uint64_t row : rows) mapping.here.push_back(row * out + o);
  }
  return mapping;
}

Mapping Kernel(const Shape& shape) {
  const uint64_t area = uint64_t{shape[0]} * shape[1], in = shape[2], out = shape[3];
  Mapping mapping{.shape = {shape[3], shape[2], shape[0], shape[1]}, .here = {}};
  for (uint64_t o = 0; o < out; ++o) {
    for (uint64_t i = 0; i < in; ++i) {
      for (uint64_t k = 0; k < area; ++k) mapping.here.push_back((k * in + i) * out + o);
    }
  }
  return mapping;
}

Mapping MappingOf(const Graph& graph, const std::vector<Shape>& shapes, uint32_t param,
                  TensorLayout layout) {
  const Shape& shape = graph.params[param].shape;
  if (layout == TensorLayout::kPytorch) {
    for (const Node& node : graph.nodes) {
      const auto found = std::ranges::find(node.params, param);
      if (found == node.params.end()) continue;
      const auto place = found - node.params.begin();
      if (node.op == Op::kConv2d && place == 0) return Kernel(shape);
      if ((node.op == Op::kDense || node.op == Op::kLinear) && place == 0) {
        return Transposed(
            shape, node.op == Op::kDense ? FlattenedImage(graph, shapes, node.inputs[0]) : Shape{});
      }
      if (node.op == Op::kGru && place <= 1) return Transposed(shape, {});
    }
  }
  return {.shape = shape, .here = {}};
}

// ---- Reading

Result<uint64_t> Whole(const Json& value, std::string_view what) {
  if (!value.is_int() || value.as_int() < 0)
    return Fail(Code::kData, what, " holds ", value.TypeName(),
                ", wanted whole numbers of 0 or more");
  return static_cast<uint64_t>(value.as_int());
}

Result<Entry> ReadEntry(const std::string& name, const Json& json, uint64_t data_bytes) {
  const Json *dtype = json.Find("dtype"), *shape = json.Find("shape"),
             *offsets = json.Find("data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr || !dtype->is_string() ||
      !shape->is_array() || !offsets->is_array() || offsets->as_array().size() != 2) {
    return Fail(Code::kData, "it wants dtype, shape and data_offsets of two numbers");
  }
  Entry entry{.name = name, .dtype = dtype->as_string(), .shape = {}, .begin = 0, .end = 0};
  if (shape->as_array().size() > kMaxRank)
    return Fail(Code::kLimit, "it has rank ", shape->as_array().size(), ", wanted at most ",
                kMaxRank);
  for (const Json& dimension : shape->as_array()) {
    LINNET_TRY(const uint64_t size, Whole(dimension, "its shape"));
    if (size > kMaxElements)
      return Fail(Code::kLimit, "its shape has ", size, ", wanted at most ", kMaxElements);
    entry.shape.push_back(static_cast<uint32_t>(size));
  }
  LINNET_TRY(entry.begin, Whole(offsets->as_array()[0], "its data_offsets"));
  LINNET_TRY(entry.end, Whole(offsets->as_array()[1], "its data_offsets"));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return Fail(Code::kData, "its data_offsets are ", entry.begin, " and ", entry.end, " of ",
                data_bytes, " bytes");
  }
  return entry;
}

struct File {
  std::vector<Entry> entries;
  ByteSpan data;
};

Result<File> ReadFile(ByteSpan bytes) {
  if (bytes.size() < kLengthBytes)
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, wanted a header's length of 8");
  const auto length = LoadLE<uint64_t>(bytes.data());
  if (length > bytes.size() - kLengthBytes || length > kMaxHeader) {
    return Fail(Code::kData, "its header is said to have ", length, " bytes, wanted at most ",
                std::min<uint64_t>(kMaxHeader, bytes.size() - kLengthBytes));
  }
  auto header = Json::Parse(AsText(bytes.subspan(kLengthBytes, length)));
  if (!header) return Fail(Code::kData, "its header: ", header.error().message);
  if (!header->is_object())
    return Fail(Code::kData, "its header is ", header->TypeName(), ", wanted an object");
  File file{.entries = {}, .data = bytes.subspan(kLengthBytes + length)};
  for (const auto& [name, json] : header->as_object()) {
    if (name == "__metadata__") continue;
    Result<Entry> entry = ReadEntry(name, json, file.data.size());
    if (!entry) return Annotate(entry.error(), StrCat("tensor \"", name, "\""));
    file.entries.push_back(std::move(*entry));
  }
  std::vector<const Entry*> order;
  for (const Entry& entry : file.entries) order.push_back(&entry);
  std::ranges::sort(order, {},
                    [](const Entry* entry) { return std::pair(entry->begin, entry->end); });
  uint64_t at = 0;
  for (const Entry* entry : order) {
    if (entry->begin != at)
      return Fail(Code::kData, "tensor \"", entry->name, "\" begins at byte ", entry->begin,
                  ", wanted ", at, ", where the one before it ends");
    at = entry->end;
  }
  if (at != file.data.size())
    return Fail(Code::kData, "it has ", file.data.size() - at, " bytes behind the last tensor");
  return file;
}

Status ReadValues(const Entry& entry, ByteSpan data, const Mapping& mapping, std::span<float> out) {
  const auto what = [&] { return StrCat("tensor \"", entry.name, "\""); };
  if (entry.dtype != "F32" && entry.dtype != "F16" && entry.dtype != "BF16") {
    return Fail(Code::kUnsupported, what(), " is ", entry.dtype,
                ", supported are F32, F16 and BF16");
  }
  if (entry.shape != mapping.shape) {
    return Fail(Code::kInvalid, what(), " is ", ShapeText(entry.shape), ", wanted ",
                ShapeText(mapping.shape));
  }
  const uint64_t size = ElementBytes(entry.dtype);
  if (entry.end - entry.begin != out.size() * size) {
    return Fail(Code::kData, what(), " has ", entry.end - entry.begin, " bytes, wanted ",
                out.size() * size);
  }
  const uint8_t* from = data.data() + entry.begin;
  for (size_t i = 0; i < out.size(); ++i, from += size) {
    const float value = entry.dtype == "F32"   ? LoadLE<float>(from)
                        : entry.dtype == "F16" ? HalfToFloat(LoadLE<uint16_t>(from))
                                               : Bfloat16ToFloat(LoadLE<uint16_t>(from));
    if (!std::isfinite(value))
      return Fail(Code::kData, "element ", i, " of ", what(), " is not finite");
    out[mapping.here.empty() ? i : mapping.here[i]] = value;
  }
  return {};
}

std::string Names(const std::vector<Entry>& entries) {
  std::string text;
  constexpr size_t kShown = 12;
  for (size_t i = 0; i < std::min(entries.size(), kShown); ++i)
    text += StrCat(i > 0 ? ", " : "", entries[i].name);
  if (entries.size() > kShown) text += StrCat(" and ", entries.size() - kShown, " more");
  return text.empty() ? "none" : text;
}

Result<Model> Read(ByteSpan bytes, const Graph& graph, const SafetensorsOptions& options) {
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  LINNET_TRY(File file, ReadFile(bytes));
  for (const auto& [from, to] : options.renames) {
    const auto found = std::ranges::find(file.entries, from, &Entry::name);
    if (found == file.entries.end())
      return Fail(Code::kNotFound, "there is no tensor \"", from, "\"; there are ",
                  Names(file.entries));
    if (std::ranges::find(graph.params, to, &ParamInfo::name) == graph.params.end()) {
      return Fail(Code::kNotFound, "the model ", graph.name, " has no parameter \"", to, "\"");
    }
    found->name = to;
  }
  Model model{.graph = graph, .parameters = std::vector<float>(graph.ParamCount())};
  for (uint32_t i = 0; i < graph.params.size(); ++i) {
    const ParamInfo& param = graph.params[i];
    const auto found = std::ranges::find(file.entries, param.name, &Entry::name);
    if (found == file.entries.end()) {
      return Fail(Code::kNotFound, "there is no tensor for the parameter \"", param.name, "\" ",
                  ShapeText(param.shape), "; there are ", Names(file.entries));
    }
    found->used = true;
    LINNET_TRY_STATUS(ReadValues(*found, file.data, MappingOf(graph, shapes, i, options.layout),
                                 std::span(model.parameters).subspan(param.offset, param.count)));
  }
  for (const Entry& entry : file.entries) {
    if (entry.used ||
        (options.layout == TensorLayout::kPytorch && entry.name.ends_with("num_batches_tracked")))
      continue;
    return Fail(Code::kInvalid, "tensor \"", entry.name, "\" is no parameter of ", graph.name);
  }
  return model;
}

}  // namespace

Result<Model> ReadSafetensors(ByteSpan bytes, const Graph& graph,
                              const SafetensorsOptions& options) {
  Result<Model> model = Read(bytes, graph, options);
  if (!model) return Annotate(model.error(), "the safetensors file");
  return model;
}

Bytes WriteSafetensors(const Model& model, TensorLayout layout, bool bf16) {
  const Graph& graph = model.graph;
  const std::vector<Shape> shapes = InferShapes(graph).value();
  LINNET_CHECK(model.parameters.size() == graph.ParamCount());
  const uint64_t size = bf16 ? 2 : 4;
  std::vector<Mapping> mappings;
  Json::Object header = {
      {"__metadata__", Json::Object{{"format", "linnet"}, {"model", graph.name}}}};
  uint64_t at = 0;
  for (uint32_t i = 0; i < graph.params.size(); ++i) {
    mappings.push_back(MappingOf(graph, shapes, i, layout));
    const uint64_t end = at + graph.params[i].count * size;
    header.emplace_back(
        graph.params[i].name,
        Json::Object{{"dtype", bf16 ? "BF16" : "F32"},
                     {"shape", Json::Array(mappings[i].shape.begin(), mappings[i].shape.end())},
                     {"data_offsets", Json::Array{at, end}}});
    at = end;
  }
  std::string text = Json(std::move(header)).Dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the tensors are aligned
  Bytes out;
  out.reserve(kLengthBytes + text.size() + at);
  AppendLE<uint64_t>(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
  for (uint32_t i = 0; i < graph.params.size(); ++i) {
    const float* values = model.parameters.data() + graph.params[i].offset;
    for (uint64_t k = 0; k < graph.params[i].count; ++k) {
      const float value = values[mappings[i].here.empty() ? k : mappings[i].here[k]];
      if (bf16) {
        AppendLE(out, FloatToBfloat16(value));
      } else {
        AppendLE(out, value);
      }
    }
  }
  return out;
}

}  // namespace linnet
