// Vector code for plugins, with the same bits with and without the host's kernels: natively the
// functions of "org.linnet.kernels/1" (plugin.h has the formulas), elsewhere plain loops. And exp,
// log and pow, whose bits differ between C libraries, from additions and multiplications alone.
// Compile with -ffp-contract=off.
#ifndef LINNET_PLUGIN_KERNELS_HPP
#define LINNET_PLUGIN_KERNELS_HPP

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "linnet/plugin.hpp"

namespace linnet {
namespace plugin {

// The column functions work on f32 rows; `which` chooses rows, empty: all of rows.n. `k` is
// Strategy::kernels() and may be null.
namespace internal {

template <typename Body>
void ForEachColumn(const Rows& rows, const std::vector<uint32_t>& which, const Body& body) {
  const uint32_t n = which.empty() ? rows.n : static_cast<uint32_t>(which.size());
  std::vector<float> sorted(n);
  for (uint32_t i = 0; i < rows.count; ++i) {
    for (uint32_t r = 0; r < n; ++r)
      sorted[r] = rows.F32(which.empty() ? r : which[r])[i] + 0.0f;  // -0 becomes +0
    std::sort(sorted.begin(), sorted.end());
    body(i, sorted);
  }
}

inline float Middle(const std::vector<float>& sorted) {
  const size_t n = sorted.size();
  if (n % 2 == 1) return sorted[n / 2];
  const double sum = static_cast<double>(sorted[n / 2 - 1]) + static_cast<double>(sorted[n / 2]);
  return static_cast<float>(sum / 2);
}

inline float MeanOf(const float* sorted, size_t n) {
  double sum = 0;
  for (size_t r = 0; r < n; ++r) sum += static_cast<double>(sorted[r]);
  return static_cast<float>(sum / static_cast<double>(n));
}

inline void AddLanes(double* lanes, double* sum) {
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  *sum += lanes[0];
  std::fill(lanes, lanes + 16, 0.0);
}

inline void AddDistance(const float* a, const float* b, uint64_t at, uint32_t count, double* lanes,
                        double* sum) {
  for (uint32_t i = 0; i < count; ++i) {
    const float d = b == nullptr ? a[i] : a[i] - b[i];
    lanes[(at + i) % 16] += static_cast<double>(d) * static_cast<double>(d);
    if ((at + i + 1) % 4096 == 0) AddLanes(lanes, sum);
  }
}

}  // namespace internal

inline void ColumnMedian(const lnt_kernels_v1* k, const Rows& rows,
                         const std::vector<uint32_t>& which, float* out) {
  if (k != nullptr && LNT_KERNELS_HAVE(k, column_median)) {
    const uint32_t n = which.empty() ? rows.n : static_cast<uint32_t>(which.size());
    k->column_median(k->ctx, rows.F32(0), rows.stride_bytes, which.empty() ? nullptr : which.data(),
                     n, out, rows.count);
    return;
  }
  internal::ForEachColumn(rows, which, [&](uint32_t i, const std::vector<float>& sorted) {
    out[i] = internal::Middle(sorted);
  });
}

// 2 trim < the number of rows.
inline void ColumnTrimmedMean(const lnt_kernels_v1* k, const Rows& rows,
                              const std::vector<uint32_t>& which, uint32_t trim, float* out) {
  if (k != nullptr && LNT_KERNELS_HAVE(k, column_trimmed_mean)) {
    const uint32_t n = which.empty() ? rows.n : static_cast<uint32_t>(which.size());
    k->column_trimmed_mean(k->ctx, rows.F32(0), rows.stride_bytes,
                           which.empty() ? nullptr : which.data(), n, trim, out, rows.count);
    return;
  }
  internal::ForEachColumn(rows, which, [&](uint32_t i, const std::vector<float>& sorted) {
    out[i] = internal::MeanOf(sorted.data() + trim, sorted.size() - 2 * size_t{trim});
  });
}

// 1 <= keep <= the number of rows.
inline void ColumnClosestMean(const lnt_kernels_v1* k, const Rows& rows,
                              const std::vector<uint32_t>& which, uint32_t keep, float* out) {
  if (k != nullptr && LNT_KERNELS_HAVE(k, column_closest_mean)) {
    const uint32_t n = which.empty() ? rows.n : static_cast<uint32_t>(which.size());
    k->column_closest_mean(k->ctx, rows.F32(0), rows.stride_bytes,
                           which.empty() ? nullptr : which.data(), n, keep, out, rows.count);
    return;
  }
  internal::ForEachColumn(rows, which, [&](uint32_t i, const std::vector<float>& sorted) {
    const float median = internal::Middle(sorted);
    size_t best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (size_t s = 0; s + keep <= sorted.size(); ++s) {
      const float reach = std::max(median - sorted[s], sorted[s + keep - 1] - median);
      if (reach < least) {
        least = reach;
        best = s;
      }
    }
    out[i] = internal::MeanOf(sorted.data() + best, keep);
  });
}

// out = sum of weights[r] * row r; one weight for each row.
inline void Combine(const lnt_kernels_v1* k, const Rows& rows, const double* weights, float* out) {
  if (k != nullptr && LNT_KERNELS_HAVE(k, combine)) {
    k->combine(k->ctx, rows.F32(0), rows.stride_bytes, weights, rows.n, out, rows.count);
    return;
  }
  for (uint32_t i = 0; i < rows.count; ++i) {
    double sum = 0;
    for (uint32_t r = 0; r < rows.n; ++r) sum += weights[r] * static_cast<double>(rows.F32(r)[i]);
    out[i] = static_cast<float>(sum);
  }
}

// acc += weights[r] * row r on the grid of 2^grid_exp; at most 16 rows.
inline void FoldWeighted(const lnt_kernels_v1* k, const Rows& rows, const double* weights,
                         int32_t grid_exp, double* acc) {
  if (k != nullptr && LNT_KERNELS_HAVE(k, fold_weighted)) {
    k->fold_weighted(k->ctx, rows.F32(0), rows.stride_bytes, weights, rows.n, grid_exp, acc,
                     rows.count);
    return;
  }
  const double magic = std::ldexp(1.5, 52 + grid_exp);
  for (uint32_t r = 0; r < rows.n; ++r) {
    const float* x = rows.F32(r);
    for (uint32_t i = 0; i < rows.count; ++i)
      acc[i] += (weights[r] * static_cast<double>(x[i]) + magic) - magic;
  }
}

// All squared distances between n rows, from windows in ascending order. At most 2,000 rows.
class PairDistances {
 public:
  void Reset(uint32_t n) {
    n_ = n;
    at_ = 0;
    const size_t pairs = static_cast<size_t>(n) * (n - 1) / 2;
    sums_.assign(pairs, 0.0);
    lanes_.assign(16 * pairs, 0.0);
  }
  void Add(const lnt_kernels_v1* k, const Rows& rows) {
    if (k != nullptr && LNT_KERNELS_HAVE(k, pair_distances)) {
      k->pair_distances(k->ctx, rows.F32(0), rows.stride_bytes, n_, at_, rows.count, lanes_.data(),
                        sums_.data());
    } else {
      size_t p = 0;
      for (uint32_t r = 0; r < n_; ++r) {
        for (uint32_t s = r + 1; s < n_; ++s, ++p) {
          internal::AddDistance(rows.F32(r), rows.F32(s), at_, rows.count, &lanes_[16 * p],
                                &sums_[p]);
        }
      }
    }
    at_ += rows.count;
  }
  // After the last window, once.
  void Finish() {
    for (size_t p = 0; p < sums_.size(); ++p) internal::AddLanes(&lanes_[16 * p], &sums_[p]);
  }
  double operator()(uint32_t r, uint32_t s) const {
    if (r == s) return 0;
    if (r > s) std::swap(r, s);
    return sums_[static_cast<size_t>(r) * (2 * n_ - r - 1) / 2 + (s - r - 1)];
  }

