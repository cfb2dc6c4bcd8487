#include "native/store/file_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace linnet {
namespace {

class FileSpool final : public Spool {
 public:
  explicit FileSpool(std::string folder) : folder_(std::move(folder)) {}
  ~FileSpool() override {
    if (file_ >= 0) close(file_);
  }

  Result<uint64_t> Append(ByteSpan bytes) override {
    if (file_ < 0) {
      std::string name = folder_ + "/updates-XXXXXX";
      file_ = mkostemp(name.data(), O_CLOEXEC);
      if (file_ < 0) return Failed("could not be made");
      unlink(name.c_str());
    }
    const uint64_t at = size_;
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n =
          pwrite(file_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Failed("could not be written");
      done += static_cast<size_t>(n);
    }
    size_ += bytes.size();
    return at;
  }

  Status Read(uint64_t at, std::span<uint8_t> out) const override {
    for (size_t done = 0; done < out.size();) {
      const ssize_t n =
          pread(file_, out.data() + done, out.size() - done, static_cast<off_t>(at + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Failed(n == 0 ? "ends too early" : "could not be read");
      done += static_cast<size_t>(n);
    }
    return {};
  }

  void Clear() override {
    if (file_ >= 0) close(file_);
    file_ = -1;
    size_ = 0;
  }

 private:
  std::unexpected<Error> Failed(const char* what) const {
    return Fail(Code::kIo, "the spool of updates in ", folder_, " ", what, ": ",
                std::strerror(errno));
  }

  std::string folder_;
  int file_ = -1;
  uint64_t size_ = 0;
};

}  // namespace

std::shared_ptr<Spool> MakeFileSpool(std::string folder) {
  return std::make_shared<FileSpool>(std::move(folder));
}

}  // namespace linnet
