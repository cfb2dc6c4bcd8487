#include "fed/update_store.h"

#include <algorithm>

namespace linnet {

void UpdateStore::Clear() {
  updates_.clear();
  memory_ = 0;
  if (spool_ != nullptr) spool_->Clear();
}

Status UpdateStore::Add(ByteSpan encoded, Update update) {
  update.size = encoded.size();
  if (encoded.size() <= memory_limit_ - memory_) {
    update.bytes.assign(encoded.begin(), encoded.end());
    memory_ += encoded.size();
  } else if (spool_ != nullptr) {
    LINNET_TRY(update.at, spool_->Append(encoded));
  } else {
    return Fail(Code::kLimit, "the updates of the round have more than ", memory_limit_,
                " bytes, which is what may be kept in memory");
  }
  updates_.push_back(std::move(update));
  return {};
}

void UpdateStore::Sort() {
  std::ranges::sort(updates_, {}, [](const Update& u) { return u.meta.ordinal; });
}

Result<ByteSpan> UpdateStore::Read(const Update& update, uint64_t at, size_t size,
                                   Bytes& scratch) const {
  LINNET_CHECK(at <= update.size && size <= update.size - at);
  if (!update.bytes.empty() || update.size == 0) return ByteSpan(update.bytes).subspan(at, size);
  scratch.resize(size);
  LINNET_TRY_STATUS(spool_->Read(update.at + at, scratch));
  return ByteSpan(scratch);
}

}  // namespace linnet
