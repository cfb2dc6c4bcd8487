// The exact weighted mean of a round: what most strategies start from.
//
// Each term weight * x is rounded to a multiple of 2^grid_exp in f64 and added; such sums are
// exact, so the accumulator has the same bits whatever the order of the updates, the tree of edges,
// the width of the vectors or the target (the formula stands at lnt_kernels_v1::fold_exact).
#ifndef LINNET_PLUGINS_COMMON_EXACT_MEAN_H_
#define LINNET_PLUGINS_COMMON_EXACT_MEAN_H_

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "linnet/plugin.hpp"

namespace linnet {
namespace plugin {

// A strategy whose server step is a function of the mean of the deltas, element by element. Derived
// classes override Step (and Save and Load when they have a state).
class ExactMean : public Strategy {
 public:
  static constexpr uint32_t kModes = LNT_MODE_STREAM;
  static constexpr uint32_t kCaps = LNT_CAP_MERGE | LNT_CAP_EXACT;

  lnt_status SetLayout(const std::vector<Tensor>& tensors) override {
    uint64_t count = 0;
    starts_.assign(1, 0);
    for (const Tensor& tensor : tensors) {
      if (tensor.dtype != LNT_F32) {
        return Fail(LNT_E_LAYOUT, "tensor " + tensor.name + " has dtype " +
                                      std::to_string(tensor.dtype) + ", wanted 1 (f32)");
      }
      count += tensor.count;
      starts_.push_back(count);
    }
    if (count == 0 || count > (uint64_t{1} << 32)) {
      return Fail(LNT_E_LAYOUT, "found " + std::to_string(count) + " elements, wanted 1 to 2^32");
    }
    sums_.assign(static_cast<size_t>(count), 0.0);
    return LNT_OK;
  }

  lnt_status RoundBegin(const lnt_round& round) override {
    if (round.grid_exp < -1000 || round.grid_exp > 0) {
      return Fail(LNT_E_INVALID,
                  "found grid exponent " + std::to_string(round.grid_exp) + ", wanted -1000 to 0");
    }
    header_ = Header{};
    header_.grid_exp = round.grid_exp;
    header_.elements = sums_.size();
    std::fill(sums_.begin(), sums_.end(), 0.0);
    next_ = 0;
    total_ = 0;
    return LNT_OK;
  }

  lnt_status UpdatesBegin(const std::vector<lnt_update>& updates) override {
    rows_ = static_cast<uint32_t>(updates.size());
    for (uint32_t r = 0; r < rows_; ++r) {
      if (updates[r].weight == 0 || updates[r].weight > kMaxWeight) {
        return Fail(LNT_E_DATA, "update " + std::to_string(updates[r].ordinal) + " has weight " +
                                    std::to_string(updates[r].weight) + ", wanted 1 to 2^29 - 1");
      }
      weights_[r] = updates[r].weight;
    }
    next_ = 0;
    return LNT_OK;
  }

  lnt_status UpdatesChunk(uint32_t tensor, uint64_t offset, const Rows& rows) override {
    const size_t at = Position(tensor, offset, rows.count);
    if (at != next_) return Misplaced(tensor, offset);
    if (const lnt_kernels_v1* k = kernels()) {
      k->fold_exact(k->ctx, rows.F32(0), rows.stride_bytes, weights_, rows_, header_.grid_exp,
                    sums_.data() + at, rows.count);
    } else {
      const double magic = std::ldexp(1.5, 52 + header_.grid_exp);
      for (uint32_t r = 0; r < rows_; ++r) {
        const double weight = weights_[r];
        const float* x = rows.F32(r);
        double* sums = sums_.data() + at;
        for (uint32_t i = 0; i < rows.count; ++i)
          sums[i] += (weight * static_cast<double>(x[i]) + magic) - magic;
      }
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
    for (uint32_t r = 0; r < rows_; ++r) header_.weight_sum += weights_[r];
    header_.updates += rows_;
    return LNT_OK;
  }

  lnt_status Finalize() override {
    if (header_.updates == 0) return Fail(LNT_E_TOO_FEW, "found no update, wanted at least 1");
    total_ = static_cast<double>(header_.weight_sum);
    return BeginStep();
  }

  lnt_status ResultChunk(uint32_t tensor, uint64_t offset, const void* base, void* out,
                         uint32_t count) override {
    const size_t at = Position(tensor, offset, count);
    if (at == kNowhere || total_ == 0) return Misplaced(tensor, offset);
    const double limit = std::ldexp(1.0, 53 + header_.grid_exp);
    for (uint32_t i = 0; i < count; ++i) {
      // Written so that NaN fails too.
      if (!(std::fabs(sums_[at + i]) < limit)) {
        return Fail(LNT_E_DATA, "the sum of element " + std::to_string(offset + i) + " of tensor " +
                                    std::to_string(tensor) + " is beyond the grid of 2^" +
                                    std::to_string(header_.grid_exp) + ": it is not exact");
      }
    }
    Step(at, static_cast<const float*>(base), static_cast<float*>(out), count);
    return LNT_OK;
  }

  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(header_.updates) +
              ",\"weight\":" + std::to_string(header_.weight_sum) + "}";
    total_ = 0;
    return LNT_OK;
  }

