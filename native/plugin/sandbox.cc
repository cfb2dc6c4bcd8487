#include "native/plugin/sandbox.h"

#include <array>
#include <atomic>
#include <utility>

#include "native/plugin/sandbox_module.h"

namespace linnet {
namespace {

constexpr size_t kMaxModules = 64;
using F = SandboxFunction;

// Tables of functions have no context, so each module has functions of its own.
template <size_t kSlot>
struct Slot {
  inline static SandboxModule* module = nullptr;
  inline static lnt_plugin table;

  static uint32_t count() { return module->count(); }
  static lnt_status describe(uint32_t i, void* json, uint32_t cap, uint32_t* len) {
    return module->Describe(i, json, cap, len);
  }
  static lnt_status create(uint32_t i, const void* config, uint32_t len, lnt_handle* out,
                           lnt_caps* caps) {
    return module->Create(i, config, len, out, caps);
  }
  static void destroy(lnt_handle h) { module->Destroy(h); }
  static lnt_status set_layout(lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names,
                               uint32_t size) {
    return module->SetLayout(h, t, n, names, size);
  }
  static lnt_status round_begin(lnt_handle h, const lnt_round* r, uint32_t size) {
    return module->RoundBegin(h, r, size);
  }
  static lnt_status base_chunk(lnt_handle h, uint32_t t, uint64_t off, const void* base,
                               uint32_t n) {
    return module->BaseChunk(h, t, off, base, n);
  }
  static lnt_status updates_begin(lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n) {
    return module->Begin(F::kUpdatesBegin, h, 0, u, size, n);
  }
  static lnt_status updates_chunk(lnt_handle h, uint32_t t, uint64_t off, const void* rows,
                                  uint32_t stride, uint32_t n) {
    return module->UpdatesChunk(h, t, off, rows, stride, n);
  }
  static lnt_status updates_end(lnt_handle h) { return module->Simple(F::kUpdatesEnd, h); }
  static lnt_status pass_begin(lnt_handle h, uint32_t pass, const lnt_update* u, uint32_t size,
                               uint32_t n) {
    return module->Begin(F::kPassBegin, h, pass, u, size, n);
  }
  static lnt_status pass_block(lnt_handle h, uint32_t t, uint64_t off, const void* rows,
                               uint32_t stride, uint32_t n, void* out) {
    return module->PassBlock(h, t, off, rows, stride, n, out);
  }
  static lnt_status pass_end(lnt_handle h) { return module->Simple(F::kPassEnd, h); }
  static lnt_status finalize(lnt_handle h) { return module->Simple(F::kFinalize, h); }
  static lnt_status result_chunk(lnt_handle h, uint32_t t, uint64_t off, const void* base,
                                 void* out, uint32_t n) {
    return module->ResultChunk(h, t, off, base, out, n);
  }
  static lnt_status round_end(lnt_handle h, void* json, uint32_t cap, uint32_t* len) {
    return module->RoundEnd(h, json, cap, len);
  }
  static lnt_status blob_size(lnt_handle h, uint32_t kind, uint64_t* size) {
    return module->BlobSize(h, kind, size);
  }
  static lnt_status blob_read(lnt_handle h, uint32_t kind, uint64_t off, void* to, uint32_t len) {
    return module->BlobRead(h, kind, off, to, len);
  }
  static lnt_status blob_write(lnt_handle h, uint32_t kind, uint64_t total, uint64_t off,
                               const void* from, uint32_t len) {
    return module->BlobWrite(h, kind, total, off, from, len);
  }
  static lnt_status last_error(lnt_handle h, char* text, uint32_t cap, uint32_t* len) {
    return module->LastError(h, text, cap, len);
  }

  static const lnt_plugin* Enter(const lnt_host* host) {
    return host != nullptr && host->abi_version >> 16 == LNT_ABI_MAJOR ? &table : nullptr;
  }

  static lnt_entry_fn Take(SandboxModule* taken) {
    module = taken;
    table = {sizeof(lnt_plugin),
             LNT_ABI_VERSION,
             &count,
             &describe,
             &create,
             &destroy,
             Offer(F::kSetLayout, &set_layout),
             Offer(F::kRoundBegin, &round_begin),
             Offer(F::kBaseChunk, &base_chunk),
             Offer(F::kUpdatesBegin, &updates_begin),
             Offer(F::kUpdatesChunk, &updates_chunk),
             Offer(F::kUpdatesEnd, &updates_end),
             Offer(F::kPassBegin, &pass_begin),
             Offer(F::kPassBlock, &pass_block),
             Offer(F::kPassEnd, &pass_end),
             Offer(F::kFinalize, &finalize),
             Offer(F::kResultChunk, &result_chunk),
             Offer(F::kRoundEnd, &round_end),
             Offer(F::kBlobSize, &blob_size),
             Offer(F::kBlobRead, &blob_read),
             Offer(F::kBlobWrite, &blob_write),
             &last_error,
             nullptr};
    return &Enter;
  }
  template <typename T>
  static T Offer(F function, T pointer) {
    return module->Offers(function) ? pointer : nullptr;
  }
};

template <size_t... kSlots>
lnt_entry_fn TakeSlot(size_t slot, SandboxModule* module, std::index_sequence<kSlots...>) {
  static constexpr lnt_entry_fn (*kTake[])(SandboxModule*) = {&Slot<kSlots>::Take...};
  return kTake[slot](module);
}

}  // namespace

Status AddSandboxed(int module, const std::string& origin, const SandboxFiles& files,
                    const SandboxLimits& limits, PluginTable& table) {
  static std::atomic<size_t> taken = 0;
  auto loaded = std::make_unique<SandboxModule>(files, limits, module);
  LINNET_TRY_STATUS(loaded->Load());
  const size_t slot = taken.fetch_add(1);
  if (slot >= kMaxModules) {
    return Fail(Code::kLimit, "found more than ", kMaxModules, " .wasm plugins in one process");
  }
  // For good: instances of the module may live as long as the process.
  return table.Add(TakeSlot(slot, loaded.release(), std::make_index_sequence<kMaxModules>()),
                   origin);
}

}  // namespace linnet
