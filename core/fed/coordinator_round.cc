// A synchronous round from its invitations to its last update.
#include <algorithm>

#include "base/random.h"
#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

// Of the pause between attempts.
constexpr uint32_t kLongestPause = 5;

}  // namespace

// Opens the next attempt when enough participants are here: at once with all that are wanted, or
// with everybody who took part last; with fewer, but at least the minimum, after gather_ms.
void CoordinatorMachine::MaybeOpen() {
  if (Asynchronous()) {
    refill_due_ = true;
    return;
  }
  if (phase_ != Phase::kWaiting) return;
  std::vector<PublicKey> pool;  // sorted: people_ is ordered by key
  for (const auto& [key, person] : people_)
    if (person.connection != 0 && person.declined_round != RoundNumber()) pool.push_back(key);
  const auto& round = options_.federation.round;
  const size_t first = committed_ == 0 && attempt_ == 0 ? options_.expect : 0;
  const size_t least = std::max<size_t>(round.minimum, first);
  if (pool.size() < least) {
    Disarm(gather_);
    gathered_ = false;
    if (last_pool_ != 0 || committed_ == 0)
      Tell(Notice::Kind::kWaiting, StrCat("round ", RoundNumber(), " waits for participants: ",
                                          pool.size(), " of at least ", least, " are here"));
    last_pool_ = 0;
    return;
  }
  const uint64_t next_ms = opened_ms_ + round.interval_ms;
  if (opened_ms_ > 0 && now_ms_ < next_ms) {
    if (gather_ == 0)
      gather_ = Arm(next_ms - now_ms_, [this] {
        gather_ = 0;
        MaybeOpen();
      });
    return;
  }
  const bool all = pool.size() >= std::max<size_t>(round.Invited(), first) ||
                   (last_pool_ > 0 && pool.size() >= last_pool_);
  if (!all && !gathered_) {
    if (gather_ == 0)
      gather_ = Arm(options_.gather_ms, [this] {
        gather_ = 0;
        gathered_ = true;
        MaybeOpen();
      });
    return;
  }
  Disarm(gather_);
  gathered_ = false;
  OpenAttempt(std::move(pool));
}

void CoordinatorMachine::OpenAttempt(std::vector<PublicKey> pool) {
  last_pool_ = pool.size();
  const uint64_t draw = (RoundNumber() << 16) | (attempt_ & 0xffff);
  RandomStream(DeriveSeed(options_.secret, "selection", draw), 0).Shuffle(std::span(pool));
  pool.resize(std::min<size_t>(pool.size(), options_.federation.round.Invited()));
  std::sort(pool.begin(), pool.end());

  ++attempt_token_;
  open_.clear();
  budget_queue_.clear();
  to_fold_.clear();
  claims_.clear();
  inflight_ = 0;
  claimed_ = refused_ = late_ = checking_ = 0;
  wanted_ = std::min<uint32_t>(options_.federation.round.cohort, uint32_t(pool.size()));
  begin_due_ = true;

  Bytes ids(pool.size() * sizeof(AssignmentId));
  ChaCha20Stream(DeriveSeed(options_.secret, "assignments", draw), 0, 0, ids);
  AttemptOpened record{RoundNumber(), attempt_, {}};
  for (size_t i = 0; i < pool.size(); ++i) {
    AssignmentId id;
    std::copy_n(ids.begin() + ptrdiff_t(i * id.size()), id.size(), id.begin());
    Assignment assignment;
    assignment.participant = pool[i];
    assignment.ordinal = i;
    assignment.seed = RoundSeed();
    assignment.base_version = assignment.claim_version = committed_;
    open_.emplace(id, std::move(assignment));
    record.assignments.push_back({id, pool[i], i, committed_});
  }
  phase_ = Phase::kOpening;
  Store({std::move(record)}, [this] { SendInvitations(); });
}

void CoordinatorMachine::SendInvitations() {
  phase_ = Phase::kTraining;
  opened_ms_ = now_ms_;
  uplink_at_open_ = uplink_;
  downlink_at_open_ = downlink_;
  deadline_ = Arm(options_.federation.round.deadline_ms, [this] {
    deadline_ = 0;
    for (auto& [id, assignment] : open_)
      if (assignment.phase != Assignment::Phase::kClaimed &&
          assignment.phase != Assignment::Phase::kChecking)
        Drop(assignment);
    MaybeClose();
  });
  Tell(Notice::Kind::kRoundOpened,
       StrCat("round ", RoundNumber(), attempt_ ? StrCat(", attempt ", attempt_) : std::string(),
              ": ", open_.size(), " invited"));
  std::vector<AssignmentId> absent;
  for (const auto& [id, assignment] : open_) {
    if (people_[assignment.participant].connection == 0)
      absent.push_back(id);
    else
      SendToPerson(assignment.participant, MakeInvite(id));
  }
  for (const AssignmentId& id : absent) Gone(id, "it left before the invitation");
  PumpAggregation();
}

