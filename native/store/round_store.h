// Where a coordinator's journal is made durable.
#ifndef LINNET_NATIVE_STORE_ROUND_STORE_H_
#define LINNET_NATIVE_STORE_ROUND_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "fed/journal.h"

namespace linnet {

// Whose state it is: a folder of another federation is refused, naming both.
struct StoreIdentity {
  std::string federation;
  // Blake2b over the model's graph without its weights.
  Digest layout{};
};

// One owner. Write belongs to one thread, Tidy to one (another, if wanted); Load and secret come
// before both.
class RoundStore {
 public:
  virtual ~RoundStore() = default;

  // All of `records` in one transaction, on the disk when it returns. After an error nothing of
  // them is kept and what was there is untouched. kIo: the system's words ("disk is full"); kState:
  // a record that contradicts what is kept (a claim that is in a committed round already).
  virtual Status Write(const std::vector<JournalRecord>& records) = 0;
  // Moves the journal into the main file when it has grown by tidy_bytes, without making Write
  // wait.
  virtual void Tidy() = 0;

  virtual Result<Recovered> Load() = 0;
  // 32 bytes of system randomness, made when the store was.
  virtual const Seed& secret() const = 0;
  // The folder, for messages.
  virtual const std::string& folder() const = 0;
};

struct StoreOptions {
  std::string folder;  // made when it is not there, for its owner alone
  bool fresh = false;  // begin anew: what is there is forgotten
  StoreIdentity identity;
  // Claims of this many of the newest rounds are kept to answer resends.
  uint64_t claim_rounds = 64;
  // Pages that are written again before the journal is tidied reach the main file once.
  uint64_t tidy_bytes = 8u << 20;
};

// SQLite in WAL mode, synchronous=FULL. Two coordinators cannot use one folder: kState names the
// other's process. kInvalid: another federation or model; kVersion: a schema of another version;
// kData: not a store, or damaged; kIo: the system's words.
Result<std::unique_ptr<RoundStore>> OpenRoundStore(const StoreOptions& options);

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_ROUND_STORE_H_
