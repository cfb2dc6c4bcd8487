// One sandboxed module: the calls of its table as requests to the child.
#ifndef LINNET_NATIVE_PLUGIN_SANDBOX_MODULE_H_
#define LINNET_NATIVE_PLUGIN_SANDBOX_MODULE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "linnet/plugin.h"
#include "native/plugin/sandbox_process.h"

namespace linnet {

// Kinds of arguments (SandboxCall): two bits each, the first argument lowest.
template <typename... T>
constexpr uint32_t SandboxKinds(T... kinds) {
  uint32_t all = 0, shift = 0;
  ((all |= static_cast<uint32_t>(kinds) << shift, shift += 2), ...);
  return all;
}

// The names in the child's list (sandbox.mjs), in its order.
enum class SandboxFunction : uint32_t {
  kCount,
  kDescribe,
  kCreate,
  kDestroy,
  kSetLayout,
  kRoundBegin,
  kBaseChunk,
  kUpdatesBegin,
  kUpdatesChunk,
  kUpdatesEnd,
  kPassBegin,
  kPassBlock,
  kPassEnd,
  kFinalize,
  kResultChunk,
  kRoundEnd,
  kBlobSize,
  kBlobRead,
  kBlobWrite,
  kLastError
};

// Every function may be called from any thread; one call at a time is in the child. A call that
// waits for no answer is queued; its error is reported by a later one.
class SandboxModule {
 public:
  SandboxModule(SandboxFiles files, SandboxLimits limits, int module)
      : files_(std::move(files)), limits_(limits), module_(module) {}

  // Starts the child and reads count and descriptions.
  Status Load();
  bool Offers(SandboxFunction function) const {
    return (exports_ >> static_cast<uint32_t>(function) & 1) != 0;
  }
  // The child's process id, 0 when there is none: for tests.
  pid_t pid();

  uint32_t count() const { return static_cast<uint32_t>(descriptions_.size()); }
  lnt_status Describe(uint32_t index, void* json, uint32_t cap, uint32_t* len);
  lnt_status Create(uint32_t index, const void* config, uint32_t len, lnt_handle* out,
                    lnt_caps* caps);
  void Destroy(lnt_handle handle);
  lnt_status SetLayout(lnt_handle, const lnt_tensor*, uint32_t n, const char* names, uint32_t size);
  lnt_status RoundBegin(lnt_handle, const lnt_round*, uint32_t size);
  lnt_status BaseChunk(lnt_handle, uint32_t tensor, uint64_t off, const void* base, uint32_t count);
  lnt_status Begin(SandboxFunction, lnt_handle, uint32_t pass, const lnt_update*, uint32_t size,
                   uint32_t n);
  lnt_status UpdatesChunk(lnt_handle, uint32_t tensor, uint64_t off, const void* rows,
                          uint32_t stride, uint32_t count);
  lnt_status PassBlock(lnt_handle, uint32_t tensor, uint64_t off, const void* rows, uint32_t stride,
                       uint32_t count, void* out);
  // updates_end, pass_end, finalize.
  lnt_status Simple(SandboxFunction, lnt_handle);
  lnt_status ResultChunk(lnt_handle, uint32_t tensor, uint64_t off, const void* base, void* out,
                         uint32_t count);
  lnt_status RoundEnd(lnt_handle, void* json, uint32_t cap, uint32_t* len);
  lnt_status BlobSize(lnt_handle, uint32_t kind, uint64_t* size);
  lnt_status BlobRead(lnt_handle, uint32_t kind, uint64_t off, void* to, uint32_t len);
  lnt_status BlobWrite(lnt_handle, uint32_t kind, uint64_t total, uint64_t off, const void* from,
                       uint32_t len);
  lnt_status LastError(lnt_handle, char* text, uint32_t cap, uint32_t* len);

 private:
  struct Instance {
    lnt_handle inner = 0;
    uint64_t child = 0;           // the number of the child that it lives in
    uint32_t rows = 0;            // of the last updates_begin or pass_begin
    std::vector<uint32_t> bytes;  // of an element of each tensor
    std::string error;
  };

  // A request that is being put together in one slot of the shared memory. Offsets are of the slot.
  struct Batch {
    std::vector<SandboxCall> calls;
    uint32_t slot = 0, used = 0;
    uint32_t out_begin = 0, out_end = 0;
    lnt_handle handle = 0;  // the host's
  };
  struct Sent {
    lnt_handle handle;
    uint32_t slot;
  };
  // ---- sandbox_queue.cc
  // Bytes of the slot that are still free.
  uint32_t Room() const { return kSlot - batch_.used; }
  // Sends what is queued, so that a whole slot is free. False: the child is lost.
  bool Fresh();
  // Takes `size` bytes of the slot, at a multiple of 16; their offset.
  uint32_t Take(uint32_t size);
  uint32_t Put(const void* data, uint32_t size);
  uint8_t* At(uint32_t offset) { return process_->room() + batch_.slot + offset; }
  // What the calls write is copied back.
  uint32_t TakeOut(uint32_t size);

  void Add(SandboxFunction function, const Instance* instance, uint32_t kinds,
           std::initializer_list<uint64_t> values);
  // Sends the batch and goes on in the next slot.
  void Submit();
  // The answer of the oldest request that has none yet.
  void Collect();
  // Sends what there is and waits for all answers; the last status, or the first that failed.
  lnt_status Flush();
  // Hands the plugin's lines to the host's log, at most kMaxLines of a round.
  void Log(const SandboxResponse& response);
  void TellOmitted();
  void Lose(lnt_status status, const std::string& why);

  Instance* Find(lnt_handle handle);
  // Before the calls of an instance: null with the status in *wrong when it is none, or lost.
  Instance* Enter(lnt_handle handle, lnt_status* wrong);
  Status Restart();

  static constexpr uint32_t kSlot = SandboxProcess::kSlotBytes;
  static constexpr uint32_t kMaxLines = 100;

  const SandboxFiles files_;
  const SandboxLimits limits_;
  const int module_;
  std::mutex mutex_;
  std::unique_ptr<SandboxProcess> process_;
  uint32_t exports_ = 0;
  uint64_t child_ = 0;
  std::vector<std::string> descriptions_;
  std::map<lnt_handle, Instance> instances_;
  lnt_handle next_handle_ = 1;
  Batch batch_;
  std::deque<Sent> sent_;       // requests without an answer, oldest first
  lnt_status status_ = LNT_OK;  // since the last Flush
  std::string error_;           // of the last describe or create, or of the child's end
  lnt_status lost_ = LNT_E_TRAP;
  std::chrono::steady_clock::duration spent_{0};  // waiting in this round
  uint32_t lines_ = 0, omitted_ = 0;              // of the log in this round
};

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_SANDBOX_MODULE_H_
