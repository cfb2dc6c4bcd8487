// The aggregation host: decoding and folding, its gate, states and errors.
#include <cmath>
#include <limits>

#include "abi/harness.h"
#include "kernels/kernels.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

constexpr CodecSpec kF32 = {CodecKind::kF32, 32};

// Tensors that do not end where blocks of 4096 do.
std::vector<ParamInfo> Params() {
  return {{"a", {5}, 0, 5},
          {"b", {100, 50}, 5, 5000},
          {"none", {0}, 5005, 0},
          {"c", {7000}, 5005, 7000}};
}
constexpr size_t kCount = 12005;

PluginEntry Entry(std::string_view id) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    EXPECT_TRUE(table.Add(plugin.entry, "built in"));
  return **table.Find(id);
}
std::unique_ptr<AggregationHost> Make(const PluginEntry& plugin, std::string_view config = "{}",
                                      const Kernels& kernels = BestKernels()) {
  auto host = AggregationHost::Create(plugin, *Json::Parse(config), Params(), kernels);
  EXPECT_TRUE(host) << host.error().message;
  return std::move(*host);
}

// Uploads of ten participants.
struct Uploads {
  std::vector<Bytes> bytes;
  std::vector<EncodedUpdate> updates;
  std::vector<std::vector<float>> decoded;
};
Uploads MakeUploads(const CodecSpec& codec, size_t n = 10) {
  Uploads uploads;
  Numbers numbers(1);
  for (size_t i = 0; i < n; ++i) {
    std::vector<float> x(kCount);
    for (float& v : x) v = static_cast<float>(numbers.Below(20001)) * 1e-6f - 0.01f;
    const CodecSeed seed = {SeedFromInt(i)};
    Bytes bytes;
    EXPECT_TRUE(Encode(codec, seed, x, BestKernels(), bytes));
    std::vector<float> decoded(kCount);
    EXPECT_TRUE(DecodeWindow(codec, seed, bytes, kCount, 0, decoded, BestKernels()));
    uploads.bytes.push_back(std::move(bytes));
    uploads.decoded.push_back(std::move(decoded));
  }
  for (size_t i = 0; i < n; ++i) {
    uploads.updates.push_back({uploads.bytes[i],
                               codec,
                               {SeedFromInt(i)},
                               MakeUpdate(i, static_cast<uint32_t>(100 + 17 * i))});
  }
  return uploads;
}
RoundParameters Round(size_t invited = 10) {
  return {.grid_exp = *GridExponent(1, 65536, invited)};
}

TEST(GridTest, ExponentsFollowFromTheCaps) {
  EXPECT_EQ(*GridExponent(1, 600, 10), -38);
  EXPECT_EQ(*GridExponent(64, 65536, 12), -25);
  EXPECT_EQ(*GridExponent(0.5, 1, 1), -51);
}

TEST(GridTest, CapsThatRuinTheGridAreRefused) {
  const struct {
    double max_abs;
    uint64_t max_weight, invited;
  } rows[] = {{1e3, 1u << 20, 1000},
              {1e6, (1u << 29) - 1, 1000},
              {0, 1, 1},
              {-1, 1, 1},
              {NAN, 1, 1},
              {HUGE_VAL, 1, 1},
              {1, 0, 1},
              {1, 1u << 29, 1},
              {1, 1, 0}};
  for (const auto& row : rows) {
    const auto grid = GridExponent(row.max_abs, row.max_weight, row.invited);
    ASSERT_FALSE(grid) << row.max_abs << " " << row.max_weight << " " << row.invited;
    EXPECT_EQ(grid.error().code, Code::kInvalid);
  }
  EXPECT_TRUE(GridExponent(1e3, 1u << 20, 1000)
                  .error()
                  .message.contains("needs a grid of 2^-11, wanted 2^-16"));
}

