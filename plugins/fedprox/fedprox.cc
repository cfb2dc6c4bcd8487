// FedProx (Li 2020): the participants add mu (y - w) to their gradients; the server takes the
// weighted mean.
#include "common/client_settings.h"
#include "common/exact_mean.h"

namespace {

class FedProx final : public linnet::plugin::ExactMean {
 public:
  static const char* Describe() {
    return R"({"id":"fedprox","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The weighted mean of updates that were held near the global model.",)"
           R"("client":"prox","config":{"type":"object","properties":{)"
           R"("mu":{"type":"number","minimum":0,"maximum":1000,"default":0.01}}}})";
  }
  explicit FedProx(const linnet::plugin::Config& config)
      : settings_(linnet::plugin::ClientSettings("prox", "mu", config.Number("mu", 0.01))) {}

  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind != LNT_BLOB_CLIENT) return ExactMean::Save(kind, segments);
    segments.push_back({settings_.data(), settings_.size()});
    return LNT_OK;
  }

 private:
  std::string settings_;
};

}  // namespace

LINNET_PLUGIN(FedProx)
