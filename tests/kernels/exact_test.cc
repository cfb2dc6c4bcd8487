#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using ExactTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ExactTest);

// What fold_exact adds for one element.
double Term(double weight, float x, int grid_exp) {
  const double magic = std::ldexp(1.5, 52 + grid_exp);
  const double product = weight * static_cast<double>(x);
  const double shifted = product + magic;
  return shifted - magic;
}

TEST_P(ExactTest, FoldMatchesScalarCodeForEveryLengthAndRowCount) {
  for (const size_t n : Lengths()) {
    for (size_t rows = 1; rows <= kMaxFoldRows; rows += n > 70 ? 5 : 1) {
      const size_t stride = n + rows % 3;
      const int grid_exp = -30;
      Guarded<float> x(rows * stride, n % 3, [&](size_t) { return Spread(random, -40, 3); });
      Guarded<uint32_t> weights(rows, 0, [&](size_t) { return 1 + random() % 1000; });
      Guarded<double> acc(n, rows % 2,
                          [&](size_t) { return Term(1, Spread(random, -5, 5), grid_exp); });
      std::vector<double> expected = acc.Values();
      for (size_t r = 0; r < rows; ++r) {
        for (size_t i = 0; i < n; ++i) expected[i] += Term(weights[r], x[r * stride + i], grid_exp);
      }
      k.fold_exact(x.data(), stride, weights.data(), rows, grid_exp, acc.data(), n);
      ASSERT_EQ(acc.Values(), expected) << n << " elements, " << rows << " rows";
    }
  }
}

TEST_P(ExactTest, MeanMatchesScalarCodeForEveryLength) {
  for (const size_t n : Lengths()) {
    Guarded<double> acc(n, 1,
                        [&](size_t) { return static_cast<double>(Spread(random, -20, 20)) / 3; });
    Guarded<float> base(n, 2, [&](size_t) { return Spread(random, -10, 0); });
    Guarded<float> with_base(n, 3), without(n, 1);
    const double total = 12345;
    k.mean_exact(acc.data(), total, base.data(), with_base.data(), n);
    k.mean_exact(acc.data(), total, nullptr, without.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const float mean = static_cast<float>(acc[i] / total);
      ASSERT_EQ(Bits(without[i]), Bits(mean));
      ASSERT_EQ(Bits(with_base[i]), Bits(base[i] + mean));
    }
  }
}

// Updates of a round: magnitudes from 2^-40 to the cap, weights from 1 to the cap.
struct Round {
  static constexpr size_t kUpdates = 60, kElements = 301;
  struct Caps {
    const char* name;
    float max_abs;
    uint32_t max_weight;
  };

  Round(const Caps& caps, Random& random) {
    grid_exp = std::ilogb(static_cast<double>(caps.max_abs) * caps.max_weight * kUpdates) - 50;
    const int top = std::ilogb(caps.max_abs);
    for (size_t u = 0; u < kUpdates; ++u) {
      // Log-uniform weights; both caps are met.
      const double exponent =
          static_cast<double>(random() % 1000) / 999 * std::log2(caps.max_weight);
      weights.push_back(
          u == 0 ? caps.max_weight
                 : std::clamp(static_cast<uint32_t>(std::exp2(exponent)), 1u, caps.max_weight));
      for (size_t i = 0; i < kElements; ++i) {
        const float x = std::clamp(Spread(random, -40, top), -caps.max_abs, caps.max_abs);
        updates.push_back((u + i) % 17 == 0 ? std::copysign(caps.max_abs, x) : x);
      }
    }
    order.resize(kUpdates);
    std::iota(order.begin(), order.end(), size_t{0});
  }

  std::vector<float> updates;
  std::vector<uint32_t> weights;
  std::vector<size_t> order;
  int grid_exp;
};
constexpr Round::Caps kCaps[] = {
    {"careful caps", 1, 600},
    {"a large model", 64, 1 << 20},
    {"the largest weight", 1, (1u << 29) - 1},
};

// Folds order[begin, end) into acc, in groups of random size.
void FoldInGroups(const Kernels& k, const Round& round, int grid_exp, Random& random, size_t begin,
                  size_t end, std::vector<double>& acc) {
  while (begin < end) {
    const size_t rows = std::min<size_t>(1 + random() % kMaxFoldRows, end - begin);
    std::vector<float> gathered;
    std::vector<uint32_t> weights;
    for (size_t r = 0; r < rows; ++r) {
      const size_t u = round.order[begin + r];
      const auto first = round.updates.begin() + static_cast<ptrdiff_t>(u * Round::kElements);
      gathered.insert(gathered.end(), first, first + Round::kElements);
      weights.push_back(round.weights[u]);
    }
    k.fold_exact(gathered.data(), Round::kElements, weights.data(), rows, grid_exp, acc.data(),
                 acc.size());
    begin += rows;
  }
}

// A random tree of edges: each folds a part of the order, the root adds their sums.
std::vector<double> FoldInTree(const Kernels& k, const Round& round, int grid_exp, Random& random) {
  std::vector<double> root(Round::kElements);
  for (size_t begin = 0; begin < Round::kUpdates;) {
    const size_t end = std::min<size_t>(begin + 1 + random() % Round::kUpdates, Round::kUpdates);
    std::vector<double> edge(Round::kElements);
    FoldInGroups(k, round, grid_exp, random, begin, end, edge);
    for (size_t i = 0; i < Round::kElements; ++i) root[i] += edge[i];
    begin = end;
  }
  return root;
}

