// The exact mean: the bits of the accumulator and of the result depend on the set of updates alone.
#include <cmath>

#include "abi/harness.h"
#include "kernels/kernels.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

// A host without extensions: plugins run their own loops.
const lnt_host& PlainHost() {
  static const lnt_host host = {sizeof(lnt_host), LNT_ABI_VERSION, nullptr, nullptr,
                                nullptr,          nullptr,         nullptr};
  return host;
}

// The extension of the program's host, with the functions of one SIMD target.
class TargetHost {
 public:
  explicit TargetHost(const Kernels& kernels)
      : kernels_(*static_cast<const lnt_kernels_v1*>(
            PluginHost().extension(nullptr, LNT_KERNELS_V1, sizeof(LNT_KERNELS_V1) - 1))) {
    kernels_.ctx = &kernels;
    host_.ctx = &kernels_;
    host_.extension = [](void* ctx, const char*, uint32_t) -> const void* { return ctx; };
  }
  const lnt_host& host() const { return host_; }

 private:
  lnt_kernels_v1 kernels_;
  lnt_host host_ = {sizeof(lnt_host), LNT_ABI_VERSION, nullptr, nullptr, nullptr, nullptr, nullptr};
};

class ExactTest : public ::testing::Test {
 protected:
  // The built-in strategies, entered with this program's host again.
  void TearDown() override {
    for (const BuiltinPlugin& plugin : ExactMeans()) plugin.entry(&PluginHost());
  }
  static Bytes Accumulate(const lnt_plugin* table, const Cohort& cohort,
                          const std::vector<size_t>& order, size_t rows, uint32_t chunk) {
    Instance instance(table, "{}", cohort.counts);
    instance.Begin(cohort.grid_exp);
    instance.Fold(cohort, order, rows, chunk);
    return instance.Partial();
  }
};

TEST_F(ExactTest, StaticEntriesGiveTheGoldenBits) {
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    ExpectGolden(plugin.name, RunGolden(plugin.entry(&PluginHost())));
    ExpectGolden(plugin.name, RunGolden(plugin.entry(&PlainHost()), 0, 16, kWholeTensor));
  }
}

TEST_F(ExactTest, EverySimdTargetGivesTheBitsOfThePlainLoop) {
  const Cohort cohort = MakeCohort(11);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const Bytes plain =
        Accumulate(plugin.entry(&PlainHost()), cohort, InOrder(20), 16, kWholeTensor);
    for (const Kernels* kernels : AllKernels()) {
      const TargetHost target(*kernels);
      EXPECT_EQ(plain,
                Accumulate(plugin.entry(&target.host()), cohort, InOrder(20), 16, kWholeTensor))
          << plugin.name << " " << kernels->target;
    }
    plugin.entry(&PluginHost());
  }
}

TEST_F(ExactTest, SizesOfChunksAndGroupsDoNotMatter) {
  const Cohort cohort = MakeCohort(12);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    const Bytes whole = Accumulate(table, cohort, InOrder(20), 16, kWholeTensor);
    for (const uint32_t chunk : {1u, 7u, 4096u}) {
      for (const size_t rows : {size_t{1}, size_t{4}, size_t{16}}) {
        EXPECT_EQ(whole, Accumulate(table, cohort, InOrder(20), rows, chunk))
            << plugin.name << " " << chunk;
      }
    }
  }
}

TEST_F(ExactTest, ResultsDoNotDependOnTheSizeOfChunks) {
  const Cohort cohort = MakeCohort(13);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    std::vector<std::vector<float>> results;
    std::vector<Bytes> states;
    for (const uint32_t chunk : {1u, 7u, 4096u, kWholeTensor}) {
      Instance instance(table, "{}", cohort.counts);
      std::vector<float> model(cohort.size(), 0.5f);
      for (int round = 0; round < 2; ++round) {
        instance.Begin(cohort.grid_exp);
        instance.Fold(cohort, InOrder(20));
        model = instance.Finish(model, chunk);
      }
      results.push_back(model);
      states.push_back(instance.ReadBlob(LNT_BLOB_STATE));
    }
    for (size_t i = 1; i < results.size(); ++i) {
      EXPECT_EQ(results[0], results[i]) << plugin.name;
      EXPECT_EQ(states[0], states[i]) << plugin.name;
    }
  }
}

