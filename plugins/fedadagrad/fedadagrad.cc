// FedAdagrad (Reddi 2021): FedOpt with v = v + D^2.
#include "common/fedopt.h"

namespace {

struct Adagrad {
  static constexpr uint32_t kMagic = 0x3147414c;  // "LAG1"
  static double Next(double v, double square, double /*beta2*/) { return v + square; }
};

class FedAdagrad final : public linnet::plugin::FedOpt<Adagrad> {
 public:
  static const char* Describe() {
    return R"({"id":"fedadagrad","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Adagrad at the server, on the weighted mean of the updates.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":0.1},)"
           R"("beta1":{"type":"number","minimum":0,"maximum":0.9999,"default":0},)"
           R"("tau":{"type":"number","minimum":1e-12,"maximum":1000,"default":0.001}}}})";
  }
  explicit FedAdagrad(const linnet::plugin::Config& config) : FedOpt(config, 0.1, 0) {}
};

}  // namespace

LINNET_PLUGIN(FedAdagrad)
