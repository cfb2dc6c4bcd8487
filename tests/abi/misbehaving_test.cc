// The aggregation host in front of a strategy that misbehaves.
#include <cmath>

#include "abi/host.h"

namespace linnet::testing {
namespace {

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
  EXPECT_EQ(host->ClientSettings()->Dump(), R"({"client":"sgd"})");
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
  EXPECT_EQ(host->ClientSettings()->Dump(), R"({"client":"sgd"})");
  EXPECT_FALSE(host->RestoreState(Bytes(8)));
}

}  // namespace
}  // namespace linnet::testing
