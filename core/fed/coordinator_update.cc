// Uploads: announced, let flow within one budget, checked, claimed.
#include <algorithm>
#include <cmath>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

// An upload that has its place in the budget must move at least this often.
constexpr uint64_t kStallMs = 30000;

}  // namespace

CoordinatorMachine::Assignment* CoordinatorMachine::Find(const PublicKey& key,
                                                         const AssignmentId& id) {
  auto it = open_.find(id);
  if (it == open_.end() || it->second.participant != key ||
      it->second.phase == Assignment::Phase::kEnded)
    return nullptr;
  return &it->second;
}

void CoordinatorMachine::OnAccept(const PublicKey& key, const AssignmentId& id) {
  Assignment* assignment = Find(key, id);
  if (!assignment) return AnswerPast(key, id);
  if (assignment->phase != Assignment::Phase::kInvited) return;
  assignment->phase = Assignment::Phase::kBegun;
  SendToPerson(key, Begin{id});
}

void CoordinatorMachine::OnDecline(const PublicKey& key, const Decline& decline) {
  Assignment* assignment = Find(key, decline.assignment);
  if (!assignment || assignment->phase == Assignment::Phase::kClaimed ||
      assignment->phase == Assignment::Phase::kChecking)
    return;
  people_[key].declined_round = RoundNumber();
  std::string why = decline.reason.substr(0, 200);
  for (char& c : why)
    if (c < ' ' || c == 127) c = '?';
  if (Asynchronous()) return GiveUp(decline.assignment, std::move(why), false, true);
  Gone(decline.assignment, why);
}

void CoordinatorMachine::OnQuery(const PublicKey& key, const AssignmentId& id) {
  Assignment* assignment = Find(key, id);
  if (!assignment) return AnswerPast(key, id);
  if (assignment->phase == Assignment::Phase::kInvited)
    assignment->phase = Assignment::Phase::kBegun;
  // A claimed one is answered by the commit, which is on its way.
  if (assignment->phase != Assignment::Phase::kClaimed &&
      assignment->phase != Assignment::Phase::kChecking)
    SendToPerson(key, AssignmentOpen{id});
}

// What became of an assignment that is not open any more.
void CoordinatorMachine::AnswerPast(const PublicKey& key, const AssignmentId& id, std::string why) {
  UpdateVerdict verdict;
  verdict.message = std::move(why);
  verdict.assignment = id;
  verdict.round = committed_;
  auto it = past_.find(id);
  if (it != past_.end()) {
    verdict.verdict = it->second;
  } else {
    verdict.verdict = Verdict::kVoid;
    verdict.message = "this assignment is not known here";
  }
  SendToPerson(key, verdict);
}

void CoordinatorMachine::OnUpdateBegin(const PublicKey& key, const UpdateBegin& begin) {
  Assignment* assignment = Find(key, begin.assignment);
  if (!assignment) return AnswerPast(key, begin.assignment);
  using P = Assignment::Phase;
  if (assignment->phase == P::kClaimed || assignment->phase == P::kChecking) return;
  const Federation& federation = options_.federation;
  if (Asynchronous() && Age(*assignment) > federation.round.max_staleness)
    return TooOld(begin.assignment);
  const CodecSpec codec{CodecKind(begin.codec.kind), begin.codec.bits};
  const uint64_t elements = layout_.weight_count;
  auto refuse = [&](Code code, std::string message) {
    RefuseUpdate(begin.assignment, code, std::move(message));
  };
  if (codec != federation.upload)
    return refuse(Code::kInvalid, StrCat("upload.codec: found ", CodecName(codec), ", wanted ",
                                         CodecName(federation.upload)));
  if (begin.elements != elements)
    return refuse(Code::kInvalid,
                  StrCat("the update has ", begin.elements, " elements, the model has ", elements));
  const uint64_t bytes = layout_.UpdateBytes(federation.upload);
  if (begin.bytes != bytes)
    return refuse(Code::kInvalid,
                  StrCat("the update has ", begin.bytes, " bytes, ", CodecName(codec), " of ",
                         elements, " elements has ", bytes));
  if (begin.examples == 0 || begin.examples > federation.limits.max_examples)
    return refuse(Code::kLimit,
                  StrCat("examples: found ", begin.examples, ", limits.maxExamples admits 1 to ",
                         federation.limits.max_examples));
  assignment->meta = begin;
  if (assignment->phase == P::kFlowing) {  // it came back: go on where it stopped
    SendToPerson(key, UpdateGo{begin.assignment, assignment->received.size()});
    return;
  }
  if (assignment->phase == P::kAnnounced) return;  // already in the queue
  assignment->phase = P::kAnnounced;
  budget_queue_.push_back(begin.assignment);
  GrantBudget();
}

