#include "native/plugin/sandbox_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "native/plugin/sandbox_child.h"

namespace linnet {
namespace {

constexpr size_t kRoomBytes = size_t{SandboxProcess::kSlots} * SandboxProcess::kSlotBytes;
constexpr uint32_t kMaxText = 4096, kMaxLog = 16384;
// Behind the slots, for each of them: the text of an error, then what was logged.
constexpr size_t kMemoryBytes = kRoomBytes + SandboxProcess::kSlots * size_t{kMaxText + kMaxLog};
// What node needs beside the plugin's memory: its heap (128 MiB), compiled code, threads.
constexpr uint64_t kNodeBytes = uint64_t{1} << 30;
// An answer that comes soon is cheaper to wait for than to be woken by.
constexpr std::chrono::microseconds kSpin{30};

std::string SystemError() { return std::strerror(errno); }

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

// Lines as the child wrote them: a digit for the level, the text, a newline.
std::vector<SandboxLine> ReadLines(std::string_view log) {
  std::vector<SandboxLine> lines;
  while (!log.empty()) {
    const size_t end = log.find('\n');
    const std::string_view line = log.substr(0, end);
    if (!line.empty()) {
      const uint32_t level = static_cast<uint32_t>(line[0] - '0');
      lines.push_back({std::min(level, 3u), std::string(line.substr(1))});
    }
    log.remove_prefix(end == log.npos ? log.size() : end + 1);
  }
  return lines;
}

}  // namespace

Result<std::unique_ptr<SandboxProcess>> SandboxProcess::Start(const SandboxFiles& files,
                                                              const SandboxLimits& limits,
                                                              int module) {
  std::unique_ptr<SandboxProcess> process(new SandboxProcess);
  LINNET_TRY_STATUS(process->Spawn(files, limits, module));
  auto ready = process->Receive(0, std::chrono::milliseconds(limits.start_ms));
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
  const SandboxChild child = {
      arguments.data(), environment,
      getpid(),         {requests.end(0), responses.end(1), nothing, memory_, module},
      report.end(1),    bytes + kNodeBytes,
  };
  pid_ = fork();
  if (pid_ == 0) BecomeSandbox(child);
  if (nothing >= 0) close(nothing);
  if (pid_ < 0) return Fail(Code::kUnavailable, "cannot start a process: ", SystemError());
  report.Close(1);
  SandboxReport first, second;
  const bool told = read(report.end(0), &first, sizeof(first)) == sizeof(first);
  if (told && first.isolation == 0) {
    return Fail(Code::kUnsupported,
                "this system grants neither a network namespace nor a filter for system calls: "
                "plugins of strangers would have the network, so they are not run");
  }
  if (!told) return Fail(Code::kUnavailable, "its process ended before it could run node");
  if (read(report.end(0), &second, sizeof(second)) != 0) {
    return Fail(Code::kUnavailable, "cannot run ", files.node, ": ", std::strerror(second.error));
  }
  isolation_ = (first.isolation & 1) != 0 ? "network namespace" : "";
  if ((first.isolation & 2) != 0)
    isolation_ += isolation_.empty() ? "system call filter" : " and system call filter";
  to_ = requests.Release(1);
  from_ = responses.Release(0);
  fcntl(from_, F_SETFL, O_NONBLOCK);
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

Result<SandboxResponse> SandboxProcess::Receive(uint32_t slot, std::chrono::milliseconds deadline) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now(), end = begin + deadline;
  struct {
    int32_t status;
    uint32_t calls, text, trapped, log, omitted;
  } head;
  auto* bytes = reinterpret_cast<uint8_t*>(&head);
  for (size_t at = 0; at < sizeof(head);) {
    const ssize_t n = read(from_, bytes + at, sizeof(head) - at);
    if (n > 0) {
      at += static_cast<size_t>(n);
      continue;
    }
    if (n == 0 || (errno != EINTR && errno != EAGAIN))
      return Fail(Code::kUnavailable, "its process ", HowItEnded());
    const auto now = Clock::now();
    if (now - begin < kSpin) continue;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - now);
    pollfd wait = {from_, POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) == 0) {
      Kill();
      return Fail(Code::kLimit, "it did not answer within ", deadline.count(),
                  " ms and was killed");
    }
  }
  SandboxResponse response;
  response.status = head.status;
  response.calls = head.calls;
  response.omitted = head.omitted;
  const char* words = reinterpret_cast<const char*>(room_ + kRoomBytes) +
                      size_t{slot / kSlotBytes} * (kMaxText + kMaxLog);
  response.text.assign(words, std::min(head.text, kMaxText));
  if (head.log > 0)
    response.lines = ReadLines(std::string(words + kMaxText, std::min(head.log, kMaxLog)));
  if (head.trapped != 0) Kill();
  return response;
}

}  // namespace linnet
