// The exact weighted sum of a round: what every strategy that streams starts from.
//
// Each term weight * x is rounded to a multiple of 2^grid_exp in f64 and added; such sums are
// exact, so the accumulator has the same bits whatever the order of the updates, the tree of edges,
// the width of the vectors or the target (the formula stands at lnt_kernels_v1::fold_exact).
#ifndef LINNET_PLUGINS_COMMON_EXACT_MEAN_H_
#define LINNET_PLUGINS_COMMON_EXACT_MEAN_H_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "common/exact_scalar.h"
#include "common/layout.h"
#include "linnet/plugin.hpp"

namespace linnet {
namespace plugin {

// What Weigh gives a strategy whose weights are no integers: its own weight of an update, and up to
// two numbers that are summed beside the tensors.
struct RealWeight {
  double weight = 0;  // 0 to lnt_update::weight; kept to 29 significant bits
  double scalars[2] = {0, 0};
};

// A strategy whose server step is a function of the weighted sum of the deltas, element by element.
// Derived classes override Step (and Weigh when the weights are not the examples).
class ExactMean : public Strategy {
 public:
  static constexpr uint32_t kModes = LNT_MODE_STREAM;
  static constexpr uint32_t kCaps = LNT_CAP_MERGE | LNT_CAP_EXACT;

  lnt_status SetLayout(const std::vector<Tensor>& tensors) override {
    std::string wrong = layout_.Set(tensors);
    if (!wrong.empty()) return Fail(LNT_E_LAYOUT, std::move(wrong));
    sums_.assign(layout_.size(), 0.0);
    if (real_) fine_.assign(layout_.size(), 0.0);
    return LNT_OK;
  }

  lnt_status RoundBegin(const lnt_round& round) override {
    if (round.grid_exp < -900 || round.grid_exp > 0) {
      return Fail(LNT_E_INVALID,
                  "found grid exponent " + std::to_string(round.grid_exp) + ", wanted -900 to 0");
    }
    header_ = Header{};
    header_.grid_exp = round.grid_exp;
    header_.elements = sums_.size();
    std::fill(sums_.begin(), sums_.end(), 0.0);
    std::fill(fine_.begin(), fine_.end(), 0.0);
    scalars_[0] = scalars_[1] = ExactScalar{};
    next_ = 0;
    open_ = true;
    closing_ = false;
    return LNT_OK;
  }

  lnt_status UpdatesBegin(const std::vector<lnt_update>& updates) override {
    for (const lnt_update& update : updates) {
      if (update.weight == 0 || update.weight > kMaxWeight) {
        return Fail(LNT_E_DATA, "update " + std::to_string(update.ordinal) + " has weight " +
                                    std::to_string(update.weight) + ", wanted 1 to 2^29 - 1");
      }
    }
    updates_ = updates;
    extra_.assign(updates.size(), 0.0);
    next_ = 0;
    return LNT_OK;
  }

  lnt_status UpdatesChunk(uint32_t tensor, uint64_t offset, const Rows& rows) override {
    if (layout_.IsScalar(tensor) && next_ == 0 && offset == 0 && rows.count == 1) {
      for (uint32_t r = 0; r < rows.n; ++r) extra_[r] = layout_.Scalar(rows.F32(r));
      return LNT_OK;
    }
    const size_t at = layout_.Position(tensor, offset, rows.count);
    if (at != next_) return Misplaced(tensor, offset);
    if (at == 0 && rows.count > 0) {
      const lnt_status status = WeighAll();
      if (status != LNT_OK) return status;
    }
    if (layout_.dtype() == LNT_F64) {
      real_ ? FoldReal<double>(at, rows) : FoldInteger<double>(at, rows);
    } else if (real_) {
      FoldReal<float>(at, rows);
    } else if (const lnt_kernels_v1* k = kernels()) {
      uint32_t weights[kMaxRows];
      for (uint32_t r = 0; r < rows.n; ++r) weights[r] = updates_[r].weight;
      k->fold_exact(k->ctx, rows.F32(0), rows.stride_bytes, weights, rows.n, header_.grid_exp,
                    sums_.data() + at, rows.count);
    } else {
      FoldInteger<float>(at, rows);
    }
    next_ = at + rows.count;
    return LNT_OK;
  }

