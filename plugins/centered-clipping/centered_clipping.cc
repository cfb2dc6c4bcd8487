// Centered clipping (Karimireddy 2021): v = the previous aggregate; then one to three times
// v += mean (x_k - v) min(1, T / |x_k - v|).
//
// v stays a combination of where it began and the updates, so all steps need no more than the
// distances between these (see geometric-median).
#include <cmath>

#include "common/block_rule.h"
#include "common/server_state.h"

namespace {

class CenteredClipping final : public linnet::plugin::BlockRule {
 public:
  static constexpr uint32_t kCaps = LNT_CAP_STATE;
  static const char* Describe() {
    return R"({"id":"centered-clipping","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The previous aggregate, moved by updates clipped around it.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("radius":{"type":"number","minimum":1e-9,"maximum":1e9,"default":10},)"
           R"("passes":{"type":"integer","minimum":1,"maximum":100,"default":1}}}})";
  }
  explicit CenteredClipping(const linnet::plugin::Config& config)
      : radius_(config.Number("radius", 10)),
        passes_(static_cast<uint32_t>(config.Number("passes", 1))) {}

  lnt_status SetLayout(const std::vector<linnet::plugin::Tensor>& tensors) override {
    const lnt_status status = BlockRule::SetLayout(tensors);
    if (status != LNT_OK) return status;
    state_.Resize(layout().size());
    next_.assign(layout().size(), 0.0f);
    return LNT_OK;
  }

  lnt_status PassEnd() override {
    if (pass() > 0) return LNT_OK;
    pairs_.Finish();
    from_v_.Finish();
    weights_.assign(updates().size(), 0.0);
    of_v_ = 1;
    for (uint32_t i = 0; i < passes_; ++i) Improve();
    return LNT_MORE;
  }
  lnt_status Finalize() override {
    const lnt_status status = BlockRule::Finalize();
    if (status != LNT_OK) return status;
    ++state_.rounds();
    std::copy(next_.begin(), next_.end(), state_.vector(0).begin());
    return LNT_OK;
  }

  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind == LNT_BLOB_STATE) state_.Save(segments);
    return LNT_OK;
  }
  lnt_status Load(uint32_t kind, const uint8_t* data, uint64_t size) override {
    if (kind != LNT_BLOB_STATE) {
      return Fail(LNT_E_UNSUPPORTED,
                  "found a blob of kind " + std::to_string(kind) + ", wanted kind 0");
    }
    std::string message;
    const lnt_status status = state_.Load(data, size, message);
    return status == LNT_OK ? status : Fail(status, message);
  }

 private:
  lnt_status Start(uint32_t n) override {
    pairs_.Reset(n);
    from_v_.Reset(n);
    return NeedAtLeast(n, 1, "1", 0);
  }
  void Window(size_t at, const linnet::plugin::Rows& rows, float* out) override {
    v_.resize(rows.count);
    for (uint32_t i = 0; i < rows.count; ++i) v_[i] = static_cast<float>(state_.vector(0)[at + i]);
    if (pass() == 0) {
      from_v_.Add(kernels(), rows, v_.data());
      if (passes_ > 1) pairs_.Add(kernels(), rows);
      return;
    }
    linnet::plugin::Combine(kernels(), rows, weights_.data(), out);
    for (uint32_t i = 0; i < rows.count; ++i) {
      out[i] = static_cast<float>(of_v_ * static_cast<double>(v_[i]) + static_cast<double>(out[i]));
      next_[at + i] = out[i];
    }
  }

  // One step: the weights of v and of the updates, which add up to 1.
  void Improve() {
    const uint32_t n = static_cast<uint32_t>(weights_.size());
    std::vector<double> to(n, 0.0);
    double among = 0, to_v = 0;
    for (uint32_t k = 0; k < n; ++k) {
      to[k] = of_v_ * from_v_(k);
      for (uint32_t j = 0; j < n && passes_ > 1; ++j) to[k] += weights_[j] * pairs_(k, j);
      to_v += weights_[k] * from_v_(k);
      among += weights_[k] * to[k];
    }
    among += of_v_ * to_v;
    double moved = 0;
    std::vector<double> add(n);
    for (uint32_t k = 0; k < n; ++k) {
      const double distance = std::sqrt(std::fmax(to[k] - among / 2, 0.0));
      add[k] = (distance > radius_ ? radius_ / distance : 1.0) / n;
      moved += add[k];
    }
    of_v_ *= 1 - moved;
    for (uint32_t k = 0; k < n; ++k) weights_[k] = weights_[k] * (1 - moved) + add[k];
  }

  double radius_, of_v_ = 1;
  uint32_t passes_;
  linnet::plugin::PairDistances pairs_;
  linnet::plugin::RowDistances from_v_;
  std::vector<double> weights_;
  std::vector<float> v_, next_;
  linnet::plugin::ServerState<1> state_{0x3143434c, 1};  // "LCC1"
};

}  // namespace

LINNET_PLUGIN(CenteredClipping)
