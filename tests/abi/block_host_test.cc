// The aggregation host with strategies that see all updates at once, with chains, and with what
// travels beside the weights.
#define LNT_STATIC block_host_test
#include <cmath>

#include "abi/host.h"
#include "kernels/pool.h"
#include "linnet/plugin_kernels.hpp"
#include "sim/memory_spool.h"

namespace {

using linnet::plugin::BlockStrategy;
using linnet::plugin::Config;
using linnet::plugin::Rows;
using linnet::plugin::Strategy;

// The column median, windows at once.
class Median final : public BlockStrategy {
 public:
  static constexpr uint32_t kCaps = LNT_CAP_PARALLEL_WINDOWS;
  static const char* Describe() { return R"({"id":"test-median","version":"1","licence":"MIT"})"; }
  explicit Median(const Config&) {}
  lnt_status PassBegin(uint32_t, const std::vector<lnt_update>& updates) override {
    for (size_t i = 1; i < updates.size(); ++i)
      if (updates[i].ordinal < updates[i - 1].ordinal) return Fail(LNT_E_STATE, "out of order");
    return LNT_OK;
  }
  lnt_status PassBlock(uint32_t tensor, uint64_t, const Rows& rows, void* out) override {
    if (tensor == 3 && rows.F32(0)[0] == 77.0f) return Fail(LNT_E_DATA, "found 77");
    linnet::plugin::ColumnMedian(kernels(), rows, {}, static_cast<float*>(out));
    return LNT_OK;
  }
};

// The update that is nearest to the others, in two passes that must come in ascending order.
class Nearest final : public BlockStrategy {
 public:
  static const char* Describe() { return R"({"id":"test-nearest","version":"1","licence":"MIT"})"; }
  explicit Nearest(const Config&) {}
  lnt_status PassBegin(uint32_t pass, const std::vector<lnt_update>& updates) override {
    pass_ = pass;
    n_ = static_cast<uint32_t>(updates.size());
    if (pass == 0) distances_.Reset(n_);
    return LNT_OK;
  }
  lnt_status PassBlock(uint32_t, uint64_t, const Rows& rows, void* out) override {
    if (pass_ == 0) {
      distances_.Add(kernels(), rows);
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
  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"chosen\":" + std::to_string(best_) + "}";
    return LNT_OK;
  }

 private:
  uint32_t pass_ = 0, n_ = 0, best_ = 0;
  linnet::plugin::PairDistances distances_;
};

// Never has enough.
class Endless final : public BlockStrategy {
 public:
  static const char* Describe() { return R"({"id":"test-endless","version":"1","licence":"MIT"})"; }
  explicit Endless(const Config&) {}
  lnt_status PassBegin(uint32_t, const std::vector<lnt_update>&) override { return LNT_OK; }
  lnt_status PassBlock(uint32_t, uint64_t, const Rows&, void*) override { return LNT_OK; }
  lnt_status PassEnd() override { return LNT_MORE; }
};

// A plain mean of updates divided by the scalar that came with each, and of the tensor "c".
class Linked final : public Strategy {
 public:
  static constexpr uint32_t kModes = LNT_MODE_STREAM, kCaps = LNT_CAP_EXACT;
  static const char* Describe() {
    return R"({"id":"test-linked","version":"1","licence":"MIT","client":"scaffold",)"
           R"("uplink":[{"name":"c","like":"parameters"},{"name":"a","like":"scalar"}],)"
           R"("downlink":[{"name":"c","like":"parameters"}]})";
  }
  explicit Linked(const Config&) {}
  lnt_status SetLayout(const std::vector<linnet::plugin::Tensor>& tensors) override {
    names_.clear();
    starts_.clear();
    uint64_t at = 0;
    for (const auto& t : tensors) {
      names_ += t.name + ":" + std::to_string(t.role) + " ";
      starts_.push_back(at);
      at += t.count;
    }
    sums_.assign(at, 0);
    weights_ = (at - 1) / 2;
    return LNT_OK;
  }
  lnt_status RoundBegin(const lnt_round&) override {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    count_ = 0;
    return LNT_OK;
  }
  lnt_status UpdatesBegin(const std::vector<lnt_update>& u) override {
    count_ += u.size();
    return LNT_OK;
  }
  lnt_status UpdatesChunk(uint32_t tensor, uint64_t offset, const Rows& rows) override {
    if (tensor == 0) {
      for (uint32_t r = 0; r < rows.n; ++r) a_[r] = rows.F32(r)[0];
      return LNT_OK;
    }
    const bool weight = starts_[tensor] <= weights_;
    for (uint32_t r = 0; r < rows.n; ++r)
      for (uint32_t i = 0; i < rows.count; ++i)
        sums_[starts_[tensor] + offset + i] += double(rows.F32(r)[i]) / (weight ? a_[r] : 1.0f);
    return LNT_OK;
  }
  lnt_status UpdatesEnd() override { return LNT_OK; }
  lnt_status ResultChunk(uint32_t tensor, uint64_t offset, const void* base, void* out,
                         uint32_t count) override {
    for (uint32_t i = 0; i < count; ++i) {
      const double mean = sums_[starts_[tensor] + offset + i] / double(count_);
      static_cast<float*>(out)[i] = static_cast<const float*>(base)[i] + float(mean);
    }
    return LNT_OK;
  }
  lnt_status Save(uint32_t kind, std::vector<linnet::plugin::Segment>& segments) override {
    if (kind != LNT_BLOB_DOWNLINK) return LNT_OK;
    c_.assign(weights_, 0.25f);
    segments.push_back({c_.data(), c_.size() * sizeof(float)});
    return LNT_OK;
  }
  lnt_status RoundEnd(std::string& metrics) override {
    metrics = "{\"tensors\":" + std::to_string(starts_.size()) + "}";
    return names_ == "a:2 a:0 b:0 none:0 c:0 c/a:2 c/b:2 c/none:2 c/c:2 "
               ? LNT_OK
               : Fail(LNT_E_LAYOUT, names_);
  }

