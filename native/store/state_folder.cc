#include "native/store/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace linnet {
namespace {

std::unexpected<Error> SystemError(std::string_view what, const std::string& path) {
  const int error = errno;
  return Fail(error == ENOENT ? Code::kNotFound : Code::kIo, what, " ", path, ": ",
              std::generic_category().message(error));
}

// Closes a descriptor.
struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

std::string DefaultStateFolder(const std::string& part, const std::string& name) {
  const char* xdg = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string base = xdg != nullptr && *xdg != 0     ? std::string(xdg)
                     : home != nullptr && *home != 0 ? StrCat(home, "/.local/state")
                                                     : std::string("/var/tmp");
  std::string safe = name;
  for (char& c : safe) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  if (safe.empty() || safe[0] == '.') safe.insert(0, "_");
  return StrCat(base, "/linnet/", part, "/", safe);
}

Result<StateFolder> StateFolder::Open(const std::string& path) {
  std::error_code error;
  const bool existed = std::filesystem::is_directory(path, error);
  std::filesystem::create_directories(path, error);
  if (error) return Fail(Code::kIo, "cannot make the folder ", path, ": ", error.message());
  if (!existed) chmod(path.c_str(), 0700);
  const std::string name = path + "/lock";
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return SystemError("cannot open", name);
  StateFolder folder(path, fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);
    return Fail(Code::kState, "the state folder ", path, " is in use by process ",
                n > 0 ? owner : "(unknown)", ": stop it, or name another folder with --state");
  }
  const std::string owner = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, owner.data(), owner.size(), 0) < 0) {
    return SystemError("cannot write", name);
  }
  return folder;
}

StateFolder::~StateFolder() {
  if (lock_ >= 0) close(lock_);
}

Result<Bytes> ReadFile(const std::string& path, size_t max_bytes) {
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info{};
  if (file.fd < 0 || fstat(file.fd, &info) != 0) return SystemError("cannot read", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kIo, path, " is not a file");
  if (uint64_t(info.st_size) > max_bytes) {
    return Fail(Code::kLimit, path, " has ", uint64_t(info.st_size), " bytes, at most ", max_bytes,
                " are read");
  }
  Bytes bytes(size_t(info.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = read(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("cannot read", path);
    if (n == 0) break;
    done += size_t(n);
  }
  bytes.resize(done);
  return bytes;
}

Status ReplaceFile(const std::string& path, ByteSpan bytes) {
  const std::string next = path + ".new";
  File file{open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (file.fd < 0) return SystemError("cannot write", next);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("cannot write", next);
    done += size_t(n);
  }
  if (fsync(file.fd) != 0) return SystemError("cannot write", next);
  if (rename(next.c_str(), path.c_str()) != 0) return SystemError("cannot replace", path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  File directory{open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.fd < 0 || fsync(directory.fd) != 0) return SystemError("cannot sync", folder);
  return {};
}

}  // namespace linnet
