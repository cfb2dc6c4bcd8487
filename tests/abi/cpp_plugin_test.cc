// plugin.hpp: a class becomes a table, and nothing it throws gets out.
#define LNT_STATIC cpp_plugin_test
#include "abi/harness.h"
#include "linnet/plugin.hpp"

namespace {

using linnet::plugin::Config;
using linnet::plugin::Rows;
using linnet::plugin::Strategy;

class Throwing : public Strategy {
 public:
  static constexpr uint32_t kModes = LNT_MODE_STREAM, kCaps = LNT_CAP_EXACT;
  static const char* Describe() {
    return R"({"id":"throwing","version":"1","licence":"MIT","config":{"type":"object","properties":{)"
           R"("what":{"type":"string","default":"none"}}}})";
  }
  explicit Throwing(const Config& config) : what_(config.String("what", "none")) {
    if (what_ == "constructor")
      throw linnet::plugin::Error(LNT_E_CONFIG, "the constructor says no");
    if (what_ == "fail") Fail(LNT_E_CONFIG, "it fails without an exception");
  }
  lnt_status RoundBegin(const lnt_round&) override {
    if (what_ == "error") throw linnet::plugin::Error(LNT_E_DATA, "an error of ours");
    if (what_ == "memory") throw std::bad_alloc();
    if (what_ == "standard") throw std::out_of_range("a standard exception");
    if (what_ == "int") throw 7;
    return LNT_OK;
  }
  lnt_status UpdatesBegin(const std::vector<lnt_update>&) override { return LNT_OK; }
  lnt_status UpdatesChunk(uint32_t, uint64_t, const Rows&) override { return LNT_OK; }
  lnt_status UpdatesEnd() override { return LNT_OK; }
  lnt_status ResultChunk(uint32_t, uint64_t, const void* base, void* out, uint32_t n) override {
    std::memcpy(out, base, n * sizeof(float));
    return LNT_OK;
  }

 private:
  std::string what_;
};

class Second : public Throwing {
 public:
  static const char* Describe() { return R"({"id":"second","version":"1","licence":"MIT"})"; }
  using Throwing::Throwing;
};

}  // namespace

LINNET_PLUGIN(Throwing, Second)

namespace linnet::testing {
namespace {

TEST(CppPluginTest, OneModuleOffersSeveralStrategies) {
  PluginTable table;
  const Status status = table.Add(&linnet_plugin_v1_cpp_plugin_test, "test");
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(table.entries().size(), 2u);
  EXPECT_EQ(table.entries()[1].id, "second");
  EXPECT_EQ(table.entries()[1].index, 1u);
}

TEST(CppPluginTest, MembersThatAreNotOverriddenAreNotOffered) {
  const lnt_plugin* table = linnet_plugin_v1_cpp_plugin_test(&PluginHost());
  EXPECT_TRUE(LNT_HAS(table, updates_chunk));
  EXPECT_FALSE(LNT_HAS(table, base_chunk));
  EXPECT_FALSE(LNT_HAS(table, pass_begin));
  EXPECT_FALSE(LNT_HAS(table, blob_size));
  EXPECT_FALSE(LNT_HAS(table, blob_write));
}

TEST(CppPluginTest, ExceptionsStopAtTheBoundary) {
  const lnt_plugin* table = linnet_plugin_v1_cpp_plugin_test(&PluginHost());
  const struct {
    const char* what;
    lnt_status status;
    const char* message;
  } rows[] = {
      {"none", LNT_OK, ""},
      {"error", LNT_E_DATA, "an error of ours"},
      {"memory", LNT_E_NOMEM, "out of memory"},
      {"standard", LNT_E_INTERNAL, "a standard exception"},
      {"int", LNT_E_INTERNAL, "an exception of an unknown type"},
  };
  for (const auto& row : rows) {
    Instance instance(table, StrCat(R"({"what":")", row.what, "\"}"), {4});
    EXPECT_EQ(instance.TryBegin(-20), row.status) << row.what;
    EXPECT_EQ(instance.LastError(), row.message);
  }
}

TEST(CppPluginTest, AConstructorThatFailsMakesNoInstance) {
  const lnt_plugin* table = linnet_plugin_v1_cpp_plugin_test(&PluginHost());
  for (const auto& [what, message] : {std::pair{"constructor", "the constructor says no"},
                                      std::pair{"fail", "it fails without an exception"}}) {
    const std::string config = StrCat(R"({"what":")", what, "\"}");
    lnt_caps caps{};
    caps.struct_size = sizeof(caps);
    lnt_handle handle = 77;
    EXPECT_EQ(table->create(0, config.data(), static_cast<uint32_t>(config.size()), &handle, &caps),
              LNT_E_CONFIG);
    EXPECT_EQ(handle, 77u);
    char text[100];
    uint32_t size = 0;
    table->last_error(0, text, sizeof(text), &size);
    EXPECT_EQ(std::string(text, size), message);
  }
}

TEST(CppPluginTest, InstancesRunOutAndComeBack) {
  const lnt_plugin* table = linnet_plugin_v1_cpp_plugin_test(&PluginHost());
  lnt_caps caps{};
  caps.struct_size = sizeof(caps);
  std::vector<lnt_handle> handles;
  lnt_handle handle = 0;
  while (table->create(0, "{}", 2, &handle, &caps) == LNT_OK) {
    handles.push_back(handle);
    ASSERT_LE(handles.size(), 4096u);
  }
  EXPECT_EQ(handles.size(), 4096u);
  std::vector<lnt_handle> unique = handles;
  std::sort(unique.begin(), unique.end());
  EXPECT_EQ(std::unique(unique.begin(), unique.end()), unique.end());
  for (const lnt_handle h : handles) table->destroy(h);
  ASSERT_EQ(table->create(0, "{}", 2, &handle, &caps), LNT_OK);
  EXPECT_EQ(table->finalize(handles[0]), LNT_E_INVALID) << "an old handle";
  EXPECT_EQ(table->finalize(handle), LNT_OK);
  table->destroy(handle);
}

}  // namespace
}  // namespace linnet::testing
