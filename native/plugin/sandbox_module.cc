#include "native/plugin/sandbox_module.h"

#include <algorithm>
#include <cstring>

namespace linnet {
namespace {

constexpr uint32_t kMaxStrategies = 64, kMaxText = 1 << 20, kMaxInstances = 65536;
// Kinds of arguments (SandboxCall): two bits each, the first argument lowest.
constexpr uint32_t U = SandboxCall::kU32, L = SandboxCall::kU64, P = SandboxCall::kOffset;
template <typename... T>
constexpr uint32_t Kinds(T... kinds) {
  uint32_t all = 0, shift = 0;
  ((all |= kinds << shift, shift += 2), ...);
  return all;
}

}  // namespace

// ---- Requests

bool SandboxModule::Fresh() {
  Submit();
  return process_ != nullptr;
}

uint32_t SandboxModule::Take(uint32_t size) {
  const uint32_t at = batch_.half * kHalf + batch_.used;
  batch_.used += (size + 15) / 16 * 16;
  return at;
}

uint32_t SandboxModule::Put(const void* data, uint32_t size) {
  const uint32_t at = Take(size);
  if (size > 0) std::memcpy(At(at), data, size);
  return at;
}

void SandboxModule::Add(SandboxFunction function, const Instance* instance, uint32_t kinds,
                        std::initializer_list<uint64_t> values) {
  SandboxCall call;
  call.function = static_cast<uint32_t>(function);
  if (instance != nullptr) {
    call.values[call.count++] = instance->inner;
    kinds <<= 2;
  }
  call.kinds = kinds;
  for (const uint64_t value : values) call.values[call.count++] = value;
  batch_.calls.push_back(call);
}

void SandboxModule::Submit() {
  if (!process_ || batch_.calls.empty()) return;
  if (sent_.size() == 2) Collect();
  if (!process_) return;
  const Instance* instance = Find(batch_.handle);
  SandboxRequest request;
  request.calls = static_cast<uint32_t>(batch_.calls.size());
  request.in_begin = batch_.half * kHalf;
  request.in_end = request.in_begin + batch_.used;
  request.out_begin = batch_.out_begin;
  request.out_end = batch_.out_end;
  request.handle = instance != nullptr ? instance->inner : 0;
  const Status status = process_->Send(request, batch_.calls);
  sent_.push_back(batch_.handle);
  const uint32_t half = 1 - batch_.half;
  const lnt_handle handle = batch_.handle;
  batch_ = {};
  batch_.half = half;
  batch_.handle = handle;
  if (!status) return Lose(LNT_E_TRAP, status.error().message);
  // The other half may still be in use.
  if (sent_.size() == 2) Collect();
}

void SandboxModule::Collect() {
  if (!process_ || sent_.empty()) return;
  const auto round = std::chrono::milliseconds(limits_.round_ms);
  const auto call = std::chrono::milliseconds(limits_.call_ms);
  const auto begin = std::chrono::steady_clock::now();
  auto response =
      process_->Receive(std::max(std::min(call, round - spent_), std::chrono::milliseconds(0)));
  spent_ += std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                  begin);
  const lnt_handle handle = sent_.front();
  sent_.erase(sent_.begin());
  if (!response) {
    const bool late = response.error().code == Code::kLimit;
    return Lose(late ? LNT_E_DEADLINE : LNT_E_TRAP, response.error().message);
  }
  if (response->status < 0) {
    if (Instance* instance = Find(handle)) instance->error = response->text;
    error_ = response->text;
  }
  // After an error the answers to what was already on its way do not count.
  if (status_ >= 0) status_ = response->status;
  if (process_->pid() <= 0) Lose(response->status, response->text);
}

lnt_status SandboxModule::Flush() {
  Submit();
  while (process_ && !sent_.empty()) Collect();
  return std::exchange(status_, LNT_OK);
}

void SandboxModule::Lose(lnt_status status, const std::string& why) {
  process_.reset();
  sent_.clear();
  batch_ = {};
  lost_ = status < 0 ? status : LNT_E_TRAP;
  if (status_ >= 0) status_ = lost_;
  error_ = why;
  for (auto& [handle, instance] : instances_) {
    if (instance.child == child_) instance.error = why;
  }
}

Status SandboxModule::Restart() {
  auto process = SandboxProcess::Start(files_, limits_, module_);
  if (!process) return std::unexpected<Error>(std::move(process.error()));
  process_ = std::move(*process);
  ++child_;
  batch_ = {};
  status_ = LNT_OK;
  spent_ = std::chrono::milliseconds(0);
  return {};
}