std::vector<double> PlainSum(const Round& round) {
  std::vector<double> sum(Round::kElements);
  for (const size_t u : round.order) {
    for (size_t i = 0; i < Round::kElements; ++i) {
      sum[i] += round.weights[u] * static_cast<double>(round.updates[u * Round::kElements + i]);
    }
  }
  return sum;
}

TEST_P(ExactTest, SumsHaveTheSameBitsInEveryOrderTreeAndTarget) {
  for (const Round::Caps& caps : kCaps) {
    SCOPED_TRACE(caps.name);
    Round round(caps, random);
    std::vector<double> expected(Round::kElements);
    for (size_t u = 0; u < Round::kUpdates; ++u) {
      for (size_t i = 0; i < Round::kElements; ++i) {
        expected[i] +=
            Term(round.weights[u], round.updates[u * Round::kElements + i], round.grid_exp);
      }
    }
    const std::vector<double> plain = PlainSum(round);
    size_t plain_differs = 0, fine_grid_differs = 0;
    const int too_fine = round.grid_exp - 24;
    const std::vector<double> fine = FoldInTree(k, round, too_fine, random);
    for (int trial = 0; trial < 30; ++trial) {
      std::shuffle(round.order.begin(), round.order.end(), random);
      ASSERT_EQ(FoldInTree(k, round, round.grid_exp, random), expected);
      plain_differs += PlainSum(round) != plain;
      fine_grid_differs += FoldInTree(k, round, too_fine, random) != fine;
    }
    // Without these two the test could not fail.
    EXPECT_GT(plain_differs, 0u) << "these inputs do not need the grid";
    EXPECT_GT(fine_grid_differs, 0u) << "these inputs fit a grid 2^24 times as fine as the rule's";
    // Near the true sum: each term is off by half a grid step at most.
    for (size_t i = 0; i < Round::kElements; ++i) {
      ASSERT_NEAR(expected[i], plain[i], Round::kUpdates * std::ldexp(1.0, round.grid_exp));
    }
  }
}

TEST_P(ExactTest, ChunksDoNotChangeTheSum) {
  const size_t n = 10007;
  Guarded<float> x(n, 1, [&](size_t) { return Spread(random, -40, 0); });
  const uint32_t weight = 601;
  Guarded<double> whole(n);
  k.fold_exact(x.data(), n, &weight, 1, -32, whole.data(), n);
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{4096}}) {
    Guarded<double> acc(n, 1);
    for (size_t i = 0; i < n; i += chunk) {
      k.fold_exact(x.data() + i, n, &weight, 1, -32, acc.data() + i, std::min(chunk, n - i));
    }
    ASSERT_EQ(acc.Values(), whole.Values());
  }
}

double SumSquaresTwin(const float* x, size_t n) {
  double total = 0;
  for (size_t leaf = 0; leaf < n; leaf += kReductionLeaf) {
    double lanes[16] = {};
    for (size_t i = leaf; i < std::min(n, leaf + kReductionLeaf); ++i) {
      lanes[i % 16] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    for (size_t l = 0; l < 8; ++l) lanes[l] += lanes[l + 8];
    for (size_t l = 0; l < 4; ++l) lanes[l] += lanes[l + 4];
    for (size_t l = 0; l < 2; ++l) lanes[l] += lanes[l + 2];
    total += lanes[0] + lanes[1];
  }
  return total;
}

TEST_P(ExactTest, SumOfSquaresHasTheBitsOfSixteenLanesForEveryLength) {
  size_t plain_differs = 0;
  std::vector<size_t> lengths = Lengths();
  lengths.push_back(3 * kReductionLeaf + 5);
  for (const size_t n : lengths) {
    Guarded<float> x(n, n % 5, [&](size_t) { return Spread(random, -60, 60); });
    ASSERT_EQ(Bits(k.sum_squares(x.data(), n)), Bits(SumSquaresTwin(x.data(), n))) << n;
    double plain = 0;
    for (size_t i = 0; i < n; ++i) plain += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    plain_differs += Bits(plain) != Bits(SumSquaresTwin(x.data(), n));
  }
  EXPECT_GT(plain_differs, 0u) << "these inputs do not depend on the order of additions";
}

TEST_P(ExactTest, MaxAbsIsFoundAtEveryPositionAndNonFiniteValuesAreReported) {
  const float bad[] = {std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN(),
                       -std::numeric_limits<float>::quiet_NaN(), std::bit_cast<float>(0x7f800001u)};
  for (size_t n = 0; n <= 70; ++n) {
    Guarded<float> x(n, n % 3, [&](size_t) { return Spread(random, -20, 5); });
    float largest = 0, found = -1;
    for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
    ASSERT_TRUE(k.max_abs(x.data(), n, &found));
    ASSERT_EQ(Bits(found), Bits(largest));
    for (size_t i = 0; i < n; ++i) {
      const float kept = x[i];
      x[i] = i % 2 == 0 ? -100.0f : std::numeric_limits<float>::max();
      ASSERT_TRUE(k.max_abs(x.data(), n, &found));
      ASSERT_EQ(found, std::abs(x[i]));
      x[i] = bad[i % 5];
      ASSERT_FALSE(k.max_abs(x.data(), n, &found)) << x[i] << " at " << i;
      x[i] = kept;
    }
  }
}

}  // namespace
}  // namespace linnet
