// FedBuff (Nguyen 2022): after K arrivals w += (serverLearningRate / K) sum s(age) Delta, where
// s(age) = (1 + age)^-1/2 and age = the server's version now - the version the update began from.
#include <cmath>

#include "common/exact_mean.h"

namespace {

class FedBuff final : public linnet::plugin::ExactMean {
 public:
  static constexpr uint32_t kCaps = ExactMean::kCaps | LNT_CAP_ASYNC;
  static const char* Describe() {
    return R"({"id":"fedbuff","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Asynchronous: the mean of every K arrivals, older ones weigh less.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("bufferSize":{"type":"integer","minimum":1,"maximum":100000,"default":10},)"
           R"("serverLearningRate":{"type":"number","minimum":0,"maximum":1000,"default":1},)"
           R"("maxAge":{"type":"integer","minimum":0,"maximum":1000000,"default":100,)"
           R"("description":"An older update is refused."}}}})";
  }
  explicit FedBuff(const linnet::plugin::Config& config)
      : ExactMean(Weights::kReal),
        rate_(config.Number("serverLearningRate", 1)),
        buffer_(static_cast<uint64_t>(config.Number("bufferSize", 10))),
        max_age_(static_cast<uint64_t>(config.Number("maxAge", 100))) {}

  lnt_status UpdatesEnd() override {
    const lnt_status status = ExactMean::UpdatesEnd();
    return status == LNT_OK && updates() >= buffer_ ? lnt_status{LNT_FLUSH} : status;
  }

 private:
  lnt_status Weigh(const lnt_update& update, double, linnet::plugin::RealWeight& out) override {
    const uint64_t age = update.server_version - update.base_version;
    if (update.base_version > update.server_version || age > max_age_) {
      return Fail(LNT_E_DATA, "update " + std::to_string(update.ordinal) + " is of version " +
                                  std::to_string(update.base_version) + " at version " +
                                  std::to_string(update.server_version) +
                                  ", wanted an age of 0 to " + std::to_string(max_age_));
    }
    out.weight = 1 / std::sqrt(1 + static_cast<double>(age));
    out.scalars[0] = static_cast<double>(age);
    return LNT_OK;
  }
  void Step(size_t at, double* step, uint32_t count) override {
    const double divisor = static_cast<double>(updates());
    for (uint32_t i = 0; i < count; ++i) step[i] = rate_ * (Sum(at + i) / divisor);
  }
  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(updates()) +
              ",\"ageMean\":" + std::to_string(ScalarSum(0) / static_cast<double>(updates())) + "}";
    std::string plain;
    return ExactMean::RoundEnd(plain);
  }

  double rate_;
  uint64_t buffer_, max_age_;
};

}  // namespace

LINNET_PLUGIN(FedBuff)
