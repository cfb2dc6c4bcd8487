// Texts and blobs.
#include <algorithm>
#include <cstring>

#include "native/plugin/sandbox_module.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxText = 1 << 20;
constexpr auto U = SandboxCall::kU32, L = SandboxCall::kU64, P = SandboxCall::kOffset;

}  // namespace

lnt_status SandboxModule::RoundEnd(lnt_handle handle, void* json, uint32_t cap, uint32_t* len) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  const uint32_t room = std::min(cap, kMaxText);
  const uint32_t size_at = TakeOut(16), text_at = TakeOut(room);
  const uint8_t* found = At(size_at);
  Add(SandboxFunction::kRoundEnd, instance, SandboxKinds(P, U, P), {text_at, room, size_at});
  const lnt_status status = Flush();
  if (status < 0) return status;
  std::memcpy(len, found, sizeof(*len));
  if (room > 0) std::memcpy(json, found + 16, std::min(*len, room));
  return status;
}

lnt_status SandboxModule::BlobSize(lnt_handle handle, uint32_t kind, uint64_t* size) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  const uint32_t at = TakeOut(16);
  const uint8_t* found = At(at);
  Add(SandboxFunction::kBlobSize, instance, SandboxKinds(U, P), {kind, at});
  const lnt_status status = Flush();
  if (status >= 0) std::memcpy(size, found, sizeof(*size));
  return status;
}

lnt_status SandboxModule::BlobRead(lnt_handle handle, uint32_t kind, uint64_t off, void* to,
                                   uint32_t len) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  for (uint32_t done = 0; done < len;) {
    const uint32_t here = std::min(len - done, kSlot / 2);
    const uint32_t at = TakeOut(here);
    const uint8_t* found = At(at);
    Add(SandboxFunction::kBlobRead, instance, SandboxKinds(U, L, P, U),
        {kind, off + done, at, here});
    const lnt_status status = Flush();
    if (status < 0) return status;
    std::memcpy(static_cast<uint8_t*>(to) + done, found, here);
    done += here;
  }
  return LNT_OK;
}

lnt_status SandboxModule::BlobWrite(lnt_handle handle, uint32_t kind, uint64_t total, uint64_t off,
                                    const void* from, uint32_t len) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  lnt_status status = LNT_OK;
  for (uint32_t done = 0; done < len && status >= 0;) {
    const uint32_t here = std::min(len - done, kSlot / 2);
    const uint32_t at = Put(static_cast<const uint8_t*>(from) + done, here);
    Add(SandboxFunction::kBlobWrite, instance, SandboxKinds(U, L, L, P, U),
        {kind, total, off + done, at, here});
    status = Flush();
    done += here;
  }
  return status;
}

lnt_status SandboxModule::LastError(lnt_handle handle, char* text, uint32_t cap, uint32_t* len) {
  const std::lock_guard lock(mutex_);
  const Instance* instance = Find(handle);
  const std::string& error = instance != nullptr ? instance->error : error_;
  return lnt_answer(error.data(), static_cast<uint32_t>(error.size()), text, cap, len);
}

}  // namespace linnet
