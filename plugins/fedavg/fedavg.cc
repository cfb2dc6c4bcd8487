// FedAvg (McMahan 2017): w += sum of n_k Delta_k / sum of n_k, exactly.
#include "common/exact_mean.h"

namespace {

class FedAvg final : public linnet::plugin::ExactMean {
 public:
  static const char* Describe() {
    return R"({"id":"fedavg","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The mean of the updates, weighted by their examples.","client":"sgd",)"
           R"("config":{"type":"object","properties":{}}})";
  }
  explicit FedAvg(const linnet::plugin::Config&) {}
};

}  // namespace

LINNET_PLUGIN(FedAvg)
