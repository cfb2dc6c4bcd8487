// Repeatable inputs of the codec tests: the same bits on every target.
#ifndef LINNET_TESTS_CODEC_VECTORS_H_
#define LINNET_TESTS_CODEC_VECTORS_H_

#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/random.h"

namespace linnet {

inline std::vector<float> NormalVector(uint64_t seed, size_t n, double scale = 1) {
  RandomStream random(SeedFromInt(seed), 0);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(scale * random.Normal());
  return x;
}

inline double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

// Tells -0 from 0.
inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// ||a - b||^2 / ||b||^2.
inline double RelativeError(std::span<const float> a, std::span<const float> b) {
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return error / Dot(b, b);
}

// Mean and its standard error.
struct Estimate {
  double mean, standard_error;
};
inline Estimate Summarize(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  for (const double v : values) squares += (v - sum / n) * (v - sum / n);
  return {sum / n, std::sqrt(squares / (n - 1) / n)};
}

}  // namespace linnet

#endif  // LINNET_TESTS_CODEC_VECTORS_H_
