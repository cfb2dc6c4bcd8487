// FedYogi (Reddi 2021): FedOpt with v = v - (1 - beta2) D^2 sign(v - D^2).
#include "common/fedopt.h"

namespace {

struct Yogi {
  static constexpr uint32_t kMagic = 0x3159414c;  // "LAY1"
  static double Next(double v, double square, double beta2) {
    const double change = (1 - beta2) * square;
    return v > square ? v - change : v < square ? v + change : v;
  }
};

class FedYogi final : public linnet::plugin::FedOpt<Yogi> {
 public:
  static const char* Describe() {
    return R"({"id":"fedyogi","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Yogi at the server, on the weighted mean of the updates.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":0.01},)"
           R"("beta1":{"type":"number","minimum":0,"maximum":0.9999,"default":0.9},)"
           R"("beta2":{"type":"number","minimum":0,"maximum":0.999999,"default":0.99},)"
           R"("tau":{"type":"number","minimum":1e-12,"maximum":1000,"default":0.001}}}})";
  }
  explicit FedYogi(const linnet::plugin::Config& config) : FedOpt(config, 0.01, 0.9) {}
};

}  // namespace

LINNET_PLUGIN(FedYogi)
