#include "native/data/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace linnet {
namespace {

constexpr size_t kFirstBytes = size_t{1} << 16;

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose_r(file); }
};

}  // namespace

Result<Bytes> ReadDataFile(const std::string& path, size_t limit) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return Fail(errno == ENOENT || errno == ENOTDIR ? Code::kNotFound : Code::kIo, path, ": ",
                std::strerror(errno));
  }
  struct stat status{};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    return Fail(Code::kIo, path, ": not a regular file");
  }
  const std::unique_ptr<gzFile_s, CloseGzip> file(gzdopen(descriptor, "rb"));
  if (file == nullptr) {
    close(descriptor);
    return Fail(Code::kIo, path, ": zlib has no memory for it");
  }
  Bytes bytes;
  size_t size = 0;
  for (;;) {
    if (size == bytes.size()) {
      if (size > limit) {
        return Fail(Code::kLimit, path, ": more than the ", limit, " bytes that are read");
      }
      // One byte beyond the limit tells a full file from one that is too long.
      bytes.resize(std::min(limit + 1, std::max(kFirstBytes, 2 * size)));
    }
    const auto wanted = static_cast<unsigned>(std::min<size_t>(bytes.size() - size, 1u << 30));
    const int got = gzread(file.get(), bytes.data() + size, wanted);
    int code = Z_OK;
    const char* words = gzerror(file.get(), &code);
    if (got < 0 || code == Z_BUF_ERROR) {
      if (code == Z_ERRNO) return Fail(Code::kIo, path, ": ", std::strerror(errno));
      return Fail(Code::kData, path, ": the gzip stream ",
                  code == Z_BUF_ERROR ? "is truncated" : "is broken", " after ",
                  size + static_cast<size_t>(std::max(got, 0)), " unpacked bytes (", words, ")");
    }
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace linnet
