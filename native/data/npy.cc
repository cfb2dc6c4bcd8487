#include "native/data/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "native/data/file.h"

namespace linnet {
namespace {

constexpr uint64_t kMaxNumbers = uint64_t{1} << 28;
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxHeaderBytes = 65536;
constexpr int64_t kMaxClasses = 65536;

struct Array {
  char kind = 0;  // 'u', 'i', 'f'
  size_t item_bytes = 0;
  std::vector<uint32_t> shape;
  ByteSpan data;

  uint64_t Count() const {
    uint64_t count = 1;
    for (const uint32_t extent : shape) count *= extent;
    return count;
  }
  int64_t Integer(size_t i) const {
    const uint8_t* at = data.data() + i * item_bytes;
    switch (item_bytes) {
      case 1:
        return kind == 'u' ? int64_t{*at} : int64_t{static_cast<int8_t>(*at)};
      case 2:
        return kind == 'u' ? int64_t{LoadLE<uint16_t>(at)}
                           : int64_t{static_cast<int16_t>(LoadLE<uint16_t>(at))};
      case 4:
        return kind == 'u' ? int64_t{LoadLE<uint32_t>(at)}
                           : int64_t{static_cast<int32_t>(LoadLE<uint32_t>(at))};
      default:  // beyond 2^63 becomes negative: no label either way
        return static_cast<int64_t>(LoadLE<uint64_t>(at));
    }
  }
  double Real(size_t i) const {
    const uint8_t* at = data.data() + i * item_bytes;
    if (item_bytes == 4) return double{std::bit_cast<float>(LoadLE<uint32_t>(at))};
    return std::bit_cast<double>(LoadLE<uint64_t>(at));
  }
};

// What follows `'key':` in the header's Python dictionary, blanks removed; empty when it is
// missing.
std::string_view Entry(std::string_view header, std::string_view key) {
  const std::string quoted = StrCat("'", key, "'");
  const size_t found = header.find(quoted);
  if (found == std::string_view::npos) return {};
  header.remove_prefix(found + quoted.size());
  const size_t colon = header.find_first_not_of(' ');
  if (colon == std::string_view::npos || header[colon] != ':') return {};
  header.remove_prefix(colon + 1);
  const size_t begin = header.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view() : header.substr(begin);
}

// "(60000, 28, 28)", "(5,)": false when it is no tuple of 1 to 8 numbers.
bool ParseShape(std::string_view text, std::vector<uint32_t>& shape) {
  if (!text.starts_with('(')) return false;
  text.remove_prefix(1);
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.starts_with(')')) return !shape.empty();
    uint32_t extent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc() || shape.size() == kMaxRank) return false;
    shape.push_back(extent);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.starts_with(',')) {
      text.remove_prefix(1);
    } else if (!text.starts_with(')')) {
      return false;
    }
  }
}

Result<Array> ReadArray(ByteSpan bytes, const std::string& name) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (bytes.size() < 12 || AsText(bytes).substr(0, 6) != kMagic || bytes[6] < 1 || bytes[6] > 3) {
    return Fail(Code::kData, name, ": no NumPy array file of format 1 to 3");
  }
  const size_t begin = bytes[6] == 1 ? 10 : 12;
  const size_t length = bytes[6] == 1 ? LoadLE<uint16_t>(&bytes[8]) : LoadLE<uint32_t>(&bytes[8]);
  if (length > kMaxHeaderBytes || bytes.size() - begin < length) {
    return Fail(Code::kData, name, ": a header of ", length, " bytes, the file has ",
                bytes.size() - begin, " and at most ", kMaxHeaderBytes, " are read");
  }
  const std::string_view header = AsText(bytes.subspan(begin, length));
  Array array;
  array.data = bytes.subspan(begin + length);
  const std::string_view type = Entry(header, "descr");
  constexpr std::array<std::string_view, 10> kTypes = {"'|u1'", "'|i1'", "'<u2'", "'<i2'", "'<u4'",
                                                       "'<i4'", "'<u8'", "'<i8'", "'<f4'", "'<f8'"};
  const auto known = std::ranges::find_if(kTypes, [&](auto t) { return type.starts_with(t); });
  if (known == kTypes.end()) {
    return Fail(Code::kData, name,
                ": the type of the elements (descr) is not one that is read: u1, i1, u2, i2, u4, "
                "i4, u8, i8, f4 or f8, little-endian");
  }
  array.kind = (*known)[2];
  array.item_bytes = static_cast<size_t>((*known)[3] - '0');
  if (!Entry(header, "fortran_order").starts_with("False")) {
    return Fail(Code::kData, name,
                ": the array is not in C order (numpy.ascontiguousarray makes it so)");
  }
  if (!ParseShape(Entry(header, "shape"), array.shape)) {
    return Fail(Code::kData, name, ": the shape is not a tuple of 1 to ", kMaxRank, " numbers");
  }
  uint64_t count = 1;
  for (const uint32_t extent : array.shape) {
    count *= extent;
    if (count == 0 || count > kMaxNumbers) {
      return Fail(Code::kData, name, ": the array is empty or has more than ", kMaxNumbers,
                  " elements");
    }
  }
  if (array.data.size() != count * array.item_bytes) {
    return Fail(Code::kData, name, ": ", array.data.size(), " bytes of data, the header announces ",
                count * array.item_bytes);
  }
  return array;
}