 private:
  std::string names_;
  std::vector<uint64_t> starts_;
  std::vector<double> sums_;
  std::vector<float> c_;
  float a_[16] = {};
  uint64_t weights_ = 0, count_ = 0;
};

}  // namespace

LINNET_PLUGIN(Median, Nearest, Endless, Linked)

namespace linnet::testing {
namespace {

PluginEntry Own(std::string_view id) {
  PluginTable table;
  EXPECT_TRUE(table.Add(&linnet_plugin_v1_block_host_test, "test"));
  return **table.Find(id);
}

std::unique_ptr<AggregationHost> MakeHost(StrategyChain chain, AggregationOptions options = {}) {
  const auto links = LinksOf(chain.reducer);
  auto host = AggregationHost::Create(chain, MakeUpdateLayout(Params(), links->uplink),
                                      BestKernels(), std::move(options));
  EXPECT_TRUE(host) << host.error().message;
  return std::move(*host);
}

std::vector<float> RunRound(AggregationHost& host, const Uploads& uploads, bool backwards = false) {
  const std::vector<float> base(kCount, 0.5f);
  EXPECT_TRUE(host.BeginRound(Round(), base));
  std::vector<EncodedUpdate> updates = uploads.updates;
  if (backwards) std::reverse(updates.begin(), updates.end());
  EXPECT_TRUE(host.Fold(updates));
  auto result = host.Finish(base);
  EXPECT_TRUE(result) << result.error().message;
  return *result;
}

TEST(BlockHostTest, TheSameBitsForEveryCodecOrderPlaceAndNumberOfWorkers) {
  const auto pool = MakePool(3);
  for (const CodecSpec& codec :
       {kF32, CodecSpec{CodecKind::kEden, 1}, CodecSpec{CodecKind::kInt8, 8}}) {
    const Uploads uploads = MakeUploads(codec, 9);
    for (const char* id : {"test-median", "test-nearest"}) {
      const std::vector<float> wanted = RunRound(*MakeHost(Own(id)), uploads);
      for (const uint64_t memory :
           {uint64_t{0}, 3 * uint64_t{uploads.bytes[0].size()}, ~uint64_t{0}}) {
        for (Executor* executor : {static_cast<Executor*>(nullptr), pool.get()}) {
          AggregationOptions options;
          options.block_memory = memory;
          const auto spool = std::make_shared<MemorySpool>();
          options.spool = spool;
          options.executor = executor;
          const auto host = MakeHost(Own(id), options);
          EXPECT_TRUE(host->block());
          EXPECT_EQ(RunRound(*host, uploads, true), wanted) << id << " " << memory;
          EXPECT_EQ(spool->size(), 0u) << "given back";
        }
      }
    }
  }
}

TEST(BlockHostTest, TheMedianIsThatOfTheDecodedUpdates) {
  const Uploads uploads = MakeUploads({CodecKind::kBf16, 16}, 9);
  const std::vector<float> result = RunRound(*MakeHost(Own("test-median")), uploads);
  for (size_t i = 0; i < kCount; i += 97) {
    std::vector<float> column;
    for (const auto& x : uploads.decoded) column.push_back(x[i]);
    std::sort(column.begin(), column.end());
    EXPECT_EQ(result[i], 0.5f + column[4]) << i;
  }
}

TEST(BlockHostTest, SeveralRoundsBeginAnew) {
  const auto host = MakeHost(Own("test-nearest"));
  const Uploads uploads = MakeUploads(kF32, 9);
  const std::vector<float> first = RunRound(*host, uploads);
  EXPECT_EQ(RunRound(*host, uploads), first);
  EXPECT_NE(host->metrics().Find("chosen"), nullptr);
}

TEST(BlockHostTest, ErrorsEndTheRoundAndSayWhat) {
  Uploads uploads = MakeUploads(kF32, 3);
  const std::vector<float> base(kCount);
  const auto pool = MakePool(2);
  {
    AggregationOptions options;
    options.block_memory = 4 * kCount;
    const auto host = MakeHost(Own("test-median"), options);
    ASSERT_TRUE(host->BeginRound(Round()));
    const auto folded = host->Fold(uploads.updates);
    ASSERT_FALSE(folded);
    EXPECT_EQ(folded.error().code, Code::kLimit);
  }
  const auto endless = MakeHost(Own("test-endless"));
  ASSERT_TRUE(endless->BeginRound(Round()));
  ASSERT_TRUE(endless->Fold(uploads.updates));
  EXPECT_TRUE(endless->Finish(base).error().message.contains("more than 64 passes"));
  EXPECT_FALSE(endless->BeginRound(Round()));
  EXPECT_TRUE(endless->RestoreState({}));
  EXPECT_TRUE(endless->BeginRound(Round()));
  EXPECT_EQ(endless->Finish(base).error().code, Code::kState) << "no update";

  const float bad = 77;
  std::memcpy(uploads.bytes[0].data() + 4 * 5005, &bad, 4);
  for (Executor* executor : {static_cast<Executor*>(nullptr), pool.get()}) {
    AggregationOptions options;
    options.executor = executor;
    const auto host = MakeHost(Own("test-median"), options);
    ASSERT_TRUE(host->BeginRound(Round()));
    ASSERT_TRUE(host->Fold(uploads.updates));
    const auto result = host->Finish(base);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "strategy test-median: pass_block: found 77");
  }
}

TEST(BlockHostTest, ACancelledRoundEnds) {
  const std::atomic<bool> cancelled = true;
  AggregationOptions options;
  options.services.cancelled = &cancelled;
  const auto host = MakeHost(Own("test-median"), options);
  const Uploads uploads = MakeUploads(kF32, 3);
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  EXPECT_EQ(host->Finish(std::vector<float>(kCount)).error().code, Code::kUnavailable);
}

TEST(StreamHostTest, WorkersChangeNoBit) {
  const auto pool = MakePool(3);
  for (const CodecSpec& codec : {kF32, CodecSpec{CodecKind::kEden, 1}}) {
    const Uploads uploads = MakeUploads(codec, 19);
    AggregationOptions options;
    options.executor = pool.get();
    EXPECT_EQ(RunRound(*MakeHost(Entry("fedavg"), options), uploads),
              RunRound(*MakeHost(Entry("fedavg")), uploads));
  }
}

TEST(ChainTest, AServerOptimizerStepsOnTheReducersUpdate) {
  const Uploads uploads = MakeUploads(kF32, 9);
  StrategyChain chain(Own("test-median"));
  const std::vector<float> median = RunRound(*MakeHost(chain), uploads);
  chain.optimizer = Entry("fedavgm");
  chain.optimizer_config = *Json::Parse(R"({"serverLearningRate":2})");
  const auto host = MakeHost(chain);
  const std::vector<float> first = RunRound(*host, uploads);
  for (size_t i = 0; i < kCount; i += 31)
    EXPECT_NEAR(first[i] - 0.5f, 2 * (median[i] - 0.5f), 1e-6) << i;
  // Momentum is in the saved state: a host that goes on from it has the same bits.
  const Bytes state = *host->SaveState();
  const std::vector<float> second = RunRound(*host, uploads);
  EXPECT_NE(second, first);
  const auto other = MakeHost(chain);
  ASSERT_TRUE(other->RestoreState(state));
  EXPECT_EQ(RunRound(*other, uploads), second);
  EXPECT_FALSE(other->RestoreState(Bytes(30)));
}

TEST(ChainTest, ClippingScalesEachUpdateToTheNorm) {
  Uploads uploads = MakeUploads(kF32, 2);
  for (size_t k = 0; k < 2; ++k) {
    auto stats = CheckUpdate(kF32, {}, uploads.bytes[k], kCount, 64, BestKernels());
    uploads.updates[k].meta.l2_norm = stats->l2_norm;
    uploads.updates[k].meta.weight = 1;
  }
  const double norm = uploads.updates[0].meta.l2_norm;
  StrategyChain chain(Entry("fedavg"));
  chain.clip_norm = norm / 4;
  const std::vector<float> clipped = RunRound(*MakeHost(chain), uploads);
  for (size_t i = 0; i < kCount; i += 31) {
    const double wanted =
        0.5 + 0.5 * (uploads.decoded[0][i] / 4 +
                     uploads.decoded[1][i] * (norm / 4) / uploads.updates[1].meta.l2_norm);
    EXPECT_NEAR(clipped[i], wanted, 1e-6) << i;
  }
  uploads.updates[1].meta.l2_norm = NAN;
  const auto host = MakeHost(chain);
  ASSERT_TRUE(host->BeginRound(Round()));
  EXPECT_FALSE(host->Fold(uploads.updates));
}

TEST(ChainTest, BadChainsAreRefusedWithWhereAndWhatWasWanted) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    ASSERT_TRUE(table.Add(plugin.entry, "built in"));
  const struct {
    const char *chain, *message;
  } rows[] = {
      {"7", "wanted a list"},
      {"[]", "wanted a clip or none, one reducer"},
      {R"([{"clip":{"norm":1}}])", "strategy.chain has 1 stages"},
      {R"([{"clip":{"norm":0}},{"id":"fedavg"}])", "strategy.chain[0].clip.norm is 0"},
      {R"([{"clip":{}},{"id":"fedavg"}])", "wanted {\"clip\": {\"norm\": N}}"},
      {R"([{"id":"fedavg"},{"id":"fedadam"},{"id":"fedavg"}])", "has 3 stages"},
      {R"([{"id":"fedavgg"}])", "did you mean \"fedavg\""},
      {R"([{"id":"fedavg","confg":{}}])", "strategy.chain[0].confg is not known"},
      {R"([5])", "strategy.chain[0] is 5"},
  };
  for (const auto& row : rows) {
    const auto chain = FindStrategy(table, "fedavg", {}, *Json::Parse(row.chain));
    ASSERT_FALSE(chain) << row.chain;
    EXPECT_TRUE(chain.error().message.contains(row.message)) << chain.error().message;
  }
  const auto good = FindStrategy(
      table, "", {},
      *Json::Parse(R"([{"clip":{"norm":2}},{"id":"fedavg"},{"id":"fedadam","config":{"tau":1}}])"));
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->clip_norm, 2);
  EXPECT_EQ(good->optimizer->id, "fedadam");
}

