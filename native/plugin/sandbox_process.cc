#include "native/plugin/sandbox_process.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

namespace linnet {
namespace {

constexpr uint32_t kMaxText = 4096;
constexpr size_t kMemoryBytes = SandboxProcess::kRoomBytes + kMaxText;

std::string SystemError() { return std::strerror(errno); }

// ---- In the child, between fork and exec: system calls only.

// Refuses to open sockets or rings (which can open sockets), to look into other
// processes, and to make namespaces in which it would be allowed again.
bool FilterSystemCalls() {
#if defined(__x86_64__)
  constexpr uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
  return false;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  static constexpr uint32_t kRefused[] = {
      SYS_socket, SYS_socketpair,        SYS_connect, SYS_bind,  SYS_io_uring_setup,
      SYS_ptrace, SYS_process_vm_writev, SYS_unshare, SYS_setns, SYS_process_vm_readv};
  constexpr size_t kCount = std::size(kRefused);
  sock_filter program[6 + kCount + 2];
  size_t n = 0;
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  program[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kMachine, 1, 0);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  // The other numbering of x86-64 (x32).
  program[n++] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  for (size_t i = 0; i < kCount; ++i) {
    program[n++] =
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRefused[i], static_cast<uint8_t>(kCount - i), 0);
  }
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  const sock_fprog filter = {static_cast<unsigned short>(n), program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
#endif
}

void Limit(int what, rlim_t value) {
  const rlimit limit = {value, value};
  setrlimit(static_cast<__rlimit_resource>(what), &limit);
}

// What the parent learns of the child before it becomes node.
struct Report {
  char isolation = 0;  // bit 0: network namespace, bit 1: system call filter
  char failed = 0;
  int error = 0;
};

[[noreturn]] void BecomeNode(char* const* arguments, char* const* environment, pid_t parent,
                             const int (&descriptors)[5], int report_to) {
  Report report;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  const bool space = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_NOFILE, 128);
  // Above the numbers that they will have, so that none is overwritten.
  int moved[5];
  for (int i = 0; i < 5; ++i) moved[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 64);
  const int report_moved = fcntl(report_to, F_DUPFD_CLOEXEC, 64);
  for (int i = 0; i < 5; ++i) dup2(moved[i], i);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (chdir("/") != 0) _exit(126);
  const bool filtered = FilterSystemCalls();
  report.isolation = static_cast<char>((space ? 1 : 0) | (filtered ? 2 : 0));
  if (report.isolation == 0) report.failed = 1;
  if (write(report_moved, &report, sizeof(report)) != sizeof(report)) _exit(126);
  if (report.failed != 0) _exit(126);
  // Whatever else the parent had open is closed by exec.
  syscall(SYS_close_range, 5u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
  execve(arguments[0], arguments, environment);
  report.failed = 1;
  report.error = errno;
  if (write(report_moved, &report, sizeof(report)) < 0) _exit(127);
  _exit(127);
}

class Pipe {
 public:
  bool Open() { return pipe2(ends_, O_CLOEXEC) == 0; }
  ~Pipe() {
    Close(0);
    Close(1);
  }
  int end(int i) const { return ends_[i]; }
  void Close(int i) {
    if (ends_[i] >= 0) close(ends_[i]);
    ends_[i] = -1;
  }
  int Release(int i) { return std::exchange(ends_[i], -1); }

