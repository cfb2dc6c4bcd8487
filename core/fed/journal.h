// The coordinator's journal as values: what a RoundStore keeps, and what a restart starts from.
#ifndef LINNET_FED_JOURNAL_H_
#define LINNET_FED_JOURNAL_H_

#include <cstdint>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"

namespace linnet {

// An invitation of an attempt, or of asynchronous rounds.
struct AssignmentRecord {
  AssignmentId id{};
  PublicKey participant{};
  // Asynchronous: its journal number, which is never used again, and the version it begins from.
  uint64_t ordinal = 0, base_version = 0;
};
// An update that is part of a committed model.
struct ClaimRecord {
  AssignmentId id{};
  PublicKey participant{};
  uint64_t examples = 0, bytes = 0;
  uint64_t age = 0;  // versions that the model had moved on when it was claimed
};
// What is known of a finished round. NaN = not measured.
struct RoundMetrics {
  uint64_t round = 0;
  uint32_t attempt = 0, invited = 0, counted = 0, refused = 0, late = 0;
  // Central evaluation; or, federated: the median over reports, and beside it the mean by examples.
  double accuracy = 0, loss = 0, accuracy_mean = 0;
  double train_loss = 0;  // mean over counted updates
  uint64_t uplink_bytes = 0,
           downlink_bytes = 0;  // of this round, message frames of all participants
  double seconds = 0;           // from the first invitation to the commit
  // Mean age of the counted updates in versions; NaN in synchronous rounds.
  double staleness = std::numeric_limits<double>::quiet_NaN();
  Digest model{};
};

// ---- Records. A store writes each in one durable transaction, in the order given.

// Before the invitations go out. Voids whatever attempt of this round was open.
struct AttemptOpened {
  uint64_t round = 0;
  uint32_t attempt = 0;
  std::vector<AssignmentRecord> assignments;
};
// ---- Asynchronous rounds: assignments come and go one by one, and the open buffer's updates are
// committed in batches, before it is full.

// Before new invitations go out, and with what has ended without being counted since the last one.
struct AssignmentsChanged {
  std::vector<AssignmentRecord> opened;
  std::vector<AssignmentId> ended;
};
// `claims` are part of the open buffer from now on, and their assignments have ended; `partial`
// (blob 1) holds them and all that were committed to this buffer before.
struct BufferCommitted {
  uint64_t round = 0;  // that the buffer will make
  Bytes partial;
  std::vector<ClaimRecord> claims;
};
// The buffer came to nothing: its strategy failed. What was counted in it is in no model.
struct BufferVoided {
  uint64_t round = 0;
  uint32_t attempt = 0;  // that begins
};

// The round's commit: checkpoint, claims and round end in one; it empties the buffer.
struct RoundCommitted {
  uint64_t round = 0;
  uint32_t attempt = 0;
  SharedBytes model;                // canonical bytes, the next round's base
  Bytes strategy_state;             // blob 0
  std::vector<ClaimRecord> claims;  // that no BufferCommitted holds
  RoundMetrics metrics;             // not evaluated yet
};
// After the evaluation of a committed round.
struct RoundEvaluated {
  RoundMetrics metrics;
  bool best = false;  // the best target metric so far: keep this checkpoint beside the last
};
using JournalRecord = std::variant<AttemptOpened, AssignmentsChanged, BufferCommitted, BufferVoided,
                                   RoundCommitted, RoundEvaluated>;

// Coordinator action: make these durable, then Stored{ticket}.
struct Persist {
  uint64_t ticket = 0;
  std::vector<JournalRecord> records;
};

// What a coordinator starts from; empty for a new federation.
struct Recovered {
  uint64_t round = 0;      // last committed, 0 = none
  SharedBytes model;       // its checkpoint, null = none
  SharedBytes best_model;  // the best checkpoint by the target metric, null = none
  Bytes strategy_state;
  uint64_t open_round = 0;  // a round with an attempt that was never committed, 0 = none
  uint32_t open_attempt = 0;
  std::vector<AssignmentRecord> open_assignments;
  // Asynchronous: the open buffer, and the number that the next assignment gets.
  struct Buffer {
    uint64_t next_ordinal = 0;
    Bytes partial;                    // empty: nothing is committed
    std::vector<ClaimRecord> claims;  // that it holds; `claims` has them too
    uint32_t attempt = 0;
  } buffer;
  std::vector<ClaimRecord> claims;    // of recent rounds (at least the last 16): answers to resends
  std::vector<RoundMetrics> history;  // every committed round, ascending
};

}  // namespace linnet

#endif  // LINNET_FED_JOURNAL_H_
