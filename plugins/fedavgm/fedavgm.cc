// FedAvgM (Hsu 2019): v = momentum v + mean Delta; w += serverLearningRate v. v starts as the first
// mean.
#include "common/exact_mean.h"
#include "common/server_state.h"

namespace {

class FedAvgM final : public linnet::plugin::ExactMean {
 public:
  static constexpr uint32_t kCaps = ExactMean::kCaps | LNT_CAP_STATE;
  static const char* Describe() {
    return R"({"id":"fedavgm","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The weighted mean of the updates with momentum at the server.",)"
           R"("config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":1},)"
           R"("momentum":{"type":"number","minimum":0,"maximum":0.9999,"default":0.9}}}})";
  }
  explicit FedAvgM(const linnet::plugin::Config& config)
      : rate_(config.Number("serverLearningRate", 1)), momentum_(config.Number("momentum", 0.9)) {}

  lnt_status SetLayout(const std::vector<linnet::plugin::Tensor>& tensors) override {
    const lnt_status status = ExactMean::SetLayout(tensors);
    if (status == LNT_OK) state_.Resize(size());
    return status;
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
    return LNT_OK;
  }

  void Step(size_t at, const float* base, float* out, uint32_t count) override {
    double* v = state_.vector(0).data() + at;
    for (uint32_t i = 0; i < count; ++i) {
      v[i] = momentum_ * v[i] + Mean(at + i);
      out[i] = base[i] + static_cast<float>(rate_ * v[i]);
    }
  }

  double rate_, momentum_;
  linnet::plugin::ServerState<1> state_{0x314d564c, 1};  // "LVM1"
};

}  // namespace

LINNET_PLUGIN(FedAvgM)
