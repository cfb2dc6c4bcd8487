// Asynchronous rounds (FedBuff, Nguyen 2022): each participant has an assignment of its own, gets
// the next when it is done, and nobody waits. What becomes of the updates is in
// coordinator_buffer.cc.
#include <algorithm>
#include <set>

#include "base/random.h"
#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

// Who declined, was refused or let the deadline pass is not asked again at once.
constexpr uint64_t kRestMs = 5000;
// Who comes back, before it gets another assignment.
constexpr uint64_t kSettleMs = 500;

}  // namespace

// What a restart finds: open assignments go on, their participants come back with what they have.
void CoordinatorMachine::Restore(const std::vector<AssignmentRecord>& open,
                                 Recovered::Buffer buffer) {
  next_ordinal_ = buffer.next_ordinal;
  attempt_ = buffer.attempt;
  for (const AssignmentRecord& record : open) {
    Assignment assignment;
    assignment.participant = record.participant;
    assignment.ordinal = record.ordinal;
    assignment.base_version = record.base_version;
    assignment.seed = AssignmentSeed(record.ordinal);
    open_.emplace(record.id, std::move(assignment));
  }
  buffer_claims_ = std::move(buffer.claims);
  restored_partial_ = std::move(buffer.partial);
  claimed_ = uint32_t(buffer_claims_.size());
  wanted_ = options_.federation.round.buffer;
  begin_due_ = true;
}

void CoordinatorMachine::StartAsynchronous() {
  std::vector<AssignmentId> ids;
  for (const auto& [id, assignment] : open_) ids.push_back(id);
  for (const AssignmentId& id : ids) {
    if (Age(open_.at(id)) > options_.federation.round.max_staleness)
      TooOld(id);
    else
      Watch(id);
  }
  if (phase_ != Phase::kEvaluating && (!ids.empty() || claimed_ > 0)) OpenBuffer();
  refill_due_ = true;
}

// Its deadline begins; an absent participant has a moment to come back.
void CoordinatorMachine::Watch(const AssignmentId& id) {
  const uint32_t deadline_ms = options_.federation.round.deadline_ms;
  Assignment& assignment = open_.at(id);
  assignment.deadline = Arm(deadline_ms, [this, id, deadline_ms] {
    GiveUp(id, StrCat("nothing came within ", deadline_ms, " ms"), true, true);
  });
  Disarm(assignment.grace);
  if (people_[assignment.participant].connection == 0)
    assignment.grace = Arm(options_.return_grace_ms, [this, id] {
      GiveUp(id, "it disconnected and did not return in time", false, false);
    });
}

// Gives assignments to participants that have none, up to the concurrency.
void CoordinatorMachine::Refill() {
  // A flush is under way: the newer model is only a moment away.
  if (phase_ != Phase::kWaiting && phase_ != Phase::kTraining && phase_ != Phase::kEvaluating)
    return;
  std::erase_if(open_,
                [](const auto& open) { return open.second.phase == Assignment::Phase::kEnded; });
  std::set<PublicKey> busy;
  for (const auto& [id, assignment] : open_) busy.insert(assignment.participant);
  std::vector<PublicKey> pool;  // sorted: people_ is ordered by key
  for (const auto& [key, person] : people_)
    if (person.connection != 0 && person.rests_until_ms <= now_ms_ && !busy.contains(key))
      pool.push_back(key);
  if (phase_ == Phase::kWaiting) {
    const size_t least = std::max<size_t>(1, committed_ == 0 ? options_.expect : 0);
    if (pool.size() < least)
      return Tell(Notice::Kind::kWaiting, StrCat("waits for participants: ", pool.size(),
                                                 " of at least ", least, " are here"));
    OpenBuffer();
  }
  const size_t concurrency = options_.federation.round.concurrency;
  const size_t room = concurrency - std::min(concurrency, open_.size());
  if (room == 0 || pool.empty()) return;
  RandomStream(DeriveSeed(options_.secret, "asynchronous selection", next_ordinal_), 0)
      .Shuffle(std::span(pool));
  pool.resize(std::min(pool.size(), room));

  AssignmentsChanged record;
  record.ended = std::exchange(ended_, {});
  std::vector<AssignmentId> ids;
  for (const PublicKey& key : pool) {
    AssignmentId id;
    Assignment assignment;
    assignment.participant = key;
    assignment.ordinal = next_ordinal_++;
    assignment.base_version = committed_;
    assignment.seed = AssignmentSeed(assignment.ordinal);
    assignment.durable = false;
    ChaCha20Stream(DeriveSeed(options_.secret, "asynchronous assignment", assignment.ordinal), 0, 0,
                   id);
    record.opened.push_back({id, key, assignment.ordinal, committed_});
    open_.emplace(id, std::move(assignment));
    ids.push_back(id);
  }
  Store({std::move(record)}, [this, ids = std::move(ids)] { Invited(ids); });
}