Invite CoordinatorMachine::MakeInvite(const AssignmentId& id) const {
  const Federation& federation = options_.federation;
  const Assignment& assignment = open_.at(id);
  const bool newest = assignment.base_version == committed_;
  Invite invite;
  invite.assignment = id;
  invite.round = assignment.base_version + 1;
  invite.attempt = attempt_;
  invite.base = newest ? digest_ : previous_.digest;
  invite.base_bytes = newest ? model_bytes_->size() : previous_.bytes->size();
  invite.round_seed = assignment.seed;
  invite.train = TrainOfRound(federation.train, invite.round);
  invite.train.client = ClientAlgorithmName(task_.task.algorithm);
  invite.train.client_config = ClientTaskText(task_.task);
  invite.codec = {uint8_t(federation.upload.kind), federation.upload.bits};
  invite.max_abs = federation.limits.max_abs;
  invite.max_examples = federation.limits.max_examples;
  invite.deadline_ms = federation.round.deadline_ms;
  return invite;
}

// An invited participant will not deliver: its place ends, the round may close without it.
void CoordinatorMachine::Gone(const AssignmentId& id, std::string_view why) {
  if (Asynchronous()) return GiveUp(id, StrCat(why), false, false);
  auto it = open_.find(id);
  if (it == open_.end() || phase_ != Phase::kTraining) return;
  Assignment& assignment = it->second;
  if (assignment.phase == Assignment::Phase::kEnded) return;
  it->second.grace = 0;
  Tell(Notice::Kind::kUpdateRefused,
       StrCat("round ", RoundNumber(), ": ", people_[assignment.participant].name,
              " does not deliver: ", why));
  Remember(id, Verdict::kVoid);
  Drop(assignment);
  MaybeClose();
}

void CoordinatorMachine::MaybeClose() {
  if (Asynchronous() || phase_ != Phase::kTraining) return;
  bool outstanding = checking_ > 0;
  for (const auto& [id, assignment] : open_)
    outstanding |= assignment.phase != Assignment::Phase::kClaimed &&
                   assignment.phase != Assignment::Phase::kEnded;
  if (claimed_ < wanted_ && outstanding) return;
  const uint32_t minimum = std::min(options_.federation.round.minimum, wanted_);
  if (claimed_ < minimum || claimed_ == 0)
    return VoidAttempt(
        StrCat("only ", claimed_, " updates came, at least ", minimum, " are needed"));
  phase_ = Phase::kClosing;
  Disarm(deadline_);
  EndOpenAssignments(Verdict::kLate, "the round has all it wanted");
  PumpAggregation();
}

// Tells everybody whose assignment is not claimed how it ended.
void CoordinatorMachine::EndOpenAssignments(Verdict verdict, const std::string& message) {
  for (auto& [id, assignment] : open_) {
    if (assignment.phase == Assignment::Phase::kClaimed && verdict != Verdict::kVoid) continue;
    if (assignment.phase == Assignment::Phase::kEnded && past_.contains(id)) continue;
    Remember(id, verdict);
    if (verdict == Verdict::kLate) ++late_;
    UpdateVerdict answer;
    answer.assignment = id;
    answer.verdict = verdict;
    answer.message = message;
    answer.round = RoundNumber();
    SendToPerson(assignment.participant, answer);
    Drop(assignment);
  }
}

void CoordinatorMachine::VoidAttempt(std::string why) {
  Disarm(deadline_);
  Tell(Notice::Kind::kAttemptVoid,
       StrCat("round ", RoundNumber(), ", attempt ", attempt_, " is given up: ", why));
  EndOpenAssignments(Verdict::kVoid, why);
  ++attempt_token_;  // whatever still computes is for nothing
  open_.clear();
  to_fold_.clear();
  budget_queue_.clear();
  inflight_ = 0;
  claimed_ = checking_ = 0;
  ++attempt_;
  ++voids_;
  for (auto& [key, person] : people_) person.declined_round = 0;
  phase_ = Phase::kWaiting;
  last_pool_ = 0;
  gathered_ = false;
  // Not at once: what made it fail may need a moment, and a loop helps nobody.
  Disarm(gather_);
  gather_ = Arm(options_.gather_ms * std::min(voids_, kLongestPause), [this] {
    gather_ = 0;
    gathered_ = true;
    MaybeOpen();
  });
}

}  // namespace linnet