  lnt_status UpdatesEnd() override {
    if (next_ != sums_.size()) {
      return Fail(LNT_E_STATE, "found " + std::to_string(next_) +
                                   " elements of the updates, wanted " +
                                   std::to_string(sums_.size()));
    }
    for (const lnt_update& update : updates_) header_.weight_sum += update.weight;
    header_.updates += updates_.size();
    next_ = 0;
    return LNT_OK;
  }

  lnt_status Finalize() override {
    if (!open_ || header_.updates == 0) {
      return Fail(LNT_E_TOO_FEW, "found no update, wanted at least 1");
    }
    if (real_ && header_.updates > kMaxRealUpdates) {
      return Fail(LNT_E_DATA, "found " + std::to_string(header_.updates) +
                                  " updates, wanted at most " + std::to_string(kMaxRealUpdates));
    }
    open_ = false;
    closing_ = true;
    return BeginStep();
  }

  lnt_status ResultChunk(uint32_t tensor, uint64_t offset, const void* base, void* out,
                         uint32_t count) override {
    double step[kStepWindow];
    if (layout_.IsScalar(tensor)) {
      std::fill_n(step, std::min(count, kStepWindow), 0.0);
      layout_.Add(base, step, out, 0, std::min(count, uint32_t{1}));
      return LNT_OK;
    }
    const size_t at = layout_.Position(tensor, offset, count);
    if (at == Layout::kNowhere || !closing_) return Misplaced(tensor, offset);
    const double limit = std::ldexp(1.0, 53 + header_.grid_exp);
    for (uint32_t i = 0; i < count; ++i) {
      // Written so that NaN fails too.
      if (!(std::fabs(sums_[at + i]) < limit)) {
        return Fail(LNT_E_DATA, "the sum of element " + std::to_string(offset + i) + " of tensor " +
                                    std::to_string(tensor) + " is beyond the grid of 2^" +
                                    std::to_string(header_.grid_exp) + ": it is not exact");
      }
    }
    for (uint32_t first = 0; first < count; first += kStepWindow) {
      const uint32_t n = std::min(kStepWindow, count - first);
      Step(at + first, step, n);
      layout_.Add(base, step, out, first, n);
    }
    return LNT_OK;
  }

  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(header_.updates) +
              ",\"weight\":" + std::to_string(header_.weight_sum) + "}";
    closing_ = false;
    return LNT_OK;
  }

  // Kind 1: the header, the sums; with real weights the fine sums and the scalars.
  lnt_status Save(uint32_t kind, std::vector<Segment>& segments) override {
    if (kind != LNT_BLOB_PARTIAL) return LNT_OK;
    segments.push_back({&header_, sizeof(header_)});
    segments.push_back({sums_.data(), sums_.size() * sizeof(double)});
    if (!real_) return LNT_OK;
    segments.push_back({fine_.data(), fine_.size() * sizeof(double)});
    segments.push_back({scalars_, sizeof(scalars_)});
    return LNT_OK;
  }

  lnt_status Load(uint32_t kind, const uint8_t* data, uint64_t size) override {
    if (kind != LNT_BLOB_PARTIAL) {
      return Fail(LNT_E_UNSUPPORTED,
                  "found a blob of kind " + std::to_string(kind) + ", wanted kind 1");
    }
    const uint64_t wanted = sizeof(Header) + (sums_.size() + fine_.size()) * sizeof(double) +
                            (real_ ? sizeof(scalars_) : 0);
    if (size != wanted) {
      return Fail(LNT_E_DATA, "found a partial of " + std::to_string(size) + " bytes, wanted " +
                                  std::to_string(wanted));
    }
    Header other;
    std::memcpy(&other, data, sizeof(other));
    const lnt_status status = CheckHeader(other);
    if (status != LNT_OK) return status;
    const uint8_t* sums = data + sizeof(Header);
    const uint8_t* fine = sums + sums_.size() * sizeof(double);
    if (!OnGrid(sums, sums_.size(), header_.grid_exp) ||
        !OnGrid(fine, fine_.size(), header_.grid_exp - kFineBits)) {
      return LNT_E_DATA;
    }
    AddAll(sums, sums_);
    AddAll(fine, fine_);
    if (real_) {
      ExactScalar scalars[2];
      std::memcpy(scalars, fine + fine_.size() * sizeof(double), sizeof(scalars));
      for (int i = 0; i < 2; ++i) scalars_[i].Add(scalars[i]);
    }
    header_.updates += other.updates;
    header_.weight_sum += other.weight_sum;
    return LNT_OK;
  }

