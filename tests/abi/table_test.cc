// What makes a module acceptable: the plugin table and its errors.
#include <functional>

#include "abi/harness.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

// A module under test: the built-in fedavg with something changed.
lnt_plugin g_table;
bool g_no_table = false;
std::string g_description;
uint32_t g_count = 1;

const lnt_plugin* Entry(const lnt_host* host) {
  return g_no_table || host->abi_version >> 16 != LNT_ABI_MAJOR ? nullptr : &g_table;
}
void Reset() {
  g_table = *BuiltinPlugins()[0].entry(&PluginHost());
  g_no_table = false;
  g_count = 1;
  g_description = R"({"id":"mine","version":"1","licence":"MIT"})";
  g_table.count = [] { return g_count; };
  g_table.describe = [](uint32_t, void* json, uint32_t cap, uint32_t* len) {
    return lnt_answer(g_description.data(), static_cast<uint32_t>(g_description.size()), json, cap,
                      len);
  };
}

TEST(PluginTableTest, UnacceptableModulesAreRefusedWithFoundAndWanted) {
  const struct {
    const char* name;
    std::function<void()> change;
    Code code;
    const char* message;
  } rows[] = {
      {"no table", [] { g_no_table = true; }, Code::kVersion, "does not understand plugin ABI 1.0"},
      {"another major", [] { g_table.abi_version = 2 << 16; }, Code::kVersion,
       "has plugin ABI 2.0, wanted 1.x"},
      {"a tiny table", [] { g_table.struct_size = 4; }, Code::kInvalid, "has 4 bytes"},
      {"a short table", [] { g_table.struct_size = offsetof(lnt_plugin, set_layout); },
       Code::kInvalid,
       "lacks set_layout, round_begin, result_chunk, updates_begin, updates_chunk, updates_end"},
      {"no count", [] { g_table.count = nullptr; }, Code::kInvalid, "lacks count"},
      {"no describe", [] { g_table.describe = nullptr; }, Code::kInvalid, "lacks describe"},
      {"no create", [] { g_table.create = nullptr; }, Code::kInvalid, "lacks create"},
      {"no destroy", [] { g_table.destroy = nullptr; }, Code::kInvalid, "lacks destroy"},
      {"no set_layout", [] { g_table.set_layout = nullptr; }, Code::kInvalid, "lacks set_layout"},
      {"no round_begin", [] { g_table.round_begin = nullptr; }, Code::kInvalid,
       "lacks round_begin"},
      {"no result_chunk", [] { g_table.result_chunk = nullptr; }, Code::kInvalid,
       "lacks result_chunk"},
      {"no updates_begin", [] { g_table.updates_begin = nullptr; }, Code::kInvalid,
       "lacks updates_begin"},
      {"no updates_chunk", [] { g_table.updates_chunk = nullptr; }, Code::kInvalid,
       "lacks updates_chunk"},
      {"no updates_end", [] { g_table.updates_end = nullptr; }, Code::kInvalid,
       "lacks updates_end"},
      {"no strategies", [] { g_count = 0; }, Code::kInvalid,
       "offers 0 strategies, wanted 1 to 256"},
      {"far too many", [] { g_count = 1u << 31; }, Code::kInvalid, "offers 2147483648 strategies"},
      {"the same twice", [] { g_count = 2; }, Code::kInvalid, "\"mine\", which is already there"},
      {"no JSON", [] { g_description = "{\"id\""; }, Code::kInvalid, "description of strategy 0"},
      {"no id", [] { g_description = R"({"version":"1","licence":"MIT"})"; }, Code::kInvalid,
       "lacks the string \"id\""},
      {"a number as version", [] { g_description = R"({"id":"a","version":1,"licence":"MIT"})"; },
       Code::kInvalid, "lacks the string \"version\""},
      {"no licence", [] { g_description = R"({"id":"a","version":"1"})"; }, Code::kInvalid,
       "lacks the string \"licence\""},
      {"a bad id", [] { g_description = R"({"id":"A/../b","version":"1","licence":"MIT"})"; },
       Code::kInvalid, "wanted lower-case letters"},
      {"a bad schema",
       [] { g_description = R"({"id":"a","version":"1","licence":"MIT","config":3})"; },
       Code::kInvalid, "wanted a JSON Schema"},
      {"a failing describe",
       [] {
         g_table.describe = [](uint32_t, void*, uint32_t, uint32_t*) {
           return lnt_status{LNT_E_INTERNAL};
         };
       },
       Code::kInternal, "answered -11"},
      {"a huge description",
       [] {
         g_table.describe = [](uint32_t, void*, uint32_t, uint32_t* len) {
           *len = 0xffffffff;
           return lnt_status{LNT_OK};
         };
       },
       Code::kLimit, "4294967295 bytes"},
  };
  for (const auto& row : rows) {
    Reset();
    row.change();
    PluginTable table;
    const Status status = table.Add(&Entry, "some/file.so");
    ASSERT_FALSE(status) << row.name;
    EXPECT_EQ(status.error().code, row.code) << row.name << ": " << status.error().message;
    EXPECT_TRUE(status.error().message.contains(row.message))
        << row.name << ": " << status.error().message;
    EXPECT_TRUE(status.error().message.starts_with("plugin some/file.so: "))
        << status.error().message;
    EXPECT_TRUE(table.entries().empty()) << row.name;
  }
}

