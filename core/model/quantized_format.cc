// The file of a quantized model, version 1. All integers are little-endian.
//
//   offset  0  8 bytes  magic
//           8  u32      version
//          12  u32      bytes of the graph section, which starts at 32
//          16  u64      bytes of the file
//          24  8 bytes  zero
//   the graph section (format.cc); for each value f32 scale, u32 zero point; for each tensor u32
//   format; then for each tensor what its format has, each list at a multiple of 64:
//           f32 values (f32: the parameters, int8: the scales); int8 codes; int4 codes; int4 scales
//   zeros between them and behind the last.
#include <algorithm>
#include <array>

#include "base/aligned.h"
#include "model/graph_bytes.h"
#include "model/quantize.h"

namespace linnet {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {0xec, 'L', 'N', 'Q', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 32;

template <typename T>
void AppendList(Bytes& out, const std::vector<T>& list) {
  if (list.empty()) return;
  out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
  const auto* bytes = reinterpret_cast<const uint8_t*>(list.data());
  out.insert(out.end(), bytes, bytes + list.size() * sizeof(T));
}

// Takes what is in the file, which `at` walks through; false when it ends before.
class Reader {
 public:
  Reader(ByteSpan bytes, size_t at) : bytes_(bytes), at_(at) {}
  template <typename T>
  bool Read(T& value) {
    if (bytes_.size() - at_ < sizeof(T)) return false;
    value = LoadLE<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return true;
  }
  template <typename T>
  bool ReadList(std::vector<T>& list, uint64_t count) {
    if (count == 0) return true;
    const size_t start = (at_ + kAlignment - 1) / kAlignment * kAlignment;
    if (start > bytes_.size() || count > (bytes_.size() - start) / sizeof(T)) return false;
    list.resize(count);
    std::memcpy(list.data(), bytes_.data() + start, count * sizeof(T));
    at_ = start + count * sizeof(T);
    return true;
  }

 private:
  ByteSpan bytes_;
  size_t at_;
};

bool ReadTensor(Reader& reader, const ParamInfo& param, QuantizedTensor& tensor) {
  const uint64_t columns = param.shape.back(), rows = param.count / columns;
  switch (tensor.format) {
    case WeightFormat::kF32:
      return reader.ReadList(tensor.values, param.count);
    case WeightFormat::kInt8:
      return reader.ReadList(tensor.values, columns) && reader.ReadList(tensor.int8, param.count);
    case WeightFormat::kInt4:
      return reader.ReadList(tensor.int4, (rows + 1) / 2 * columns) &&
             reader.ReadList(tensor.scales4, (rows + kInt4Group - 1) / kInt4Group * columns);
  }
  return false;
}

Result<QuantizedModel> Decode(ByteSpan bytes) {
  if (!IsQuantizedModel(bytes)) {
    return Fail(Code::kData, "it does not start as a quantized .linnet file does");
  }
  if (bytes.size() < kHeaderBytes) {
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, wanted a header of ", kHeaderBytes);
  }
  if (const auto version = LoadLE<uint32_t>(&bytes[8]); version != kVersion) {
    return Fail(Code::kVersion, "it has format version ", version, ", wanted ", kVersion);
  }
  const auto graph_bytes = LoadLE<uint32_t>(&bytes[12]);
  if (const auto size = LoadLE<uint64_t>(&bytes[16]); size != bytes.size()) {
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, wanted the ", size,
                " that its header says");
  }
  if (graph_bytes > bytes.size() - kHeaderBytes) {
    return Fail(Code::kData, "its graph section is said to have ", graph_bytes,
                " bytes, more than the file");
  }
  QuantizedModel model;
  LINNET_TRY(model.graph, DecodeGraph(bytes.subspan(kHeaderBytes, graph_bytes)));
  if (const Status valid = ValidateGraph(model.graph); !valid) {
    return Fail(Code::kData, valid.error().message);
  }
  const auto ends = [] { return Fail(Code::kData, "it ends before its last tensor"); };
  Reader reader(bytes, kHeaderBytes + graph_bytes);
  model.activations.resize(model.graph.nodes.size() + 1);
  for (ActivationCode& code : model.activations) {
    uint32_t zero = 0;
    if (!reader.Read(code.scale) || !reader.Read(zero)) return ends();
    if (zero > 255) return Fail(Code::kData, "a zero point is ", zero, ", wanted at most 127");
    code.zero_point = static_cast<uint8_t>(zero);
  }
  model.tensors.resize(model.graph.params.size());
  for (QuantizedTensor& tensor : model.tensors) {
    uint32_t format = 0;
    if (!reader.Read(format)) return ends();
    if (format > static_cast<uint32_t>(WeightFormat::kInt4)) {
      return Fail(Code::kData, "a tensor has format ", format, ", wanted 0 to 2");
    }
    tensor.format = static_cast<WeightFormat>(format);
  }
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (!ReadTensor(reader, model.graph.params[i], model.tensors[i])) return ends();
  }
  if (const Status valid = ValidateQuantizedModel(model); !valid) {
    return Fail(Code::kData, valid.error().message);
  }
  if (!std::ranges::equal(SaveQuantizedModel(model), bytes)) {
    return Fail(Code::kData, "its bytes are not those that saving its model gives");
  }
  return model;
}

}  // namespace

bool IsQuantizedModel(ByteSpan bytes) {
  return bytes.size() >= kMagic.size() && std::ranges::equal(bytes.first(kMagic.size()), kMagic);
}

Bytes SaveQuantizedModel(const QuantizedModel& model) {
  const Status valid = ValidateQuantizedModel(model);
  LINNET_CHECK_MSG(valid.has_value(), valid.error().message);
  Bytes out(kHeaderBytes);
  const Bytes graph = EncodeGraph(model.graph);
  out.insert(out.end(), graph.begin(), graph.end());
  for (const ActivationCode& code : model.activations) {
    AppendLE(out, code.scale);
    AppendLE(out, uint32_t{code.zero_point});
  }
  for (const QuantizedTensor& tensor : model.tensors) {
    AppendLE(out, static_cast<uint32_t>(tensor.format));
  }
  for (const QuantizedTensor& tensor : model.tensors) {
    AppendList(out, tensor.values);
    AppendList(out, tensor.int8);
    AppendList(out, tensor.int4);
    AppendList(out, tensor.scales4);
  }
  out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
  std::ranges::copy(kMagic, out.begin());
  StoreLE<uint32_t>(&out[8], kVersion);
  StoreLE<uint32_t>(&out[12], static_cast<uint32_t>(graph.size()));
  StoreLE<uint64_t>(&out[16], out.size());
  return out;
}

Result<QuantizedModel> LoadQuantizedModel(ByteSpan bytes) {
  Result<QuantizedModel> model = Decode(bytes);
  if (!model) return Annotate(model.error(), "the quantized model");
  return model;
}

}  // namespace linnet
