// Bulyan (El Mhamdi 2018): theta = n - 2f times Krum among those left, the winner is moved over;
// then in each coordinate the mean of the theta - 2f values nearest the median.
#include "common/krum.h"

namespace {

class Bulyan final : public linnet::plugin::KrumFamily {
 public:
  static const char* Describe() {
    return R"({"id":"bulyan","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"Krum chooses n - 2f updates, a trimmed mean joins them.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("hostile":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"f: a round with fewer than 4f + 3 updates fails."}}}})";
  }
  explicit Bulyan(const linnet::plugin::Config& config) : KrumFamily(config) {}

 private:
  lnt_status Admit(uint32_t n) override {
    return NeedAtLeast(n, uint64_t{4} * hostile() + 3, "4f + 3", hostile());
  }
  void Choose(uint32_t n) override {
    chosen().clear();
    std::vector<uint32_t> left = All(n);
    for (uint32_t theta = n - 2 * hostile(); chosen().size() < theta;) {
      const uint32_t winner = Ranked(left)[0];
      chosen().push_back(winner);
      left.erase(std::find(left.begin(), left.end(), winner));
    }
    std::sort(chosen().begin(), chosen().end());
  }
  void Aggregate(size_t, const linnet::plugin::Rows& rows, float* out) override {
    const uint32_t keep = static_cast<uint32_t>(chosen().size()) - 2 * hostile();
    linnet::plugin::ColumnClosestMean(kernels(), rows, chosen(), keep, out);
  }
};

}  // namespace

LINNET_PLUGIN(Bulyan)
