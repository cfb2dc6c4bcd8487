#include "native/plugin/plugin_loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "native/plugin/sandbox.h"

namespace linnet {
namespace {

constexpr int64_t kMaxFile = int64_t{256} << 20;

// Owns a file descriptor.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  // For good: the dynamic linker knows a module by its name, which is the descriptor's number.
  void Keep() { fd_ = -1; }

 private:
  int fd_;
};

std::string SystemError() { return std::strerror(errno); }

// The whole file in memory that can no longer be written, and its contents.
Status CopySealed(const std::string& path, int to, Bytes& bytes) {
  const File from(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (from.fd() < 0) {
    return Fail(errno == ENOENT ? Code::kNotFound : Code::kIo, "cannot open it: ", SystemError());
  }
  struct stat info{};
  if (fstat(from.fd(), &info) != 0) return Fail(Code::kIo, "cannot read it: ", SystemError());
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalid, "it is no regular file");
  if (info.st_size > kMaxFile) {
    return Fail(Code::kLimit, "it has ", info.st_size, " bytes, wanted at most ", kMaxFile);
  }
  bytes.resize(static_cast<size_t>(info.st_size));
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t n = read(from.fd(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(Code::kIo, "cannot read it: ", SystemError());
    if (n == 0) break;
    at += static_cast<size_t>(n);
  }
  bytes.resize(at);
  for (at = 0; at < bytes.size();) {
    const ssize_t n = write(to, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Fail(Code::kIo, "cannot copy it: ", SystemError());
    at += static_cast<size_t>(n);
  }
  if (fcntl(to, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return Fail(Code::kIo, "cannot seal its copy: ", SystemError());
  }
  return {};
}

// The dynamic linker trusts what the file says of its own size: a cut one would end the process
// with SIGBUS. All else that is wrong with a file it reports itself.
Status CheckWhole(ByteSpan bytes) {
  using Header = ElfW(Ehdr);
  using Segment = ElfW(Phdr);
  if (bytes.size() < sizeof(Header) || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
    return Fail(Code::kInvalid, "it cannot be loaded: it is no shared object (ELF)");
  }
  const Header header = LoadLE<Header>(bytes.data());
  const auto inside = [&](uint64_t offset, uint64_t size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
  };
  bool whole = header.e_phentsize == sizeof(Segment) &&
               inside(header.e_phoff, uint64_t{header.e_phnum} * sizeof(Segment)) &&
               inside(header.e_shoff, uint64_t{header.e_shnum} * header.e_shentsize);
  for (size_t i = 0; whole && i < header.e_phnum; ++i) {
    const Segment segment = LoadLE<Segment>(bytes.data() + header.e_phoff + i * sizeof(Segment));
    whole = segment.p_type != PT_LOAD || inside(segment.p_offset, segment.p_filesz);
  }
  if (!whole) return Fail(Code::kInvalid, "it cannot be loaded: it is cut short");
  return {};
}

// The dynamic linker's words, with the file's name in place of the descriptor's.
std::string LinkerError(const std::string& name, const std::string& path) {
  const char* text = dlerror();
  std::string message = text != nullptr ? text : "unknown error";
  for (size_t at = message.find(name); at != std::string::npos; at = message.find(name)) {
    message.replace(at, name.size(), path);
  }
  return message;
}

}  // namespace

Result<PluginFile> ParsePluginFile(std::string_view argument) {
  const size_t at = argument.rfind('#');
  if (at == std::string_view::npos || at == 0) {
    return Fail(Code::kInvalid, "plugin \"", argument,
                "\", wanted PATH#SHA256 (the file's hash in hexadecimal)");
  }
  auto digest = DigestFromHex(argument.substr(at + 1));
  if (!digest)
    return Annotate(digest.error(), StrCat("plugin ", argument.substr(0, at), ", SHA-256"));
  return PluginFile{std::string(argument.substr(0, at)), *digest};
}

bool IsWasm(ByteSpan bytes) {
  return bytes.size() >= 8 && std::memcmp(bytes.data(), "\0asm", 4) == 0;
}

Status LoadPlugin(const PluginFile& file, PluginTable& table, lnt_entry_fn* entry,
                  const SandboxLimits& limits) {
  const auto load = [&]() -> Status {
    File sealed(memfd_create("linnet-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (sealed.fd() < 0) return Fail(Code::kIo, "cannot make memory for it: ", SystemError());
    Bytes bytes;
    LINNET_TRY_STATUS(CopySealed(file.path, sealed.fd(), bytes));
    const Digest found = Sha256(bytes);
    if (found != file.sha256) {
      return Fail(Code::kPermission, "found SHA-256 ", Hex(found), ", wanted ", Hex(file.sha256));
    }
    if (IsWasm(bytes)) {
      LINNET_TRY(const SandboxFiles files, FindSandboxFiles());
      LINNET_TRY_STATUS(AddSandboxed(sealed.fd(), file.path, files, limits, table));
      sealed.Keep();
      return {};
    }
    LINNET_TRY_STATUS(CheckWhole(bytes));
    const std::string name = StrCat("/proc/self/fd/", sealed.fd());
    void* module = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
      return Fail(Code::kInvalid, "it cannot be loaded: ", LinkerError(name, file.path));
    }
    sealed.Keep();
    void* symbol = dlsym(module, LNT_ENTRY_SYMBOL);
    if (symbol == nullptr) {
      return Fail(Code::kInvalid,
                  "found no symbol " LNT_ENTRY_SYMBOL ", wanted it: is this a plugin for ABI ",
                  LNT_ABI_MAJOR, "?");
    }
    const auto found_entry = reinterpret_cast<lnt_entry_fn>(symbol);
    if (entry != nullptr) *entry = found_entry;
    return table.Add(found_entry, file.path);
  };
  Status status = load();
  if (status || status.error().message.starts_with("plugin ")) return status;
  return Annotate(status.error(), StrCat("plugin ", file.path));
}

}  // namespace linnet