TEST_F(ExactTest, TheOrderOfArrivalDoesNotMatter) {
  const Cohort cohort = MakeCohort(14);
  Numbers numbers(99);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    const Bytes in_order = Accumulate(table, cohort, InOrder(20), 16, kWholeTensor);
    for (int i = 0; i < 60; ++i) {
      const size_t rows = 1 + numbers.Below(16);
      ASSERT_EQ(in_order, Accumulate(table, cohort, Shuffled(20, numbers), rows, kWholeTensor))
          << plugin.name << " order " << i;
    }
  }
}

// The accumulator of the negative controls: what a plain f64 sum, or another grid, would have
// given.
std::vector<double> Sum(const Cohort& cohort, const std::vector<size_t>& order, bool on_grid,
                        int grid_exp) {
  const double magic = on_grid ? std::ldexp(1.5, 52 + grid_exp) : 0;
  std::vector<double> sums(cohort.size());
  for (const size_t k : order) {
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] += (double{cohort.updates[k][i]} * cohort.weights[k] + magic) - magic;
    }
  }
  return sums;
}

TEST_F(ExactTest, APlainSumWouldDependOnTheOrder) {
  const Cohort cohort = MakeCohort(14);
  Numbers numbers(99);
  const std::vector<double> plain = Sum(cohort, InOrder(20), false, 0);
  const std::vector<double> exact = Sum(cohort, InOrder(20), true, cohort.grid_exp);
  int differing = 0;
  for (int i = 0; i < 60; ++i) {
    const std::vector<size_t> order = Shuffled(20, numbers);
    differing += plain != Sum(cohort, order, false, 0) ? 1 : 0;
    ASSERT_EQ(exact, Sum(cohort, order, true, cohort.grid_exp));
  }
  EXPECT_GE(differing, 59);  // one shuffle may happen to be as good as the order itself
}

TEST_F(ExactTest, TreesOfEdgesGiveTheBitsOfTheFlatMean) {
  const Cohort cohort = MakeCohort(15);
  Numbers numbers(7);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    const Bytes flat = Accumulate(table, cohort, InOrder(20), 16, kWholeTensor);
    for (int tree = 0; tree < 30; ++tree) {
      // Every update goes to one of five edges or straight to the root; edges merge into one
      // another first.
      std::vector<std::vector<size_t>> edges(6);
      for (const size_t k : Shuffled(20, numbers)) edges[numbers.Below(6)].push_back(k);
      std::vector<Bytes> partials;
      for (const auto& edge : edges) {
        Instance instance(table, "{}", cohort.counts);
        instance.Begin(cohort.grid_exp);
        instance.Fold(cohort, edge, 4, 4096);
        if (!partials.empty() && numbers.Below(2) == 0) {
          ASSERT_EQ(instance.Merge(partials.back()), LNT_OK) << instance.LastError();
          partials.pop_back();
        }
        partials.push_back(instance.Partial());
      }
      Instance root(table, "{}", cohort.counts);
      root.Begin(cohort.grid_exp);
      for (const size_t i : Shuffled(partials.size(), numbers))
        ASSERT_EQ(root.Merge(partials[i]), LNT_OK);
      ASSERT_EQ(flat, root.Partial()) << plugin.name << " tree " << tree;
    }
  }
}

