// A server optimizer: an exact mean, and a state that goes from round to round.
#ifndef LINNET_PLUGINS_COMMON_STATEFUL_MEAN_H_
#define LINNET_PLUGINS_COMMON_STATEFUL_MEAN_H_

#include <string>
#include <vector>

#include "common/exact_mean.h"
#include "common/server_state.h"

namespace linnet {
namespace plugin {

// kVectors vectors of as many elements as the model has, all zeros at first.
template <uint32_t kVectors>
class StatefulMean : public ExactMean {
 public:
  static constexpr uint32_t kCaps = ExactMean::kCaps | LNT_CAP_STATE;

  lnt_status SetLayout(const std::vector<Tensor>& tensors) override {
    const lnt_status status = ExactMean::SetLayout(tensors);
    if (status == LNT_OK) state_.Resize(layout().parameters());
    return status;
  }
  lnt_status Save(uint32_t kind, std::vector<Segment>& segments) override {
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

 protected:
  // `magic` says whose state it is, `version` what its vectors mean.
  explicit StatefulMean(uint32_t magic, Weights weights = Weights::kExamples, uint32_t version = 1)
      : ExactMean(weights), state_(magic, version) {}
  lnt_status BeginStep() override {
    ++state_.rounds();
    return LNT_OK;
  }
  ServerState<kVectors>& state() { return state_; }
  const ServerState<kVectors>& state() const { return state_; }
  double* vector(uint32_t i) { return state_.vector(i).data(); }

 private:
  ServerState<kVectors> state_;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_STATEFUL_MEAN_H_
