#include "native/cli/image.h"

#include <cctype>

#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr size_t kMaxImageBytes = 64u << 20;

// The next number of the header, behind blanks and comments; -1 = none.
int64_t NextNumber(ByteSpan bytes, size_t& at) {
  while (at < bytes.size() && (std::isspace(bytes[at]) || bytes[at] == '#')) {
    if (bytes[at] == '#') {
      while (at < bytes.size() && bytes[at] != '\n') ++at;
    } else {
      ++at;
    }
  }
  int64_t number = -1;
  while (at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9' && number < (1 << 24)) {
    number = (number < 0 ? 0 : number) * 10 + (bytes[at++] - '0');
  }
  return number;
}

}  // namespace

Result<Dataset> LoadPgm(const std::string& path, const Graph& graph) {
  LINNET_TRY(const Bytes bytes, ReadFile(path, kMaxImageBytes));
  if (bytes.size() < 2 || bytes[0] != 'P' || bytes[1] != '5') {
    return Fail(Code::kData, path, " is not a binary PGM (it does not begin with P5)");
  }
  size_t at = 2;
  const int64_t width = NextNumber(bytes, at);
  const int64_t height = NextNumber(bytes, at);
  const int64_t most = NextNumber(bytes, at);
  ++at;  // one blank
  if (width < 1 || height < 1 || most < 1 || most > 255) {
    return Fail(Code::kData, path, ": width, height and a maximum up to 255 are wanted, found ",
                width, ", ", height, ", ", most);
  }
  if (uint64_t(width) * uint64_t(height) != graph.InputCount()) {
    return Fail(Code::kInvalid, path, " has ", width, "x", height, " pixels, the model wants ",
                graph.InputCount());
  }
  if (at > bytes.size() || bytes.size() - at < graph.InputCount()) {
    return Fail(Code::kData, path, " is cut short");
  }
  Dataset out;
  out.shape = graph.input_shape;
  out.classes = graph.classes;
  out.u8.assign(bytes.begin() + ptrdiff_t(at), bytes.begin() + ptrdiff_t(at + graph.InputCount()));
  out.labels = {0};
  out.scale = {1.0f / float(most)};
  out.offset = {0.0f};
  out.source = path;
  return out;
}

}  // namespace linnet
