#include "base/json.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/nearest.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

TEST(JsonTest, WhatIsNotJsonIsRefusedWithLineAndColumn) {
  struct Row {
    const char* name;
    std::string text;
    const char* place;
    const char* words;
  };
  const Row rows[] = {
      {.name = "empty", .text = "", .place = "line 1, column 1: ", .words = "end of input"},
      {.name = "no colon", .text = "{\"a\" 1}", .place = "line 1, ", .words = "expected ':'"},
      {.name = "trailing comma",
       .text = "[1,\n2,\n]",
       .place = "line 3, column 1: ",
       .words = "']'"},
      {.name = "more text",
       .text = "{}\n{}",
       .place = "line 2, column 1: ",
       .words = "end of input"},
      {.name = "comment", .text = "// x\n1", .place = "line 1, ", .words = "invalid literal"},
      {.name = "unknown word", .text = "{\"k\":\n  tru}", .place = "line 2, ", .words = "literal"},
      {.name = "duplicate key",
       .text = "{\"a\": 1,\n \"b\": {\"a\": 2},\n \"a\": 3}",
       .place = "line 3, column 4: ",
       .words = "the key \"a\" was given before"},
      {.name = "huge number", .text = "[1e999]", .place = "line 1, ", .words = "number overflow"},
      {.name = "half a character", .text = "\"\xc3\"", .place = "line 1, ", .words = "UTF-8"},
      {.name = "lone surrogate", .text = "\"\\ud800\"", .place = "line 1, ", .words = "surrogate"},
      {.name = "NaN", .text = "NaN", .place = "line 1, ", .words = "invalid literal"},
      {.name = "zero byte",
       .text = std::string("{}\0", 3),
       .place = "line 1, column 3: ",
       .words = "zero byte"},
      {.name = "open array", .text = "[", .place = "line 1, ", .words = "end of input"},
      {.name = "deep",
       .text = std::string(65, '['),
       .place = "line 1, column 65: ",
       .words = "more than 64 levels"},
      {.name = "long",
       .text = std::string((1 << 20) + 1, ' '),
       .place = "line 1, ",
       .words = "1048577 bytes of JSON, at most 1048576"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto json = Json::Parse(row.text);
    ASSERT_FALSE(json);
    EXPECT_EQ(json.error().code, Code::kInvalid);
    EXPECT_TRUE(json.error().message.starts_with(row.place)) << json.error().message;
    EXPECT_NE(json.error().message.find(row.words), std::string::npos) << json.error().message;
    EXPECT_EQ(json.error().message.find('\n'), std::string::npos);
  }
}

TEST(JsonTest, SixtyFourLevelsAreRead) {
  const std::string text = std::string(64, '[') + std::string(64, ']');
  const auto json = Json::Parse(text);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->Dump(), text);
}

TEST(JsonTest, ManyKeysAreCheckedForDuplicatesInReasonableTime) {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += StrCat(i == 0 ? "" : ",", "\"", i, "\":1");
  const auto json = Json::Parse(text + "}");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->as_object().size(), 100000u);
  EXPECT_EQ(json->Dump(), text + "}");
  EXPECT_FALSE(Json::Parse(text + ",\"5\":1}"));
}

TEST(JsonTest, ValuesKeepTheirKindAndObjectsTheirOrder) {
  const auto json = Json::Parse(
      R"({"z": null, "a": [true, -7, 2.5, "t\u00e9\n"], "m": {"y": 1e2, "b": 9007199254740993}})");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->Dump(),
            R"({"z":null,"a":[true,-7,2.5,"té\n"],"m":{"y":100.0,"b":9007199254740993}})");
  EXPECT_TRUE(json->Find("z")->is_null());
  const Json::Array& array = json->Find("a")->as_array();
  EXPECT_TRUE(array[0].as_bool());
  EXPECT_EQ(array[1].as_int(), -7);
  EXPECT_EQ(array[1].as_double(), -7.0);
  EXPECT_FALSE(array[2].is_int());
  EXPECT_EQ(array[2].as_double(), 2.5);
  EXPECT_EQ(array[3].as_string(), "t\xc3\xa9\n");
  EXPECT_FALSE(json->Find("m")->Find("y")->is_int());
  EXPECT_EQ(json->Find("m")->Find("b")->as_int(), 9007199254740993);
  EXPECT_EQ(json->Find("absent"), nullptr);
  EXPECT_EQ(array[0].Find("a"), nullptr);
}

TEST(JsonTest, IntegersBeyondSixtyFourBitsBecomeDoubles) {
  EXPECT_EQ(Json::Parse("9223372036854775807")->as_int(), INT64_MAX);
  EXPECT_EQ(Json::Parse("-9223372036854775808")->as_int(), INT64_MIN);
  EXPECT_FALSE(Json::Parse("9223372036854775808")->is_int());
  EXPECT_EQ(Json::Parse("9223372036854775808")->as_double(), 0x1p63);
}

TEST(JsonTest, WhatJsonCannotSayIsWrittenAsWellAsItCan) {
  EXPECT_EQ(Json(std::nan("")).Dump(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).Dump(), "null");
  EXPECT_EQ(Json("a\xff").Dump(), "\"a\xef\xbf\xbd\"");
}

TEST(JsonTest, DoublesComeBackBitForBit) {
  for (const double value :
       {0.1, 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 1.0 / 3, 123456789.5}) {
    const auto back = Json::Parse(Json(value).Dump());
    ASSERT_TRUE(back);
    EXPECT_EQ(back->as_double(), value);
    EXPECT_EQ(std::signbit(back->as_double()), std::signbit(value));
  }
}

TEST(JsonTest, SetReplacesOrAppends) {
  Json json;
  json.Set("b", 1);
  json.Set("a", "x");
  json.Set("b", Json::Array{Json(true), Json()});
  EXPECT_EQ(json.Dump(), R"({"b":[true,null],"a":"x"})");
  EXPECT_EQ(json.Dump(2), "{\n  \"b\": [\n    true,\n    null\n  ],\n  \"a\": \"x\"\n}");
}

TEST(JsonTest, KindsHaveNamesForMessages) {
  EXPECT_EQ(Json().TypeName(), "null");
  EXPECT_EQ(Json(true).TypeName(), "a boolean");
  EXPECT_EQ(Json(1).TypeName(), "a number");
  EXPECT_EQ(Json(1.5).TypeName(), "a number");
  EXPECT_EQ(Json("").TypeName(), "a string");
  EXPECT_EQ(Json(Json::Array()).TypeName(), "an array");
  EXPECT_EQ(Json(Json::Object()).TypeName(), "an object");
}

TEST(NearestTest, AMistypedNameFindsTheOneThatWasMeant) {
  constexpr std::array<std::string_view, 4> kKnown = {"learningRate", "batchSize", "epochs",
                                                      "optimizer"};
  EXPECT_EQ(NearestName("learningrate", kKnown), "learningRate");
  EXPECT_EQ(NearestName("epcohs", kKnown), "epochs");
  EXPECT_EQ(NearestName("batch", kKnown), "batchSize");
  EXPECT_EQ(NearestName("optimiser", kKnown), "optimizer");
  EXPECT_EQ(NearestName(std::string(1000, 'x'), kKnown).empty(), false);
  EXPECT_EQ(NearestName("x", {}), "");
}

}  // namespace
}  // namespace linnet
