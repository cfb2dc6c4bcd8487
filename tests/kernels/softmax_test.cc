#include <cmath>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using SoftmaxTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(SoftmaxTest);

// The argument of exp reaches 32: its subtraction and, without fused multiply-add, its range
// reduction each round by up to 2^-20, which exp turns into relative errors.
constexpr double kTolerance = 1e-5;

std::vector<double> Expected(const float* logits, size_t cols) {
  double largest = static_cast<double>(logits[0]), sum = 0;
  for (size_t j = 0; j < cols; ++j) largest = std::max(largest, static_cast<double>(logits[j]));
  std::vector<double> p(cols);
  for (size_t j = 0; j < cols; ++j)
    sum += p[j] = std::exp(static_cast<double>(logits[j]) - largest);
  for (double& value : p) value /= sum;
  return p;
}

TEST_P(SoftmaxTest, ProbabilitiesAreCloseToDoublePrecisionForEveryWidth) {
  for (const size_t cols : Lengths()) {
    if (cols == 0) continue;
    const size_t rows = 3;
    Guarded<float> logits(rows * cols, 1, [&](size_t) { return Spread(random, -3, 3); });
    Guarded<float> p(rows * cols, 2);
    k.softmax(logits.data(), rows, cols, p.data());
    for (size_t r = 0; r < rows; ++r) {
      const std::vector<double> expected = Expected(&logits[r * cols], cols);
      for (size_t j = 0; j < cols; ++j) {
        ASSERT_NEAR(static_cast<double>(p[r * cols + j]), expected[j],
                    expected[j] * kTolerance + 1e-30);
      }
    }
    k.softmax(logits.data(), rows, cols, logits.data());
    ASSERT_EQ(logits.Values(), p.Values()) << "in place";
  }
}

TEST_P(SoftmaxTest, HugeLogitsNeitherOverflowNorGiveNaN) {
  const size_t cols = 21;
  Guarded<float> logits(cols, 1, [&](size_t j) {
    return j == 20 ? 1e30f : j % 2 == 0 ? -1e30f : 1e4f;
  });
  Guarded<float> p(cols);
  k.softmax(logits.data(), 1, cols, p.data());
  for (size_t j = 0; j < cols; ++j) EXPECT_EQ(p[j], j == 20 ? 1.0f : 0.0f);
}

TEST_P(SoftmaxTest, CrossEntropyAndItsGradientAreCloseToDoublePrecision) {
  for (const size_t cols : {1, 2, 9, 10, 16, 17, 62, 1000}) {
    for (const bool in_place : {false, true}) {
      const size_t rows = 7;
      const float grad_scale = 1.0f / 7.0f;
      Guarded<float> logits(rows * cols, 1, [&](size_t) { return Spread(random, -3, 3); });
      Guarded<float> other(rows * cols, 2);
      Guarded<int32_t> labels(rows, 0, [&](size_t) { return random() % cols; });
      std::vector<double> expected;
      double loss = 0;
      for (size_t r = 0; r < rows; ++r) {
        std::vector<double> p = Expected(&logits[r * cols], cols);
        loss -= std::log(p[static_cast<size_t>(labels[r])]);
        p[static_cast<size_t>(labels[r])] -= 1;
        expected.insert(expected.end(), p.begin(), p.end());
      }
      ASSERT_NEAR(k.softmax_cross_entropy(logits.data(), labels.data(), rows, cols, 1, nullptr),
                  loss, 1e-5 + std::abs(loss) * kTolerance);
      Guarded<float>& grad = in_place ? logits : other;
      ASSERT_NEAR(k.softmax_cross_entropy(logits.data(), labels.data(), rows, cols, grad_scale,
                                          grad.data()),
                  loss, 1e-5 + std::abs(loss) * kTolerance);
      for (size_t i = 0; i < rows * cols; ++i) {
        ASSERT_NEAR(static_cast<double>(grad[i]), expected[i] * static_cast<double>(grad_scale),
                    1e-6);
      }
    }
  }
}

