// Asynchronous rounds: the open buffer. Claimed updates are folded as they come and committed in
// batches; only then are they told `counted`. When the buffer is full it makes the next model.
#include <algorithm>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

// A batch is committed at so many updates, or so long after its first.
constexpr size_t kBatchUpdates = 64;
constexpr uint64_t kBatchMs = 200;

}  // namespace

void CoordinatorMachine::OpenBuffer() {
  phase_ = Phase::kTraining;
  opened_ms_ = now_ms_;
  Tell(Notice::Kind::kRoundOpened,
       StrCat("round ", RoundNumber(), ": ", claimed_, " of ", wanted_, " updates are here"));
  refill_due_ = true;
  PumpBuffer();
}

std::vector<ClaimRecord> CoordinatorMachine::FoldedClaims() const {
  std::vector<ClaimRecord> claims;
  for (const AssignmentId& id : folded_) {
    const Assignment& assignment = open_.at(id);
    claims.push_back({id, assignment.participant, assignment.meta.examples, assignment.meta.bytes,
                      assignment.claim_version - assignment.base_version});
  }
  return claims;
}

// Hands the strategy what there is for it: the begin of a buffer, claimed updates, and then the
// commit of a batch or the end. While the last model is evaluated a buffer fills but makes none.
void CoordinatorMachine::PumpBuffer() {
  if (aggregating_ || batch_storing_) return;
  if (phase_ != Phase::kTraining && phase_ != Phase::kEvaluating) return;
  const size_t held = buffer_claims_.size() + folded_.size();
  const size_t room = full_ ? 0 : wanted_ - std::min<size_t>(wanted_, held);
  const size_t take = std::min({to_fold_.size(), room, kMaxFoldRows});
  const bool finish = phase_ == Phase::kTraining && (full_ || take == room) && held + take > 0;
  const size_t uncommitted = folded_.size() + take;
  const bool commit = !finish && uncommitted > 0 && (batch_due_ || uncommitted >= kBatchUpdates);
  if (take == 0 && !finish && !commit) return;
  const bool merge = begin_due_;
  std::shared_ptr<AggregationWork> work = MakeWork();
  if (merge) work->merge = restored_partial_;
  for (size_t i = 0; i < take; ++i) work->updates.push_back(UpdateOf(to_fold_[i]));
  to_fold_.erase(to_fold_.begin(), to_fold_.begin() + ptrdiff_t(take));
  work->read_partial = commit;
  work->finish = finish;
  if (finish) {
    phase_ = Phase::kClosing;
    host_dirty_ = true;
    Disarm(batch_);
  } else if (commit) {
    Disarm(batch_);
  } else if (batch_ == 0) {
    batch_ = Arm(kBatchMs, [this] {
      batch_ = 0;
      batch_due_ = true;
      PumpBuffer();
    });
  }
  if (commit) batch_due_ = false;
  aggregating_ = true;
  actions_.push_back(Compute{std::move(work)});
}

void CoordinatorMachine::OnBufferAggregated(const AggregationWork& work) {
  if (phase_ == Phase::kFinished || phase_ == Phase::kFailed) return;
  for (size_t i = 0; i < work.updates.size(); ++i) {
    const AssignmentId& id = work.updates[i].assignment;
    if (work.status && i >= work.folded) {
      to_fold_.insert(to_fold_.begin() + ptrdiff_t(i - work.folded), id);
      continue;
    }
    folded_.push_back(id);
    AddLoss(open_.at(id).meta);
  }
  if (!work.status) return StrategyFailed(work.status.error().message);
  full_ = work.full;
  if (work.finish) return TakeResult(work);
  if (work.read_partial) return CommitBatch(work.partial);
  PumpBuffer();
}

void CoordinatorMachine::CommitBatch(Bytes partial) {
  batch_storing_ = true;
  std::vector<ClaimRecord> claims = FoldedClaims();
  BufferCommitted record{RoundNumber(), std::move(partial), claims};
  Store({std::move(record)}, [this, claims = std::move(claims)] { OnBatchCommitted(claims); });
}

void CoordinatorMachine::OnBatchCommitted(const std::vector<ClaimRecord>& claims) {
  batch_storing_ = false;
  for (const ClaimRecord& claim : claims) {
    Counted(claim);
    open_.erase(claim.id);
    buffer_claims_.push_back(claim);
  }
  folded_.clear();
  refill_due_ = true;
  PumpBuffer();
}

// The next model is committed, with all that was in the buffer; `claims_` are those who were told
// so with it, and then all of them.
void CoordinatorMachine::OnFlushed() {
  for (const ClaimRecord& claim : claims_) open_.erase(claim.id);
  claims_.insert(claims_.end(), buffer_claims_.begin(), buffer_claims_.end());
  claimed_ -= std::min(claimed_, uint32_t(claims_.size()));
  buffer_claims_.clear();
  folded_.clear();
  restored_partial_.clear();
  batch_due_ = full_ = false;
  begin_due_ = true;
  refused_ = late_ = invited_ = 0;
  loss_sum_ = loss_examples_ = 0;
  uplink_at_open_ = uplink_;
  downlink_at_open_ = downlink_;
  refill_due_ = true;
  // Who cannot be in time any more is told now.
  std::vector<AssignmentId> old;
  for (const auto& [id, assignment] : open_) {
    using P = Assignment::Phase;
    if (assignment.phase != P::kClaimed && assignment.phase != P::kChecking &&
        assignment.phase != P::kEnded && Age(assignment) > options_.federation.round.max_staleness)
      old.push_back(id);
  }
  for (const AssignmentId& id : old) TooOld(id);
}

// What was in the buffer is in no model, counted or not.
void CoordinatorMachine::VoidBuffer(const std::string& why) {
  Tell(Notice::Kind::kAttemptVoid,
       StrCat("round ", RoundNumber(), ", attempt ", attempt_, " is given up: ", why));
  for (const AssignmentId& id : std::exchange(folded_, {})) {
    Remember(id, Verdict::kVoid);
    AnswerPast(open_.at(id).participant, id, why);
    Ended(id, false);
  }
  claimed_ = uint32_t(to_fold_.size());
  buffer_claims_.clear();
  restored_partial_.clear();
  batch_due_ = full_ = false;
  Disarm(batch_);
  begin_due_ = true;
  loss_sum_ = loss_examples_ = 0;
  ++attempt_;
  ++voids_;
  batch_storing_ = true;
  Store({BufferVoided{RoundNumber(), attempt_}}, [this] {
    batch_storing_ = false;
    phase_ == Phase::kEvaluating ? PumpBuffer() : OpenBuffer();
  });
}

}  // namespace linnet