Status SandboxModule::Load() {
  const std::lock_guard lock(mutex_);
  LINNET_TRY_STATUS(Restart());
  exports_ = process_->exports();
  Add(SandboxFunction::kCount, nullptr, 0, {});
  const lnt_status count = Flush();
  if (count < 1 || count > static_cast<lnt_status>(kMaxStrategies)) {
    return Fail(Code::kInvalid, "it offers ", count, " strategies, wanted 1 to ", kMaxStrategies);
  }
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    const uint32_t size_at = Take(16), text_at = Take(kMaxText);
    batch_.out_begin = size_at;
    batch_.out_end = text_at + kMaxText;
    uint8_t* room = At(size_at);
    Add(SandboxFunction::kDescribe, nullptr, Kinds(U, P, U, P), {i, text_at, kMaxText, size_at});
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
  if (len > kHalf / 2 || caps->struct_size > 4096 || instances_.size() >= kMaxInstances) {
    error_ = "the configuration, lnt_caps or the number of instances is too large";
    return LNT_E_INVALID;
  }
  batch_.handle = 0;
  const uint32_t room = caps->struct_size;
  const uint32_t config_at = Put(config, len), handle_at = Take(16), caps_at = Put(caps, room);
  std::memset(At(handle_at), 0, 16);
  batch_.out_begin = handle_at;
  batch_.out_end = caps_at + room;
  const uint8_t *handle = At(handle_at), *filled = At(caps_at);
  Add(SandboxFunction::kCreate, nullptr, Kinds(U, P, U, P, P),
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
  if (uint64_t{stride} * n + size + 64 > kHalf) {
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
  Add(SandboxFunction::kSetLayout, instance, Kinds(P, U, P, U), {rows_at, n, names_at, size});
  return Flush();
}

lnt_status SandboxModule::RoundBegin(lnt_handle handle, const lnt_round* round, uint32_t size) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  spent_ = std::chrono::milliseconds(0);
  if (size > kHalf / 2) return LNT_E_INVALID;
  const uint32_t at = Put(round, size);
  Add(SandboxFunction::kRoundBegin, instance, Kinds(P, U), {at, size});
  return Flush();
}

// ---- Windows

lnt_status SandboxModule::BaseChunk(lnt_handle handle, uint32_t tensor, uint64_t off,
                                    const void* base, uint32_t count) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (tensor >= instance->bytes.size()) return LNT_E_INVALID;
  const uint32_t width = instance->bytes[tensor];
  const uint8_t* from = static_cast<const uint8_t*>(base);
  while (count > 0) {
    if (Room() < 64 * 1024) Submit();
    if (!process_) return lost_;
    const uint32_t n = std::min(count, (Room() - 16) / width);
    const uint32_t at = Put(from, n * width);
    Add(SandboxFunction::kBaseChunk, instance, Kinds(U, L, P, U), {tensor, off, at, n});
    off += n;
    count -= n;
    from += size_t{n} * width;
  }
  return LNT_OK;
}

lnt_status SandboxModule::Begin(SandboxFunction function, lnt_handle handle, uint32_t pass,
                                const lnt_update* u, uint32_t size, uint32_t n) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (uint64_t{size} * n + 64 > kHalf) {
    instance->error = StrCat("found ", n, " updates, which the sandbox has no room for");
    return LNT_E_QUOTA;
  }
  if (Room() < size * n + 64 || function == SandboxFunction::kPassBegin) Submit();
  if (!process_) return lost_;
  instance->rows = n;
  const uint32_t at = Put(u, size * n);
  if (function == SandboxFunction::kPassBegin) {
    Add(function, instance, Kinds(U, P, U, U), {pass, at, size, n});
    return Flush();
  }
  Add(function, instance, Kinds(P, U, U), {at, size, n});
  return LNT_OK;
}

lnt_status SandboxModule::UpdatesChunk(lnt_handle handle, uint32_t tensor, uint64_t off,
                                       const void* rows, uint32_t stride, uint32_t count) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (tensor >= instance->bytes.size() || instance->rows == 0) return LNT_E_INVALID;
  const uint32_t width = instance->bytes[tensor], n = instance->rows;
  for (uint32_t done = 0; done < count;) {
    if (Room() < n * 4096) Submit();
    if (!process_) return lost_;
    const uint32_t here = std::min(count - done, (Room() - 16) / (n * width));
    const uint8_t* from = static_cast<const uint8_t*>(rows) + size_t{done} * width;
    // A window that goes on where the last one ended becomes part of it:
    // results do not depend on their sizes.
    SandboxCall* last = batch_.calls.empty() ? nullptr : &batch_.calls.back();
    if (n == 1 && last != nullptr &&
        last->function == static_cast<uint32_t>(SandboxFunction::kUpdatesChunk) &&
        last->values[1] == tensor && last->values[2] + last->values[5] == off + done &&
        last->values[3] + last->values[5] * width == batch_.half * kHalf + batch_.used) {
      Put(from, here * width);
      last->values[5] += here;
    } else {
      const uint32_t at = Take(here * width * n);
      for (uint32_t r = 0; r < n; ++r)
        std::memcpy(At(at) + size_t{r} * here * width, from + size_t{r} * stride, here * width);
      Add(SandboxFunction::kUpdatesChunk, instance, Kinds(U, L, P, U, U),
          {tensor, off + done, at, here * width, here});
    }
    done += here;
  }
  return LNT_OK;
}

