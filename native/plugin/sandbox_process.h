// The child process that runs a stranger's .wasm (sandbox.mjs): its isolation, its shared memory
// and the pipes to it.
#ifndef LINNET_NATIVE_PLUGIN_SANDBOX_PROCESS_H_
#define LINNET_NATIVE_PLUGIN_SANDBOX_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "native/plugin/sandbox_files.h"

namespace linnet {

// What a plugin may use; beyond it, its process is killed.
struct SandboxLimits {
  uint32_t memory_mib = 1024;  // of its own memory
  uint32_t start_ms = 20000;   // until it is loaded
  uint32_t call_ms = 30000;    // of one request
  uint32_t round_ms = 600000;  // of all requests of a round
};

// One call of an export, as it lies in a request.
struct SandboxCall {
  enum Kind : uint32_t { kU32 = 0, kU64 = 1, kOffset = 2 };  // kOffset: into the request's slot
  uint32_t function = 0;                                     // index in the child's list of names
  uint32_t count = 0;                                        // of arguments
  uint32_t kinds = 0;                                        // two bits each
  uint32_t reserved = 0;
  uint64_t values[7] = {};
};
static_assert(sizeof(SandboxCall) == 72);

// Its arguments lie in one slot of the shared memory. The plugin's memory has room for one slot.
struct SandboxRequest {
  uint32_t calls = 0;
  uint32_t slot = 0;                    // its first byte
  uint32_t in_bytes = 0;                // of the slot, copied in before the calls
  uint32_t out_begin = 0, out_end = 0;  // of the slot, copied back after them
  uint32_t handle = 0;                  // whose last_error is asked when a call fails
  uint32_t reserved[2] = {};
};
static_assert(sizeof(SandboxRequest) == 32);

// What the plugin logged.
struct SandboxLine {
  uint32_t level = 0;
  std::string text;
};

struct SandboxResponse {
  int32_t status = 0;
  uint32_t calls = 0;  // that were made
  std::string text;    // of an error
  std::vector<SandboxLine> lines;
  uint32_t omitted = 0;  // lines beyond these
};

// A machine with one owner. The child is killed when this is destroyed, and when it misbehaves.
class SandboxProcess {
 public:
  // Slots, so that the host fills one while the child works on others.
  static constexpr uint32_t kSlotBytes = 2 << 20, kSlots = 4;

  // `module`: a descriptor of the file's sealed copy. kUnsupported: neither a network namespace nor
  // a filter for system calls can be had; kInvalid: the module is not acceptable; kUnavailable: the
  // child did not start.
  static Result<std::unique_ptr<SandboxProcess>> Start(const SandboxFiles& files,
                                                       const SandboxLimits& limits, int module);
  ~SandboxProcess();
  SandboxProcess(const SandboxProcess&) = delete;
  SandboxProcess& operator=(const SandboxProcess&) = delete;

  // kSlots * kSlotBytes, for arguments and results.
  uint8_t* room() { return room_; }
  // Bit i: the plugin has the export of name i.
  uint32_t exports() const { return exports_; }
  pid_t pid() const { return pid_; }
  // What keeps it from the network: "network namespace", "system call filter".
  const std::string& isolation() const { return isolation_; }

  // After an error (kUnavailable; kLimit: a deadline) the child is gone.
  Status Send(const SandboxRequest& request, std::span<const SandboxCall> calls);
  // The answer to the oldest request that has none yet, whose slot is `slot`.
  Result<SandboxResponse> Receive(uint32_t slot, std::chrono::milliseconds deadline);

 private:
  SandboxProcess() = default;
  Status Spawn(const SandboxFiles& files, const SandboxLimits& limits, int module);
  void Kill();
  // "was ended by signal 9", after it has gone.
  std::string HowItEnded();

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1, memory_ = -1;
  uint8_t* room_ = nullptr;
  uint32_t exports_ = 0;
  std::string isolation_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_SANDBOX_PROCESS_H_
