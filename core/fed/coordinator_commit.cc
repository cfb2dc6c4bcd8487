// From updates to a committed model: what the strategy is handed, what it gives, what is stored.
#include <algorithm>
#include <cmath>
#include <limits>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxFailuresInARow = 5;
// What a participant states of its training is capped before a strategy makes weights of it.
constexpr uint64_t kMaxSteps = 1000000;
constexpr double kMaxLoss = 1e6;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// The strategy's next work, with the begin of an attempt where that is due.
std::shared_ptr<AggregationWork> CoordinatorMachine::MakeWork() {
  const Federation& federation = options_.federation;
  auto work = std::make_shared<AggregationWork>();
  work->host = host_;
  work->attempt_token = attempt_token_;
  work->base = model_;
  work->buffered = Asynchronous();
  if (!begin_due_) return work;
  if (host_dirty_) work->restore = strategy_state_;
  RoundParameters parameters;
  const Seed run = DeriveSeed(options_.secret, "run");
  parameters.run_lo = LoadLE<uint64_t>(run.data());
  parameters.run_hi = LoadLE<uint64_t>(run.data() + 8);
  parameters.round = RoundNumber();
  parameters.server_version = committed_;
  parameters.population = people_.size();
  parameters.cohort = federation.round.cohort;
  parameters.expected_updates = wanted_;
  // From the caps and the number that could have been invited, so that the grid of a round does
  // not depend on who was there.
  parameters.grid_exp = *GridExponent(federation.limits.max_abs, federation.limits.max_examples,
                                      federation.round.Invited());
  parameters.seed = RoundSeed();
  parameters.max_abs = federation.limits.max_abs;
  work->begin = parameters;
  begin_due_ = false;
  host_dirty_ = false;
  return work;
}

AggregationWork::Update CoordinatorMachine::UpdateOf(const AssignmentId& id) const {
  const Assignment& assignment = open_.at(id);
  AggregationWork::Update update;
  update.assignment = id;
  update.encoded = assignment.encoded;
  update.codec = options_.federation.upload;
  update.seed = MakeCodecSeed(assignment.seed, assignment.participant);
  update.meta = MakeUpdate(assignment.ordinal, uint32_t(assignment.meta.examples));
  update.meta.base_version = assignment.base_version;
  update.meta.server_version = assignment.claim_version;
  update.meta.num_examples = double(assignment.meta.examples);
  update.meta.num_steps = double(std::min(assignment.meta.steps, kMaxSteps));
  update.meta.l2_norm = assignment.l2_norm;
  update.meta.loss_before = std::min(assignment.meta.loss_before, kMaxLoss);
  update.meta.loss_after = assignment.meta.loss_after;
  update.meta.train_seconds = assignment.meta.train_seconds;
  return update;
}

// Hands the strategy what there is for it: the begin of an attempt, claimed updates, the end. One
// at a time.
void CoordinatorMachine::PumpAggregation() {
  if (Asynchronous()) return PumpBuffer();
  if (aggregating_ || (phase_ != Phase::kTraining && phase_ != Phase::kClosing)) return;
  const bool finish = phase_ == Phase::kClosing && to_fold_.size() <= kMaxFoldRows;
  if (!begin_due_ && to_fold_.empty() && !finish) return;
  std::shared_ptr<AggregationWork> work = MakeWork();
  const size_t take = std::min(to_fold_.size(), kMaxFoldRows);
  for (size_t i = 0; i < take; ++i) work->updates.push_back(UpdateOf(to_fold_[i]));
  to_fold_.erase(to_fold_.begin(), to_fold_.begin() + ptrdiff_t(take));
  work->finish = finish;
  if (finish) host_dirty_ = true;
  aggregating_ = true;
  actions_.push_back(Compute{std::move(work)});
}

void CoordinatorMachine::OnAggregated(const AggregationWork& work) {
  for (size_t i = 0; i < work.updates.size(); ++i) {
    if (work.status && i >= work.folded) break;  // asynchronous: it is for the next buffer
    if (auto it = open_.find(work.updates[i].assignment); it != open_.end()) Release(it->second);
  }
  if (Asynchronous()) return OnBufferAggregated(work);
  if (!work.status) return StrategyFailed(work.status.error().message);
  if (work.finish) TakeResult(work);
}

