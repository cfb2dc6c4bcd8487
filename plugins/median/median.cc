// Coordinate-wise median (Yin 2018); for an even number of updates the mean of the middle two.
#include "common/block_rule.h"

namespace {

class Median final : public linnet::plugin::BlockRule {
 public:
  static constexpr uint32_t kCaps = LNT_CAP_PARALLEL_WINDOWS;
  static const char* Describe() {
    return R"({"id":"median","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The median of the updates in each coordinate.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("hostile":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"f: a round with fewer than 2f + 1 updates fails."}}}})";
  }
  explicit Median(const linnet::plugin::Config& config)
      : hostile_(linnet::plugin::HostileOf(config)) {}

 private:
  lnt_status Start(uint32_t n) override {
    return NeedAtLeast(n, uint64_t{2} * hostile_ + 1, "2f + 1", hostile_);
  }
  void Window(size_t, const linnet::plugin::Rows& rows, float* out) override {
    linnet::plugin::ColumnMedian(kernels(), rows, {}, out);
  }

  uint32_t hostile_;
};

}  // namespace

LINNET_PLUGIN(Median)
