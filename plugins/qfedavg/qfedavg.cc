// q-FedAvg (Li 2020): with L = 1 / learningRate and F_k the participant's loss before training,
// w += L sum F_k^q Delta_k / sum (q F_k^(q-1) L^2 |Delta_k|^2 + L F_k^q): the greater q, the more
// the participants count for whom the model is bad.
#include "common/exact_mean.h"
#include "linnet/plugin_kernels.hpp"

namespace {

class QFedAvg final : public linnet::plugin::ExactMean {
 public:
  static constexpr uint32_t kCaps = ExactMean::kCaps | LNT_NEED_LOSS | LNT_NEED_L2;
  static const char* Describe() {
    return R"({"id":"qfedavg","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The mean of the updates, those of participants with a high loss weigh more.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("q":{"type":"number","minimum":0,"maximum":10,"default":0.2},)"
           R"("learningRate":{"type":"number","minimum":1e-6,"maximum":1000,"default":0.1,)"
           R"("description":"The one that the participants train with."},)"
           R"("maxLoss":{"type":"number","minimum":0.001,"maximum":1000000,"default":100,)"
           R"("description":"A higher loss counts as this."}}}})";
  }
  explicit QFedAvg(const linnet::plugin::Config& config)
      : ExactMean(Weights::kReal),
        q_(config.Number("q", 0.2)),
        lipschitz_(1 / config.Number("learningRate", 0.1)),
        most_(config.Number("maxLoss", 100)) {}

 private:
  lnt_status Weigh(const lnt_update& update, double, linnet::plugin::RealWeight& out) override {
    const std::string who = "update " + std::to_string(update.ordinal);
    if (!(update.loss_before >= 0)) {
      return Fail(LNT_E_DATA, who + " states no loss before training, wanted one of at least 0");
    }
    if (!(update.l2_norm >= 0)) return Fail(LNT_E_DATA, who + " has no norm");
    // Losses are measured in units of maxLoss, so that no weight is above 1; that cancels out.
    const double loss = std::fmin(update.loss_before + 1e-10, most_);
    out.weight = linnet::plugin::Pow(loss / most_, q_);
    if (out.weight > 1) out.weight = 1;
    const double step = lipschitz_ * update.l2_norm;
    out.scalars[0] = q_ * out.weight / loss * (step * step) + lipschitz_ * out.weight;
    return LNT_OK;
  }
  lnt_status BeginStep() override {
    const double sum = ScalarSum(0);
    factor_ = sum > 0 ? lipschitz_ / sum : 0;
    return LNT_OK;
  }
  void Step(size_t at, double* step, uint32_t count) override {
    for (uint32_t i = 0; i < count; ++i) step[i] = factor_ * Sum(at + i);
  }

  double q_, lipschitz_, most_, factor_ = 0;
};

}  // namespace

LINNET_PLUGIN(QFedAvg)
