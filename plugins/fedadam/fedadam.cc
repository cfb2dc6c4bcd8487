// FedAdam (Reddi 2021): D = mean Delta; m = beta1 m + (1 - beta1) D; v = beta2 v + (1 - beta2) D^2;
// w += serverLearningRate m / (sqrt v + tau). m and v start at 0.
#include <cmath>

#include "common/exact_mean.h"
#include "common/server_state.h"

namespace {

class FedAdam final : public linnet::plugin::ExactMean {
 public:
  static constexpr uint32_t kCaps = ExactMean::kCaps | LNT_CAP_STATE;
  static const char* Describe() {
    return R"({"id":"fedadam","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Adam at the server, on the weighted mean of the updates.",)"
           R"("config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":0.1},)"
           R"("beta1":{"type":"number","minimum":0,"maximum":0.9999,"default":0.9},)"
           R"("beta2":{"type":"number","minimum":0,"maximum":0.999999,"default":0.99},)"
           R"("tau":{"type":"number","minimum":1e-12,"maximum":1000,"default":0.001},)"
           R"("biasCorrection":{"type":"boolean","default":false,"description":)"
           R"("Multiplies the rate by sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1)) in round t = 1, 2, ...; )"
           R"(the paper has no such correction."}}}})";
  }
  explicit FedAdam(const linnet::plugin::Config& config)
      : rate_(config.Number("serverLearningRate", 0.1)),
        beta1_(config.Number("beta1", 0.9)),
        beta2_(config.Number("beta2", 0.99)),
        tau_(config.Number("tau", 0.001)),
        correct_(config.Bool("biasCorrection", false)) {}

  lnt_status SetLayout(const std::vector<linnet::plugin::Tensor>& tensors) override {
    const lnt_status status = ExactMean::SetLayout(tensors);
    if (status != LNT_OK) return status;
    state_.Resize(size());
    state_.numbers()[0] =
        beta1_;  // beta^(t + 1), kept as products: pow has other bits on other targets
    state_.numbers()[1] = beta2_;
    return LNT_OK;
  }

  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind != LNT_BLOB_STATE) return ExactMean::Save(kind, segments);
    state_.Save(segments);
    return LNT_OK;
  }

  lnt_status Load(uint32_t kind, const uint8_t* data, uint64_t size) override {
    if (kind != LNT_BLOB_STATE) return ExactMean::Load(kind, data, size);
    std::string message;
    const lnt_status status = state_.Load(data, size, message);
    return status == LNT_OK ? status : Fail(status, message);
  }

 private:
  lnt_status BeginStep() override {
    ++state_.rounds();
    state_.numbers()[0] *= beta1_;
    state_.numbers()[1] *= beta2_;
    const double correction = std::sqrt(1 - state_.numbers()[1]) / (1 - state_.numbers()[0]);
    step_ = correct_ ? rate_ * correction : rate_;
    return LNT_OK;
  }

  void Step(size_t at, const float* base, float* out, uint32_t count) override {
    double* m = state_.vector(0).data() + at;
    double* v = state_.vector(1).data() + at;
    for (uint32_t i = 0; i < count; ++i) {
      const double mean = Mean(at + i);
      m[i] = beta1_ * m[i] + (1 - beta1_) * mean;
      v[i] = beta2_ * v[i] + (1 - beta2_) * (mean * mean);
      out[i] = base[i] + static_cast<float>(step_ * m[i] / (std::sqrt(v[i]) + tau_));
    }
  }

  double rate_, beta1_, beta2_, tau_, step_ = 0;
  bool correct_;
  linnet::plugin::ServerState<2> state_{0x314d414c, 1};  // "LAM1"
};

}  // namespace

LINNET_PLUGIN(FedAdam)