// The round is tried again from the model that stands; not for ever.
void CoordinatorMachine::StrategyFailed(const std::string& why) {
  host_dirty_ = true;
  if (++failures_ < kMaxFailuresInARow) return Asynchronous() ? VoidBuffer(why) : VoidAttempt(why);
  if (Asynchronous())
    EndAsynchronous();
  else
    EndOpenAssignments(Verdict::kVoid, "the strategy failed");
  ++attempt_token_;
  Stop(StrCat("the strategy failed ", kMaxFailuresInARow, " times in a row, the model of round ",
              committed_, " stands: ", why));
}

void CoordinatorMachine::TakeResult(const AggregationWork& work) {
  next_model_ = work.model;
  next_bytes_ = work.model_bytes;
  next_state_ = work.state;
  next_task_ = work.next_task;
  last_partial_ = work.partial;
  metrics_ = {};
  metrics_.model = work.digest;
  if (options_.federation.gate.on()) return Judge();
  CommitRound();
}

void CoordinatorMachine::CommitRound() {
  metrics_.round = RoundNumber();
  metrics_.attempt = attempt_;
  metrics_.refused = refused_;
  metrics_.late = late_;
  metrics_.accuracy = metrics_.loss = metrics_.accuracy_mean = kUnknown;
  metrics_.uplink_bytes = uplink_ - uplink_at_open_;
  metrics_.downlink_bytes = downlink_ - downlink_at_open_;
  if (Asynchronous()) {
    claims_ = FoldedClaims();
    metrics_.invited = invited_;
    metrics_.counted = uint32_t(buffer_claims_.size() + claims_.size());
    double ages = 0;
    for (const auto* claims : {&buffer_claims_, &claims_})
      for (const ClaimRecord& claim : *claims) ages += double(claim.age);
    metrics_.staleness = ages / metrics_.counted;
  } else {
    metrics_.invited = uint32_t(open_.size());
    loss_sum_ = loss_examples_ = 0;
    claims_.clear();
    for (const auto& [id, assignment] : open_) {
      if (assignment.phase != Assignment::Phase::kClaimed) continue;
      claims_.push_back(
          {id, assignment.participant, assignment.meta.examples, assignment.meta.bytes, 0});
      AddLoss(assignment.meta);
    }
    metrics_.counted = uint32_t(claims_.size());
  }
  metrics_.train_loss = loss_examples_ > 0 ? loss_sum_ / loss_examples_ : kUnknown;
  phase_ = Phase::kCommitting;
  RoundCommitted record{RoundNumber(), attempt_, next_bytes_, next_state_, claims_, metrics_};
  record.metrics.seconds = metrics_.seconds = double(now_ms_ - opened_ms_) / 1000.0;
  Store({std::move(record)}, [this] { OnCommitted(); });
}

void CoordinatorMachine::AddLoss(const UpdateBegin& meta) {
  if (!std::isfinite(meta.loss_before)) return;
  loss_sum_ += meta.loss_before * double(meta.examples);
  loss_examples_ += double(meta.examples);
}

// The commit is durable: from here on the updates count, and only from here on is it said.
void CoordinatorMachine::OnCommitted() {
  for (const ClaimRecord& claim : claims_) Counted(claim);
  metrics_.seconds = double(now_ms_ - opened_ms_) / 1000.0;
  metrics_.downlink_bytes = downlink_ - downlink_at_open_;
  previous_ = {digest_, model_bytes_, std::move(chunk_frames_)};
  model_ = std::move(next_model_);
  model_bytes_ = std::move(next_bytes_);
  digest_ = metrics_.model;
  chunk_frames_.clear();
  task_ = std::move(next_task_);
  value_frames_.clear();
  strategy_state_ = std::move(next_state_);
  standing_ = std::exchange(candidate_, std::nullopt);
  host_dirty_ = false;
  ++committed_;
  attempt_ = 0;
  voids_ = failures_ = 0;
  if (Asynchronous()) {
    OnFlushed();
  } else {
    previous_ = {};
    ++attempt_token_;
    open_.clear();
    claimed_ = 0;
  }
  history_.push_back(metrics_);
  phase_ = Phase::kEvaluating;
  Evaluate();
}

void CoordinatorMachine::Counted(const ClaimRecord& claim) {
  Remember(claim.id, Verdict::kAlreadyCounted);
  ++people_[claim.participant].counted;
  UpdateVerdict verdict;
  verdict.assignment = claim.id;
  verdict.round = RoundNumber();
  SendToPerson(claim.participant, verdict);
}

}  // namespace linnet
