#include "kernels/guarded.h"

namespace linnet {
namespace {

using ArithmeticTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ArithmeticTest);

TEST_P(ArithmeticTest, ElementsAreExactOnWholeNumbersForEveryLengthAndInPlace) {
  for (const size_t n : Lengths()) {
    const auto whole = [&](size_t) { return Whole(random); };
    Guarded<float> a(n, n % 3, whole), b(n, n % 5, whole), out(n, n % 7);
    std::vector<float> product(n), scaled(n);
    for (size_t i = 0; i < n; ++i) {
      product[i] = a[i] * b[i];
      scaled[i] = -3 * a[i];
    }
    k.arithmetic.multiply(a.data(), b.data(), out.data(), n);
    ASSERT_EQ(out.Values(), product);
    k.arithmetic.multiply(a.data(), b.data(), b.data(), n);
    ASSERT_EQ(b.Values(), product) << "in place";
    k.arithmetic.scale(-3, a.data(), out.data(), n);
    ASSERT_EQ(out.Values(), scaled);
    k.arithmetic.scale(-3, a.data(), a.data(), n);
    ASSERT_EQ(a.Values(), scaled) << "in place";
  }
}

TEST_P(ArithmeticTest, RowsWithAParameterAreExactOnWholeNumbersForEveryWidth) {
  for (const size_t cols : Lengths()) {
    const size_t rows = cols > 300 ? 2 : 5, n = rows * cols;
    const auto whole = [&](size_t) { return Whole(random); };
    Guarded<float> x(n, 1, whole), p(cols, 2, whole), q(cols, 3, whole), out(n, 5);
    std::vector<float> sum(n), product(n), affine(n), relu(n);
    for (size_t i = 0; i < n; ++i) {
      sum[i] = x[i] + p[i % cols];
      product[i] = x[i] * p[i % cols];
      affine[i] = product[i] + q[i % cols];
      relu[i] = std::max(0.0f, affine[i]);
    }
    k.arithmetic.add_rows(x.data(), p.data(), rows, cols, out.data());
    ASSERT_EQ(out.Values(), sum);
    k.arithmetic.multiply_rows(x.data(), p.data(), rows, cols, out.data());
    ASSERT_EQ(out.Values(), product);
    k.arithmetic.affine_rows(x.data(), p.data(), q.data(), rows, cols, true, out.data());
    ASSERT_EQ(out.Values(), relu);
    k.arithmetic.affine_rows(x.data(), p.data(), q.data(), rows, cols, false, x.data());
    ASSERT_EQ(x.Values(), affine) << "in place";
  }
}

// ---- Dropout

uint32_t Mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

TEST_P(ArithmeticTest, DropoutFollowsFromTheKeyAndThePositionAloneForEveryLength) {
  const uint64_t key = 0x0123456789abcdefu;
  const float rate = 0.25f;
  const size_t first = 70000;
  for (const size_t n : Lengths()) {
    Guarded<float> x(n, 1, [&](size_t) { return Whole(random); }), y(n, 2), parts(n, 3);
    k.arithmetic.dropout(key, first, rate, x.data(), y.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const auto index = static_cast<uint32_t>(first + i);
      const bool kept = Mix(Mix(index ^ static_cast<uint32_t>(key)) ^
                            static_cast<uint32_t>(key >> 32)) >= 0x40000000u;
      ASSERT_EQ(y[i], kept ? x[i] * (1 / (1 - rate)) : 0.0f);
    }
    const size_t cut = n / 3;
    k.arithmetic.dropout(key, first, rate, x.data(), parts.data(), cut);
    k.arithmetic.dropout(key, first + cut, rate, x.data() + cut, parts.data() + cut, n - cut);
    ASSERT_EQ(parts.Values(), y.Values()) << "in two parts";
    k.arithmetic.dropout(key, first, rate, x.data(), x.data(), n);
    ASSERT_EQ(x.Values(), y.Values()) << "in place";
  }
}

TEST_P(ArithmeticTest, DropoutKeepsTheShareItShouldAndKeysAreIndependent) {
  constexpr size_t kCount = 1 << 20;
  std::vector<float> x(kCount, 1), y(kCount), other(kCount);
  for (const float rate : {0.0f, 0.1f, 0.5f, 0.9f}) {
    k.arithmetic.dropout(1, 0, rate, x.data(), y.data(), kCount);
    k.arithmetic.dropout(2, 0, rate, x.data(), other.data(), kCount);
    double kept = 0, both = 0;
    for (size_t i = 0; i < kCount; ++i) {
      kept += y[i] > 0;
      both += y[i] > 0 && other[i] > 0;
    }
    // Five standard deviations of a binomial of 2^20 are at most 0.0025.
    EXPECT_NEAR(kept / kCount, 1 - rate, 0.0025);
    EXPECT_NEAR(both / kCount, (1 - rate) * (1 - rate), 0.0025);
  }
}

}  // namespace
}  // namespace linnet
