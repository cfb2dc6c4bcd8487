// Elementary functions with the same bits on every target: only +, -, *, / and comparisons on f64,
// which IEEE 754 rounds in one way only (sqrt and floor of the standard library are exact too and
// are used as they are). A libm's exp, log, sin and pow differ in the last bit from one library to
// the next. Built without contraction to FMA (the whole project is), relative error below 1e-14.
#ifndef LINNET_DATA_FIXED_MATH_H_
#define LINNET_DATA_FIXED_MATH_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/random.h"

namespace linnet {

// ln 2 as a sum: the first part has 21 trailing zero bits, so k * kLn2High is exact for |k| < 2^20.
inline constexpr double kLn2High = 6.93147180369123816490e-01;
inline constexpr double kLn2Low = 1.90821492927058770002e-10;

// e^x; 0 below -700 (so that every result is a normal number) and infinity above 709.
inline double FixedExp(double x) {
  if (x < -700) return 0;
  if (x > 709) return std::numeric_limits<double>::infinity();
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 1;
  for (int n = 14; n > 0; --n) sum = 1 + sum * r / n;  // Taylor, by Horner
  // Two factors, because 2^k alone may be beyond the range when the product is not.
  const auto exponent = static_cast<int64_t>(k);
  const int64_t half = exponent / 2;
  return sum * std::bit_cast<double>((half + 1023) << 52) *
         std::bit_cast<double>((exponent - half + 1023) << 52);
}

// The natural logarithm of a positive normal number.
inline double FixedLog(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // ln m = 2 artanh(s), |s| <= 0.172.
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double sum = 0;
  for (int n = 21; n > 1; n -= 2) sum = (sum + 1.0 / n) * s2;
  const auto e = static_cast<double>(exponent);
  return e * kLn2High + (e * kLn2Low + 2 * s * (1 + sum));
}

// Sine and cosine for |x| <= pi / 2, by Taylor.
inline double FixedSin(double x) {
  double sum = 1;
  for (int n = 22; n > 0; n -= 2) sum = 1 - sum * x * x / (n * (n + 1));
  return sum * x;
}
inline double FixedCos(double x) {
  double sum = 1;
  for (int n = 22; n > 0; n -= 2) sum = 1 - sum * x * x / (n * (n - 1));
  return sum;
}

// A standard normal draw with true tails (Marsaglia's polar method).
inline double FixedNormal(RandomStream& random) {
  for (;;) {
    const double u = 2 * random.UniformDouble() - 1;
    const double v = 2 * random.UniformDouble() - 1;
    const double s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * FixedLog(s) / s);
  }
}

// The logarithm of a Gamma(shape, 1) draw, shape > 0 (Marsaglia and Tsang 2000). The logarithm,
// because for small shapes the draws themselves underflow.
inline double FixedLogGammaDraw(RandomStream& random, double shape) {
  // 2^-53 keeps the uniform away from zero.
  const auto log_uniform = [&random] { return FixedLog(random.UniformDouble() + 0x1p-53); };
  double boost = 0;
  if (shape < 1) {
    boost = log_uniform() / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / (3 * std::sqrt(d));
  for (;;) {
    const double x = FixedNormal(random);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    const double log_v = FixedLog(v);
    if (log_uniform() < 0.5 * x * x + d - d * v + d * log_v) return FixedLog(d) + log_v + boost;
  }
}

}  // namespace linnet

#endif  // LINNET_DATA_FIXED_MATH_H_
