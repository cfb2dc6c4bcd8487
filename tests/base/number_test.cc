#include "base/number.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace linnet {
namespace {

template <typename T>
std::string Reference(T value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

TEST(NumberTest, NumbersReadAsPeopleWriteThem) {
  const std::pair<double, const char*> rows[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {-12.5, "-12.5"},
      {0.1, "0.1"},
      {0.001, "0.001"},
      {1e-7, "1e-07"},
      {1e5, "1e+05"},
      {120000, "120000"},
      {1e22, "1e+22"},
      {1e300, "1e+300"},
      {1.5e-300, "1.5e-300"},
      {5e-324, "5e-324"},
      {INFINITY, "inf"},
      {-INFINITY, "-inf"},
      {NAN, "nan"},
      {std::numeric_limits<double>::max(), "1.7976931348623157e+308"}};
  for (const auto& [value, text] : rows) EXPECT_EQ(ShortestText(value), text);
  EXPECT_EQ(ShortestText(0.1f), "0.1");
  EXPECT_EQ(ShortestText(std::numeric_limits<float>::denorm_min()), "1e-45");
}

TEST(NumberTest, AnyBitsReadBackAndAreNoLongerThanTheStandardLibrarysText) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 3000; ++i) {
    const auto wide = std::bit_cast<double>(random());
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(wide) || !std::isfinite(narrow)) continue;
    EXPECT_EQ(std::strtod(ShortestText(wide).c_str(), nullptr), wide);
    EXPECT_EQ(std::strtof(ShortestText(narrow).c_str(), nullptr), narrow);
    EXPECT_EQ(ShortestText(wide).size(), Reference(wide).size());
    EXPECT_EQ(ShortestText(narrow), Reference(narrow));
  }
  for (int i = 0; i < 3000; ++i) {  // numbers of few digits, as people give them
    const double value = static_cast<double>(random() % 1'000'000) / std::pow(10, random() % 9);
    EXPECT_EQ(ShortestText(value), Reference(value));
  }
}

TEST(NumberTest, APowerOfTwoMayTakeOneDigitMoreThanTheShortest) {
  for (int exponent = -1070; exponent < 1020; ++exponent) {
    const double value = std::ldexp(1.0, exponent);
    const std::string text = ShortestText(value);
    EXPECT_EQ(std::strtod(text.c_str(), nullptr), value);
    EXPECT_LE(text.size(), Reference(value).size() + 1);
  }
}

}  // namespace
}  // namespace linnet
