// A file's bytes in place, without a copy.
#ifndef LINNET_NATIVE_STORE_MAPPED_FILE_H_
#define LINNET_NATIVE_STORE_MAPPED_FILE_H_

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace linnet {

// Read-only, aligned to a page. The file is expected to be replaced whole, never changed in place
// (as ReplaceFile does): a file that shrinks under a mapping ends the process.
class MappedFile {
 public:
  // kNotFound, kIo; kLimit beyond `max_bytes`.
  static Result<MappedFile> Open(const std::string& path, size_t max_bytes);
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  ByteSpan bytes() const { return bytes_; }

 private:
  explicit MappedFile(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_MAPPED_FILE_H_