TEST(GateTest, AStepBeyondTheBoundIsRefused) {
  const Uploads uploads = MakeUploads(kF32, 3);
  AggregationOptions options;
  options.max_step_norm = 1e-3;
  const auto host = MakeHost(Entry("fedavg"), options);
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  const auto result = host->Finish(std::vector<float>(kCount));
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.contains("strategy.maxStepNorm admits 0.001"))
      << result.error().message;
  options.max_step_norm = 10;
  RunRound(*MakeHost(Entry("fedavg"), options), uploads);
}

TEST(LinkedHostTest, ScalarsComeBeforeTheWeightsAndTensorsAfterThem) {
  const PluginEntry plugin = Own("test-linked");
  const auto links = LinksOf(plugin);
  ASSERT_TRUE(links);
  EXPECT_EQ(links->client, "scaffold");
  ASSERT_EQ(links->uplink.size(), 2u);
  EXPECT_EQ(links->uplink[0].name, "a");
  const auto host = MakeHost(plugin);
  EXPECT_EQ(host->layout().ExtraCount(), 1 + kCount);
  EXPECT_EQ(host->ClientSettings()->Dump(), R"({"client":"scaffold"})");
  EXPECT_EQ(*host->Downlink(), std::vector<float>(kCount, 0.25f));

  Uploads uploads = MakeUploads(kF32, 3);
  for (size_t k = 0; k < 3; ++k) {
    std::vector<float> extras(1 + kCount, 0.125f);
    extras[0] = static_cast<float>(1 << k);
    const auto* bytes = reinterpret_cast<const uint8_t*>(extras.data());
    uploads.bytes[k].insert(uploads.bytes[k].end(), bytes, bytes + 4 * extras.size());
    uploads.updates[k].encoded = uploads.bytes[k];
    EXPECT_TRUE(CheckUpdate(kF32, {}, uploads.bytes[k], kCount, 64, BestKernels(), 1 + kCount));
    EXPECT_FALSE(CheckUpdate(kF32, {}, uploads.bytes[k], kCount, 64, BestKernels(), kCount));
    EXPECT_FALSE(CheckUpdate(kF32, {}, uploads.bytes[k], kCount, 0.1, BestKernels(), 1 + kCount));
  }
  const std::vector<float> result = RunRound(*host, uploads);
  for (size_t i = 0; i < kCount; i += 31) {
    const double wanted =
        0.5 +
        (uploads.decoded[0][i] + uploads.decoded[1][i] / 2.0 + uploads.decoded[2][i] / 4.0) / 3;
    EXPECT_NEAR(result[i], wanted, 1e-6) << i;
  }
}

