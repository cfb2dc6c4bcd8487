// What the rules that look at all updates of a round share.
#ifndef LINNET_PLUGINS_COMMON_BLOCK_RULE_H_
#define LINNET_PLUGINS_COMMON_BLOCK_RULE_H_

#include <cstring>
#include <string>
#include <vector>

#include "common/layout.h"
#include "linnet/plugin_kernels.hpp"

namespace linnet {
namespace plugin {

// Updates of f32, in ordinal order: of equals, the lowest ordinal comes first.
class BlockRule : public BlockStrategy {
 public:
  lnt_status SetLayout(const std::vector<Tensor>& tensors) override {
    std::string wrong = layout_.Set(tensors);
    if (!wrong.empty()) return Fail(LNT_E_LAYOUT, std::move(wrong));
    if (layout_.dtype() != LNT_F32) return Fail(LNT_E_LAYOUT, "found tensors of f64, wanted f32");
    return LNT_OK;
  }
  lnt_status RoundBegin(const lnt_round&) override {
    updates_.clear();
    return LNT_OK;
  }
  lnt_status PassBegin(uint32_t pass, const std::vector<lnt_update>& updates) override {
    pass_ = pass;
    updates_ = updates;
    return pass == 0 ? Start(static_cast<uint32_t>(updates.size())) : lnt_status{LNT_OK};
  }
  lnt_status PassBlock(uint32_t tensor, uint64_t offset, const Rows& rows, void* out) override {
    if (pass_ == 0) {
      for (uint32_t r = 0; r < rows.n; ++r) {
        if (AllFinite(rows.F32(r), rows.count)) continue;
        return Fail(LNT_E_DATA, "update " + std::to_string(updates_[r].ordinal) +
                                    " holds a number that is not finite in tensor " +
                                    std::to_string(tensor));
      }
    }
    const size_t at = layout_.Position(tensor, offset, rows.count);
    if (at == Layout::kNowhere) {
      return Fail(LNT_E_INVALID, "found a window outside tensor " + std::to_string(tensor));
    }
    Window(at, rows, static_cast<float*>(out));
    return LNT_OK;
  }
  lnt_status Finalize() override {
    return updates_.empty() ? Fail(LNT_E_TOO_FEW, "found no update, wanted at least 1")
                            : lnt_status{LNT_OK};
  }
  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"updates\":" + std::to_string(updates_.size()) + "}";
    return LNT_OK;
  }

 protected:
  // Before pass 0: whether n updates are enough; and whatever the first windows need.
  virtual lnt_status Start(uint32_t n) = 0;
  // A window of all updates from element `at` on; in the last pass `out` is the aggregated update.
  virtual void Window(size_t at, const Rows& rows, float* out) = 0;

  // TOO_FEW unless n >= wanted; `why` says where the number comes from ("2f + 1").
  lnt_status NeedAtLeast(uint32_t n, uint64_t wanted, const char* why, uint32_t hostile) {
    if (n >= wanted) return LNT_OK;
    return Fail(LNT_E_TOO_FEW, "found " + std::to_string(n) + " updates, wanted at least " +
                                   std::to_string(wanted) + " (" + why +
                                   " with f = " + std::to_string(hostile) + ")");
  }
  const Layout& layout() const { return layout_; }
  uint32_t pass() const { return pass_; }
  const std::vector<lnt_update>& updates() const { return updates_; }

 private:
  static bool AllFinite(const float* x, uint32_t count) {
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t bits;
      std::memcpy(&bits, x + i, sizeof(bits));
      bad |= (bits & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    }
    return bad == 0;
  }

  Layout layout_;
  uint32_t pass_ = 0;
  std::vector<lnt_update> updates_;
};

// The number of hostile participants that a rule is to withstand.
inline uint32_t HostileOf(const Config& config) {
  return static_cast<uint32_t>(config.Number("hostile", 0));
}

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_BLOCK_RULE_H_
