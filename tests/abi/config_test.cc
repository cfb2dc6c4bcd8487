// Configuration of strategies against their schemas, and the readers of plugin.h.
#include <cmath>

#include "abi/harness.h"
#include "fed/plugin_config.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

Result<std::unique_ptr<AggregationHost>> Make(std::string_view strategy, std::string_view config) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    EXPECT_TRUE(table.Add(plugin.entry, "built in"));
  const std::vector<ParamInfo> params = {{"w", {4}, 0, 4}};
  return AggregationHost::Create(**table.Find(strategy), *Json::Parse(config), params,
                                 BestKernels());
}

TEST(ConfigTest, BadSettingsAreNamedWithFieldValueAndRange) {
  const struct {
    const char* strategy;
    const char* config;
    const char* message;
  } rows[] = {
      {"fedavg", R"({"momentum":0.9})",
       "strategy.config.momentum is not known: there are no settings"},
      {"fedavg", R"([1])", "strategy.config is [1], wanted an object"},
      {"fedavgm", R"({"momentun":0.9})",
       "strategy.config.momentun is not known, did you mean \"momentum\"?"},
      {"fedavgm", R"({"momentum":1})",
       "strategy.config.momentum is 1, wanted a number from 0 to 0.9999"},
      {"fedavgm", R"({"momentum":-0.1})",
       "strategy.config.momentum is -0.1, wanted a number from 0 to 0.9999"},
      {"fedavgm", R"({"momentum":"0.9"})",
       "strategy.config.momentum is \"0.9\", wanted a number from 0 to 0.9999"},
      {"fedavgm", R"({"momentum":null})", "strategy.config.momentum is null, wanted a number"},
      {"fedavgm", R"({"serverLearningRate":1e9})", "wanted a number from 0 to 1000"},
      {"fedadam", R"({"biasCorrection":1})",
       "strategy.config.biasCorrection is 1, wanted a boolean"},
      {"fedadam", R"({"tau":0})", "strategy.config.tau is 0, wanted a number from 1e-12 to 1000"},
      {"fedadam", R"({"beta2":1.5})",
       "strategy.config.beta2 is 1.5, wanted a number from 0 to 0.999999"},
  };
  for (const auto& row : rows) {
    const auto host = Make(row.strategy, row.config);
    ASSERT_FALSE(host) << row.config;
    EXPECT_EQ(host.error().code, Code::kInvalid) << row.config;
    EXPECT_TRUE(host.error().message.contains(row.message)) << host.error().message;
  }
}

TEST(ConfigTest, DefaultsAreFilledInAndTheTextIsCanonical) {
  EXPECT_EQ((*Make("fedavg", "{}"))->config().Dump(), "{}");
  EXPECT_EQ((*Make("fedavg", "null"))->config().Dump(), "{}");
  const std::string one = (*Make("fedadam", R"({"tau":0.5,"beta1":0})"))->config().Dump();
  EXPECT_EQ(
      one,
      (*Make("fedadam", R"({"beta1":0.0,"serverLearningRate":0.1,"tau":0.5})"))->config().Dump());
  EXPECT_TRUE(one.starts_with("{\"beta1\":")) << one;
  EXPECT_TRUE(one.contains("\"biasCorrection\":false")) << one;
}

TEST(ConfigTest, SchemasOfEveryKindAreChecked) {
  const Json schema = *Json::Parse(R"({"type":"object","required":["mode","n"],"properties":{
    "mode":{"type":"string","enum":["fast","exact"]},
    "n":{"type":"integer","minimum":1},
    "most":{"type":"number","maximum":2},
    "list":{"type":"array","items":{"type":"integer","minimum":0,"maximum":9}},
    "inner":{"type":"object","properties":{"on":{"type":"boolean","default":true}}}}})");
  const struct {
    const char* value;
    const char* message;  // nullptr: accepted
  } rows[] = {
      {R"({"mode":"fast","n":3})", nullptr},
      {R"({"mode":"fast","n":3.0,"list":[1,9],"inner":{}})", nullptr},
      {R"({"n":3})", "c.mode is missing, wanted one of \"fast\", \"exact\""},
      {R"({"mode":"fats","n":3})", "c.mode is \"fats\", wanted one of \"fast\", \"exact\""},
      {R"({"mode":"fast"})", "c.n is missing, wanted an integer of at least 1"},
      {R"({"mode":"fast","n":3.5})", "c.n is 3.5, wanted an integer of at least 1"},
      {R"({"mode":"fast","n":0})", "c.n is 0, wanted an integer of at least 1"},
      {R"({"mode":"fast","n":1,"most":3})", "c.most is 3, wanted a number of at most 2"},
      {R"({"mode":"fast","n":1,"list":[1,10]})", "c.list[1] is 10, wanted an integer from 0 to 9"},
      {R"({"mode":"fast","n":1,"list":1})", "c.list is 1, wanted an array"},
      {R"({"mode":"fast","n":1,"inner":{"no":1}})",
       "c.inner.no is not known, did you mean \"on\"?"},
  };
  for (const auto& row : rows) {
    const auto checked = CheckConfig(schema, *Json::Parse(row.value), "c");
    ASSERT_EQ(checked.has_value(), row.message == nullptr) << row.value;
    if (!checked) {
      EXPECT_TRUE(checked.error().message.contains(row.message)) << checked.error().message;
    }
  }
  EXPECT_EQ(CheckConfig(schema, *Json::Parse(R"({"n":1,"mode":"fast","inner":{}})"), "c")->Dump(),
            R"({"inner":{"on":true},"mode":"fast","n":1})");
}

