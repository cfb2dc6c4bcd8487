// How good the committed model is, and whether that was the last round.
#include <algorithm>
#include <cmath>
#include <limits>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

constexpr uint32_t kEvaluationDeadlineMs = 30000;

double Median(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

void CoordinatorMachine::Evaluate() {
  const Federation& federation = options_.federation;
  const bool due = committed_ % std::max<uint32_t>(federation.evaluate.every, 1) == 0 ||
                   committed_ >= federation.round.max_rounds;
  if (!due) return CloseRound();
  if (options_.evaluation && standing_) {  // the gate has measured it
    metrics_.accuracy = standing_->accuracy();
    metrics_.loss = standing_->loss();
    return CloseRound();
  }
  if (options_.evaluation) {
    auto work = std::make_shared<EvaluateWork>();
    work->model = model_;
    work->data = WholeView(options_.evaluation);
    work->round = committed_;
    work->kernels = &kernels_;
    actions_.push_back(Compute{std::move(work)});
    return;
  }
  if (!federation.evaluate.federated) return CloseRound();
  EvaluateRequest request{committed_, digest_, model_bytes_->size(), kEvaluationDeadlineMs};
  reports_.clear();
  asked_.clear();
  // Those whose updates were counted have just been here; everybody else need not download the
  // model.
  for (const ClaimRecord& claim : claims_) {
    if (people_[claim.participant].connection == 0) continue;
    asked_.insert(claim.participant);
    SendToPerson(claim.participant, request);
  }
  if (asked_.empty()) return CloseRound();
  evaluation_deadline_ = Arm(kEvaluationDeadlineMs, [this] {
    evaluation_deadline_ = 0;
    FinishFederatedEvaluation();
  });
}

void CoordinatorMachine::OnEvaluated(const EvaluateWork& work) {
  if (judging_.get() == &work) return OnJudged(work);
  if (phase_ != Phase::kEvaluating || work.round != committed_) return;
  if (!work.status) {
    Tell(Notice::Kind::kFailed, StrCat("evaluation: ", work.status.error().message));
  } else {
    metrics_.accuracy = work.metrics.accuracy();
    metrics_.loss = work.metrics.loss();
  }
  CloseRound();
}

void CoordinatorMachine::OnReport(const PublicKey& key, const EvaluateReport& report) {
  if (phase_ != Phase::kEvaluating || report.round != committed_ || report.model != digest_ ||
      asked_.erase(key) == 0)
    return;
  if (report.examples > 0 && report.correct <= report.examples && std::isfinite(report.loss_sum))
    reports_.push_back(report);
  if (asked_.empty()) FinishFederatedEvaluation();
}

// The median is what counts (one liar cannot move it far); the mean by examples, capped, stands
// beside.
void CoordinatorMachine::FinishFederatedEvaluation() {
  if (phase_ != Phase::kEvaluating) return;
  Disarm(evaluation_deadline_);
  asked_.clear();
  const size_t minimum = std::min<size_t>(options_.federation.round.minimum, metrics_.counted);
  if (!reports_.empty() && reports_.size() >= minimum) {
    std::vector<double> accuracies, losses;
    double weighted = 0, weights = 0;
    for (const EvaluateReport& report : reports_) {
      const double examples = double(report.examples);
      accuracies.push_back(double(report.correct) / examples);
      losses.push_back(report.loss_sum / examples);
      const double weight =
          double(std::min<uint64_t>(report.examples, options_.federation.limits.max_examples));
      weighted += weight * accuracies.back();
      weights += weight;
    }
    metrics_.accuracy = Median(accuracies);
    metrics_.loss = Median(losses);
    metrics_.accuracy_mean = weighted / weights;
  }
  CloseRound();
}

bool CoordinatorMachine::ReachesTarget(const RoundMetrics& metrics) const {
  const auto& round = options_.federation.round;
  if (!round.target_value) return false;
  if (round.target_metric == "loss")
    return std::isfinite(metrics.loss) && metrics.loss <= *round.target_value;
  return std::isfinite(metrics.accuracy) && metrics.accuracy >= *round.target_value;
}

// The target's metric, or the loss where that is all there is; larger is better.
double CoordinatorMachine::Value(const RoundMetrics& metrics) const {
  const bool by_loss =
      options_.federation.round.target_metric == "loss" || std::isnan(metrics.accuracy);
  return by_loss ? -metrics.loss : metrics.accuracy;
}

bool CoordinatorMachine::BetterThanBest(const RoundMetrics& metrics) const {
  const double value = Value(metrics);
  return std::isfinite(value) && (!best_value_ || value > *best_value_);
}

void CoordinatorMachine::CloseRound() {
  const auto& round = options_.federation.round;
  // Squared errors are neither right nor wrong.
  if (model_->graph.loss == Loss::kMse) {
    metrics_.accuracy = metrics_.accuracy_mean = std::numeric_limits<double>::quiet_NaN();
  }
  const bool best = BetterThanBest(metrics_);
  if (best) {
    best_value_ = Value(metrics_);
    best_bytes_ = model_bytes_;
  }
  if (!history_.empty()) history_.back() = metrics_;
  Store({RoundEvaluated{metrics_, best}}, [] {});
  target_reached_ = target_reached_ || ReachesTarget(metrics_);
  const bool last = target_reached_ || committed_ >= round.max_rounds;

  RoundClosed closed;
  closed.round = committed_;
  closed.model = digest_;
  closed.model_bytes = model_bytes_->size();
  closed.counted = metrics_.counted;
  closed.invited = metrics_.invited;
  closed.accuracy = metrics_.accuracy;
  closed.loss = metrics_.loss;
  closed.train_loss = metrics_.train_loss;
  closed.uplink_bytes = metrics_.uplink_bytes;
  closed.downlink_bytes = metrics_.downlink_bytes;
  closed.seconds = metrics_.seconds;
  for (const auto& [key, person] : people_) closed.connected += person.connection != 0;
  closed.target_reached = target_reached_;
  closed.last = last;
  Broadcast(closed);
  Tell(Notice::Kind::kRoundClosed, StrCat("round ", committed_, ": accuracy ", metrics_.accuracy));
  if (last) {
    phase_ = Phase::kFinished;
    if (Asynchronous()) EndAsynchronous();
    Tell(Notice::Kind::kFinished,
         target_reached_ ? "the target is reached" : "round.maxRounds are done");
    return;
  }
  if (Asynchronous()) return OpenBuffer();
  phase_ = Phase::kWaiting;
  MaybeOpen();
}

}  // namespace linnet
