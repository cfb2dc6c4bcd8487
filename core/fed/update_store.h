// The encoded updates of a round, kept for strategies that want to see all of them at once: in
// memory up to a limit, then in a spool.
#ifndef LINNET_FED_UPDATE_STORE_H_
#define LINNET_FED_UPDATE_STORE_H_

#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "codec/codec.h"
#include "linnet/plugin.h"

namespace linnet {

// Bytes that do not fit into memory: a file without a name in the daemon, memory in tests.
class Spool {
 public:
  virtual ~Spool() = default;
  // Adds at the end, whose position before it is returned. kIo.
  virtual Result<uint64_t> Append(ByteSpan bytes) = 0;
  // Reads all of `out` from a position. From several threads at once. kIo.
  virtual Status Read(uint64_t at, std::span<uint8_t> out) const = 0;
  // Forgets everything and gives the space back.
  virtual void Clear() = 0;
};

class UpdateStore {
 public:
  // `spool` may be null: then a round that needs more than memory_limit fails with kLimit.
  UpdateStore(uint64_t memory_limit, std::shared_ptr<Spool> spool)
      : memory_limit_(memory_limit), spool_(std::move(spool)) {}

  struct Update {
    lnt_update meta{};
    CodecSpec codec;
    CodecSeed seed;
    Bytes bytes;      // empty: in the spool
    uint64_t at = 0;  // in the spool
    uint64_t size = 0;
    float scale = 1;  // by which every weight is multiplied, of the host's clip
  };

  void Clear();
  Status Add(ByteSpan encoded, Update update);
  // By ordinal, whatever the order of arrival.
  void Sort();
  const std::vector<Update>& updates() const { return updates_; }
  // Bytes [at, at + size) of an update: where they lie, or read into `scratch`. From several
  // threads at once, each with a scratch of its own.
  Result<ByteSpan> Read(const Update& update, uint64_t at, size_t size, Bytes& scratch) const;

 private:
  uint64_t memory_limit_, memory_ = 0;
  std::shared_ptr<Spool> spool_;
  std::vector<Update> updates_;
};

}  // namespace linnet

#endif  // LINNET_FED_UPDATE_STORE_H_
