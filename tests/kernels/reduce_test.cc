#include "kernels/guarded.h"

namespace linnet {
namespace {

using ReduceTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ReduceTest);

TEST_P(ReduceTest, ColumnDotsAreExactOnWholeNumbersForEveryWidth) {
  for (const size_t cols : Lengths()) {
    for (const size_t rows : {size_t{0}, size_t{1}, size_t{10}, size_t{33}}) {
      if (cols > 300 && rows > 10) continue;
      for (const bool accumulate : {false, true}) {
        const auto whole = [&](size_t) { return Whole(random); };
        Guarded<float> a(rows * cols, cols % 3, whole), b(rows * cols, 1, whole);
        Guarded<float> out(cols, 1, whole);
        std::vector<float> expected = accumulate ? out.Values() : std::vector<float>(cols);
        for (size_t i = 0; i < rows * cols; ++i) expected[i % cols] += a[i] * b[i];
        k.reduce.column_dots(a.data(), b.data(), rows, cols, accumulate, out.data());
        ASSERT_EQ(out.Values(), expected);
      }
    }
  }
}

TEST_P(ReduceTest, SumsOverAnAxisAndTheirGradientAreExactOnWholeNumbers) {
  const size_t outer = 3;
  const float factor = 0.5f;
  for (const size_t axis : {0, 1, 2, 5, 16, 67, 130}) {
    for (const size_t inner : {1, 2, 3, 7, 16, 33, 64, 70}) {
      Guarded<float> x(outer * axis * inner, 1, [&](size_t) { return Whole(random); });
      Guarded<float> y(outer * inner, 2), spread(outer * axis * inner, 3);
      std::vector<float> expected(outer * inner), expected_spread(outer * axis * inner);
      const auto at = [&](size_t i) { return i / (axis * inner) * inner + i % inner; };
      for (size_t i = 0; i < expected_spread.size(); ++i) expected[at(i)] += factor * x[i];
      k.reduce.sum(x.data(), outer, axis, inner, factor, y.data());
      ASSERT_EQ(y.Values(), expected) << axis << " x " << inner;
      for (size_t i = 0; i < expected_spread.size(); ++i) {
        expected_spread[i] = factor * expected[at(i)];
      }
      k.reduce.spread(y.data(), outer, axis, inner, factor, spread.data());
      ASSERT_EQ(spread.Values(), expected_spread) << axis << " x " << inner;
    }
  }
}

}  // namespace
}  // namespace linnet
