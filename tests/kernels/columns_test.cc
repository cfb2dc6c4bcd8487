#include "kernels/columns.h"

#include <algorithm>
#include <cmath>

#include "kernels/guarded.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

using ColumnsTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ColumnsTest);

float Twin(std::vector<float> v, ColumnStatistic statistic, size_t parameter) {
  const size_t n = v.size();
  for (float& x : v) x += 0.0f;
  std::sort(v.begin(), v.end());
  const float median =
      n % 2 == 1 ? v[n / 2] : static_cast<float>((double{v[n / 2 - 1]} + double{v[n / 2]}) / 2);
  if (statistic == ColumnStatistic::kMedian) return median;
  size_t begin = parameter, keep = n - 2 * parameter;
  if (statistic == ColumnStatistic::kClosestMean) {
    keep = parameter;
    begin = 0;
    float least = INFINITY;
    for (size_t s = 0; s + keep <= n; ++s) {
      const float reach = std::max(median - v[s], v[s + keep - 1] - median);
      if (reach < least) {
        least = reach;
        begin = s;
      }
    }
  }
  double sum = 0;
  for (size_t r = begin; r < begin + keep; ++r) sum += v[r];
  return static_cast<float>(sum / static_cast<double>(keep));
}

TEST_P(ColumnsTest, StatisticsAreThoseOfSortedColumnsForEveryNumberOfRows) {
  std::vector<size_t> numbers = {33, 48, 63, 64, 65, 100, 256, 257, 300};
  for (size_t rows = 1; rows <= 32; ++rows) numbers.push_back(rows);
  const auto pool = MakePool(2);
  for (const size_t rows : numbers) {
    for (const size_t n : {size_t{1}, size_t{37}, rows == 25 ? size_t{9001} : size_t{64}}) {
      const size_t stride = n + rows % 3;
      // Few different values, so that many are equal; zeros of both signs.
      Guarded<float> x(rows * stride, n % 3, [&](size_t) {
        const int v = static_cast<int>(random() % 41) - 20;
        return v == 0 && random() % 2 ? -0.0f : static_cast<float>(v) * 0.37f;
      });
      Guarded<float> scratch(2 * rows, 0);
      for (const ColumnStatistic statistic :
           {ColumnStatistic::kMedian, ColumnStatistic::kTrimmedMean,
            ColumnStatistic::kClosestMean}) {
        const size_t parameter =
            statistic == ColumnStatistic::kTrimmedMean ? (rows - 1) / 3 : (rows + 1) / 2;
        for (Executor* executor : {static_cast<Executor*>(nullptr), pool.get()}) {
          Guarded<float> out(n, 1);
          ColumnKernelsOf(k).statistic({x.data(), stride, nullptr, rows, statistic, parameter,
                                        out.data(), n, scratch.data(), executor});
          for (size_t i = 0; i < n; ++i) {
            std::vector<float> column(rows);
            for (size_t r = 0; r < rows; ++r) column[r] = x[r * stride + i];
            ASSERT_EQ(Bits(out[i]), Bits(Twin(column, statistic, parameter)))
                << rows << " rows, column " << i << " of " << n;
          }
        }
      }
    }
  }
}

TEST_P(ColumnsTest, RowsMayBeChosen) {
  constexpr size_t kRows = 40, n = 19;
  Guarded<float> x(kRows * n, 1, [&](size_t) { return Spread(random, -10, 3); });
  for (const size_t chosen : {size_t{1}, size_t{7}, size_t{32}, size_t{39}}) {
    std::vector<uint32_t> which(chosen);
    for (size_t r = 0; r < chosen; ++r) which[r] = static_cast<uint32_t>((r * 7 + 3) % kRows);
    Guarded<float> out(n, 2);
    ColumnKernelsOf(k).statistic({x.data(), n, which.data(), chosen, ColumnStatistic::kMedian, 0,
                                  out.data(), n, nullptr, nullptr});
    for (size_t i = 0; i < n; ++i) {
      std::vector<float> column;
      for (const uint32_t r : which) column.push_back(x[r * n + i]);
      ASSERT_EQ(Bits(out[i]), Bits(Twin(column, ColumnStatistic::kMedian, 0)));
    }
  }
}