TEST(CheckUpdateTest, NamesTheFirstBadElement) {
  const struct {
    const char* name;
    float value;
    Code code;
    const char* message;
  } rows[] = {
      {"NaN", std::nanf(""), Code::kData, "element 9000 is "},
      {"infinity", HUGE_VALF, Code::kData, "element 9000 is "},
      {"above the cap", 1.5f, Code::kLimit,
       "element 9000 is 1.5, wanted at most 1 (limits.maxAbs)"},
      {"below the cap", -1.5f, Code::kLimit, "element 9000 is -1.5, wanted at most 1"},
  };
  for (const auto& row : rows) {
    std::vector<float> x(kCount, 0.25f);
    x[9000] = row.value;
    Bytes bytes(4 * kCount);
    std::memcpy(bytes.data(), x.data(), bytes.size());
    const auto stats = CheckUpdate(kF32, {}, bytes, kCount, 1, BestKernels());
    ASSERT_FALSE(stats) << row.name;
    EXPECT_EQ(stats.error().code, row.code) << row.name;
    EXPECT_TRUE(stats.error().message.contains(row.message)) << stats.error().message;
  }
  const auto stats = CheckUpdate(kF32, {}, Bytes(100), kCount, 1, BestKernels());
  EXPECT_EQ(stats.error().code, Code::kData);
  EXPECT_TRUE(stats.error().message.contains("found 100 bytes of f32, wanted 48020"))
      << stats.error().message;
}

TEST(CheckUpdateTest, NormAndLargestAreTheSameOnEveryTarget) {
  for (const CodecSpec& codec :
       {kF32, CodecSpec{CodecKind::kEden, 1}, CodecSpec{CodecKind::kInt8, 8}}) {
    const Uploads uploads = MakeUploads(codec, 1);
    const auto best =
        CheckUpdate(codec, {SeedFromInt(0)}, uploads.bytes[0], kCount, 1, BestKernels());
    ASSERT_TRUE(best);
    double squares = 0;
    float largest = 0;
    for (const float v : uploads.decoded[0]) {
      squares += double{v} * v;
      largest = std::max(largest, std::fabs(v));
    }
    EXPECT_NEAR(best->l2_norm, std::sqrt(squares), 1e-9 * best->l2_norm);
    EXPECT_EQ(best->max_abs, largest);
    for (const Kernels* kernels : AllKernels()) {
      const auto other =
          CheckUpdate(codec, {SeedFromInt(0)}, uploads.bytes[0], kCount, 1, *kernels);
      ASSERT_TRUE(other);
      EXPECT_EQ(best->l2_norm, other->l2_norm) << kernels->target;
      EXPECT_EQ(best->max_abs, other->max_abs) << kernels->target;
    }
  }
}

TEST(AggregationHostTest, TheMeanOfDecodedUpdatesIsAddedToTheBase) {
  for (const CodecSpec& codec :
       {kF32, CodecSpec{CodecKind::kBf16, 16}, CodecSpec{CodecKind::kInt8, 8},
        CodecSpec{CodecKind::kEden, 1}, CodecSpec{CodecKind::kEden, 3}}) {
    const Uploads uploads = MakeUploads(codec);
    const auto host = Make(Entry("fedavg"));
    ASSERT_TRUE(host->BeginRound(Round()));
    ASSERT_EQ(*host->Fold(uploads.updates), 10u);
    EXPECT_EQ(host->folded(), 10u);
    std::vector<float> base(kCount);
    for (size_t i = 0; i < kCount; ++i) base[i] = static_cast<float>(i % 7);
    const auto result = host->Finish(base);
    ASSERT_TRUE(result) << result.error().message;
    for (size_t i = 0; i < kCount; ++i) {
      double sum = 0, weight = 0;
      for (size_t k = 0; k < 10; ++k) {
        sum += double{uploads.decoded[k][i]} * (100 + 17 * static_cast<double>(k));
        weight += 100 + 17 * static_cast<double>(k);
      }
      ASSERT_NEAR((*result)[i], base[i] + sum / weight, 1e-6) << CodecName(codec) << " " << i;
    }
    EXPECT_EQ(host->metrics().Dump(), R"({"updates":10,"weight":1765})");
  }
}

