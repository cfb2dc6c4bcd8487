#include "kernels/guarded.h"

namespace linnet {
namespace {

using ElementwiseTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ElementwiseTest);

TEST_P(ElementwiseTest, VectorArithmeticIsExactOnWholeNumbersForEveryLength) {
  for (const size_t n : Lengths()) {
    const auto whole = [&](size_t) { return Whole(random); };
    Guarded<float> a(n, n % 3, whole), b(n, n % 5, whole), out(n, n % 7);
    std::vector<float> sum(n), difference(n), axpy(n), scaled(n);
    for (size_t i = 0; i < n; ++i) {
      sum[i] = a[i] + b[i];
      difference[i] = a[i] - b[i];
      axpy[i] = 3 * a[i] + b[i];
      scaled[i] = 5 * a[i];
    }
    k.add(a.data(), b.data(), out.data(), n);
    ASSERT_EQ(out.Values(), sum);
    k.subtract(a.data(), b.data(), out.data(), n);
    ASSERT_EQ(out.Values(), difference);
    k.axpy(3, a.data(), b.data(), n);
    ASSERT_EQ(b.Values(), axpy);
    k.subtract(b.data(), a.data(), b.data(), n);
    k.add(a.data(), b.data(), a.data(), n);
    ASSERT_EQ(a.Values(), axpy) << "in place: a + ((3a + b) - a)";
    k.scale(5, a.data(), n);
    for (size_t i = 0; i < n; ++i) scaled[i] = 5 * axpy[i];
    ASSERT_EQ(a.Values(), scaled);
  }
}

TEST_P(ElementwiseTest, AddAndSubtractHaveTheSameBitsAsScalarCode) {
  for (const size_t n : Lengths()) {
    Guarded<float> a(n, 1, [&](size_t) { return Spread(random, -140, 120); });
    Guarded<float> b(n, 2, [&](size_t) { return Spread(random, -10, 10); });
    Guarded<float> sum(n), difference(n, 3);
    k.add(a.data(), b.data(), sum.data(), n);
    k.subtract(a.data(), b.data(), difference.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(Bits(sum[i]), Bits(a[i] + b[i]));
      ASSERT_EQ(Bits(difference[i]), Bits(a[i] - b[i]));
    }
  }
}

TEST_P(ElementwiseTest, ColumnSumsAreExactOnWholeNumbersForEveryWidth) {
  for (const size_t cols : Lengths()) {
    for (const size_t rows : {size_t{0}, size_t{1}, size_t{10}, size_t{33}}) {
      if (cols > 300 && rows > 10) continue;
      for (const bool accumulate : {false, true}) {
        Guarded<float> x(rows * cols, cols % 3, [&](size_t) { return Whole(random); });
        Guarded<float> out(cols, 1, [&](size_t) { return Whole(random); });
        std::vector<float> expected = accumulate ? out.Values() : std::vector<float>(cols);
        for (size_t i = 0; i < rows * cols; ++i) expected[i % cols] += x[i];
        k.column_sums(x.data(), rows, cols, accumulate, out.data());
        ASSERT_EQ(out.Values(), expected);
      }
    }
  }
}

TEST_P(ElementwiseTest, ReluAndItsGradientMatchScalarCodeForEveryLength) {
  for (const size_t n : Lengths()) {
    Guarded<float> x(n, 1, [&](size_t) { return Whole(random); });
    Guarded<float> dy(n, 2, [&](size_t) { return Whole(random); });
    Guarded<float> y(n, 3), dx(n);
    k.relu(x.data(), y.data(), n);
    k.relu_grad(y.data(), dy.data(), dx.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(y[i], x[i] > 0 ? x[i] : 0);
      ASSERT_EQ(dx[i], y[i] > 0 ? dy[i] : 0);
    }
  }
}

TEST_P(ElementwiseTest, OptimizerStepsAreExactOnBinaryFractionsForEveryLength) {
  const float lr = 0.5f, mu = 0.25f;
  for (const size_t n : Lengths()) {
    for (const bool nesterov : {false, true}) {
      const auto whole = [&](size_t) { return Whole(random); };
      Guarded<float> g(n, 1, whole), v(n, 2, whole), w(n, 3, whole), plain(n, 1, whole);
      std::vector<float> expected_v(n), expected_w(n), expected_plain(n);
      for (size_t i = 0; i < n; ++i) {
        expected_v[i] = mu * v[i] + g[i];
        expected_w[i] = w[i] - lr * (nesterov ? g[i] + mu * expected_v[i] : expected_v[i]);
        expected_plain[i] = plain[i] - lr * g[i];
      }
      k.momentum_step(lr, mu, nesterov, g.data(), v.data(), w.data(), n);
      k.sgd_step(lr, g.data(), plain.data(), n);
      ASSERT_EQ(v.Values(), expected_v);
      ASSERT_EQ(w.Values(), expected_w);
      ASSERT_EQ(plain.Values(), expected_plain);
    }
  }
}

TEST_P(ElementwiseTest, IntegersBecomeFloatsByOneMultiplyAndOneAdd) {
  // Not binary fractions: a fused multiply-add would round differently (the control below).
  const float scale = 1.0f / 255.0f, offset = -0.1307f;
  for (const size_t n : Lengths()) {
    Guarded<uint8_t> u(n, n % 3, [&](size_t) { return random(); });
    Guarded<int8_t> s(n, n % 5, [&](size_t) { return random(); });
    Guarded<float> from_u(n, 1), from_s(n, 2);
    k.from_u8(u.data(), scale, offset, from_u.data(), n);
    k.from_i8(s.data(), scale, from_s.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const float product = static_cast<float>(u[i]) * scale;
      ASSERT_EQ(Bits(from_u[i]), Bits(product + offset));
      ASSERT_EQ(Bits(from_s[i]), Bits(static_cast<float>(s[i]) * scale));
    }
  }
  size_t differing = 0;
  for (int i = 0; i < 256; ++i) {
    const float x = static_cast<float>(i);
    const float product = x * scale;
    differing += Bits(std::fma(x, scale, offset)) != Bits(product + offset);
  }
  EXPECT_GT(differing, 0u) << "the inputs cannot tell a fused multiply-add";
}

}  // namespace
}  // namespace linnet
