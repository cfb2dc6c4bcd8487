// Norm bounding (Sun 2019): w += mean of Delta_k min(1, C / |Delta_k|). With `adaptive` C follows a
// quantile of the norms (Andrew 2021, without noise): C *= exp(-rate (B - quantile)) after each
// round, B the fraction of updates not longer than C.
#include "common/stateful_mean.h"
#include "linnet/plugin_kernels.hpp"

namespace {

class NormClip final : public linnet::plugin::StatefulMean<0> {
 public:
  static constexpr uint32_t kCaps = StatefulMean::kCaps | LNT_NEED_L2;
  static const char* Describe() {
    return R"({"id":"norm-clip","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The plain mean of updates, each scaled down to a norm.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("clipNorm":{"type":"number","minimum":1e-9,"maximum":1e9,"default":1,)"
           R"("description":"The first one, when adaptive."},)"
           R"("adaptive":{"type":"boolean","default":false},)"
           R"("quantile":{"type":"number","minimum":0,"maximum":1,"default":0.5},)"
           R"("rate":{"type":"number","minimum":0,"maximum":10,"default":0.2}}}})";
  }
  explicit NormClip(const linnet::plugin::Config& config)
      : StatefulMean(0x31434e4c, Weights::kReal),  // "LNC1"
        adaptive_(config.Bool("adaptive", false)),
        quantile_(config.Number("quantile", 0.5)),
        rate_(config.Number("rate", 0.2)) {
    clip() = config.Number("clipNorm", 1);
  }

  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(updates()) +
              ",\"clipNorm\":" + std::to_string(used_) +
              ",\"clipped\":" + std::to_string(1 - below_) + "}";
    std::string plain;
    return StatefulMean::RoundEnd(plain);
  }

 private:
  double& clip() { return state().numbers()[0]; }

  lnt_status Weigh(const lnt_update& update, double, linnet::plugin::RealWeight& out) override {
    if (!(update.l2_norm >= 0)) {
      return Fail(LNT_E_DATA, "update " + std::to_string(update.ordinal) + " has no norm");
    }
    const bool below = update.l2_norm <= clip();
    out.weight = below ? 1 : clip() / update.l2_norm;
    out.scalars[0] = below ? 1 : 0;
    return LNT_OK;
  }
  lnt_status BeginStep() override {
    used_ = clip();
    below_ = ScalarSum(0) / static_cast<double>(updates());
    if (adaptive_) {
      const double next = used_ * linnet::plugin::Exp(-rate_ * (below_ - quantile_));
      clip() = std::fmin(std::fmax(next, 1e-9), 1e9);
    }
    return StatefulMean::BeginStep();
  }
  void Step(size_t at, double* step, uint32_t count) override {
    const double cohort = static_cast<double>(updates());
    for (uint32_t i = 0; i < count; ++i) step[i] = Sum(at + i) / cohort;
  }

  bool adaptive_;
  double quantile_, rate_, used_ = 0, below_ = 0;
};

}  // namespace

LINNET_PLUGIN(NormClip)
