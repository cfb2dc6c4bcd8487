// The queue of requests to the child: what is put together, what is on its way, what came back.
#include <algorithm>
#include <cstring>
#include <utility>

#include "fed/plugin_table.h"
#include "native/plugin/sandbox_module.h"

namespace linnet {

bool SandboxModule::Fresh() {
  Submit();
  return process_ != nullptr;
}

uint32_t SandboxModule::Take(uint32_t size) {
  const uint32_t at = batch_.used;
  batch_.used += (size + 15) / 16 * 16;
  return at;
}

uint32_t SandboxModule::Put(const void* data, uint32_t size) {
  const uint32_t at = Take(size);
  if (size > 0) std::memcpy(At(at), data, size);
  return at;
}

uint32_t SandboxModule::TakeOut(uint32_t size) {
  const uint32_t at = Take(size);
  if (batch_.out_end == 0) batch_.out_begin = at;
  batch_.out_end = at + size;
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
  const Instance* instance = Find(batch_.handle);
  SandboxRequest request;
  request.calls = static_cast<uint32_t>(batch_.calls.size());
  request.slot = batch_.slot;
  request.in_bytes = batch_.used;
  request.out_begin = batch_.out_begin;
  request.out_end = batch_.out_end;
  request.handle = instance != nullptr ? instance->inner : 0;
  const Status status = process_->Send(request, batch_.calls);
  sent_.push_back({batch_.handle, batch_.slot});
  const uint32_t next = (batch_.slot + kSlot) % (SandboxProcess::kSlots * kSlot);
  const lnt_handle handle = batch_.handle;
  batch_ = {};
  batch_.slot = next;
  batch_.handle = handle;
  if (!status) return Lose(LNT_E_TRAP, status.error().message);
  // The next slot may still be in use.
  if (sent_.size() == SandboxProcess::kSlots) Collect();
}

void SandboxModule::Collect() {
  if (!process_ || sent_.empty()) return;
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;
  const Milliseconds call(limits_.call_ms);
  const auto left =
      std::max(Milliseconds(0),
               std::chrono::duration_cast<Milliseconds>(Milliseconds(limits_.round_ms) - spent_));
  const Sent sent = sent_.front();
  const auto begin = Clock::now();
  auto response = process_->Receive(sent.slot, std::min(call, left));
  spent_ += Clock::now() - begin;
  sent_.pop_front();
  if (!response) {
    if (response.error().code != Code::kLimit) return Lose(LNT_E_TRAP, response.error().message);
    return Lose(LNT_E_DEADLINE, left < call ? StrCat("its calls of one round took more than ",
                                                     limits_.round_ms, " ms and it was killed")
                                            : response.error().message);
  }
  Log(*response);
  if (response->status < 0) {
    if (Instance* instance = Find(sent.handle)) instance->error = response->text;
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

void SandboxModule::Log(const SandboxResponse& response) {
  const lnt_host& host = PluginHost();
  for (const SandboxLine& line : response.lines) {
    if (lines_ == kMaxLines) {
      ++omitted_;
      continue;
    }
    ++lines_;
    host.log(host.ctx, line.level, line.text.data(), static_cast<uint32_t>(line.text.size()));
  }
  omitted_ += response.omitted;
}

void SandboxModule::TellOmitted() {
  if (omitted_ > 0) {
    const std::string text = StrCat(omitted_, " more lines of the round were left out");
    const lnt_host& host = PluginHost();
    host.log(host.ctx, 2, text.data(), static_cast<uint32_t>(text.size()));
  }
  lines_ = omitted_ = 0;
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

}  // namespace linnet
