// The median, from the installed headers alone.
#include "linnet/plugin_kernels.hpp"

namespace {

class Elsewhere final : public linnet::plugin::BlockStrategy {
 public:
  static const char* Describe() {
    return R"({"id":"elsewhere","version":"1.0","licence":"MIT","config":{}})";
  }
  explicit Elsewhere(const linnet::plugin::Config&) {}
  lnt_status PassBegin(uint32_t, const std::vector<lnt_update>& updates) override {
    return updates.empty() ? Fail(LNT_E_TOO_FEW, "found no update, wanted at least 1")
                           : lnt_status{LNT_OK};
  }
  lnt_status PassBlock(uint32_t, uint64_t, const linnet::plugin::Rows& rows, void* out) override {
    linnet::plugin::ColumnMedian(kernels(), rows, {}, static_cast<float*>(out));
    return LNT_OK;
  }
};

}  // namespace

LINNET_PLUGIN(Elsewhere)
