// FedDyn (Acar 2021): h -= alpha (1/N) sum_S Delta; w = mean_S y - h / alpha. The participants
// train with the gradient g - h_k + alpha (y - w) and then set h_k -= alpha (y - w). Kept are the
// sum of all h_k, which is N h, and the largest N that was seen (state version 2; 1 kept h).
#include <algorithm>

#include "common/client_settings.h"
#include "common/stateful_mean.h"

namespace {

class FedDyn final : public linnet::plugin::StatefulMean<1> {
 public:
  static const char* Describe() {
    return R"({"id":"feddyn","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The plain mean of dynamically regularised updates, corrected by h.",)"
           R"("client":"dyn","config":{"type":"object","properties":{)"
           R"("alpha":{"type":"number","minimum":1e-6,"maximum":1000,"default":0.01}}}})";
  }
  explicit FedDyn(const linnet::plugin::Config& config)
      : StatefulMean(0x3159444c, Weights::kReal, 2),  // "LDY1"
        alpha_(config.Number("alpha", 0.01)),
        settings_(linnet::plugin::ClientSettings("dyn", "alpha", alpha_)) {}

  lnt_status RoundBegin(const lnt_round& round) override {
    population_ = static_cast<double>(round.population);
    return StatefulMean::RoundBegin(round);
  }

  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind != LNT_BLOB_CLIENT) return StatefulMean::Save(kind, segments);
    segments.push_back({settings_.data(), settings_.size()});
    return LNT_OK;
  }

 private:
  lnt_status Weigh(const lnt_update&, double, linnet::plugin::RealWeight& out) override {
    out.weight = 1;
    return LNT_OK;
  }
  lnt_status BeginStep() override {
    double& population = state().numbers()[0];
    population = std::max(population, population_);
    if (population < static_cast<double>(updates())) {
      return Fail(LNT_E_DATA, "found " + std::to_string(updates()) +
                                  " updates of a population of " +
                                  std::to_string(static_cast<uint64_t>(population)) +
                                  ", wanted the number of all participants");
    }
    return StatefulMean::BeginStep();
  }
  void Step(size_t at, double* step, uint32_t count) override {
    double* h_sum = vector(0) + at;
    const double population = state().numbers()[0];
    const double cohort = static_cast<double>(updates());
    for (uint32_t i = 0; i < count; ++i) {
      const double sum = Sum(at + i);
      h_sum[i] -= alpha_ * sum;
      step[i] = sum / cohort - h_sum[i] / population / alpha_;
    }
  }

  double alpha_, population_ = 0;
  std::string settings_;
};

}  // namespace

LINNET_PLUGIN(FedDyn)
