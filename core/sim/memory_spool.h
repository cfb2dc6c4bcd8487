// A spool for updates that is memory: for simulations and tests.
#ifndef LINNET_SIM_MEMORY_SPOOL_H_
#define LINNET_SIM_MEMORY_SPOOL_H_

#include <algorithm>

#include "fed/update_store.h"

namespace linnet {

class MemorySpool final : public Spool {
 public:
  Result<uint64_t> Append(ByteSpan bytes) override {
    const uint64_t at = bytes_.size();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return at;
  }
  Status Read(uint64_t at, std::span<uint8_t> out) const override {
    if (at > bytes_.size() || out.size() > bytes_.size() - at)
      return Fail(Code::kIo, "the spool has ", bytes_.size(), " bytes, wanted ", out.size(), " at ",
                  at);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at), out.size(), out.begin());
    return {};
  }
  void Clear() override { Bytes().swap(bytes_); }
  size_t size() const { return bytes_.size(); }

 private:
  Bytes bytes_;
};

}  // namespace linnet

#endif  // LINNET_SIM_MEMORY_SPOOL_H_