// The journal knows them: now their participants may.
void CoordinatorMachine::Invited(const std::vector<AssignmentId>& ids) {
  for (const AssignmentId& id : ids) {
    auto it = open_.find(id);
    if (it == open_.end()) continue;
    it->second.durable = true;
    ++invited_;
    Watch(id);
    SendInvite(id);
  }
}

void CoordinatorMachine::SendInvite(const AssignmentId& id) {
  const Assignment& assignment = open_.at(id);
  if (Served(assignment))
    SendToPerson(assignment.participant, MakeInvite(id));
  else
    GiveUp(id, "the model it was to begin from is not served any more", true, false);
}

// A participant is back. Had it not got its invitation, or lost what it was doing, it begins anew;
// otherwise it knows the assignment and goes on. It gets no other one before it had time to ask
// what became of the one it may still hold.
void CoordinatorMachine::Returned(const PublicKey& key) {
  Rest(key, kSettleMs);
  using P = Assignment::Phase;
  for (auto& [id, assignment] : open_) {
    if (assignment.participant != key || !assignment.durable) continue;
    if (assignment.phase != P::kInvited && assignment.phase != P::kBegun) continue;
    assignment.phase = P::kInvited;
    if (Served(assignment)) SendToPerson(key, MakeInvite(id));
  }
}

void CoordinatorMachine::Rest(const PublicKey& key, uint64_t ms) {
  uint64_t& until_ms = people_[key].rests_until_ms;
  until_ms = std::max(until_ms, now_ms_ + ms);
  Arm(ms, [this] { refill_due_ = true; });
}

// It will not be counted, whoever is to blame; `tell` its participant, who goes without another one
// for a while if it is to `rest`.
void CoordinatorMachine::GiveUp(const AssignmentId& id, std::string why, bool tell, bool rest) {
  auto it = open_.find(id);
  using P = Assignment::Phase;
  if (it == open_.end() || it->second.phase == P::kClaimed || it->second.phase == P::kChecking ||
      it->second.phase == P::kEnded)
    return;
  Tell(Notice::Kind::kUpdateRefused,
       StrCat("round ", RoundNumber(), ": ", people_[it->second.participant].name,
              " does not deliver: ", why));
  Remember(id, Verdict::kVoid);
  if (tell) AnswerPast(it->second.participant, id, std::move(why));
  Ended(id, rest);
}

void CoordinatorMachine::TooOld(const AssignmentId& id) {
  Assignment& assignment = open_.at(id);
  const std::string why = StrCat(
      "it began from version ", assignment.base_version, ", the model is at version ", committed_,
      " now, round.maxStaleness admits ", options_.federation.round.max_staleness, " in between");
  ++late_;
  Remember(id, Verdict::kVoid);
  Tell(Notice::Kind::kUpdateRefused,
       StrCat("round ", RoundNumber(), ": the update of ", people_[assignment.participant].name,
              " is too old: ", why));
  AnswerPast(assignment.participant, id, why);
  Ended(id, false);
}

void CoordinatorMachine::Ended(const AssignmentId& id, bool rest) {
  Assignment& assignment = open_.at(id);
  Drop(assignment);
  ended_.push_back(id);
  refill_due_ = true;
  if (rest) Rest(assignment.participant, kRestMs);
}

// An upload has passed its check. Its age is fixed here, whenever it is folded: where the buffer is
// full already, it is for the next one, which begins from the next version.
void CoordinatorMachine::Claim(const AssignmentId& id, Assignment& assignment) {
  const uint64_t version = committed_ + claimed_ / wanted_;
  const uint64_t age = version - assignment.base_version;
  if (age > options_.federation.round.max_staleness) return TooOld(id);
  assignment.phase = Assignment::Phase::kClaimed;
  assignment.claim_version = version;
  Disarm(assignment.deadline);
  Disarm(assignment.grace);
  ++claimed_;
  to_fold_.push_back(id);
  Tell(Notice::Kind::kUpdateCounted,
       StrCat("round ", version + 1, ": update ", (claimed_ - 1) % wanted_ + 1, " of ", wanted_,
              " from ", people_[assignment.participant].name, ", ", age, " versions old"));
  PumpBuffer();
}

// The federation is over: whatever is on its way comes too late.
void CoordinatorMachine::EndAsynchronous() {
  for (auto& [id, assignment] : open_) {
    if (assignment.phase == Assignment::Phase::kEnded) continue;
    Remember(id, Verdict::kLate);
    AnswerPast(assignment.participant, id, "the federation has reached its end");
    Drop(assignment);
  }
  to_fold_.clear();
  folded_.clear();
  Disarm(batch_);
}

}  // namespace linnet
