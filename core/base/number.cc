#include "base/number.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace linnet {
namespace {

// digits d1 d2 ... of d1.d2... * 10^exponent.
std::string Layout(std::string_view digits, int exponent) {
  const int count = static_cast<int>(digits.size()), magnitude = std::abs(exponent);
  const int scientific = count + (count > 1) + 2 + (magnitude < 100 ? 2 : 3);
  const int fixed =
      exponent < 0 ? 1 + count - exponent : (count > exponent + 1 ? count + 1 : exponent + 1);
  std::string text;
  if (fixed > scientific) {
    text = digits.substr(0, 1);
    if (count > 1) (text += '.') += digits.substr(1);
    text += exponent < 0 ? "e-" : "e+";
    if (magnitude < 10) text += '0';
    return text += std::to_string(magnitude);
  }
  if (exponent < 0) return text.append("0.").append(size_t(-exponent - 1), '0').append(digits);
  if (count <= exponent + 1) return text.append(digits).append(size_t(exponent + 1 - count), '0');
  const size_t point = static_cast<size_t>(exponent) + 1;
  return text.append(digits.substr(0, point)).append(".").append(digits.substr(point));
}

template <typename T>
std::string Shortest(T value, T (*read)(const char*, char**)) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) return sign + "inf";
  value = std::abs(value);
  char text[32];
  for (int digits = 1;; ++digits) {
    std::snprintf(text, sizeof(text), "%.*e", digits - 1, static_cast<double>(value));
    if (digits == std::numeric_limits<T>::max_digits10 || read(text, nullptr) == value) break;
  }
  std::string digits;
  const char* at = text;
  for (; *at != 'e'; ++at) {
    if (*at >= '0' && *at <= '9') digits += *at;  // the point may be a comma
  }
  std::string layout = Layout(digits, std::atoi(at + 1));
  // A whole number is told exactly, not with zeros for the digits that do not matter.
  const bool whole = layout.find_first_of(".e") == layout.npos && value < T{1ull << 63};
  return sign + (whole ? std::to_string(static_cast<uint64_t>(value)) : layout);
}

}  // namespace

std::string ShortestText(double value) { return Shortest(value, &std::strtod); }
std::string ShortestText(float value) { return Shortest(value, &std::strtof); }

}  // namespace linnet
