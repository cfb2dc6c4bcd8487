#include "native/onnx/tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "model/ops.h"
#include "onnx/onnx.pb.h"

namespace linnet::onnx {
namespace {

// Element types by the specification's numbers.
enum : int32_t {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kBfloat16 = 16
};

template <typename T, typename Out, typename Convert>
Status ReadRaw(std::string_view raw, int64_t count, std::vector<Out>& out, Convert convert) {
  if (raw.size() != static_cast<uint64_t>(count) * sizeof(T)) {
    return Fail(Code::kData, "it has ", raw.size(), " bytes of data, wanted ", count, " x ",
                sizeof(T));
  }
  out.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = convert(LoadLE<T>(raw.data() + i * sizeof(T)));
  return {};
}

template <typename Field, typename Out, typename Convert>
Status ReadField(const Field& field, int64_t count, std::vector<Out>& out, Convert convert) {
  if (field.size() != count) {
    return Fail(Code::kData, "it has ", field.size(), " elements, wanted ", count);
  }
  out.resize(static_cast<size_t>(count));
  for (int i = 0; i < field.size(); ++i) out[static_cast<size_t>(i)] = convert(field.Get(i));
  return {};
}

}  // namespace

int64_t CountOf(const Dims& dims) {
  constexpr int64_t kMost = kBatch * static_cast<int64_t>(kMaxElements);
  int64_t count = 1;
  bool zero = false;
  for (const int64_t size : dims) {
    if (size < 0) return -1;
    zero |= size == 0;
    if (size > 0 && count > kMost / size) return -1;
    if (size > 0) count *= size;
  }
  return zero ? 0 : count;
}

std::string DimsText(const Dims& dims) {
  std::string text = "[";
  for (const int64_t size : dims) {
    if (text.size() > 1) text += ", ";
    if (size == 0 || size % kBatch != 0) {
      text += std::to_string(size);
    } else {
      text += "batch";
      if (size != kBatch) text += StrCat(" x ", size / kBatch);
    }
  }
  return text + "]";
}

Tensor IntegerTensor(std::vector<int64_t> values) {
  return Tensor{.dims = {static_cast<int64_t>(values.size())},
                .integer = true,
                .floats = {},
                .integers = std::move(values),
                .name = {}};
}

Result<Tensor> DecodeTensor(const TensorProto& proto) {
  Tensor tensor;
  tensor.dims.assign(proto.dims().begin(), proto.dims().end());
  const int64_t count = tensor.count();
  if (tensor.dims.size() > kMaxRank || count < 0 || count > static_cast<int64_t>(kMaxElements)) {
    return Fail(Code::kLimit, "it is ", DimsText(tensor.dims), ", wanted rank at most ", kMaxRank,
                " and at most ", kMaxElements, " elements");
  }
  if (proto.data_location() == 1) {
    return Fail(Code::kUnsupported, "its data is in another file; save the model as one file");
  }
  const bool raw = proto.has_raw_data();
  const std::string& bytes = proto.raw_data();
  const auto same = [](auto value) { return value; };
  const auto narrow = [](double value) { return static_cast<float>(value); };
  const auto widen = [](auto value) { return static_cast<int64_t>(value); };
  const auto half = [](auto value) { return HalfToFloat(static_cast<uint16_t>(value)); };
  const auto bfloat = [](auto value) { return Bfloat16ToFloat(static_cast<uint16_t>(value)); };
  auto& floats = tensor.floats;
  auto& integers = tensor.integers;
  Status read;
  switch (proto.data_type()) {
    case kFloat:
      read = raw ? ReadRaw<float>(bytes, count, floats, same)
                 : ReadField(proto.float_data(), count, floats, same);
      break;
    case kDouble:
      read = raw ? ReadRaw<double>(bytes, count, floats, narrow)
                 : ReadField(proto.double_data(), count, floats, narrow);
      break;
    case kFloat16:
      read = raw ? ReadRaw<uint16_t>(bytes, count, floats, half)
                 : ReadField(proto.int32_data(), count, floats, half);
      break;
    case kBfloat16:
      read = raw ? ReadRaw<uint16_t>(bytes, count, floats, bfloat)
                 : ReadField(proto.int32_data(), count, floats, bfloat);
      break;
    case kInt64:
      tensor.integer = true;
      read = raw ? ReadRaw<int64_t>(bytes, count, integers, widen)
                 : ReadField(proto.int64_data(), count, integers, widen);
      break;
    case kInt32:
      tensor.integer = true;
      read = raw ? ReadRaw<int32_t>(bytes, count, integers, widen)
                 : ReadField(proto.int32_data(), count, integers, widen);
      break;
    case kBool:
    case kUint8:
      tensor.integer = true;
      read = raw ? ReadRaw<uint8_t>(bytes, count, integers, widen)
                 : ReadField(proto.int32_data(), count, integers, widen);
      break;
    case kInt8:
      tensor.is_int8 = true;
      tensor.integer = true;
      read = raw ? ReadRaw<int8_t>(bytes, count, integers, widen)
                 : ReadField(proto.int32_data(), count, integers, widen);
      break;
    default:
      return Fail(Code::kUnsupported, "its element type is ", proto.data_type(),
                  ", supported are float, double, float16, bfloat16, int64, int32, int8, uint8 "
                  "and bool");
  }
  LINNET_TRY_STATUS(read);
  return tensor;
}

Tensor Permute(const Tensor& tensor, const std::vector<size_t>& permutation) {
  Tensor out = tensor;
  const size_t rank = permutation.size();
  std::vector<int64_t> strides(rank);
  int64_t stride = 1;
  for (size_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= tensor.dims[i];
  }
  for (size_t i = 0; i < rank; ++i) out.dims[i] = tensor.dims[permutation[i]];
  if (tensor.stored() <= 1) return out;
  Dims index(rank);
  int64_t from = 0;
  for (size_t at = 0; at < tensor.stored(); ++at) {
    if (tensor.integer) {
      out.integers[at] = tensor.integers[static_cast<size_t>(from)];
    } else {
      out.floats[at] = tensor.floats[static_cast<size_t>(from)];
    }
    for (size_t i = rank; i-- > 0;) {
      from += strides[permutation[i]];
      if (++index[i] < out.dims[i]) break;
      from -= strides[permutation[i]] * out.dims[i];
      index[i] = 0;
    }
  }
  return out;
}

Result<Tensor> Broadcast(const Tensor& tensor, const Dims& dims) {
  const size_t rank = dims.size(), lead = rank - std::min(rank, tensor.dims.size());
  bool fits = tensor.dims.size() <= rank;
  for (size_t i = 0; fits && i < tensor.dims.size(); ++i) {
    fits = tensor.dims[i] == 1 || tensor.dims[i] == dims[lead + i];
  }
  if (!fits) {
    return Fail(Code::kInvalid, "a constant of ", DimsText(tensor.dims), " does not broadcast to ",
                DimsText(dims));
  }
  Tensor out = tensor;
  out.dims = dims;
  const int64_t count = CountOf(dims);
  if (count > static_cast<int64_t>(kMaxElements)) {
    // A state of zeros for the whole batch, mostly.
    const auto same = [](const auto& values) {
      return std::ranges::adjacent_find(values, std::ranges::not_equal_to()) == values.end();
    };
    if (same(tensor.floats) && same(tensor.integers) && tensor.stored() > 0) {
      out.floats.resize(std::min<size_t>(out.floats.size(), 1));
      out.integers.resize(std::min<size_t>(out.integers.size(), 1));
    }
  }
  if (out.stored() == 1) return out;
  if (count < 0 || count > static_cast<int64_t>(kMaxElements)) {
    return Fail(Code::kLimit, "a constant of ", DimsText(dims), " is too large");
  }
  if (count == tensor.count()) return out;
  std::vector<int64_t> strides(rank);
  int64_t stride = 1;
  for (size_t i = tensor.dims.size(); i-- > 0;) {
    strides[lead + i] = tensor.dims[i] == 1 ? 0 : stride;
    stride *= tensor.dims[i];
  }
  out.floats.resize(tensor.integer ? 0 : static_cast<size_t>(count));
  out.integers.resize(tensor.integer ? static_cast<size_t>(count) : 0);
  Dims index(rank);
  int64_t from = 0;
  for (size_t at = 0; at < static_cast<size_t>(count); ++at) {
    if (tensor.integer) {
      out.integers[at] = tensor.integers[static_cast<size_t>(from)];
    } else {
      out.floats[at] = tensor.floats[static_cast<size_t>(from)];
    }
    for (size_t i = rank; i-- > 0;) {
      from += strides[i];
      if (++index[i] < dims[i]) break;
      from -= strides[i] * dims[i];
      index[i] = 0;
    }
  }
  return out;
}

Result<Dims> BroadcastDims(const Dims& a, const Dims& b) {
  Dims out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t lead_a = out.size() - a.size(), lead_b = out.size() - b.size();
    const int64_t size_a = i < lead_a ? 1 : a[i - lead_a], size_b = i < lead_b ? 1 : b[i - lead_b];
    if (size_a != size_b && size_a != 1 && size_b != 1) {
      return Fail(Code::kInvalid, DimsText(a), " and ", DimsText(b), " do not broadcast");
    }
    out[i] = size_a == 1 ? size_b : size_a;
  }
  return out;
}

}  // namespace linnet::onnx
