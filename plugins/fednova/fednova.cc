// FedNova (Wang 2020): w += (sum p_k a_k) sum p_k Delta_k / a_k, where the participant states a_k:
// its local steps, or with momentum or a proximal term the weight they have in its update.
#include "common/exact_mean.h"

namespace {

class FedNova final : public linnet::plugin::ExactMean {
 public:
  static const char* Describe() {
    return R"({"id":"fednova","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The weighted mean of updates normalised by their local steps.",)"
           R"("client":"sgd","uplink":[{"name":"a","like":"scalar"}],)"
           R"("config":{"type":"object","properties":{)"
           R"("maxSteps":{"type":"number","minimum":1,"maximum":1000000,"default":100000,)"
           R"("description":"An update that states more is refused."}}}})";
  }
  explicit FedNova(const linnet::plugin::Config& config)
      : ExactMean(Weights::kReal), most_(config.Number("maxSteps", 100000)) {}

 private:
  lnt_status Weigh(const lnt_update& update, double a, linnet::plugin::RealWeight& out) override {
    if (!(a >= 1 && a <= most_)) {
      return Fail(LNT_E_DATA, "update " + std::to_string(update.ordinal) +
                                  " states a = " + std::to_string(a) +
                                  " local steps, wanted 1 to " + std::to_string(most_));
    }
    out.weight = update.weight / a;
    out.scalars[0] = update.weight * a;
    return LNT_OK;
  }
  lnt_status BeginStep() override {
    factor_ = ScalarSum(0) / weight_sum() / weight_sum();
    return LNT_OK;
  }
  void Step(size_t at, double* step, uint32_t count) override {
    for (uint32_t i = 0; i < count; ++i) step[i] = factor_ * Sum(at + i);
  }

  double most_, factor_ = 0;
};

}  // namespace

LINNET_PLUGIN(FedNova)
