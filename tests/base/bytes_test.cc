#include "base/bytes.h"

#include <cctype>
#include <limits>

#include "gtest/gtest.h"

namespace linnet {
namespace {

TEST(BytesTest, WhatIsNoHexadecimalTextIsRefusedNamingTheCharacter) {
  struct Row {
    const char* name;
    std::string text;
    const char* message;
  };
  const Row rows[] = {
      {.name = "odd length", .text = "abc", .message = "3 hexadecimal digits: an even number"},
      {.name = "letter", .text = "0g", .message = "'g' at position 1"},
      {.name = "space", .text = "00 1", .message = "the byte 32 at position 2"},
      {.name = "high byte",
       .text = "\xff"
               "0",
       .message = "the byte 255 at position 0"},
      {.name = "zero byte", .text = std::string("a\0", 2), .message = "the byte 0 at position 1"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto bytes = FromHex(row.text);
    ASSERT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, Code::kInvalid);
    EXPECT_NE(bytes.error().message.find(row.message), std::string::npos) << bytes.error().message;
  }
}

TEST(BytesTest, ADigestOfAnotherLengthIsRefused) {
  EXPECT_EQ(DigestFromHex("00ff").error().message, "a digest has 64 hexadecimal digits, found 4");
  EXPECT_FALSE(DigestFromHex(std::string(63, '0') + "x"));
}

TEST(BytesTest, HexadecimalTextRoundTripsInEitherCase) {
  Bytes all(256);
  for (int i = 0; i < 256; ++i) all[i] = static_cast<uint8_t>(i);
  std::string text = Hex(all);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(FromHex(text).value(), all);
  for (char& c : text) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(FromHex(text).value(), all);
  EXPECT_EQ(FromHex("").value(), Bytes());
  EXPECT_EQ(Hex(DigestFromHex(text.substr(0, 64)).value()), Hex(ByteSpan(all).first(32)));
}

TEST(BytesTest, NumbersAreStoredLittleEndianAtAnyAddress) {
  Bytes out = {7};
  AppendLE(out, uint32_t{0x01020304});
  EXPECT_EQ(out, (Bytes{7, 4, 3, 2, 1}));
  EXPECT_EQ(LoadLE<uint32_t>(out.data() + 1), 0x01020304u);
}

TEST(ResultTest, MessagesAreMadeOfTextAndNumbers) {
  EXPECT_EQ(StrCat("port ", 70000, ' ', true, ' ', 0.1, ' ', uint8_t{9}, ' ', -0.5f),
            "port 70000 true 0.1 9 -0.5");
  EXPECT_EQ(StrCat(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
}

TEST(ResultTest, AnErrorThatPassesThroughKeepsItsCode) {
  const Error error{Code::kLimit, "9 bytes"};
  const Result<int> annotated = Annotate(error, "frame");
  EXPECT_EQ(annotated.error().code, Code::kLimit);
  EXPECT_EQ(annotated.error().message, "frame: 9 bytes");
}

TEST(ResultTest, EveryCodeHasItsOwnName) {
  std::vector<std::string_view> names;
  for (int code = 1; code <= static_cast<int>(Code::kInternal); ++code) {
    names.push_back(CodeName(static_cast<Code>(code)));
    EXPECT_NE(names.back(), "unknown") << code;
    for (size_t i = 0; i + 1 < names.size(); ++i) EXPECT_NE(names[i], names.back());
  }
  EXPECT_EQ(CodeName(static_cast<Code>(99)), "unknown");
}

Result<int> Twice(Result<int> value) {
  LINNET_TRY(const int got, value);
  return 2 * got;
}

TEST(ResultTest, TryGivesTheValueOrReturnsTheError) {
  EXPECT_EQ(Twice(21).value(), 42);
  EXPECT_EQ(Twice(Fail(Code::kData, "no")).error().message, "no");
}

}  // namespace
}  // namespace linnet