TEST_P(SoftmaxTest, TheGradientOfProbabilitiesMatchesFiniteDifferencesForEveryWidth) {
  for (const size_t cols : Lengths()) {
    if (cols == 0 || cols > 130) continue;
    const size_t rows = 2;
    Guarded<float> logits(rows * cols, 1, [&](size_t) { return Spread(random, -3, 1); });
    Guarded<float> dy(rows * cols, 2, [&](size_t) { return Whole(random); });
    Guarded<float> y(rows * cols), dx(rows * cols, 3);
    k.softmax(logits.data(), rows, cols, y.data());
    k.loss.softmax_grad(y.data(), dy.data(), rows, cols, dx.data());
    for (size_t i = 0; i < rows * cols; ++i) {
      constexpr float kStep = 0x1p-7f;  // exact in f32 beside the logits
      const size_t first = i / cols * cols;
      const auto loss = [&](float step) {
        std::vector<float> moved(&logits[first], &logits[first] + cols);
        moved[i - first] += step;
        const std::vector<double> p = Expected(moved.data(), cols);
        double sum = 0;
        for (size_t j = 0; j < cols; ++j) sum += p[j] * dy[first + j];
        return sum;
      };
      // The error of the central difference is a sixth of the step squared of a third derivative.
      ASSERT_NEAR(dx[i], (loss(kStep) - loss(-kStep)) / (2 * kStep), 3e-4);
    }
    k.loss.softmax_grad(y.data(), dy.data(), rows, cols, dy.data());
    ASSERT_EQ(dy.Values(), dx.Values()) << "in place";
  }
}

TEST_P(SoftmaxTest, SquaredErrorIsExactOnWholeNumbersForEveryLength) {
  for (const size_t n : Lengths()) {
    const auto whole = [&](size_t) { return Whole(random); };
    Guarded<float> x(n, 1, whole), target(n, 2, whole), grad(n, 3);
    double loss = 0;
    std::vector<float> expected(n);
    for (size_t i = 0; i < n; ++i) {
      loss += static_cast<double>((x[i] - target[i]) * (x[i] - target[i]));
      expected[i] = 2 * (x[i] - target[i]) * 0.25f;
    }
    ASSERT_EQ(k.loss.squared_error(x.data(), target.data(), n, 1, nullptr), loss);
    ASSERT_EQ(k.loss.squared_error(x.data(), target.data(), n, 0.25f, grad.data()), loss);
    ASSERT_EQ(grad.Values(), expected);
    k.loss.squared_error(x.data(), target.data(), n, 0.25f, x.data());
    ASSERT_EQ(x.Values(), expected) << "in place";
  }
}

TEST_P(SoftmaxTest, ArgmaxIsTheLowestIndexOfTheLargestForEveryWidth) {
  for (const size_t cols : Lengths()) {
    if (cols == 0) continue;
    const size_t rows = 5;
    // Row 0 is all equal; the others have few distinct values, so many ties.
    Guarded<float> x(rows * cols, cols % 4,
                     [&](size_t i) { return i < cols ? -3 : Whole(random, 3); });
    Guarded<int32_t> found(rows, 1);
    k.argmax_rows(x.data(), rows, cols, found.data());
    for (size_t r = 0; r < rows; ++r) {
      size_t best = 0;
      for (size_t j = 1; j < cols; ++j) {
        if (x[r * cols + j] > x[r * cols + best]) best = j;
      }
      ASSERT_EQ(found[r], static_cast<int32_t>(best)) << "row " << r << " of " << cols;
    }
  }
}

TEST_P(SoftmaxTest, ArgmaxFindsASingleLargestAtEveryPosition) {
  for (const size_t cols : {1, 7, 10, 33, 64, 71}) {
    for (size_t at = 0; at < cols; ++at) {
      Guarded<float> x(cols, 1, [&](size_t j) { return j == at ? -1 : -2; });
      int32_t found = -1;
      k.argmax_rows(x.data(), 1, cols, &found);
      ASSERT_EQ(found, static_cast<int32_t>(at));
    }
  }
}

}  // namespace
}  // namespace linnet