TEST_P(ColumnsTest, CombineAndFoldWeightedMatchScalarCode) {
  for (const size_t n : Lengths()) {
    constexpr size_t kRows = 7;
    Guarded<float> x(kRows * n, n % 3, [&](size_t) { return Spread(random, -20, 3); });
    Guarded<double> weights(kRows, 0,
                            [&](size_t) { return static_cast<double>(Spread(random, -3, 3)) / 7; });
    Guarded<float> out(n, 1);
    ColumnKernelsOf(k).combine({x.data(), n, weights.data(), kRows, out.data(), n, nullptr});
    Guarded<double> acc(n, 1, [](size_t) { return 0.0; });
    ColumnKernelsOf(k).fold_weighted(x.data(), n, weights.data(), kRows, -36, acc.data(), n);
    const double magic = std::ldexp(1.5, 52 - 36);
    for (size_t i = 0; i < n; ++i) {
      double sum = 0, folded = 0;
      for (size_t r = 0; r < kRows; ++r) {
        const double product = weights[r] * double{x[r * n + i]};
        sum += product;
        const double shifted = product + magic;
        folded += shifted - magic;
      }
      ASSERT_EQ(Bits(out[i]), Bits(static_cast<float>(sum))) << n;
      ASSERT_EQ(acc[i], folded) << n;
    }
  }
}

// Lane by lane, as the contract says it.
struct DistanceTwin {
  double sum = 0, lanes[16] = {};
  void Add(float a, float b, uint64_t at) {
    const float d = a - b;
    const double square = double{d} * double{d};
    lanes[at % 16] += square;
    if ((at + 1) % 4096 == 0) Fold();
  }
  void Fold() {
    for (int half = 8; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    sum += lanes[0];
    std::fill_n(lanes, 16, 0.0);
  }
};

TEST_P(ColumnsTest, DistancesContinueOverWindowsOfAnySize) {
  const auto pool = MakePool(2);
  for (const size_t rows : {size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{9}, size_t{25}}) {
    const size_t n = rows == 9 ? 20000 : 9000, stride = n + 5;
    Guarded<float> x(rows * stride, 1, [&](size_t) { return Spread(random, -12, 2); });
    Guarded<float> to(n, 2, [&](size_t) { return Spread(random, -12, 2); });
    for (const int kind : {0, 1, 2}) {  // pairs, rows to a vector, norms
      const bool pairs = kind == 0;
      const size_t count = pairs ? rows * (rows - 1) / 2 : rows;
      std::vector<DistanceTwin> wanted(count);
      size_t p = 0;
      for (size_t r = 0; r < rows; ++r) {
        for (size_t s = pairs ? r + 1 : 0; s < (pairs ? rows : 1); ++s, ++p) {
          for (size_t i = 0; i < n; ++i) {
            const float b = pairs ? x[s * stride + i] : kind == 1 ? to[i] : 0.0f;
            wanted[p].Add(x[r * stride + i], b, i);
          }
        }
      }
      const struct {
        size_t window;
        Executor* executor;
      } cases[] = {{n, nullptr}, {n, pool.get()}, {4096, nullptr}, {1013, nullptr}, {7, nullptr}};
      for (const auto& row : cases) {
        if (row.window < 100 && rows > 5) continue;
        std::vector<double> lanes(16 * count), sums(count), scratch(count * (n / kReductionLeaf));
        for (size_t at = 0; at < n; at += row.window) {
          ColumnKernelsOf(k).distances({x.data() + at, stride, rows, pairs,
                                        kind == 1 ? to.data() + at : nullptr, at,
                                        std::min(row.window, n - at), lanes.data(), sums.data(),
                                        scratch.data(), row.executor});
        }
        for (p = 0; p < count; ++p) {
          ASSERT_EQ(sums[p], wanted[p].sum) << rows << " rows, pair " << p;
          for (size_t l = 0; l < 16; ++l) ASSERT_EQ(lanes[16 * p + l], wanted[p].lanes[l]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