 protected:
  // With real weights each term is kept on a second grid too, 2^32 times finer: the first one is
  // made for weights up to the cap on examples, and these are mostly far below it.
  enum class Weights { kExamples, kReal };
  explicit ExactMean(Weights weights = Weights::kExamples) : real_(weights == Weights::kReal) {}

  // Weights::kReal: of one update; `extra` is the scalar of its uplink, 0 without one.
  virtual lnt_status Weigh(const lnt_update& /*update*/, double /*extra*/, RealWeight& /*out*/) {
    return Fail(LNT_E_INTERNAL, "a strategy without weights");
  }
  // Once per round, before the windows.
  virtual lnt_status BeginStep() { return LNT_OK; }
  // What is added to elements [at, at + count), at most kStepWindow of them; each element once in a
  // round, ascending.
  virtual void Step(size_t at, double* step, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) step[i] = Mean(at + i);
  }

  const Layout& layout() const { return layout_; }
  size_t size() const { return sums_.size(); }
  uint64_t updates() const { return header_.updates; }
  // Of the examples.
  double weight_sum() const { return static_cast<double>(header_.weight_sum); }
  // The mean delta of an element, weighted by examples.
  double Mean(size_t i) const { return sums_[i] / weight_sum(); }
  // Weights::kReal: the weighted sum of an element, and of a number of RealWeight::scalars.
  double Sum(size_t i) const { return sums_[i] + fine_[i]; }
  double ScalarSum(int i) const { return scalars_[i].value(); }

 private:
  static constexpr uint32_t kMaxWeight = (1u << 29) - 1, kMaxRows = 16, kStepWindow = 512;
  static constexpr uint64_t kMaxRealUpdates = uint64_t{1} << 20;
  static constexpr int kFineBits = 32;

  struct Header {
    uint32_t magic = 0x314d584c, version = 1;  // "LXM1"
    int32_t grid_exp = 0;
    uint32_t reserved = 0;
    uint64_t updates = 0, weight_sum = 0, elements = 0;
  };

  // Once per group of updates, when all of their scalars are known.
  lnt_status WeighAll() {
    if (!real_) return LNT_OK;
    weights_.resize(updates_.size());
    for (size_t r = 0; r < updates_.size(); ++r) {
      const std::string who = "update " + std::to_string(updates_[r].ordinal);
      RealWeight mine;
      const lnt_status status = Weigh(updates_[r], extra_[r], mine);
      if (status != LNT_OK) return status;
      if (!(mine.weight >= 0 && mine.weight <= updates_[r].weight)) {
        return Fail(LNT_E_DATA, who + " has weight " + std::to_string(mine.weight) +
                                    ", wanted 0 to its number of examples");
      }
      // 29 bits times the 24 of an f32 are exact in f64.
      int exponent = 0;
      const double mantissa = std::frexp(mine.weight, &exponent);
      weights_[r] = std::ldexp(std::floor(mantissa * 0x1p29 + 0.5), exponent - 29);
      for (int i = 0; i < 2; ++i) {
        if (!scalars_[i].Add(mine.scalars[i])) {
          return Fail(LNT_E_DATA, who + " is too large: a sum of the strategy leaves its range");
        }
      }
    }
    return LNT_OK;
  }