TEST_F(ExactTest, AnEdgeOnAnotherGridIsRefusedAndWouldChangeTheBits) {
  const Cohort cohort = MakeCohort(16);
  const std::vector<size_t> left = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
                            right = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    const Bytes flat = Accumulate(table, cohort, InOrder(20), 16, kWholeTensor);
    for (const int wrong : {cohort.grid_exp - 1, cohort.grid_exp + 1, cohort.grid_exp + 3}) {
      Instance edge(table, "{}", cohort.counts);
      edge.Begin(wrong);
      edge.Fold(cohort, right);
      Bytes partial = edge.Partial();
      Instance root(table, "{}", cohort.counts);
      root.Begin(cohort.grid_exp);
      root.Fold(cohort, left);
      const Bytes before = root.Partial();
      EXPECT_EQ(root.Merge(partial), LNT_E_DATA);
      EXPECT_TRUE(root.LastError().find("grid") != std::string::npos) << root.LastError();
      EXPECT_EQ(root.Partial(), before) << "a refused partial changes nothing";
      // A forged header: a finer grid shows in the sums, a coarser one does not, but in the bits.
      StoreLE(partial.data() + 8, static_cast<int32_t>(cohort.grid_exp));
      const lnt_status merged = root.Merge(partial);
      if (wrong < cohort.grid_exp) {
        EXPECT_EQ(merged, LNT_E_DATA) << wrong;
      } else {
        ASSERT_EQ(merged, LNT_OK) << root.LastError();
        EXPECT_NE(root.Partial(), flat) << wrong;
      }
    }
  }
}

TEST_F(ExactTest, MergingIsAssociativeAndCommutative) {
  const Cohort cohort = MakeCohort(17);
  const lnt_plugin* table = BuiltinPlugins()[0].entry(&PluginHost());
  const auto partial = [&](std::vector<size_t> order) {
    return Accumulate(table, cohort, order, 16, 4096);
  };
  const auto merge = [&](const Bytes& a, const Bytes& b) {
    Instance instance(table, "{}", cohort.counts);
    instance.Begin(cohort.grid_exp);
    EXPECT_EQ(instance.Merge(a), LNT_OK);
    EXPECT_EQ(instance.Merge(b), LNT_OK);
    return instance.Partial();
  };
  const Bytes a = partial({0, 1, 2}), b = partial({3}), c = partial({4, 5, 6, 7}),
              none = partial({});
  EXPECT_EQ(merge(a, b), merge(b, a));
  EXPECT_EQ(merge(merge(a, b), c), merge(a, merge(b, c)));
  EXPECT_EQ(merge(a, none), a);
}

TEST_F(ExactTest, HostilePartialsAreRefusedAndChangeNothing) {
  const Cohort cohort = MakeCohort(18);
  const struct {
    const char* name;
    size_t at;
    std::vector<uint8_t> bytes;
  } rows[] = {
      {"magic", 0, {0}},
      {"version", 4, {2}},
      {"grid", 8, {0, 0, 0, 0}},
      {"more updates than 2^32", 16, {0, 0, 0, 0, 2}},
      {"weight below the count", 24, {1, 0, 0, 0, 0, 0, 0, 0}},
      {"weight above the cap", 24, {0, 0, 0, 0, 0, 0, 0, 1}},
      {"elements", 32, {1}},
      {"NaN", 40, {0, 0, 0, 0, 0, 0, 0xf8, 0x7f}},
      {"infinity", 40, {0, 0, 0, 0, 0, 0, 0xf0, 0x7f}},
      {"beyond the grid", 40, {0, 0, 0, 0, 0, 0, 0xf0, 0x4f}},
      {"off the grid", 40, {0, 0, 0, 0, 0, 0, 0xf0, 0x2f}},
  };
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    Instance instance(table, "{}", cohort.counts);
    instance.Begin(cohort.grid_exp);
    instance.Fold(cohort, InOrder(5));
    const Bytes good = instance.Partial();
    for (const auto& row : rows) {
      Bytes bad = good;
      std::copy(row.bytes.begin(), row.bytes.end(), bad.begin() + static_cast<ptrdiff_t>(row.at));
      EXPECT_LT(instance.Merge(bad), 0) << plugin.name << " " << row.name;
      EXPECT_FALSE(instance.LastError().empty()) << row.name;
      EXPECT_EQ(instance.Partial(), good) << row.name;
    }
    for (const size_t size : {size_t{1}, size_t{39}, size_t{40}, good.size() - 1}) {
      EXPECT_LT(instance.Merge(ByteSpan(good).first(size)), 0) << size;
    }
    Bytes longer = good;
    longer.resize(good.size() + 8);
    EXPECT_LT(instance.Merge(longer), 0);
    EXPECT_EQ(instance.Partial(), good);
    // Pages out of order, and beyond the end.
    EXPECT_LT(
        table->blob_write(instance.handle(), LNT_BLOB_PARTIAL, good.size(), 8, good.data(), 8), 0);
    EXPECT_LT(table->blob_write(instance.handle(), LNT_BLOB_PARTIAL, 8, 0, good.data(), 9), 0);
    Bytes page(8);
    EXPECT_LT(
        table->blob_read(instance.handle(), LNT_BLOB_PARTIAL, good.size() - 4, page.data(), 8), 0);
    EXPECT_EQ(instance.Partial(), good);
  }
}