TEST(LinkedHostTest, BuffersAreThePlainWeightedMeanAndVariancesAreNotNegative) {
  Graph graph;
  graph.name = "n";
  graph.input_shape = {2};
  graph.nodes = {{Op::kBatchNorm, {0}, {0, 1, 2, 3}, {0, 0}}};
  graph.params = {{"scale", {2}, 0, 2},
                  {"shift", {2}, 2, 2},
                  {"mean", {2}, 4, 2, ParamRole::kBuffer},
                  {"variance", {2}, 6, 2, ParamRole::kBuffer}};
  const auto layout = MakeUpdateLayout(graph, {}, {});
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->weight_count, 4u);
  EXPECT_EQ(layout->buffer_count, 4u);
  const auto make = [&](const PluginEntry& plugin) {
    return *AggregationHost::Create(StrategyChain(plugin), *layout, BestKernels(), {});
  };
  // Weights, then mean and variance; the third's variance would be -1.
  const std::vector<std::vector<float>> values = {
      {1, 1, 1, 1, 3, 0, 1, -4}, {2, 2, 2, 2, 0, 6, 1, -4}, {9, 9, 9, 9, 0, 0, 1, -4}};
  std::vector<EncodedUpdate> updates;
  for (size_t k = 0; k < 3; ++k) {
    updates.push_back({{reinterpret_cast<const uint8_t*>(values[k].data()), 32},
                       kF32,
                       {},
                       MakeUpdate(k, static_cast<uint32_t>(k + 1))});
  }
  const std::vector<float> base = {0, 0, 0, 0, 10, 10, 2, 2};
  for (const bool block : {false, true}) {
    const auto host = make(block ? Own("test-median") : Entry("fedavg"));
    ASSERT_TRUE(host->BeginRound(Round()));
    ASSERT_TRUE(host->Fold(updates));
    const auto result = host->Finish(base);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ((*result)[0], block ? 2.0f : static_cast<float>(32.0 / 6)) << "the strategy's";
    EXPECT_EQ(std::vector<float>(result->begin() + 4, result->end()),
              (std::vector<float>{10.5f, 12.0f, 3.0f, 0.0f}));
  }
  // Edges: the same partial from any order, and a merged one gives the same model.
  const auto root = make(Entry("fedavg")), edge = make(Entry("fedavg"));
  ASSERT_TRUE(root->BeginRound(Round()));
  ASSERT_TRUE(edge->BeginRound(Round()));
  ASSERT_TRUE(edge->Fold(std::span(updates).first(2)));
  ASSERT_TRUE(root->Fold(std::span(updates).last(1)));
  ASSERT_TRUE(root->MergePartial(*edge->ReadPartial()));
  EXPECT_FALSE(root->MergePartial(Bytes(100)));
  EXPECT_EQ((*root->Finish(base))[5], 12.0f);
}