TEST(AggregationHostTest, GroupsOrderAndTargetsGiveTheSameBits) {
  const CodecSpec codec = {CodecKind::kEden, 1};
  const Uploads uploads = MakeUploads(codec, 20);
  const std::vector<float> base(kCount, 0.5f);
  const auto whole = Make(Entry("fedavg"));
  ASSERT_TRUE(whole->BeginRound(Round(20)));
  ASSERT_TRUE(whole->Fold(uploads.updates));
  const Bytes partial = *whole->ReadPartial();
  const std::vector<float> result = *whole->Finish(base);
  for (const Kernels* kernels : AllKernels()) {
    const auto host = Make(Entry("fedavg"), "{}", *kernels);
    ASSERT_TRUE(host->BeginRound(Round(20)));
    std::vector<EncodedUpdate> reversed(uploads.updates.rbegin(), uploads.updates.rend());
    for (size_t at = 0; at < 20; at += 3) {
      ASSERT_TRUE(host->Fold(std::span(reversed).subspan(at, std::min<size_t>(3, 20 - at))));
    }
    EXPECT_EQ(*host->ReadPartial(), partial) << kernels->target;
    EXPECT_EQ(*host->Finish(base), result) << kernels->target;
  }
}

TEST(AggregationHostTest, EdgesAndRootGiveTheBitsOfOneHost) {
  const Uploads uploads = MakeUploads({CodecKind::kEden, 2});
  const auto one = Make(Entry("fedavgm")), edge = Make(Entry("fedavgm")),
             root = Make(Entry("fedavgm"));
  for (const auto& host : {one.get(), edge.get(), root.get()})
    ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(one->Fold(uploads.updates));
  ASSERT_TRUE(edge->Fold(std::span(uploads.updates).subspan(4)));
  ASSERT_TRUE(root->Fold(std::span(uploads.updates).first(4)));
  const Status merged = root->MergePartial(*edge->ReadPartial());
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_EQ(*one->ReadPartial(), *root->ReadPartial());
  const std::vector<float> base(kCount, 1.0f);
  EXPECT_EQ(*one->Finish(base), *root->Finish(base));
}

TEST(AggregationHostTest, ARefusedPartialLeavesTheRoundAsItWas) {
  const Uploads uploads = MakeUploads(kF32);
  const auto host = Make(Entry("fedavg"));
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  const Bytes partial = *host->ReadPartial();
  EXPECT_EQ(host->MergePartial({}).error().code, Code::kData);
  EXPECT_EQ(host->MergePartial(ByteSpan(partial).first(50)).error().code, Code::kData);
  Bytes newer = partial;
  newer[4] = 9;
  EXPECT_EQ(host->MergePartial(newer).error().code, Code::kVersion);
  EXPECT_TRUE(
      host->MergePartial(newer).error().message.contains("found a partial of version 9, wanted 1"));
  EXPECT_EQ(*host->ReadPartial(), partial);
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
}

TEST(AggregationHostTest, CallsInTheWrongOrderAreRefused) {
  const auto host = Make(Entry("fedavg"));
  const Uploads uploads = MakeUploads(kF32, 1);
  EXPECT_EQ(host->Fold(uploads.updates).error().code, Code::kState);
  EXPECT_EQ(host->ReadPartial().error().code, Code::kState);
  EXPECT_EQ(host->Finish(std::vector<float>(kCount)).error().code, Code::kState);
  ASSERT_TRUE(host->BeginRound(Round()));
  const auto empty = host->Finish(std::vector<float>(kCount));
  EXPECT_EQ(empty.error().code, Code::kState);
  EXPECT_TRUE(empty.error().message.contains("found no update, wanted at least 1"))
      << empty.error().message;
  EXPECT_EQ(host->BeginRound(Round()).error().code, Code::kState) << "until its state is restored";
  ASSERT_TRUE(host->RestoreState({}));
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
}