 private:
  int ends_[2] = {-1, -1};
};

bool IsProgram(const std::string& path) {
  return std::filesystem::is_regular_file(path) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<SandboxFiles> FindSandboxFiles() {
  namespace fs = std::filesystem;
  SandboxFiles files;
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  std::vector<std::string> candidates = {variable("LINNET_NODE")};
  std::string cache = variable("LINNET_CACHE");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty())
    cache = variable("XDG_CACHE_HOME") + "/linnet";
  if (cache.empty()) cache = variable("HOME") + "/.cache/linnet";
  candidates.push_back(cache + "/node/bin/node");
  const std::string path = variable("PATH");
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    if (end > at) candidates.push_back(path.substr(at, end - at) + "/node");
    at = end + 1;
  }
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || !IsProgram(candidate)) continue;
    std::error_code error;
    files.node = fs::canonical(candidate, error).string();
    if (!error) break;
  }
  if (files.node.empty()) {
    return Fail(Code::kNotFound, "found no node program (Node.js 22.18 or newer) in $LINNET_NODE, ",
                cache, "/node/bin or on PATH: .wasm plugins run in it");
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* folder : {"../share/linnet/sandbox", "../..", "../../.."}) {
    const fs::path root = program / folder;
    const bool installed = fs::exists(root / "sandbox.mjs");
    const fs::path script = installed ? root / "sandbox.mjs" : root / "native/plugin/sandbox.mjs";
    const fs::path loader = installed ? root / "module.ts" : root / "web/src/plugin/module.ts";
    if (!fs::exists(script) || !fs::exists(loader)) continue;
    files.script = fs::canonical(script).string();
    files.loader = fs::canonical(loader).string();
    return files;
  }
  return Fail(Code::kNotFound, "found no sandbox.mjs in ",
              (program / "../share/linnet/sandbox").string(), ": .wasm plugins run in it");
}

Result<std::unique_ptr<SandboxProcess>> SandboxProcess::Start(const SandboxFiles& files,
                                                              const SandboxLimits& limits,
                                                              int module) {
  std::unique_ptr<SandboxProcess> process(new SandboxProcess);
  LINNET_TRY_STATUS(process->Spawn(files, limits, module));
  auto ready = process->Receive(std::chrono::milliseconds(limits.start_ms));
  if (!ready) return Annotate(ready.error(), StrCat("the sandbox (", files.node, ")"));
  if (ready->status < 0) return Fail(Code::kInvalid, "it cannot be loaded: ", ready->text);
  process->exports_ = ready->calls;
  return process;
}