Result<std::vector<float>> Floats(const Array& array, const std::string& name) {
  std::vector<float> out(array.Count());
  for (size_t i = 0; i < out.size(); ++i) {
    const double value = array.Real(i);
    if (!(std::abs(value) <= double{std::numeric_limits<float>::max()})) {
      return Fail(Code::kData, name, ": element ", i, " is ", value,
                  ", a finite number in the range of 32-bit floats is wanted");
    }
    out[i] = static_cast<float>(value);
  }
  return out;
}

Status SetLabels(const Array& y, const std::string& name, Dataset& data) {
  if (y.shape.size() != 1) {
    return Fail(Code::kData, name, ": labels of rank ", y.shape.size(),
                ", wanted one for each row");
  }
  for (size_t i = 0; i < y.shape[0]; ++i) {
    const int64_t label = y.Integer(i);
    if (label < 0 || label >= kMaxClasses) {
      return Fail(Code::kData, name, ": label ", label, " of row ", i, ", 0..", kMaxClasses - 1,
                  " is wanted");
    }
    data.labels.push_back(static_cast<int32_t>(label));
    data.classes = std::max(data.classes, static_cast<uint32_t>(label) + 1);
  }
  return {};
}

}  // namespace

Result<Dataset> ParseNpy(ByteSpan x_bytes, const std::string& x_name, ByteSpan y_bytes,
                         const std::string& y_name) {
  LINNET_TRY(const Array x, ReadArray(x_bytes, x_name));
  LINNET_TRY(const Array y, ReadArray(y_bytes, y_name));
  if (x.kind != 'f' && (x.kind != 'u' || x.item_bytes != 1)) {
    return Fail(Code::kData, x_name, ": elements of type ", x.kind, x.item_bytes,
                ", wanted u1, f4 or f8");
  }
  if (x.shape[0] != y.shape[0]) {
    return Fail(Code::kData, y_name, ": ", y.shape[0], " rows for the ", x.shape[0], " of ",
                x_name);
  }
  Dataset data;
  data.shape.assign(x.shape.begin() + 1, x.shape.end());
  if (data.shape.empty()) data.shape = {1};
  // Grey images without an axis for their channel.
  if (x.kind == 'u' && data.shape.size() == 2) data.shape.push_back(1);
  data.source = StrCat("npy:", x_name);
  if (x.kind == 'u') {
    data.u8.assign(x.data.begin(), x.data.end());
  } else {
    LINNET_TRY(data.f32, Floats(x, x_name));
  }
  if (y.kind == 'f') {
    LINNET_TRY(data.targets, Floats(y, y_name));
  } else {
    LINNET_TRY_STATUS(SetLabels(y, y_name, data));
  }
  SetScaling(data, Scaling::kUnit);
  return data;
}

Result<TrainTest> OpenNpy(std::string_view rest) {
  const size_t comma = rest.find(',');
  if (comma == std::string_view::npos || comma == 0 || comma + 1 == rest.size()) {
    return Fail(Code::kInvalid, "npy: found \"", rest, "\", wanted npy:X.npy,Y.npy");
  }
  const std::string x_name(rest.substr(0, comma)), y_name(rest.substr(comma + 1));
  LINNET_TRY(const Bytes x, ReadDataFile(x_name));
  LINNET_TRY(const Bytes y, ReadDataFile(y_name));
  LINNET_TRY(Dataset data, ParseNpy(x, x_name, y, y_name));
  return TrainTest{std::make_shared<Dataset>(std::move(data)), nullptr};
}

}  // namespace linnet