  // Kind 1: the header, then the sums.
  lnt_status Save(uint32_t kind, std::vector<Segment>& segments) override {
    if (kind == LNT_BLOB_PARTIAL) {
      segments.push_back({&header_, sizeof(header_)});
      segments.push_back({sums_.data(), sums_.size() * sizeof(double)});
    }
    return LNT_OK;
  }

  lnt_status Load(uint32_t kind, const uint8_t* data, uint64_t size) override {
    if (kind != LNT_BLOB_PARTIAL) {
      return Fail(LNT_E_UNSUPPORTED,
                  "found a blob of kind " + std::to_string(kind) + ", wanted kind 1");
    }
    Header other;
    if (size != sizeof(Header) + sums_.size() * sizeof(double)) {
      return Fail(LNT_E_DATA, "found a partial of " + std::to_string(size) + " bytes, wanted " +
                                  std::to_string(sizeof(Header) + sums_.size() * sizeof(double)));
    }
    std::memcpy(&other, data, sizeof(other));
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
    const uint8_t* sums = data + sizeof(Header);
    for (size_t i = 0; i < sums_.size(); ++i) {
      double sum;
      std::memcpy(&sum, sums + i * sizeof(double), sizeof(double));
      const double steps = std::ldexp(sum, -header_.grid_exp);
      if (!(std::fabs(steps) < 0x1p53) || std::trunc(steps) != steps) {
        return Fail(LNT_E_DATA, "element " + std::to_string(i) +
                                    " of a partial is not on the grid of 2^" +
                                    std::to_string(header_.grid_exp));
      }
    }
    for (size_t i = 0; i < sums_.size(); ++i) {
      double sum;
      std::memcpy(&sum, sums + i * sizeof(double), sizeof(double));
      sums_[i] += sum;
    }
    header_.updates += other.updates;
    header_.weight_sum += other.weight_sum;
    return LNT_OK;
  }

 protected:
  // Once per round, before the windows.
  virtual lnt_status BeginStep() { return LNT_OK; }
  // out[i] = base[i] + step of elements [at, at + count); out may be base.
  virtual void Step(size_t at, const float* base, float* out, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) out[i] = base[i] + static_cast<float>(Mean(at + i));
  }

  // The weighted mean delta of an element, after Finalize.
  double Mean(size_t i) const { return sums_[i] / total_; }
  size_t size() const { return sums_.size(); }

 private:
  static constexpr uint32_t kMaxWeight = (1u << 29) - 1;
  static constexpr size_t kNowhere = ~size_t{0};

  struct Header {
    uint32_t magic = 0x314d584c, version = 1;  // "LXM1"
    int32_t grid_exp = 0;
    uint32_t reserved = 0;
    uint64_t updates = 0, weight_sum = 0, elements = 0;
  };

  size_t Position(uint32_t tensor, uint64_t offset, uint32_t count) const {
    if (tensor + size_t{1} >= starts_.size()) return kNowhere;
    const uint64_t room = starts_[tensor + 1] - starts_[tensor];
    if (offset > room || count > room - offset) return kNowhere;
    return static_cast<size_t>(starts_[tensor] + offset);
  }
  lnt_status Misplaced(uint32_t tensor, uint64_t offset) {
    return Fail(LNT_E_STATE, "found a chunk at element " + std::to_string(offset) + " of tensor " +
                                 std::to_string(tensor) + ", wanted the next one in the layout");
  }

  std::vector<uint64_t> starts_;  // of each tensor in sums_, and the end
  std::vector<double> sums_;
  Header header_;
  uint32_t weights_[16] = {};
  uint32_t rows_ = 0;
  size_t next_ = 0;   // of the updates that are coming in
  double total_ = 0;  // of the weights, between Finalize and RoundEnd
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_EXACT_MEAN_H_
