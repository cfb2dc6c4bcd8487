// BLOCK mode through plugin.hpp, and the fixed-bits functions of plugin_kernels.hpp.
#define LNT_STATIC block_plugin_test
#include <cmath>

#include "abi/harness.h"
#include "linnet/plugin_kernels.hpp"

namespace {

using linnet::plugin::Config;
using linnet::plugin::Rows;

// The row that is nearest to all others, in two passes.
class Nearest final : public linnet::plugin::BlockStrategy {
 public:
  static const char* Describe() { return R"({"id":"nearest","version":"1","licence":"MIT"})"; }
  explicit Nearest(const Config&) {}
  lnt_status PassBegin(uint32_t pass, const std::vector<lnt_update>& updates) override {
    pass_ = pass;
    n_ = static_cast<uint32_t>(updates.size());
    if (n_ < 3) return Fail(LNT_E_TOO_FEW, "found few");
    if (pass == 0) distances_.Reset(n_);
    return LNT_OK;
  }
  lnt_status PassBlock(uint32_t, uint64_t, const Rows& rows, void* out) override {
    if (pass_ == 0) {
      distances_.Add(nullptr, rows);
    } else {
      std::memcpy(out, rows.F32(best_), rows.count * sizeof(float));
    }
    return LNT_OK;
  }
  lnt_status PassEnd() override {
    if (pass_ > 0) return LNT_OK;
    distances_.Finish();
    double least = 1e300;
    for (uint32_t r = 0; r < n_; ++r) {
      double sum = 0;
      for (uint32_t s = 0; s < n_; ++s) sum += distances_(r, s);
      if (sum < least) {
        least = sum;
        best_ = r;
      }
    }
    return LNT_MORE;
  }

 private:
  uint32_t pass_ = 0, n_ = 0, best_ = 0;
  linnet::plugin::PairDistances distances_;
};

}  // namespace

LINNET_PLUGIN(Nearest)

namespace linnet::testing {
namespace {

std::vector<lnt_update> Metas(size_t n) {
  std::vector<lnt_update> metas;
  for (size_t i = 0; i < n; ++i) metas.push_back(MakeUpdate(i, 1));
  return metas;
}

TEST(BlockPluginTest, ShowsAllRowsInAsManyPassesAsAskedWhateverTheWindows) {
  const lnt_plugin* table = linnet_plugin_v1_block_plugin_test(&PluginHost());
  const Cohort cohort = MakeCohort(3, 7);
  std::vector<float> base(cohort.size(), 1.0f), first;
  for (const uint32_t chunk : {1u, 7u, 4096u, kWholeTensor}) {
    Instance instance(table, "{}", cohort.counts);
    EXPECT_EQ(instance.caps().modes, uint32_t{LNT_MODE_BLOCK});
    instance.Begin(cohort.grid_exp);
    std::vector<float> update;
    ASSERT_EQ(instance.RunPasses(cohort.updates, Metas(7), update, chunk), LNT_OK);
    EXPECT_EQ(instance.passes(), 2u);
    EXPECT_NE(std::find(cohort.updates.begin(), cohort.updates.end(), update),
              cohort.updates.end());
    const std::vector<float> result = instance.FinishRows(base, update, chunk);
    EXPECT_EQ(result[1], 1.0f + update[1]);
    if (first.empty()) first = result;
    EXPECT_EQ(result, first) << chunk;
  }
}

TEST(BlockPluginTest, TooFewUpdatesAreAnErrorOfPassBegin) {
  Instance instance(linnet_plugin_v1_block_plugin_test(&PluginHost()), "{}",
                    std::vector<uint32_t>{3});
  instance.Begin(-40);
  std::vector<float> update;
  EXPECT_EQ(instance.RunPasses(std::vector<std::vector<float>>{{1, 2, 3}}, Metas(1), update),
            LNT_E_TOO_FEW);
}

TEST(PluginMathTest, ExpLogAndPowAreThoseOfTheLibraryToAFewUnits) {
  for (double x = -700; x < 700; x += 0.37) {
    const double wanted = std::exp(x);
    EXPECT_NEAR(plugin::Exp(x) / wanted, 1, 5e-16) << x;
    EXPECT_NEAR(plugin::Log(wanted), std::log(wanted), 3e-16 * std::max(1.0, std::fabs(x))) << x;
  }
  for (double x = 0.5; x < 2; x += 0.0007) {
    EXPECT_NEAR(plugin::Log(x), std::log(x), 4e-16 * std::fabs(std::log(x)) + 1e-300) << x;
  }
  const struct {
    double x, y;
  } rows[] = {{2, 10}, {1.5, -3.25}, {1e-10, 0.1}, {2.302585, 5}, {1e6, 0.5}, {3, 0}};
  for (const auto& row : rows) {
    EXPECT_NEAR(plugin::Pow(row.x, row.y) / std::pow(row.x, row.y), 1, 2e-14) << row.x;
  }
}

TEST(PluginMathTest, TheEdgesAreThoseOfTheFunctions) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(plugin::Exp(0), 1);
  EXPECT_EQ(plugin::Exp(1000), infinity);
  EXPECT_EQ(plugin::Exp(-1000), 0);
  EXPECT_EQ(plugin::Log(1), 0);
  EXPECT_EQ(plugin::Log(0), -infinity);
  EXPECT_TRUE(std::isnan(plugin::Log(-1)));
  EXPECT_EQ(plugin::Pow(0, 0), 1);
  EXPECT_EQ(plugin::Pow(0, 2), 0);
  EXPECT_EQ(plugin::Pow(0, -2), infinity);
}

}  // namespace
}  // namespace linnet::testing