TEST(AggregationHostTest, UpdatesOutOfBoundsAreRefusedBeforeAnythingIsFolded) {
  const auto host = Make(Entry("fedavg"));
  Uploads uploads = MakeUploads(kF32, 2);
  ASSERT_TRUE(host->BeginRound(Round()));
  for (const uint32_t weight : {0u, 1u << 29, 0xffffffffu}) {
    uploads.updates[1].meta.weight = weight;
    const auto folded = host->Fold(uploads.updates);
    ASSERT_FALSE(folded);
    EXPECT_EQ(folded.error().code, Code::kLimit);
    EXPECT_TRUE(folded.error().message.contains(StrCat("update 1 has weight ", weight)))
        << folded.error().message;
  }
  uploads.updates[1].meta.weight = 1;
  uploads.updates[1].encoded = uploads.updates[1].encoded.first(100);
  EXPECT_EQ(host->Fold(uploads.updates).error().code, Code::kData);
  EXPECT_EQ(host->folded(), 0u);
  uploads.updates.pop_back();
  EXPECT_TRUE(host->Fold(uploads.updates)) << "the round goes on";
}

TEST(AggregationHostTest, ARoundThatIsGivenUpLeavesNoTrace) {
  const Uploads uploads = MakeUploads(kF32);
  const std::vector<float> base(kCount, 0.25f);
  for (const char* id : {"fedavg", "fedavgm", "fedadam"}) {
    const auto calm = Make(Entry(id)), interrupted = Make(Entry(id));
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(interrupted->BeginRound(Round()));
      ASSERT_TRUE(interrupted->Fold(std::span(uploads.updates).first(3)));
      for (const auto& host : {calm.get(), interrupted.get()}) {
        ASSERT_TRUE(host->BeginRound(Round()));
        ASSERT_TRUE(host->Fold(uploads.updates));
      }
      EXPECT_EQ(*calm->Finish(base), *interrupted->Finish(base)) << id;
      EXPECT_EQ(*calm->SaveState(), *interrupted->SaveState()) << id;
    }
  }
}

TEST(AggregationHostTest, AStateSavedAfterEachRoundContinuesWithTheSameBits) {
  const Uploads uploads = MakeUploads({CodecKind::kInt8, 8});
  for (const char* id : {"fedavg", "fedavgm", "fedadam"}) {
    const char* config = id == std::string_view("fedadam") ? R"({"biasCorrection":true})" : "{}";
    const auto calm = Make(Entry(id), config);
    std::vector<float> model(kCount), restarted(kCount);
    Bytes state;
    for (int round = 0; round < 4; ++round) {
      const auto again = Make(Entry(id), config);
      const Status restored = again->RestoreState(state);
      ASSERT_TRUE(restored) << restored.error().message;
      const auto part = std::span(uploads.updates).subspan(static_cast<size_t>(round), 4);
      for (AggregationHost* host : {calm.get(), again.get()}) {
        ASSERT_TRUE(host->BeginRound(Round()));
        ASSERT_TRUE(host->Fold(part));
      }
      model = *calm->Finish(model);
      restarted = *again->Finish(restarted);
      EXPECT_EQ(model, restarted) << id << " round " << round;
      state = *again->SaveState();
      EXPECT_EQ(*calm->SaveState(), state) << id;
      EXPECT_EQ(state.empty(), (calm->caps() & LNT_CAP_STATE) == 0) << id;
    }
  }
}