Status SandboxProcess::Spawn(const SandboxFiles& files, const SandboxLimits& limits, int module) {
  memory_ = memfd_create("linnet-sandbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory_ < 0 || ftruncate(memory_, kMemoryBytes) != 0)
    return Fail(Code::kIo, "cannot make shared memory: ", SystemError());
  // The child could cut it short, and the host would fault.
  fcntl(memory_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  void* mapped =
      mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_, 0);
  if (mapped == MAP_FAILED) return Fail(Code::kIo, "cannot map shared memory: ", SystemError());
  room_ = static_cast<uint8_t*>(mapped);
  Pipe requests, responses, report;
  if (!requests.Open() || !responses.Open() || !report.Open())
    return Fail(Code::kIo, "cannot make a pipe: ", SystemError());
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

  const uint64_t bytes = uint64_t{limits.memory_mib} << 20;
  const auto folder = [](const std::string& file) {
    return "--allow-fs-read=" + std::filesystem::path(file).parent_path().string() + "/*";
  };
  std::vector<std::string> words = {files.node,
                                    "--no-warnings",
                                    "--experimental-strip-types",
                                    "--experimental-permission",
                                    folder(files.script),
                                    folder(files.loader),
                                    "--disallow-code-generation-from-strings",
                                    StrCat("--wasm-max-mem-pages=", bytes >> 16),
                                    "--max-old-space-size=128",
                                    files.script,
                                    files.loader,
                                    StrCat(bytes)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string no_rings = "UV_USE_IO_URING=0";
  char* environment[] = {no_rings.data(), nullptr};
  const int descriptors[5] = {requests.end(0), responses.end(1), nothing, memory_, module};
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) BecomeNode(arguments.data(), environment, parent, descriptors, report.end(1));
  if (nothing >= 0) close(nothing);
  if (pid_ < 0) return Fail(Code::kUnavailable, "cannot start a process: ", SystemError());
  report.Close(1);
  Report first, second;
  const bool told = read(report.end(0), &first, sizeof(first)) == sizeof(first);
  if (told && first.isolation == 0) {
    return Fail(Code::kUnsupported,
                "this system grants neither a network namespace nor a filter for "
                "system calls: "
                "plugins of strangers would have the network, so they are not run");
  }
  if (!told || read(report.end(0), &second, sizeof(second)) != 0) {
    return Fail(Code::kUnavailable, "cannot run ", files.node, ": ", std::strerror(second.error));
  }
  isolation_ = (first.isolation & 1) != 0 ? "network namespace" : "";
  if ((first.isolation & 2) != 0)
    isolation_ += isolation_.empty() ? "system call filter" : " and system call filter";
  to_ = requests.Release(1);
  from_ = responses.Release(0);
  return {};
}

SandboxProcess::~SandboxProcess() {
  Kill();
  for (const int fd : {to_, from_, memory_}) {
    if (fd >= 0) close(fd);
  }
  if (room_ != nullptr) munmap(room_, kMemoryBytes);
}

void SandboxProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

std::string SandboxProcess::HowItEnded() {
  int status = 0;
  // It has closed its end, so it is ending; a moment is all it needs.
  for (int i = 0; i < 200 && pid_ > 0; ++i) {
    const pid_t gone = waitpid(pid_, &status, WNOHANG);
    if (gone == pid_) {
      pid_ = -1;
      return WIFSIGNALED(status) ? StrCat("was ended by signal ", WTERMSIG(status))
                                 : StrCat("ended with code ", WEXITSTATUS(status));
    }
    usleep(1000);
  }
  Kill();
  return "closed its pipe";
}

Status SandboxProcess::Send(const SandboxRequest& request, std::span<const SandboxCall> calls) {
  if (pid_ <= 0) return Fail(Code::kUnavailable, "its process is gone");
  std::vector<uint8_t> bytes(sizeof(request) + calls.size_bytes());
  std::memcpy(bytes.data(), &request, sizeof(request));
  if (!calls.empty()) std::memcpy(bytes.data() + sizeof(request), calls.data(), calls.size_bytes());
  // A dead reader gives an error, not a signal.
  sigset_t broken, before;
  sigemptyset(&broken);
  sigaddset(&broken, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken, &before);
  int wrong = 0;
  for (size_t at = 0; at < bytes.size() && wrong == 0;) {
    const ssize_t n = write(to_, bytes.data() + at, bytes.size() - at);
    if (n > 0) at += static_cast<size_t>(n);
    if (n < 0 && errno != EINTR) wrong = errno;
  }
  if (wrong == EPIPE) {
    const timespec now{};
    sigtimedwait(&broken, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (wrong == 0) return {};
  return Fail(Code::kUnavailable, "its process ", HowItEnded());
}

Result<SandboxResponse> SandboxProcess::Receive(std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  uint8_t bytes[24];
  for (size_t at = 0; at < sizeof(bytes);) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd wait = {from_, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      Kill();
      return Fail(Code::kLimit, "it did not answer within ", deadline.count(),
                  " ms and was killed");
    }
    const ssize_t n = read(from_, bytes + at, sizeof(bytes) - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Fail(Code::kUnavailable, "its process ", HowItEnded());
    at += static_cast<size_t>(n);
  }
  SandboxResponse response;
  uint32_t text = 0, trapped = 0;
  std::memcpy(&response.status, bytes, 4);
  std::memcpy(&response.calls, bytes + 4, 4);
  std::memcpy(&text, bytes + 8, 4);
  std::memcpy(&trapped, bytes + 12, 4);
  response.text.assign(reinterpret_cast<const char*>(room_ + kRoomBytes), std::min(text, kMaxText));
  if (trapped != 0) Kill();
  return response;
}

}  // namespace linnet