 private:
  uint32_t n_ = 0;
  uint64_t at_ = 0;
  std::vector<double> sums_, lanes_;
};

// The squared distance of each of n rows to one vector (null: zeros), from windows in ascending
// order.
class RowDistances {
 public:
  void Reset(uint32_t n) {
    at_ = 0;
    sums_.assign(n, 0.0);
    lanes_.assign(16 * static_cast<size_t>(n), 0.0);
  }
  void Add(const lnt_kernels_v1* k, const Rows& rows, const float* to) {
    const uint32_t n = static_cast<uint32_t>(sums_.size());
    if (k != nullptr && LNT_KERNELS_HAVE(k, row_distances)) {
      k->row_distances(k->ctx, rows.F32(0), rows.stride_bytes, n, to, at_, rows.count,
                       lanes_.data(), sums_.data());
    } else {
      for (uint32_t r = 0; r < n; ++r) {
        internal::AddDistance(rows.F32(r), to, at_, rows.count,
                              &lanes_[16 * static_cast<size_t>(r)], &sums_[r]);
      }
    }
    at_ += rows.count;
  }
  // After the last window, once.
  void Finish() {
    for (size_t r = 0; r < sums_.size(); ++r) internal::AddLanes(&lanes_[16 * r], &sums_[r]);
  }
  double operator()(uint32_t r) const { return sums_[r]; }

 private:
  uint64_t at_ = 0;
  std::vector<double> sums_, lanes_;
};

// ---- exp, log, pow: at most 2 units in the last place from the truth (pow: 1 + |y log x| times
// 2^-52, relative), the same bits everywhere. sqrt and division are exact in IEEE and need no help.

inline double ScaleBy(double x, int exponent) {  // x * 2^exponent, within the normal numbers
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof(power));
  return x * power;
}

inline double Exp(double x) {
  if (x != x) return x;
  if (x > 709.5) return std::numeric_limits<double>::infinity();
  if (x < -708) return 0;
  // x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first with zeros at its end.
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  // Taylor to r^13 / 13!, whose rest is below 2^-57.
  double sum = 1.0 / 6227020800.0;
  static constexpr double kInverse[] = {
      1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
  for (const double c : kInverse) sum = sum * r + c;
  const double value = 1 + (r + r * r * sum);
  const int whole = static_cast<int>(k);
  return ScaleBy(ScaleBy(value, whole / 2), whole - whole / 2);
}

// x > 0 and normal; 0 gives minus infinity, less gives NaN.
inline double Log(double x) {
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (!(x > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (x > std::numeric_limits<double>::max()) return x;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
  double m;
  std::memcpy(&m, &bits, sizeof(m));
  if (m > 1.4142135623730951) {
    m /= 2;
    ++exponent;
  }
  // log m = f - f^2/2 + s (f^2/2 + R), f = m - 1, s = f / (2 + f), R = sum of 2 s^(2j) / (2j + 1).
  const double f = m - 1, s = f / (2 + f), z = s * s, half = 0.5 * f * f;
  double sum = 0;
  for (int j = 11; j >= 1; --j) sum = (sum + 2.0 / (2 * j + 1)) * z;
  const double k = exponent;
  return k * 6.93147180369123816490e-01 -
         ((half - (s * (half + sum) + k * 1.90821492927058770002e-10)) - f);
}

// x >= 0.
inline double Pow(double x, double y) {
  if (y == 0) return 1;
  if (x == 0) return y > 0 ? 0 : std::numeric_limits<double>::infinity();
  return Exp(y * Log(x));
}

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGIN_KERNELS_HPP