TEST(AggregationHostTest, StatesThatDoNotFitAreRefused) {
  const auto momentum = Make(Entry("fedavgm")), adam = Make(Entry("fedadam")),
             plain = Make(Entry("fedavg"));
  const Bytes good = *momentum->SaveState();
  Bytes newer = good, cut = good, nan = good;
  newer[4] = 7;
  cut.pop_back();
  StoreLE(nan.data() + nan.size() - 8, std::nan(""));
  EXPECT_EQ(momentum->RestoreState(newer).error().code, Code::kVersion);
  EXPECT_TRUE(momentum->RestoreState(newer).error().message.contains(
      "found a state of version 7, wanted 1"));
  EXPECT_EQ(momentum->RestoreState(cut).error().code, Code::kData);
  EXPECT_EQ(momentum->RestoreState(nan).error().code, Code::kData);
  EXPECT_EQ(momentum->RestoreState(*adam->SaveState()).error().code, Code::kData);
  EXPECT_EQ(momentum->BeginRound(Round()).error().code, Code::kState) << "nothing was restored";
  EXPECT_TRUE(momentum->RestoreState(good));
  EXPECT_FALSE(plain->RestoreState(good)) << "fedavg has no state";
}

// ---- A strategy that misbehaves

lnt_plugin g_table;
float g_value = 0;
std::string g_metrics = "{}";
lnt_status g_chunk = LNT_OK, g_end = LNT_OK, g_finalize = LNT_OK;
uint32_t g_caps = LNT_CAP_EXACT | LNT_CAP_MERGE, g_modes = LNT_MODE_STREAM;
std::string g_client, g_error;
uint64_t g_blob = 0;
std::vector<float> g_base;

PluginEntry Misbehaving() {
  g_table = {};
  g_table.struct_size = sizeof(lnt_plugin);
  g_table.abi_version = LNT_ABI_VERSION;
  g_table.count = [] { return 1u; };
  g_table.describe = [](uint32_t, void* json, uint32_t cap, uint32_t* len) {
    const std::string text = R"({"id":"bad","version":"1","licence":"MIT"})";
    return lnt_answer(text.data(), static_cast<uint32_t>(text.size()), json, cap, len);
  };
  g_table.create = [](uint32_t, const void*, uint32_t, lnt_handle* out, lnt_caps* caps) {
    *out = 5;
    caps->caps = g_caps;
    caps->modes = g_modes;
    return lnt_status{LNT_OK};
  };
  g_table.destroy = [](lnt_handle) {};
  g_table.set_layout = [](lnt_handle, const lnt_tensor*, uint32_t, const char*, uint32_t) {
    return lnt_status{LNT_OK};
  };
  g_table.round_begin = [](lnt_handle, const lnt_round*, uint32_t) { return lnt_status{LNT_OK}; };
  g_table.base_chunk = [](lnt_handle, uint32_t, uint64_t, const void* base, uint32_t count) {
    const float* x = static_cast<const float*>(base);
    g_base.insert(g_base.end(), x, x + count);
    return lnt_status{LNT_OK};
  };
  g_table.updates_begin = [](lnt_handle, const lnt_update*, uint32_t, uint32_t) {
    return lnt_status{LNT_OK};
  };
  g_table.updates_chunk = [](lnt_handle, uint32_t, uint64_t, const void*, uint32_t, uint32_t) {
    return g_chunk;
  };
  g_table.updates_end = [](lnt_handle) { return g_end; };
  g_table.finalize = [](lnt_handle) { return g_finalize; };
  g_table.result_chunk = [](lnt_handle, uint32_t tensor, uint64_t, const void*, void* out,
                            uint32_t n) {
    for (uint32_t i = 0; i < n; ++i)
      static_cast<float*>(out)[i] = tensor == 3 && i == 7 ? g_value : 1.0f;
    return lnt_status{LNT_OK};
  };
  g_table.round_end = [](lnt_handle, void* json, uint32_t cap, uint32_t* len) {
    return lnt_answer(g_metrics.data(), static_cast<uint32_t>(g_metrics.size()), json, cap, len);
  };
  g_table.blob_size = [](lnt_handle, uint32_t kind, uint64_t* size) {
    *size = kind == LNT_BLOB_CLIENT ? g_client.size() : g_blob;
    return lnt_status{LNT_OK};
  };
  g_table.blob_read = [](lnt_handle, uint32_t, uint64_t off, void* to, uint32_t len) {
    std::memcpy(to, g_client.data() + off, len);
    return lnt_status{LNT_OK};
  };
  g_table.last_error = [](lnt_handle, char* text, uint32_t cap, uint32_t* len) {
    return lnt_answer(g_error.data(), static_cast<uint32_t>(g_error.size()), text, cap, len);
  };
  g_value = 0;
  g_metrics = "{}";
  g_chunk = g_end = g_finalize = LNT_OK;
  g_caps = LNT_CAP_EXACT | LNT_CAP_MERGE;
  g_modes = LNT_MODE_STREAM;
  g_client.clear();
  g_error = "its own words\n\x01";
  g_blob = 0;
  g_base.clear();
  PluginTable table;
  EXPECT_TRUE(table.Add([](const lnt_host*) -> const lnt_plugin* { return &g_table; }, "bad.so"));
  return table.entries()[0];
}

