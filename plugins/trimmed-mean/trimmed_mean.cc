// Coordinate-wise trimmed mean (Yin 2018): the mean without the floor(beta n) lowest and highest.
#include <cmath>

#include "common/block_rule.h"

namespace {

class TrimmedMean final : public linnet::plugin::BlockRule {
 public:
  static constexpr uint32_t kCaps = LNT_CAP_PARALLEL_WINDOWS;
  static const char* Describe() {
    return R"({"id":"trimmed-mean","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The mean of the updates without the extremes of each coordinate.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("beta":{"type":"number","minimum":0,"maximum":0.4999,"default":0.2,)"
           R"("description":"The share that is cut off at each end."}}}})";
  }
  explicit TrimmedMean(const linnet::plugin::Config& config) : beta_(config.Number("beta", 0.2)) {}

 private:
  lnt_status Start(uint32_t n) override {
    // .29 * 100 is a little below 29 in binary.
    trim_ = static_cast<uint32_t>(std::floor(beta_ * n + 1e-9));
    return NeedAtLeast(n, uint64_t{2} * trim_ + 1, "2f + 1", trim_);
  }
  void Window(size_t, const linnet::plugin::Rows& rows, float* out) override {
    linnet::plugin::ColumnTrimmedMean(kernels(), rows, {}, trim_, out);
  }

  double beta_;
  uint32_t trim_ = 0;
};

}  // namespace

LINNET_PLUGIN(TrimmedMean)
