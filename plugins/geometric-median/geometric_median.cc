// Geometric median by smoothed Weiszfeld steps (Pillutla 2022, RFA): from the mean,
// z = sum b_k x_k / sum b_k with b_k = p_k / max(nu, |z - x_k|).
//
// z is always a combination of the updates, so all steps need no more than the distances of pairs:
// |z - x_k|^2 = sum_j b_j D_kj - 1/2 sum_ij b_i b_j D_ij for weights b that add up to 1.
#include <cmath>

#include "common/block_rule.h"

namespace {

class GeometricMedian final : public linnet::plugin::BlockRule {
 public:
  static const char* Describe() {
    return R"({"id":"geometric-median","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The point with the least sum of distances to the updates.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("hostile":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"f: a round with fewer than 2f + 1 updates fails."},)"
           R"("passes":{"type":"integer","minimum":1,"maximum":1000,"default":8},)"
           R"("nu":{"type":"number","minimum":1e-12,"maximum":1000,"default":1e-6},)"
           R"("weighted":{"type":"boolean","default":false,)"
           R"("description":"p_k by examples, which a participant states itself, instead of 1 / n."}}}})";
  }
  explicit GeometricMedian(const linnet::plugin::Config& config)
      : hostile_(linnet::plugin::HostileOf(config)),
        passes_(static_cast<uint32_t>(config.Number("passes", 8))),
        nu_(config.Number("nu", 1e-6)),
        weighted_(config.Bool("weighted", false)) {}

  lnt_status PassEnd() override {
    if (pass() > 0) return LNT_OK;
    distances_.Finish();
    const size_t n = updates().size();
    std::vector<double> p(n);
    double total = 0;
    for (size_t k = 0; k < n; ++k) total += p[k] = weighted_ ? updates()[k].weight : 1.0;
    weights_.resize(n);
    for (size_t k = 0; k < n; ++k) weights_[k] = p[k] / total;
    for (uint32_t i = 0; i < passes_; ++i) Improve(p);
    return LNT_MORE;
  }

 private:
  lnt_status Start(uint32_t n) override {
    distances_.Reset(n);
    return NeedAtLeast(n, uint64_t{2} * hostile_ + 1, "2f + 1", hostile_);
  }
  void Window(size_t, const linnet::plugin::Rows& rows, float* out) override {
    if (pass() == 0) return distances_.Add(kernels(), rows);
    linnet::plugin::Combine(kernels(), rows, weights_.data(), out);
  }

  void Improve(const std::vector<double>& p) {
    const uint32_t n = static_cast<uint32_t>(p.size());
    std::vector<double> to(n, 0.0);
    double among = 0;
    for (uint32_t k = 0; k < n; ++k) {
      for (uint32_t j = 0; j < n; ++j) to[k] += weights_[j] * distances_(k, j);
      among += weights_[k] * to[k];
    }
    double total = 0;
    for (uint32_t k = 0; k < n; ++k) {
      const double distance = std::sqrt(std::fmax(to[k] - among / 2, 0.0));
      total += weights_[k] = p[k] / std::fmax(nu_, distance);
    }
    for (double& weight : weights_) weight /= total;
  }

  uint32_t hostile_, passes_;
  double nu_;
  bool weighted_;
  linnet::plugin::PairDistances distances_;
  std::vector<double> weights_;
};

}  // namespace

LINNET_PLUGIN(GeometricMedian)