TEST(MisbehavingStrategyTest, OnlyExactStreamsAreTaken) {
  for (const auto& [modes, caps] :
       {std::pair{uint32_t{LNT_MODE_BLOCK}, uint32_t{LNT_CAP_EXACT}},
        std::pair{uint32_t{LNT_MODE_STREAM}, uint32_t{LNT_CAP_MERGE}}}) {
    const PluginEntry plugin = Misbehaving();
    g_modes = modes;
    g_caps = caps;
    const auto host = AggregationHost::Create(plugin, Json(), Params(), BestKernels());
    ASSERT_FALSE(host);
    EXPECT_EQ(host.error().code, Code::kUnsupported);
  }
}

TEST(MisbehavingStrategyTest, ValuesThatAreNotFiniteStopAtTheGate) {
  for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    const auto host = Make(Misbehaving());
    ASSERT_TRUE(host->BeginRound(Round()));
    g_value = value;
    const auto result = host->Finish(std::vector<float>(kCount));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kInternal);
    EXPECT_TRUE(result.error().message.contains("not finite in tensor c"))
        << result.error().message;
    ASSERT_TRUE(host->RestoreState({}));
    ASSERT_TRUE(host->BeginRound(Round()));
    g_value = 2;
    EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
  }
}

TEST(MisbehavingStrategyTest, OnlyFiniteNumbersAreMetrics) {
  for (const char* metrics :
       {"{\"a\":\"<script>\"}", "[1]", "{\"a\":{\"b\":1}}", "{\"a\":null}", "nonsense", ""}) {
    const auto host = Make(Misbehaving());
    ASSERT_TRUE(host->BeginRound(Round()));
    g_metrics = metrics;
    EXPECT_FALSE(host->Finish(std::vector<float>(kCount))) << metrics;
  }
  const auto host = Make(Misbehaving());
  ASSERT_TRUE(host->BeginRound(Round()));
  g_metrics = "{\"a\":" + std::string(70000, '1') + "}";
  EXPECT_EQ(host->Finish(std::vector<float>(kCount)).error().code, Code::kLimit);
}

TEST(MisbehavingStrategyTest, ErrorsCarryItsWordsAndEndTheRound) {
  const struct {
    lnt_status status;
    Code code;
  } rows[] = {{LNT_E_DATA, Code::kData},         {LNT_E_NOMEM, Code::kLimit},
              {LNT_E_STATE, Code::kState},       {LNT_E_CANCELLED, Code::kUnavailable},
              {LNT_E_INTERNAL, Code::kInternal}, {-12345, Code::kInternal}};
  const Uploads uploads = MakeUploads(kF32, 1);
  for (const auto& row : rows) {
    const auto host = Make(Misbehaving());
    ASSERT_TRUE(host->BeginRound(Round()));
    g_chunk = row.status;
    const auto folded = host->Fold(uploads.updates);
    ASSERT_FALSE(folded);
    EXPECT_EQ(folded.error().code, row.code);
    EXPECT_EQ(folded.error().message, "strategy bad: updates_chunk: its own words  ");
    EXPECT_EQ(host->Fold(uploads.updates).error().code, Code::kState);
    EXPECT_EQ(host->Finish(std::vector<float>(kCount)).error().code, Code::kState);
  }
  const auto host = Make(Misbehaving());
  g_error = "";
  g_table.last_error = nullptr;
  ASSERT_TRUE(host->BeginRound(Round()));
  g_chunk = LNT_E_DATA;
  EXPECT_EQ(host->Fold(uploads.updates).error().message, "strategy bad: updates_chunk: status -7");
}

