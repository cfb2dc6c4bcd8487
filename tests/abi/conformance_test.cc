// Every strategy of ours keeps the ABI, and the kit sees when one does not.
#include "abi/federation.h"

namespace linnet::testing {
namespace {

using conformance::Row;
using conformance::Subject;

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) names.push_back(plugin.name);
  return names;
}
Subject SubjectOf(const PluginEntry& entry) {
  Subject subject{entry.table, entry.index, Canonical(entry, "{}")};
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    if (entry.id == plugin.name) subject.entry = plugin.entry;
  }
  subject.host = &PluginHost();
  return subject;
}

class ConformanceTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(BuiltIn, ConformanceTest, ::testing::ValuesIn(Names()),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(ConformanceTest, TheKitPasses) {
  const auto rows = conformance::RunKit(SubjectOf(EntryOf(GetParam())));
  EXPECT_GE(rows.size(), 21u);
  size_t passed = 0;
  for (const Row& row : rows) {
    EXPECT_NE(row.outcome, Row::Outcome::kFailed) << row.name << ": " << row.detail;
    passed += row.outcome == Row::Outcome::kPassed ? 1 : 0;
  }
  EXPECT_GE(passed, 14u);
}

// The same digests in every build: native, WASM, with and without the host's kernels.
TEST_P(ConformanceTest, TheTraceHasTheGoldenBits) {
  std::ifstream file(std::string(LINNET_SOURCE_DIR) + "/tests/abi/traces.json");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto golden = Json::Parse(text);
  ASSERT_TRUE(golden) << "tests/abi/traces.json";
  std::string error;
  const std::string found =
      conformance::Digest(conformance::Trace(SubjectOf(EntryOf(GetParam())), error));
  EXPECT_EQ(error, "");
  const Json* wanted = golden->Find(GetParam());
  ASSERT_NE(wanted, nullptr) << found;
  EXPECT_EQ(found, wanted->as_string()) << GetParam();
}

// ---- Negative controls: the built-in fedavg with one thing broken.

const lnt_plugin* g_real = nullptr;
lnt_plugin g_broken;
std::vector<lnt_handle> g_kept;  // never destroyed by the broken one

const struct {
  const char *name, *rule;
  void (*break_it)();
} kBroken[] = {
    {"Chunks", "windows of 1, 7, 4096 and all elements",
     [] {
       g_broken.result_chunk = [](lnt_handle h, uint32_t t, uint64_t off, const void* base,
                                  void* out, uint32_t n) {
         const lnt_status status = g_real->result_chunk(h, t, off, base, out, n);
         if (n > 1000) static_cast<float*>(out)[n - 1] += 1;
         return status;
       };
     }},
    {"Order", "updates in any order",
     [] {
       static uint64_t last = 0;
       g_broken.updates_begin = [](lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n) {
         last = u->ordinal;
         return g_real->updates_begin(h, u, size, n);
       };
       g_broken.result_chunk = [](lnt_handle h, uint32_t t, uint64_t off, const void* base,
                                  void* out, uint32_t n) {
         const lnt_status status = g_real->result_chunk(h, t, off, base, out, n);
         static_cast<float*>(out)[0] += static_cast<float>(last);
         return status;
       };
     }},
    {"Merge", "partials merge in any order and tree",
     [] {
       g_broken.blob_write = [](lnt_handle, uint32_t, uint64_t, uint64_t, const void*, uint32_t) {
         return lnt_status{LNT_OK};
       };
     }},
    {"Values", "NaN, infinity and huge values",
     [] {
       g_broken.result_chunk = [](lnt_handle h, uint32_t t, uint64_t off, const void* base,
                                  void* out, uint32_t n) {
         if (g_real->result_chunk(h, t, off, base, out, n) < 0)
           static_cast<float*>(out)[0] = std::nanf("");
         return lnt_status{LNT_OK};
       };
     }},
    {"Handles", "forged and old handles",
     [] {
       g_broken.round_begin = [](lnt_handle h, const lnt_round* r, uint32_t size) {
         const lnt_status status = g_real->round_begin(h, r, size);
         return status == LNT_E_INVALID ? lnt_status{LNT_OK} : status;
       };
     }},
    {"Leaks", "instances and memory are given back",
     [] { g_broken.destroy = [](lnt_handle h) { g_kept.push_back(h); }; }},
    {"Metrics", "metrics are finite numbers",
     [] {
       g_broken.round_end = [](lnt_handle, void* json, uint32_t cap, uint32_t* len) {
         return lnt_answer("{\"a\":\"<b>\"}", 11, json, cap, len);
       };
     }},
    {"Describe", "describe answers in pieces of any size",
     [] {
       g_broken.describe = [](uint32_t i, void* json, uint32_t cap, uint32_t* len) {
         const lnt_status status = g_real->describe(i, json, cap, len);
         *len = std::min(*len, cap);
         return status;
       };
     }},
    {"OlderHost", "structs of an older host",
     [] {
       g_broken.create = [](uint32_t i, const void* json, uint32_t len, lnt_handle* out,
                            lnt_caps* caps) {
         caps->struct_size = sizeof(lnt_caps);
         return g_real->create(i, json, len, out, caps);
       };
     }},
};

TEST(ConformanceKitTest, SeesWhatIsBroken) {
  const PluginEntry entry = EntryOf("fedavg");
  for (const auto& broken : kBroken) {
    g_real = entry.table;
    g_broken = *entry.table;
    broken.break_it();
    Subject subject{&g_broken, 0, "{}"};
    bool seen = false;
    for (const Row& row : conformance::RunKit(subject)) {
      if (row.name == broken.rule) seen = row.outcome == Row::Outcome::kFailed;
    }
    EXPECT_TRUE(seen) << broken.name;
  }
  for (const lnt_handle handle : g_kept) g_real->destroy(handle);
}

}  // namespace
}  // namespace linnet::testing
