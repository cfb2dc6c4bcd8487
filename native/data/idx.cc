#include "native/data/idx.h"

#include <array>

#include "native/data/file.h"

namespace linnet {
namespace {

constexpr uint32_t kImagesMagic = 2051;
constexpr uint32_t kLabelsMagic = 2049;
constexpr uint32_t kMaxSide = 4096;
constexpr uint32_t kMnistClasses = 10;

uint32_t LoadBE32(const uint8_t* from) { return std::byteswap(LoadLE<uint32_t>(from)); }

// The header's numbers after the magic one.
template <size_t kNumbers>
Result<std::array<uint32_t, kNumbers>> ReadHeader(ByteSpan bytes, std::string_view name,
                                                  uint32_t magic) {
  constexpr size_t kHeaderBytes = 4 * (1 + kNumbers);
  if (bytes.size() < kHeaderBytes) {
    return Fail(Code::kData, name, ": ", bytes.size(), " bytes, an IDX header of ", kHeaderBytes,
                " is wanted");
  }
  if (const uint32_t found = LoadBE32(bytes.data()); found != magic) {
    return Fail(Code::kData, name, ": the IDX magic number is ", found, ", ", magic,
                magic == kImagesMagic ? " (images of bytes)" : " (labels of one byte)",
                " is wanted");
  }
  std::array<uint32_t, kNumbers> numbers;
  for (size_t i = 0; i < kNumbers; ++i) numbers[i] = LoadBE32(bytes.data() + 4 * (1 + i));
  return numbers;
}

Status CheckLength(ByteSpan bytes, std::string_view name, uint64_t wanted) {
  if (bytes.size() == wanted) return {};
  return Fail(Code::kData, name, ": ", bytes.size(), " bytes, its header announces ", wanted,
              bytes.size() < wanted ? ": the file is truncated" : ": the file is too long");
}

// `folder`/`name`, plain or with ".gz", and which of the two it was.
struct NamedBytes {
  std::string path;
  Bytes bytes;
};
Result<NamedBytes> ReadEither(const std::string& folder, const std::string& name) {
  const std::string plain = folder + "/" + name;
  auto bytes = ReadDataFile(plain);
  if (bytes) return NamedBytes{plain, std::move(*bytes)};
  if (bytes.error().code != Code::kNotFound) return std::unexpected(bytes.error());
  auto packed = ReadDataFile(plain + ".gz");
  if (packed) return NamedBytes{plain + ".gz", std::move(*packed)};
  if (packed.error().code != Code::kNotFound) return std::unexpected(packed.error());
  return Fail(Code::kNotFound, "mnist: neither ", plain, " nor ", plain,
              ".gz was found; the four IDX files of MNIST are wanted in ", folder);
}

Result<std::shared_ptr<Dataset>> ReadPart(const std::string& folder, const std::string& part) {
  LINNET_TRY(const NamedBytes images, ReadEither(folder, part + "-images-idx3-ubyte"));
  LINNET_TRY(const NamedBytes labels, ReadEither(folder, part + "-labels-idx1-ubyte"));
  LINNET_TRY(Dataset data,
             ParseIdx(images.bytes, images.path, labels.bytes, labels.path, kMnistClasses));
  data.source = StrCat("mnist:", folder, part == "train" ? " (train)" : " (test)");
  return std::make_shared<Dataset>(std::move(data));
}

bool HasEither(const std::string& folder, const std::string& name) {
  const auto there = [](const std::string& path) {
    const auto bytes = ReadDataFile(path, 0);
    return bytes || bytes.error().code != Code::kNotFound;
  };
  return there(folder + "/" + name) || there(folder + "/" + name + ".gz");
}

}  // namespace

Result<Dataset> ParseIdx(ByteSpan images, std::string_view images_name, ByteSpan labels,
                         std::string_view labels_name, uint32_t classes) {
  LINNET_TRY(const auto image_header, (ReadHeader<3>(images, images_name, kImagesMagic)));
  const auto [count, rows, columns] = image_header;
  if (rows == 0 || columns == 0 || rows > kMaxSide || columns > kMaxSide) {
    return Fail(Code::kData, images_name, ": images of ", rows, " x ", columns, ", sides of 1..",
                kMaxSide, " are wanted");
  }
  LINNET_TRY_STATUS(CheckLength(images, images_name, 16 + uint64_t{count} * rows * columns));
  LINNET_TRY(const auto label_header, (ReadHeader<1>(labels, labels_name, kLabelsMagic)));
  LINNET_TRY_STATUS(CheckLength(labels, labels_name, 8 + uint64_t{label_header[0]}));
  if (label_header[0] != count) {
    return Fail(Code::kData, labels_name, ": ", label_header[0], " labels for the ", count,
                " images of ", images_name);
  }
  if (count == 0) return Fail(Code::kData, images_name, ": no image, at least 1 is wanted");
  Dataset data;
  data.shape = {rows, columns, 1};
  data.classes = classes;
  data.source = images_name;
  data.labels.reserve(count);
  for (const uint8_t label : labels.subspan(8)) {
    if (label >= classes) {
      return Fail(Code::kData, labels_name, ": label ", label, " of example ", data.labels.size(),
                  ", 0..", classes - 1, " is wanted");
    }
    data.labels.push_back(label);
  }
  data.u8.assign(images.begin() + 16, images.end());
  SetScaling(data, Scaling::kUnit);
  return data;
}

Result<TrainTest> OpenMnist(const std::string& folder) {
  TrainTest parts;
  LINNET_TRY(parts.train, ReadPart(folder, "train"));
  if (HasEither(folder, "t10k-images-idx3-ubyte") || HasEither(folder, "t10k-labels-idx1-ubyte")) {
    LINNET_TRY(parts.test, ReadPart(folder, "t10k"));
    if (parts.test->shape != parts.train->shape) {
      return Fail(Code::kData, parts.test->source, ": images of ", parts.test->shape[0], " x ",
                  parts.test->shape[1], ", those to train on have ", parts.train->shape[0], " x ",
                  parts.train->shape[1]);
    }
  }
  return parts;
}

}  // namespace linnet