TEST(MisbehavingStrategyTest, AFullBufferStopsTheFold) {
  const Uploads uploads = MakeUploads(kF32, 3);
  const PluginEntry plugin = Misbehaving();
  g_caps |= LNT_CAP_ASYNC;
  const auto host = Make(plugin);
  ASSERT_TRUE(host->BeginRound(Round()));
  g_end = LNT_FLUSH;
  EXPECT_EQ(*host->Fold(uploads.updates), 1u);
  EXPECT_EQ(*host->Fold(uploads.updates), 0u) << "Finish is due";
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
  ASSERT_TRUE(host->BeginRound(Round()));
  g_end = LNT_OK;
  EXPECT_EQ(*host->Fold(uploads.updates), 3u);
}

TEST(MisbehavingStrategyTest, BlobsLargerThanAnyStateAreRefusedBeforeTheyAreRead) {
  const auto host = Make(Misbehaving());
  g_blob = ~uint64_t{0};
  ASSERT_TRUE(host->BeginRound(Round()));
  const auto partial = host->ReadPartial();
  ASSERT_FALSE(partial);
  EXPECT_EQ(partial.error().code, Code::kLimit);
}

TEST(MisbehavingStrategyTest, SettingsForParticipantsFollowTheHostsSchema) {
  const auto host = Make(Misbehaving());
  EXPECT_EQ(host->ClientSettings()->Dump(), "{}");
  g_client = R"({"client":"prox","mu":0.01})";
  EXPECT_EQ(host->ClientSettings()->Find("mu")->as_double(), 0.01);
  for (const char* bad : {R"({"client":"evil"})", R"({"clipNorm":0})", R"({"mu":-1})", "7", "{"}) {
    g_client = bad;
    EXPECT_FALSE(host->ClientSettings()) << bad;
  }
}

TEST(MisbehavingStrategyTest, TheBaseIsShownToThoseWhoNeedIt) {
  const PluginEntry plugin = Misbehaving();
  g_caps |= LNT_NEED_BASE;
  const auto host = Make(plugin);
  EXPECT_EQ(host->BeginRound(Round()).error().code, Code::kInvalid) << "no base";
  g_base.clear();
  std::vector<float> base(kCount);
  for (size_t i = 0; i < kCount; ++i) base[i] = static_cast<float>(i);
  ASSERT_TRUE(host->BeginRound(Round(), base));
  EXPECT_EQ(g_base, base);
}

TEST(MisbehavingStrategyTest, OptionalMembersMayBeMissing) {
  const PluginEntry plugin = Misbehaving();
  g_table.finalize = nullptr;
  g_table.round_end = nullptr;
  g_table.blob_size = nullptr;
  g_table.blob_read = nullptr;
  g_table.blob_write = nullptr;
  g_table.last_error = nullptr;
  g_table.base_chunk = nullptr;
  const auto host = Make(plugin);
  ASSERT_TRUE(host->BeginRound(Round()));
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
  EXPECT_EQ(host->metrics().Dump(), "{}");
  EXPECT_EQ(*host->SaveState(), Bytes{});
  EXPECT_EQ(*host->ClientSettings(), Json(Json::Object{}));
  EXPECT_FALSE(host->RestoreState(Bytes(8)));
}

}  // namespace
}  // namespace linnet::testing
