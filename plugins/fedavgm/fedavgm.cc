// FedAvgM (Hsu 2019): v = momentum v + mean Delta; w += serverLearningRate v. v starts as the first
// mean.
#include "common/stateful_mean.h"

namespace {

class FedAvgM final : public linnet::plugin::StatefulMean<1> {
 public:
  static const char* Describe() {
    return R"({"id":"fedavgm","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The weighted mean of the updates with momentum at the server.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":1},)"
           R"("momentum":{"type":"number","minimum":0,"maximum":0.9999,"default":0.9}}}})";
  }
  explicit FedAvgM(const linnet::plugin::Config& config)
      : StatefulMean(0x314d564c),  // "LVM1"
        rate_(config.Number("serverLearningRate", 1)),
        momentum_(config.Number("momentum", 0.9)) {}

 private:
  void Step(size_t at, double* step, uint32_t count) override {
    double* v = vector(0) + at;
    for (uint32_t i = 0; i < count; ++i) {
      v[i] = momentum_ * v[i] + Mean(at + i);
      step[i] = rate_ * v[i];
    }
  }

  double rate_, momentum_;
};

}  // namespace

LINNET_PLUGIN(FedAvgM)
