#include "native/store/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace linnet {

Result<MappedFile> MappedFile::Open(const std::string& path, size_t max_bytes) {
  const auto refuse = [&](std::string_view act) {
    const int error = errno;
    return Fail(error == ENOENT ? Code::kNotFound : Code::kIo, "cannot ", act, " ", path, ": ",
                std::strerror(error));
  };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return refuse("read");
  struct stat about{};
  void* mapped = MAP_FAILED;
  const bool known = fstat(file, &about) == 0;
  const auto size = known ? static_cast<size_t>(about.st_size) : 0;
  const bool regular = known && S_ISREG(about.st_mode);
  if (regular && size > 0 && size <= max_bytes) {
    mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  }
  const int error = errno;
  close(file);
  errno = error;
  if (!known) return refuse("read");
  if (!regular) return Fail(Code::kIo, "cannot read ", path, ": it is no regular file");
  if (size > max_bytes) {
    return Fail(Code::kLimit, path, " has ", size, " bytes, wanted at most ", max_bytes);
  }
  if (size == 0) return MappedFile(ByteSpan());
  if (mapped == MAP_FAILED) return refuse("map");
  return MappedFile(ByteSpan(static_cast<const uint8_t*>(mapped), size));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

}  // namespace linnet
