// A round from its invitations to its commit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "fed/coordinator_machine.h"
#include "fed/work.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxVoidsInARow = 5;
// What a participant states of its training is capped before a strategy makes weights of it.
constexpr uint64_t kMaxSteps = 1000000;
constexpr double kMaxLoss = 1e6;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// Opens the next attempt when enough participants are here: at once with all that are wanted, or
// with everybody who took part last; with fewer, but at least the minimum, after gather_ms.
void CoordinatorMachine::MaybeOpen() {
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
    open_.emplace(id, std::move(assignment));
    record.assignments.push_back({id, pool[i]});
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
  Invite invite;
  invite.assignment = id;
  invite.round = RoundNumber();
  invite.attempt = attempt_;
  invite.base = digest_;
  invite.base_bytes = model_bytes_->size();
  invite.round_seed = RoundSeed();
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
  if (phase_ != Phase::kTraining) return;
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
  gather_ = Arm(options_.gather_ms * std::min(voids_, kMaxVoidsInARow), [this] {
    gather_ = 0;
    gathered_ = true;
    MaybeOpen();
  });
}

// Hands the strategy what there is for it: the begin of an attempt, claimed updates, the end. One
// at a time.
void CoordinatorMachine::PumpAggregation() {
  if (aggregating_ || (phase_ != Phase::kTraining && phase_ != Phase::kClosing)) return;
  const bool finish = phase_ == Phase::kClosing && to_fold_.size() <= kMaxFoldRows;
  if (!begin_due_ && to_fold_.empty() && !finish) return;
  const uint64_t round = RoundNumber();
  auto work = std::make_shared<AggregationWork>();
  work->host = host_;
  work->attempt_token = attempt_token_;
  work->base = model_;
  if (begin_due_) {
    if (host_dirty_) work->restore = strategy_state_;
    RoundParameters parameters;
    const Seed run = DeriveSeed(options_.secret, "run");
    parameters.run_lo = LoadLE<uint64_t>(run.data());
    parameters.run_hi = LoadLE<uint64_t>(run.data() + 8);
    parameters.round = round;
    parameters.server_version = committed_;
    parameters.population = people_.size();
    parameters.cohort = options_.federation.round.cohort;
    parameters.expected_updates = wanted_;
    // From the caps and the number that could have been invited, so that the grid of a round does
    // not depend on who was there.
    parameters.grid_exp =
        *GridExponent(options_.federation.limits.max_abs, options_.federation.limits.max_examples,
                      options_.federation.round.Invited());
    parameters.seed = RoundSeed();
    parameters.max_abs = options_.federation.limits.max_abs;
    work->begin = parameters;
    begin_due_ = false;
    host_dirty_ = false;
  }
  const size_t take = std::min(to_fold_.size(), kMaxFoldRows);
  for (size_t i = 0; i < take; ++i) {
    Assignment& assignment = open_.at(to_fold_[i]);
    AggregationWork::Update update;
    update.assignment = to_fold_[i];
    update.encoded = assignment.encoded;
    update.codec = options_.federation.upload;
    update.seed = MakeCodecSeed(RoundSeed(), assignment.participant);
    update.meta = MakeUpdate(assignment.ordinal, uint32_t(assignment.meta.examples));
    update.meta.base_version = update.meta.server_version = committed_;
    update.meta.num_examples = double(assignment.meta.examples);
    update.meta.num_steps = double(std::min(assignment.meta.steps, kMaxSteps));
    update.meta.l2_norm = assignment.l2_norm;
    update.meta.loss_before = std::min(assignment.meta.loss_before, kMaxLoss);
    update.meta.loss_after = assignment.meta.loss_after;
    update.meta.train_seconds = assignment.meta.train_seconds;
    work->updates.push_back(std::move(update));
  }
  to_fold_.erase(to_fold_.begin(), to_fold_.begin() + ptrdiff_t(take));
  work->finish = finish;
  if (finish) host_dirty_ = true;
  aggregating_ = true;
  actions_.push_back(Compute{std::move(work)});
}

void CoordinatorMachine::OnAggregated(const AggregationWork& work) {
  for (const auto& update : work.updates)
    if (auto it = open_.find(update.assignment); it != open_.end()) Release(it->second);
  if (!work.status) {
    host_dirty_ = true;
    if (++voids_ >= kMaxVoidsInARow) {
      EndOpenAssignments(Verdict::kVoid, "the strategy failed");
      ++attempt_token_;
      return Stop(StrCat("the strategy failed ", voids_,
                         " times, the previous model stands: ", work.status.error().message));
    }
    --voids_;  // VoidAttempt counts it
    return VoidAttempt(StrCat("the strategy failed: ", work.status.error().message));
  }
  if (!work.finish) return;

  next_model_ = work.model;
  next_bytes_ = work.model_bytes;
  next_state_ = work.state;
  next_task_ = work.next_task;
  last_partial_ = work.partial;
  metrics_ = {};
  metrics_.round = RoundNumber();
  metrics_.attempt = attempt_;
  metrics_.invited = uint32_t(open_.size());
  metrics_.refused = refused_;
  metrics_.late = late_;
  metrics_.accuracy = metrics_.loss = metrics_.accuracy_mean = kUnknown;
  metrics_.model = work.digest;
  metrics_.uplink_bytes = uplink_ - uplink_at_open_;
  metrics_.downlink_bytes = downlink_ - downlink_at_open_;
  double loss_sum = 0, examples = 0;
  claims_.clear();
  for (const auto& [id, assignment] : open_) {
    if (assignment.phase != Assignment::Phase::kClaimed) continue;
    claims_.push_back(
        {id, assignment.participant, assignment.meta.examples, assignment.meta.bytes});
    if (std::isfinite(assignment.meta.loss_before)) {
      loss_sum += assignment.meta.loss_before * double(assignment.meta.examples);
      examples += double(assignment.meta.examples);
    }
  }
  metrics_.counted = uint32_t(claims_.size());
  metrics_.train_loss = examples > 0 ? loss_sum / examples : kUnknown;
  phase_ = Phase::kCommitting;
  RoundCommitted record{RoundNumber(), attempt_, next_bytes_, next_state_, claims_, metrics_};
  record.metrics.seconds = metrics_.seconds = double(now_ms_ - opened_ms_) / 1000.0;
  Store({std::move(record)}, [this] { OnCommitted(); });
}

// The commit is durable: from here on the updates count, and only from here on is it said.
void CoordinatorMachine::OnCommitted() {
  for (const ClaimRecord& claim : claims_) {
    Remember(claim.id, Verdict::kAlreadyCounted);
    ++people_[claim.participant].counted;
    UpdateVerdict verdict;
    verdict.assignment = claim.id;
    verdict.round = RoundNumber();
    SendToPerson(claim.participant, verdict);
  }
  metrics_.seconds = double(now_ms_ - opened_ms_) / 1000.0;
  metrics_.downlink_bytes = downlink_ - downlink_at_open_;
  model_ = std::move(next_model_);
  model_bytes_ = std::move(next_bytes_);
  digest_ = metrics_.model;
  chunk_frames_.clear();
  task_ = std::move(next_task_);
  value_frames_.clear();
  strategy_state_ = std::move(next_state_);
  host_dirty_ = false;
  ++committed_;
  ++attempt_token_;
  attempt_ = 0;
  voids_ = 0;
  open_.clear();
  claimed_ = 0;
  history_.push_back(metrics_);
  phase_ = Phase::kEvaluating;
  Evaluate();
}

}  // namespace linnet