TEST(PluginTableTest, DescriptionsLongerThanAPageAreReadWhole) {
  Reset();
  g_description = R"({"id":"long","version":"1","licence":"MIT","description":")" +
                  std::string(9000, 'x') + "\"}";
  PluginTable table;
  const Status status = table.Add(&Entry, "x");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(table.entries()[0].description.Find("description")->as_string().size(), 9000u);
}

TEST(PluginTableTest, BuiltInStrategiesAreFoundByName) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    const Status status = table.Add(plugin.entry, "built in");
    ASSERT_TRUE(status) << status.error().message;
  }
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    const auto entry = table.Find(plugin.name);
    ASSERT_TRUE(entry) << plugin.name;
    EXPECT_EQ((*entry)->origin, "built in");
  }
  EXPECT_FALSE(table.Add(BuiltinPlugins()[0].entry, "again")) << "its id is taken";
  EXPECT_EQ(table.entries().size(), BuiltinPlugins().size());
}

TEST(PluginTableTest, UnknownNamesAreAnsweredWithTheNearestAndAll) {
  PluginTable table;
  EXPECT_TRUE(table.Find("fedavg").error().message.contains("there are no strategies"));
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    ASSERT_TRUE(table.Add(plugin.entry, "built in"));
  const auto entry = table.Find("fedamad");
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, Code::kNotFound);
  const std::string& message = entry.error().message;
  EXPECT_TRUE(message.starts_with(
      "strategy \"fedamad\" is not known, did you mean \"fedadam\"? Known: fedavg, fedavgm, "))
      << message;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    EXPECT_TRUE(message.contains(StrCat(" ", plugin.name))) << plugin.name;
}

TEST(PluginTableTest, TheHostAnswersOnlyFromInsideACall) {
  const lnt_host& host = PluginHost();
  uint8_t bytes[64], again[16];
  EXPECT_EQ(host.random(host.ctx, 1, 0, bytes, 64), LNT_E_STATE);
  host.log(host.ctx, 1, "nobody hears this", 17);
  EXPECT_EQ(host.cancelled(host.ctx), 0);
  EXPECT_EQ(host.extension(host.ctx, "org.linnet.kernels/2", 20), nullptr);

  std::vector<std::string> lines;
  std::atomic<bool> cancelled = false;
  const PluginServices services = {
      [&](uint32_t, std::string_view line) { lines.emplace_back(line); }, &cancelled};
  const Seed seed = SeedFromInt(5), other = SeedFromInt(6);
  const PluginCall call(services, seed);
  ASSERT_EQ(host.random(host.ctx, 1, 0, bytes, 64), LNT_OK);
  ASSERT_EQ(host.random(host.ctx, 1, 40, again, 16), LNT_OK);
  EXPECT_EQ(std::memcmp(bytes + 40, again, 16), 0) << "a position in one stream";
  std::array<uint8_t, 64> wanted;
  ChaCha20Stream(seed, 1, 0, wanted);
  EXPECT_EQ(std::memcmp(bytes, wanted.data(), 64), 0);
  EXPECT_EQ(host.random(host.ctx, 1, ~uint64_t{0}, bytes, 64), LNT_E_INVALID);
  host.log(host.ctx, 1, "one\ntwo\x1b[2J", 11);
  host.log(host.ctx, 1, std::string(5000, 'x').c_str(), 5000);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "one two [2J");
  EXPECT_EQ(lines[1].size(), 1000u);
  cancelled = true;
  EXPECT_EQ(host.cancelled(host.ctx), 1);
  {
    const PluginServices none;
    const PluginCall inner(none, other);
    EXPECT_EQ(host.cancelled(host.ctx), 0);
  }
  EXPECT_EQ(host.cancelled(host.ctx), 1) << "calls nest";
}

TEST(PluginTableTest, HostKernelsHaveTheBitsOfPlainLoops) {
  const lnt_host& host = PluginHost();
  const auto* k = static_cast<const lnt_kernels_v1*>(
      host.extension(host.ctx, LNT_KERNELS_V1, sizeof(LNT_KERNELS_V1) - 1));
  ASSERT_NE(k, nullptr);
  Numbers numbers(3);
  for (const uint32_t n : {0u, 1u, 15u, 16u, 17u, 4096u, 9000u}) {
    std::vector<float> x(n), y(n), wanted(n);
    for (float& v : x) v = numbers.Value();
    for (float& v : y) v = numbers.Value();
    for (uint32_t i = 0; i < n; ++i) {
      const float product = 0.3f * x[i];
      wanted[i] = y[i] + product;
    }
    double dot = 0;
    for (uint32_t leaf = 0; leaf < n; leaf += 4096) {
      double lanes[16] = {};
      for (uint32_t i = leaf; i < std::min(leaf + 4096, n); ++i)
        lanes[(i - leaf) % 16] += double{x[i]} * y[i];
      for (int half = 8; half > 0; half /= 2) {
        for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
      }
      dot += lanes[0];
    }
    EXPECT_EQ(k->dot(k->ctx, x.data(), y.data(), n), dot) << n;
    k->axpy(k->ctx, 0.3f, x.data(), y.data(), n);
    EXPECT_EQ(y, wanted) << n;
  }
}

}  // namespace
}  // namespace linnet::testing