  template <typename T>
  void FoldInteger(size_t at, const Rows& rows) {
    const double magic = std::ldexp(1.5, 52 + header_.grid_exp);
    double* sums = sums_.data() + at;
    for (uint32_t r = 0; r < rows.n; ++r) {
      const double weight = updates_[r].weight;
      const T* x = reinterpret_cast<const T*>(rows.F32(r));
      for (uint32_t i = 0; i < rows.count; ++i) {
        sums[i] += (weight * static_cast<double>(x[i]) + magic) - magic;
      }
    }
  }
  template <typename T>
  void FoldReal(size_t at, const Rows& rows) {
    const double magic = std::ldexp(1.5, 52 + header_.grid_exp);
    const double fine_magic = std::ldexp(1.5, 52 + header_.grid_exp - kFineBits);
    double* sums = sums_.data() + at;
    double* fine = fine_.data() + at;
    for (uint32_t r = 0; r < rows.n; ++r) {
      const double weight = weights_[r];
      const T* x = reinterpret_cast<const T*>(rows.F32(r));
      for (uint32_t i = 0; i < rows.count; ++i) {
        const double term = weight * static_cast<double>(x[i]);
        const double coarse = (term + magic) - magic;
        sums[i] += coarse;
        fine[i] += ((term - coarse) + fine_magic) - fine_magic;
      }
    }
  }

  lnt_status CheckHeader(const Header& other) {
    if (other.magic != Header{}.magic)
      return Fail(LNT_E_DATA, "the bytes are no partial of an exact mean");
    if (other.version != Header{}.version) {
      return Fail(LNT_E_VERSION, "found a partial of version " + std::to_string(other.version) +
                                     ", wanted " + std::to_string(Header{}.version));
    }
    if (other.grid_exp != header_.grid_exp || other.elements != header_.elements) {
      return Fail(LNT_E_DATA, "found a partial on grid 2^" + std::to_string(other.grid_exp) +
                                  " with " + std::to_string(other.elements) +
                                  " elements, wanted 2^" + std::to_string(header_.grid_exp) +
                                  " and " + std::to_string(header_.elements));
    }
    if (other.updates > (uint64_t{1} << 32) || other.weight_sum < other.updates ||
        other.weight_sum > other.updates * kMaxWeight || header_.updates > (uint64_t{1} << 32)) {
      return Fail(LNT_E_DATA, "found a partial of " + std::to_string(other.updates) +
                                  " updates and weight " + std::to_string(other.weight_sum) +
                                  ", wanted 1 to 2^29 - 1 for each update");
    }
    return LNT_OK;
  }
  bool OnGrid(const uint8_t* data, size_t count, int grid_exp) {
    for (size_t i = 0; i < count; ++i) {
      double sum;
      std::memcpy(&sum, data + i * sizeof(double), sizeof(double));
      const double steps = std::ldexp(sum, -grid_exp);
      if (std::fabs(steps) < 0x1p53 && std::trunc(steps) == steps) continue;
      Fail(LNT_E_DATA, "element " + std::to_string(i) + " of a partial is not on the grid of 2^" +
                           std::to_string(grid_exp));
      return false;
    }
    return true;
  }
  static void AddAll(const uint8_t* data, std::vector<double>& to) {
    for (size_t i = 0; i < to.size(); ++i) {
      double sum;
      std::memcpy(&sum, data + i * sizeof(double), sizeof(double));
      to[i] += sum;
    }
  }
  lnt_status Misplaced(uint32_t tensor, uint64_t offset) {
    return Fail(LNT_E_STATE, "found a chunk at element " + std::to_string(offset) + " of tensor " +
                                 std::to_string(tensor) + ", wanted the next one in the layout");
  }

  const bool real_;
  Layout layout_;
  std::vector<double> sums_, fine_;
  Header header_;
  ExactScalar scalars_[2];
  std::vector<lnt_update> updates_;  // that are coming in, with their scalars and own weights
  std::vector<double> extra_, weights_;
  size_t next_ = 0;  // of the updates that are coming in
  bool open_ = false, closing_ = false;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_EXACT_MEAN_H_
