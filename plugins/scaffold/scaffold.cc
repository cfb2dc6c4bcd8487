// SCAFFOLD (Karimireddy 2020, option II): w += serverLearningRate mean_S Delta;
// c += (m / N) mean_S (c_k' - c_k), so that c stays the mean of all N control variates. Kept are
// their sum and the largest N that was seen: c is right also after participants have joined, and
// when a coordinator that began anew does not know all of them yet (state version 2; 1 kept c).
#include <algorithm>

#include "common/stateful_mean.h"

namespace {

class Scaffold final : public linnet::plugin::StatefulMean<1> {
 public:
  static const char* Describe() {
    return R"({"id":"scaffold","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The plain mean of updates corrected for client drift.",)"
           R"("client":"scaffold","uplink":[{"name":"c","like":"parameters"}],)"
           R"("downlink":[{"name":"c","like":"parameters"}],)"
           R"("config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":1}}}})";
  }
  explicit Scaffold(const linnet::plugin::Config& config)
      : StatefulMean(0x3143534c, Weights::kReal, 2),  // "LSC1"
        rate_(config.Number("serverLearningRate", 1)) {}

  lnt_status SetLayout(const std::vector<linnet::plugin::Tensor>& tensors) override {
    const lnt_status status = StatefulMean::SetLayout(tensors);
    if (status != LNT_OK) return status;
    if (size() != 2 * layout().parameters()) {
      return Fail(LNT_E_LAYOUT, "found " + std::to_string(layout().parameters()) +
                                    " parameters and " +
                                    std::to_string(size() - layout().parameters()) +
                                    " control variates, wanted as many of both");
    }
    return LNT_OK;
  }

  lnt_status RoundBegin(const lnt_round& round) override {
    population_ = static_cast<double>(round.population);
    return StatefulMean::RoundBegin(round);
  }

  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind != LNT_BLOB_DOWNLINK) return StatefulMean::Save(kind, segments);
    const std::vector<double>& sum = state().vector(0);
    const double population = std::max(state().numbers()[0], 1.0);
    downlink_.resize(sum.size());
    for (size_t i = 0; i < sum.size(); ++i) downlink_[i] = static_cast<float>(sum[i] / population);
    segments.push_back({downlink_.data(), downlink_.size() * sizeof(float)});
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
    const size_t parameters = layout().parameters();
    const double cohort = static_cast<double>(updates());
    for (uint32_t i = 0; i < count; ++i) {
      const size_t k = at + i;
      step[i] = 0;
      if (k < parameters) {
        step[i] = rate_ * (Sum(k) / cohort);
      } else {
        vector(0)[k - parameters] += Sum(k);
      }
    }
  }

  double rate_, population_ = 0;
  std::vector<float> downlink_;
};

}  // namespace

LINNET_PLUGIN(Scaffold)