TEST(LinkedHostTest, PersonalTensorsDoNotTravel) {
  Graph graph;
  graph.nodes = {{Op::kDense, {0}, {0, 1}, {}}, {Op::kLayerNorm, {1}, {2, 3}, {0}}};
  graph.params = {
      {"body.w", {3}, 0, 3}, {"head.w", {2}, 3, 2}, {"n.scale", {1}, 5, 1}, {"n.shift", {1}, 6, 1}};
  const std::vector<std::string> norm = {"norm"}, head = {"head*"}, all = {"*"}, none = {"foot"};
  EXPECT_EQ(MakeUpdateLayout(graph, {}, norm)->weight_count, 5u);
  const auto layout = *MakeUpdateLayout(graph, {}, head);
  EXPECT_EQ(layout.weight_count, 5u);
  EXPECT_FALSE(MakeUpdateLayout(graph, {}, all));
  EXPECT_TRUE(MakeUpdateLayout(graph, {}, none).error().message.contains("\"foot\" matches no"));
  std::vector<float> weights(5), model = {1, 2, 3, 4, 5, 6, 7};
  UpdateLayout::Gather(layout.weights, model, weights);
  EXPECT_EQ(weights, (std::vector<float>{1, 2, 3, 6, 7}));
  UpdateLayout::Scatter(layout.weights, std::vector<float>(5, 0.0f), model);
  EXPECT_EQ(model, (std::vector<float>{0, 0, 0, 4, 5, 0, 0}));
}

}  // namespace
}  // namespace linnet::testing
