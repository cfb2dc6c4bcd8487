#include "native/plugin/sandbox_module.h"

#include <algorithm>
#include <cstring>

namespace linnet {
namespace {

constexpr uint32_t kMaxStrategies = 64, kMaxText = 1 << 20, kMaxInstances = 65536;
constexpr auto U = SandboxCall::kU32, P = SandboxCall::kOffset;

}  // namespace

Status SandboxModule::Restart() {
  auto process = SandboxProcess::Start(files_, limits_, module_);
  if (!process) return std::unexpected<Error>(std::move(process.error()));
  process_ = std::move(*process);
  ++child_;
  batch_ = {};
  status_ = LNT_OK;
  spent_ = {};
  return {};
}

Status SandboxModule::Load() {
  const std::lock_guard lock(mutex_);
  LINNET_TRY_STATUS(Restart());
  exports_ = process_->exports();
  Add(SandboxFunction::kCount, nullptr, 0, {});
  const lnt_status count = Flush();
  if (!process_) return Fail(Code::kInvalid, "count: ", error_);
  if (count < 1 || count > static_cast<lnt_status>(kMaxStrategies)) {
    return Fail(Code::kInvalid, "it offers ", count, " strategies, wanted 1 to ", kMaxStrategies);
  }
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    const uint32_t size_at = TakeOut(16), text_at = TakeOut(kMaxText);
    uint8_t* room = At(size_at);
    Add(SandboxFunction::kDescribe, nullptr, SandboxKinds(U, P, U, P),
        {i, text_at, kMaxText, size_at});
    const lnt_status status = Flush();
    if (status < 0) return Fail(Code::kInvalid, "describe answered ", status, ": ", error_);
    uint32_t size = 0;
    std::memcpy(&size, room, sizeof(size));
    if (size > kMaxText) {
      return Fail(Code::kLimit, "the description of strategy ", i, " has ", size,
                  " bytes, wanted at most ", kMaxText);
    }
    descriptions_.emplace_back(reinterpret_cast<const char*>(room + 16), size);
  }
  return {};
}

pid_t SandboxModule::pid() {
  const std::lock_guard lock(mutex_);
  return process_ ? process_->pid() : 0;
}

// ---- Instances

SandboxModule::Instance* SandboxModule::Find(lnt_handle handle) {
  const auto found = instances_.find(handle);
  return found != instances_.end() ? &found->second : nullptr;
}

SandboxModule::Instance* SandboxModule::Enter(lnt_handle handle, lnt_status* wrong) {
  Instance* instance = Find(handle);
  *wrong = LNT_E_INVALID;
  if (instance == nullptr) return nullptr;
  if (!process_ || instance->child != child_) {
    *wrong = lost_;
    return nullptr;
  }
  // What another instance has queued goes first: an error belongs to whose
  // calls they are.
  if (batch_.handle != handle && (!batch_.calls.empty() || !sent_.empty())) {
    Flush();
    if (!process_) {
      *wrong = lost_;
      return nullptr;
    }
  }
  batch_.handle = handle;
  return instance;
}

lnt_status SandboxModule::Describe(uint32_t index, void* json, uint32_t cap, uint32_t* len) {
  if (index >= descriptions_.size()) return LNT_E_INVALID;
  const std::string& text = descriptions_[index];
  return lnt_answer(text.data(), static_cast<uint32_t>(text.size()), json, cap, len);
}

lnt_status SandboxModule::Create(uint32_t index, const void* config, uint32_t len, lnt_handle* out,
                                 lnt_caps* caps) {
  const std::lock_guard lock(mutex_);
  Flush();
  if (!process_) {
    if (const Status status = Restart(); !status) {
      error_ = status.error().message;
      return LNT_E_TRAP;
    }
  }
  if (len > kSlot / 2 || caps->struct_size > 4096 || instances_.size() >= kMaxInstances) {
    error_ = "the configuration, lnt_caps or the number of instances is too large";
    return LNT_E_INVALID;
  }
  batch_.handle = 0;
  const uint32_t room = caps->struct_size;
  const uint32_t config_at = Put(config, len), handle_at = TakeOut(16), caps_at = TakeOut(room);
  uint8_t *handle = At(handle_at), *filled = At(caps_at);
  std::memset(handle, 0, 16);
  std::memcpy(filled, caps, room);
  Add(SandboxFunction::kCreate, nullptr, SandboxKinds(U, P, U, P, P),
      {index, config_at, len, handle_at, caps_at});
  const lnt_status status = Flush();
  if (status < 0) return status;
  Instance instance;
  std::memcpy(&instance.inner, handle, sizeof(lnt_handle));
  std::memcpy(caps, filled, room);
  instance.child = child_;
  while (next_handle_ == 0 || instances_.contains(next_handle_)) ++next_handle_;
  *out = next_handle_++;
  instances_.emplace(*out, std::move(instance));
  return status;
}

void SandboxModule::Destroy(lnt_handle handle) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  if (const Instance* instance = Enter(handle, &wrong)) {
    Add(SandboxFunction::kDestroy, instance, 0, {});
    Flush();
  }
  instances_.erase(handle);
}

lnt_status SandboxModule::SetLayout(lnt_handle handle, const lnt_tensor* t, uint32_t n,
                                    const char* names, uint32_t size) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  const uint32_t stride = n > 0 ? t->struct_size : 0;
  if (uint64_t{stride} * n + size + 64 > kSlot) {
    instance->error =
        StrCat("found a layout of ", n, " tensors, which the sandbox has no room for");
    return LNT_E_LAYOUT;
  }
  instance->bytes.clear();
  for (uint32_t i = 0; i < n; ++i) {
    lnt_tensor row;
    lnt_read(&row, sizeof(row), reinterpret_cast<const uint8_t*>(t) + size_t{i} * stride, stride);
    instance->bytes.push_back(
        row.dtype == LNT_F64 || row.dtype == LNT_I64 || row.dtype == LNT_U64 ? 8 : 4);
  }
  const uint32_t rows_at = Put(t, stride * n), names_at = Put(names, size);
  Add(SandboxFunction::kSetLayout, instance, SandboxKinds(P, U, P, U),
      {rows_at, n, names_at, size});
  return Flush();
}

lnt_status SandboxModule::RoundBegin(lnt_handle handle, const lnt_round* round, uint32_t size) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  spent_ = {};
  TellOmitted();
  if (size > kSlot / 2) return LNT_E_INVALID;
  const uint32_t at = Put(round, size);
  Add(SandboxFunction::kRoundBegin, instance, SandboxKinds(P, U), {at, size});
  return Flush();
}

}  // namespace linnet
