// Krum's scores (Blanchard 2017): of each update, the sum of the n - f - 2 smallest squared
// distances to others. Pass 0 measures the distances of all pairs, pass 1 makes the update.
#ifndef LINNET_PLUGINS_COMMON_KRUM_H_
#define LINNET_PLUGINS_COMMON_KRUM_H_

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "common/block_rule.h"

namespace linnet {
namespace plugin {

class KrumFamily : public BlockRule {
 public:
  lnt_status PassEnd() override {
    if (pass() > 0) return LNT_OK;
    distances_.Finish();
    Choose(static_cast<uint32_t>(updates().size()));
    return LNT_MORE;
  }
  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(updates().size()) +
              ",\"chosen\":" + std::to_string(chosen_.size());
    if (chosen_.size() == 1)
      metrics += ",\"ordinal\":" + std::to_string(updates()[chosen_[0]].ordinal);
    metrics += "}";
    return LNT_OK;
  }

 protected:
  // `allowFew`: a round with fewer updates than the proof wants goes on, with at least 1 neighbour.
  explicit KrumFamily(const Config& config)
      : hostile_(HostileOf(config)), allow_few_(config.Bool("allowFew", false)) {}

  lnt_status Start(uint32_t n) override {
    if (n > kMost) {
      return Fail(LNT_E_DATA, "found " + std::to_string(n) + " updates, wanted at most " +
                                  std::to_string(kMost));
    }
    const lnt_status status =
        allow_few_ ? NeedAtLeast(n, uint64_t{hostile_} + 1, "f + 1", hostile_) : Admit(n);
    distances_.Reset(n);
    return status;
  }
  void Window(size_t at, const Rows& rows, float* out) override {
    if (pass() == 0) return distances_.Add(kernels(), rows);
    Aggregate(at, rows, out);
  }

  // Whether n is enough for the rule.
  virtual lnt_status Admit(uint32_t n) {
    return NeedAtLeast(n, uint64_t{2} * hostile_ + 3, "2f + 3", hostile_);
  }
  // Sets chosen().
  virtual void Choose(uint32_t n) = 0;
  // The mean of the chosen rows.
  virtual void Aggregate(size_t /*at*/, const Rows& rows, float* out) {
    if (chosen_.size() == 1) {
      std::memcpy(out, rows.F32(chosen_[0]), rows.count * sizeof(float));
      return;
    }
    std::vector<double> weights(rows.n, 0.0);
    for (const uint32_t r : chosen_) weights[r] = 1.0 / static_cast<double>(chosen_.size());
    Combine(kernels(), rows, weights.data(), out);
  }

  // The members of `among` (ascending), the one with the lowest score first; of equal scores the
  // lowest row.
  std::vector<uint32_t> Ranked(const std::vector<uint32_t>& among) const {
    const size_t n = among.size();
    const size_t wanted = n > hostile_ + 2 ? n - hostile_ - 2 : 1;
    const size_t neighbours = std::min(wanted, n - 1);
    std::vector<double> scores(n), row;
    for (size_t i = 0; i < n; ++i) {
      row.clear();
      for (size_t j = 0; j < n; ++j) {
        if (j != i) row.push_back(distances_(among[i], among[j]));
      }
      std::sort(row.begin(), row.end());
      for (size_t j = 0; j < neighbours; ++j) scores[i] += row[j];
    }
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
    });
    for (uint32_t& i : order) i = among[i];
    return order;
  }
  static std::vector<uint32_t> All(uint32_t n) {
    std::vector<uint32_t> all(n);
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }

  uint32_t hostile() const { return hostile_; }
  std::vector<uint32_t>& chosen() { return chosen_; }

 private:
  static constexpr uint32_t kMost = 2000;  // of updates: 2 million distances

  uint32_t hostile_;
  bool allow_few_;
  PairDistances distances_;
  std::vector<uint32_t> chosen_;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_KRUM_H_
