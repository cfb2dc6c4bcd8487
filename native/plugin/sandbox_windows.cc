// Windows of values: those of updates, of passes and of the result.
#include <algorithm>
#include <cstring>

#include "native/plugin/sandbox_module.h"

namespace linnet {
namespace {

constexpr auto U = SandboxCall::kU32, L = SandboxCall::kU64, P = SandboxCall::kOffset;

}  // namespace

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
    Add(SandboxFunction::kBaseChunk, instance, SandboxKinds(U, L, P, U), {tensor, off, at, n});
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
  if (uint64_t{size} * n + 64 > kSlot) {
    instance->error = StrCat("found ", n, " updates, which the sandbox has no room for");
    return LNT_E_QUOTA;
  }
  if (Room() < size * n + 64 || function == SandboxFunction::kPassBegin) Submit();
  if (!process_) return lost_;
  instance->rows = n;
  const uint32_t at = Put(u, size * n);
  if (function == SandboxFunction::kPassBegin) {
    Add(function, instance, SandboxKinds(U, P, U, U), {pass, at, size, n});
    return Flush();
  }
  Add(function, instance, SandboxKinds(P, U, U), {at, size, n});
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
        last->values[3] + last->values[5] * width == batch_.used) {
      Put(from, here * width);
      last->values[5] += here;
    } else {
      const uint32_t at = Take(here * width * n);
      for (uint32_t r = 0; r < n; ++r)
        std::memcpy(At(at) + size_t{r} * here * width, from + size_t{r} * stride, here * width);
      Add(SandboxFunction::kUpdatesChunk, instance, SandboxKinds(U, L, P, U, U),
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
  if ((uint64_t{n} + 1) * width + 64 > kSlot) return LNT_E_QUOTA;
  for (uint32_t done = 0; done < count;) {
    const uint32_t here = std::min(count - done, (Room() - 32) / ((n + 1) * width));
    const uint8_t* from = static_cast<const uint8_t*>(rows) + size_t{done} * width;
    uint8_t* to = static_cast<uint8_t*>(out) + size_t{done} * width;
    const uint32_t rows_at = Take(here * width * n);
    for (uint32_t r = 0; r < n; ++r)
      std::memcpy(At(rows_at) + size_t{r} * here * width, from + size_t{r} * stride, here * width);
    const uint32_t out_at = TakeOut(here * width);
    uint8_t* found = At(out_at);
    std::memcpy(found, to, here * width);
    Add(SandboxFunction::kPassBlock, instance, SandboxKinds(U, L, P, U, U, P),
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
    const uint32_t out_at = TakeOut(here * width);
    uint8_t* found = At(out_at);
    std::memcpy(found, to, here * width);
    Add(SandboxFunction::kResultChunk, instance, SandboxKinds(U, L, P, P, U),
        {tensor, off + done, base_at, out_at, here});
    const lnt_status status = Flush();
    if (status < 0) return status;
    std::memcpy(to, found, here * width);
    done += here;
  }
  return LNT_OK;
}

}  // namespace linnet
