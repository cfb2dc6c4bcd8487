// A folder that one process owns while it runs, and files in it that are replaced whole.
#ifndef LINNET_NATIVE_STORE_STATE_FOLDER_H_
#define LINNET_NATIVE_STORE_STATE_FOLDER_H_

#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace linnet {

// $XDG_STATE_HOME/linnet/PART/NAME, or the same below ~/.local/state; characters of `name` that do
// not belong into a file's name become '_'.
std::string DefaultStateFolder(const std::string& part, const std::string& name);

// Makes the folder (mode 0700) and holds a lock in it; the lock dies with the process.
class StateFolder {
 public:
  // kState: another process holds it (named). kIo: the system's words.
  static Result<StateFolder> Open(const std::string& path);
  StateFolder(StateFolder&& other) noexcept
      : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}
  StateFolder& operator=(StateFolder&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  ~StateFolder();

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  StateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

// The whole file. kNotFound, kIo; kLimit beyond `max_bytes`.
Result<Bytes> ReadFile(const std::string& path, size_t max_bytes);
// Writes beside `path`, makes it durable and renames: after a crash the file is the old or the new
// one.
Status ReplaceFile(const std::string& path, ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_STATE_FOLDER_H_