lnt_status SandboxModule::PassBlock(lnt_handle handle, uint32_t tensor, uint64_t off,
                                    const void* rows, uint32_t stride, uint32_t count, void* out) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  if (tensor >= instance->bytes.size() || instance->rows == 0) return LNT_E_INVALID;
  const uint32_t width = instance->bytes[tensor], n = instance->rows;
  if ((uint64_t{n} + 1) * width + 64 > kHalf) return LNT_E_QUOTA;
  for (uint32_t done = 0; done < count;) {
    const uint32_t here = std::min(count - done, (Room() - 32) / ((n + 1) * width));
    const uint8_t* from = static_cast<const uint8_t*>(rows) + size_t{done} * width;
    uint8_t* to = static_cast<uint8_t*>(out) + size_t{done} * width;
    const uint32_t rows_at = Take(here * width * n);
    for (uint32_t r = 0; r < n; ++r)
      std::memcpy(At(rows_at) + size_t{r} * here * width, from + size_t{r} * stride, here * width);
    const uint32_t out_at = Put(to, here * width);
    batch_.out_begin = out_at;
    batch_.out_end = out_at + here * width;
    const uint8_t* found = At(out_at);
    Add(SandboxFunction::kPassBlock, instance, Kinds(U, L, P, U, U, P),
        {tensor, off + done, rows_at, here * width, here, out_at});
    const lnt_status status = Flush();
    if (status < 0) return status;
    std::memcpy(to, found, here * width);
    done += here;
  }
  return LNT_OK;
}

lnt_status SandboxModule::Simple(SandboxFunction function, lnt_handle handle) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  Add(function, instance, 0, {});
  return Flush();
}

lnt_status SandboxModule::ResultChunk(lnt_handle handle, uint32_t tensor, uint64_t off,
                                      const void* base, void* out, uint32_t count) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  if (tensor >= instance->bytes.size()) return LNT_E_INVALID;
  const uint32_t width = instance->bytes[tensor];
  for (uint32_t done = 0; done < count;) {
    const uint32_t here = std::min(count - done, (Room() - 32) / (2 * width));
    const uint32_t base_at =
        Put(static_cast<const uint8_t*>(base) + size_t{done} * width, here * width);
    uint8_t* to = static_cast<uint8_t*>(out) + size_t{done} * width;
    const uint32_t out_at = Put(to, here * width);
    batch_.out_begin = out_at;
    batch_.out_end = out_at + here * width;
    const uint8_t* found = At(out_at);
    Add(SandboxFunction::kResultChunk, instance, Kinds(U, L, P, P, U),
        {tensor, off + done, base_at, out_at, here});
    const lnt_status status = Flush();
    if (status < 0) return status;
    std::memcpy(to, found, here * width);
    done += here;
  }
  return LNT_OK;
}

// ---- Texts and blobs

lnt_status SandboxModule::RoundEnd(lnt_handle handle, void* json, uint32_t cap, uint32_t* len) {
  const std::lock_guard lock(mutex_);
  lnt_status wrong;
  const Instance* instance = Enter(handle, &wrong);
  if (instance == nullptr) return wrong;
  if (!Fresh()) return lost_;
  const uint32_t room = std::min(cap, kMaxText);
  const uint32_t size_at = Take(16), text_at = Take(room);
  batch_.out_begin = size_at;
  batch_.out_end = text_at + room;
  const uint8_t* found = At(size_at);
  Add(SandboxFunction::kRoundEnd, instance, Kinds(P, U, P), {text_at, room, size_at});
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
  const uint32_t at = Take(16);
  batch_.out_begin = at;
  batch_.out_end = at + 16;
  const uint8_t* found = At(at);
  Add(SandboxFunction::kBlobSize, instance, Kinds(U, P), {kind, at});
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
    const uint32_t here = std::min(len - done, kHalf / 2);
    const uint32_t at = Take(here);
    batch_.out_begin = at;
    batch_.out_end = at + here;
    const uint8_t* found = At(at);
    Add(SandboxFunction::kBlobRead, instance, Kinds(U, L, P, U), {kind, off + done, at, here});
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
    const uint32_t here = std::min(len - done, kHalf / 2);
    const uint32_t at = Put(static_cast<const uint8_t*>(from) + done, here);
    Add(SandboxFunction::kBlobWrite, instance, Kinds(U, L, L, P, U),
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
