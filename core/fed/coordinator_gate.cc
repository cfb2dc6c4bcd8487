// The gate's held-out score: the round's model against the one that stands, before it is committed.
#include <cmath>

#include "fed/coordinator_machine.h"

namespace linnet {

// Measures the standing model where that has not been done, then the round's.
void CoordinatorMachine::Judge() {
  phase_ = Phase::kJudging;
  judging_ = std::make_shared<EvaluateWork>();
  judging_->model = standing_ ? next_model_ : model_;
  judging_->data = WholeView(options_.evaluation);
  judging_->round = RoundNumber();
  judging_->kernels = &kernels_;
  actions_.push_back(Compute{judging_});
}

void CoordinatorMachine::OnJudged(const EvaluateWork& work) {
  judging_.reset();
  if (!work.status) return StrategyFailed(StrCat("the gate: ", work.status.error().message));
  if (!standing_) {
    standing_ = work.metrics;
    return Judge();
  }
  const auto& gate = options_.federation.gate;
  const auto worse = [&](std::string_view key, std::string_view what, double was, double is,
                         double admitted) {
    StrategyFailed(StrCat("strategy ", host_->plugin().id, " made a model whose ", what,
                          " on evaluate.data is ", is, ", that of the one before is ", was, ", ",
                          key, " admits ", admitted));
  };
  const double was = standing_->accuracy(), is = work.metrics.accuracy();
  const double loss_was = standing_->loss(), loss_is = work.metrics.loss();
  // Written so that NaN fails too.
  if (gate.max_drop && !(was - is <= *gate.max_drop))
    return worse("gate.maxDrop", "accuracy", was, is, *gate.max_drop);
  if (gate.max_rise && !(loss_is - loss_was <= *gate.max_rise))
    return worse("gate.maxRise", "loss", loss_was, loss_is, *gate.max_rise);
  candidate_ = work.metrics;
  CommitRound();
}

}  // namespace linnet