TEST(ConfigTest, NumbersOfTheHeaderAreReadToTheNearestDouble) {
  const struct {
    const char* text;
    double value;
    uint32_t read;
  } rows[] = {
      {"0", 0, 1},          {"-0", -0.0, 2},       {"1", 1, 1},
      {"0.1", 0.1, 3},      {"-12.5", -12.5, 5},   {"1e-12", 1e-12, 5},
      {"1e22", 1e22, 4},    {"0.9999", 0.9999, 6}, {"123456789012345", 123456789012345., 15},
      {"2.5E+3,", 2500, 6}, {"1.0}", 1, 3},        {"1e400", HUGE_VAL, 5},
      {"1e-400", 0, 6},     {"0.001", 0.001, 5},   {"9007199254740993", 9007199254740992., 16},
  };
  for (const auto& row : rows) {
    double value = -7;
    EXPECT_EQ(lnt_parse_number(row.text, static_cast<uint32_t>(std::strlen(row.text)), &value),
              row.read)
        << row.text;
    EXPECT_EQ(value, row.value) << row.text;
    EXPECT_EQ(std::signbit(value), std::signbit(row.value)) << row.text;
  }
  for (const char* bad : {"", "-", ".", "x", "e5"}) {
    double value = -7;
    EXPECT_EQ(lnt_parse_number(bad, static_cast<uint32_t>(std::strlen(bad)), &value), 0u) << bad;
    EXPECT_EQ(value, -7);
  }
  // Long texts: within two units in the last place.
  for (const double wanted : {0.1 + 0.2, 1.0 / 3, 1.7976931348623157e308, 6.02214076e23, 5e-300}) {
    char text[64];
    snprintf(text, sizeof(text), "%.17g", wanted);
    double value = 0;
    EXPECT_EQ(lnt_parse_number(text, static_cast<uint32_t>(std::strlen(text)), &value),
              std::strlen(text));
    EXPECT_NEAR(value, wanted, std::fabs(wanted) * 6e-16) << text;
  }
}

TEST(ConfigTest, MembersAreFoundByTheirWholeNameAtTheTop) {
  const std::string json =
      R"({"a":1,"ab":2,"s":"x\"a\":9","o":{"deep":5,"a":6},"l":[{"a":7}],"t":true,"f":false,"last":-3})";
  const uint32_t n = static_cast<uint32_t>(json.size());
  double value = 0;
  EXPECT_TRUE(lnt_json_number(json.data(), n, "a", &value));
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(lnt_json_number(json.data(), n, "ab", &value));
  EXPECT_EQ(value, 2);
  EXPECT_TRUE(lnt_json_number(json.data(), n, "last", &value));
  EXPECT_EQ(value, -3);
  EXPECT_FALSE(lnt_json_number(json.data(), n, "deep", &value)) << "not at the top";
  EXPECT_FALSE(lnt_json_number(json.data(), n, "b", &value));
  EXPECT_FALSE(lnt_json_number(json.data(), n, "s", &value)) << "a string";
  int flag = -1;
  EXPECT_TRUE(lnt_json_bool(json.data(), n, "t", &flag));
  EXPECT_EQ(flag, 1);
  EXPECT_TRUE(lnt_json_bool(json.data(), n, "f", &flag));
  EXPECT_EQ(flag, 0);
  EXPECT_FALSE(lnt_json_bool(json.data(), n, "a", &flag));
  const char* text = nullptr;
  uint32_t size = 0;
  ASSERT_TRUE(lnt_json_string(json.data(), n, "s", &text, &size));
  EXPECT_EQ(std::string(text, size), R"(x\"a\":9)");
  // Cut anywhere, nothing is read past the end.
  for (uint32_t cut = 0; cut < n; ++cut) {
    const std::vector<char> part(json.begin(), json.begin() + cut);
    lnt_json_number(part.data(), cut, "last", &value);
    lnt_json_string(part.data(), cut, "s", &text, &size);
  }
}

}  // namespace
}  // namespace linnet::testing