TEST_F(ExactTest, SumsBeyondTheGridAreAnError) {
  // |sum| < 2^(53 + g) is what the grid holds; values beyond the round's caps leave it, and NaN
  // too.
  for (const float value : {3e38f, std::nanf(""), HUGE_VALF}) {
    Cohort cohort = MakeCohort(19, 3);
    cohort.updates[1][310] = value;
    for (const BuiltinPlugin& plugin : ExactMeans()) {
      const lnt_plugin* table = plugin.entry(&PluginHost());
      Instance instance(table, "{}", cohort.counts);
      instance.Begin(cohort.grid_exp);
      instance.Fold(cohort, InOrder(3));
      EXPECT_EQ(instance.Finalize(), LNT_OK);
      std::vector<float> out(4097), base(4097);
      EXPECT_EQ(table->result_chunk(instance.handle(), 2, 0, base.data(), out.data(), 4097),
                LNT_E_DATA)
          << plugin.name << " " << value;
      EXPECT_TRUE(instance.LastError().find("element 5 of tensor 2") != std::string::npos)
          << instance.LastError();
    }
  }
}

TEST_F(ExactTest, ChunksThatAreMissingOrTwiceAreRefused) {
  const Cohort cohort = MakeCohort(20, 2);
  const std::vector<float> zeros(5000);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    Instance instance(table, "{}", cohort.counts);
    const lnt_update update = MakeUpdate(0, 1);
    const auto chunk = [&](uint32_t tensor, uint64_t offset, uint32_t count) {
      return table->updates_chunk(instance.handle(), tensor, offset, zeros.data(), 0, count);
    };
    const auto begin = [&] {
      instance.Begin(cohort.grid_exp);
      EXPECT_EQ(table->updates_begin(instance.handle(), &update, sizeof(update), 1), LNT_OK);
    };
    begin();
    EXPECT_LT(chunk(1, 0, 300), 0) << "tensor 0 was left out";
    begin();
    EXPECT_EQ(chunk(0, 0, 5), LNT_OK);
    EXPECT_LT(chunk(0, 0, 5), 0) << "twice";
    begin();
    EXPECT_LT(chunk(0, 0, 6), 0) << "past the end";
    EXPECT_LT(chunk(0, ~uint64_t{0}, 2), 0) << "overflow";
    EXPECT_LT(chunk(9, 0, 1), 0) << "no such tensor";
    EXPECT_LT(table->updates_end(instance.handle()), 0) << "not all of it";
    lnt_update bad = MakeUpdate(3, 0);
    EXPECT_LT(table->updates_begin(instance.handle(), &bad, sizeof(bad), 1), 0) << "no weight";
    bad.weight = 1u << 29;
    EXPECT_LT(table->updates_begin(instance.handle(), &bad, sizeof(bad), 1), 0)
        << "too much weight";
    EXPECT_LT(table->updates_begin(instance.handle(), &update, sizeof(update), 0), 0) << "no rows";
    EXPECT_LT(table->updates_begin(instance.handle(), &update, sizeof(update), 17), 0)
        << "too many rows";
  }
}

}  // namespace
}  // namespace linnet::testing