// Bytes in flight have one budget; at least one upload always flows.
void CoordinatorMachine::GrantBudget() {
  while (!budget_queue_.empty()) {
    const AssignmentId id = budget_queue_.front();
    auto it = open_.find(id);
    if (it == open_.end() || it->second.phase != Assignment::Phase::kAnnounced) {
      budget_queue_.pop_front();
      continue;
    }
    Assignment& assignment = it->second;
    if (inflight_ > 0 && inflight_ + assignment.meta.bytes > options_.inflight_budget) return;
    budget_queue_.pop_front();
    assignment.reserved = assignment.meta.bytes;
    inflight_ += assignment.reserved;
    assignment.phase = Assignment::Phase::kFlowing;
    assignment.stall = Arm(kStallMs, [this, id] { Gone(id, "its upload stopped"); });
    SendToPerson(assignment.participant, UpdateGo{id, assignment.received.size()});
  }
}

void CoordinatorMachine::OnUpdateChunk(const PublicKey& key, const UpdateChunk& chunk) {
  Assignment* assignment = Find(key, chunk.assignment);
  if (!assignment || assignment->phase != Assignment::Phase::kFlowing) return;
  Bytes& received = assignment->received;
  if (chunk.offset != received.size()) return;  // a repeated frame, or one after a gap
  if (chunk.data.size() > assignment->meta.bytes - received.size())
    return RefuseUpdate(
        chunk.assignment, Code::kLimit,
        StrCat("the upload is longer than the ", assignment->meta.bytes, " bytes announced"));
  if (received.empty()) received.reserve(assignment->meta.bytes);
  received.insert(received.end(), chunk.data.begin(), chunk.data.end());
  if (assignment->stall != 0) actions_.push_back(SetTimer{assignment->stall, kStallMs});
}

void CoordinatorMachine::OnUpdateEnd(const PublicKey& key, const UpdateEnd& end) {
  Assignment* assignment = Find(key, end.assignment);
  if (!assignment) return AnswerPast(key, end.assignment);
  if (assignment->phase != Assignment::Phase::kFlowing) return;
  if (assignment->received.size() != assignment->meta.bytes) {
    // A lost chunk: let it flow again from the gap.
    SendToPerson(key, UpdateGo{end.assignment, assignment->received.size()});
    return;
  }
  Disarm(assignment->stall);
  assignment->phase = Assignment::Phase::kChecking;
  ++checking_;
  assignment->encoded = std::make_shared<const Bytes>(std::move(assignment->received));
  assignment->received = {};
  auto work = std::make_shared<CheckWork>();
  work->assignment = end.assignment;
  work->attempt_token = attempt_token_;
  work->encoded = assignment->encoded;
  work->digest = end.digest;
  work->codec = options_.federation.upload;
  work->seed = MakeCodecSeed(assignment->seed, key);
  work->elements = layout_.weight_count;
  work->extras = layout_.ExtraCount();
  work->scalars = layout_.scalar_count;
  work->max_abs = options_.federation.limits.max_abs;
  work->kernels = &kernels_;
  actions_.push_back(Compute{std::move(work)});
}

void CoordinatorMachine::OnChecked(const CheckWork& work) {
  auto it = open_.find(work.assignment);
  if (it == open_.end() || it->second.phase != Assignment::Phase::kChecking) return;
  --checking_;
  Assignment& assignment = it->second;
  if (!work.status) {
    RefuseUpdate(work.assignment, work.status.error().code, work.status.error().message);
    return;
  }
  assignment.l2_norm = work.stats.l2_norm;
  if (Asynchronous()) return Claim(work.assignment, assignment);
  if (phase_ != Phase::kTraining || claimed_ >= wanted_)
    return;  // told `late` when the round closed
  assignment.phase = Assignment::Phase::kClaimed;
  ++claimed_;
  to_fold_.push_back(work.assignment);
  Tell(Notice::Kind::kUpdateCounted,
       StrCat("round ", RoundNumber(), ": update ", claimed_, " of ", wanted_, " from ",
              people_[assignment.participant].name));
  MaybeClose();
  PumpAggregation();
}

void CoordinatorMachine::RefuseUpdate(const AssignmentId& id, Code code, std::string message) {
  Assignment& assignment = open_.at(id);
  ++refused_;
  Remember(id, Verdict::kRefused);
  Tell(Notice::Kind::kUpdateRefused,
       StrCat("round ", RoundNumber(), ": the update of ", people_[assignment.participant].name,
              " is refused: ", message));
  UpdateVerdict verdict;
  verdict.assignment = id;
  verdict.verdict = Verdict::kRefused;
  verdict.code = code;
  verdict.message = std::move(message);
  verdict.round = RoundNumber();
  SendToPerson(assignment.participant, verdict);
  if (Asynchronous()) return Ended(id, true);
  Drop(assignment);
  MaybeClose();
}

void CoordinatorMachine::Release(Assignment& assignment) {
  inflight_ -= std::min(inflight_, assignment.reserved);
  assignment.reserved = 0;
  assignment.encoded.reset();
  Bytes().swap(assignment.received);
  GrantBudget();
}

void CoordinatorMachine::Drop(Assignment& assignment) {
  assignment.phase = Assignment::Phase::kEnded;
  Disarm(assignment.grace);
  Disarm(assignment.stall);
  Disarm(assignment.deadline);
  Release(assignment);
}

}  // namespace linnet
