// FedAdam (Reddi 2021): FedOpt with v = beta2 v + (1 - beta2) D^2.
#include "common/fedopt.h"

namespace {

struct Adam {
  static constexpr uint32_t kMagic = 0x314d414c;  // "LAM1"
  static double Next(double v, double square, double beta2) {
    return beta2 * v + (1 - beta2) * square;
  }
};

class FedAdam final : public linnet::plugin::FedOpt<Adam> {
 public:
  static const char* Describe() {
    return R"({"id":"fedadam","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Adam at the server, on the weighted mean of the updates.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":0.1},)"
           R"("beta1":{"type":"number","minimum":0,"maximum":0.9999,"default":0.9},)"
           R"("beta2":{"type":"number","minimum":0,"maximum":0.999999,"default":0.99},)"
           R"("tau":{"type":"number","minimum":1e-12,"maximum":1000,"default":0.001},)"
           R"("biasCorrection":{"type":"boolean","default":false,"description":)"
           R"("Multiplies the rate by sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1)) in round t = 1, 2, ...; )"
           R"(the paper has no such correction."}}}})";
  }
  explicit FedAdam(const linnet::plugin::Config& config) : FedOpt(config, 0.1, 0.9) {}
};

}  // namespace

LINNET_PLUGIN(FedAdam)
