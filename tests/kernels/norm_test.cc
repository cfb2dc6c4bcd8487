#include <cmath>
#include <functional>

#include "kernels/guarded.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

using NormTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(NormTest);

enum class Kind { kBatch, kLayer, kGroup };

// A norm over x: [rows, cols], or [batch, rows, cols] with groups.
struct Norm {
  Kind kind;
  size_t rows, cols, batch = 1, groups = 1;
  float epsilon = 1e-3f;

  size_t Count() const { return batch * rows * cols; }
  size_t Statistics() const {
    return kind == Kind::kBatch ? cols : kind == Kind::kLayer ? rows : batch * groups;
  }
  // Which statistics element i belongs to.
  size_t StatisticOf(size_t i) const {
    if (kind == Kind::kBatch) return i % cols;
    if (kind == Kind::kLayer) return i / cols;
    return i / (rows * cols) * groups + i % cols / (cols / groups);
  }
  size_t Workspace() const {
    return kind == Kind::kBatch   ? BatchNormWorkspace(rows, cols)
           : kind == Kind::kLayer ? LayerNormWorkspace(rows, cols)
                                  : GroupNormWorkspace(batch, cols);
  }
};

struct Statistics {
  std::vector<double> mean, variance;
};
template <typename X>
Statistics StatisticsTwin(const Norm& norm, const X& x) {
  const size_t count = norm.Statistics();
  const auto share = static_cast<double>(count) / static_cast<double>(norm.Count());
  Statistics s{std::vector<double>(count), std::vector<double>(count)};
  for (size_t i = 0; i < norm.Count(); ++i) s.mean[norm.StatisticOf(i)] += x[i] * share;
  for (size_t i = 0; i < norm.Count(); ++i) {
    const double from = x[i] - s.mean[norm.StatisticOf(i)];
    s.variance[norm.StatisticOf(i)] += from * from * share;
  }
  return s;
}

template <typename X, typename P>
std::vector<double> Twin(const Norm& norm, const X& x, const P& scale, const P& shift) {
  const Statistics s = StatisticsTwin(norm, x);
  std::vector<double> y(norm.Count());
  for (size_t i = 0; i < norm.Count(); ++i) {
    const size_t at = norm.StatisticOf(i);
    const double z = (x[i] - s.mean[at]) / std::sqrt(s.variance[at] + norm.epsilon);
    y[i] = z * scale[i % norm.cols] + shift[i % norm.cols];
  }
  return y;
}

struct Gradients {
  std::vector<double> dx, dscale, dshift;
};
// By the chain rule through mean and variance, not by the kernels' shorter formula.
Gradients GradientTwin(const Norm& norm, const std::vector<float>& x,
                       const std::vector<float>& scale, const std::vector<float>& dy) {
  const Statistics s = StatisticsTwin(norm, x);
  const size_t count = norm.Statistics();
  const auto share = static_cast<double>(count) / static_cast<double>(norm.Count());
  Gradients g{std::vector<double>(norm.Count()), std::vector<double>(norm.cols),
              std::vector<double>(norm.cols)};
  std::vector<double> dmean(count), dvariance(count);
  for (size_t i = 0; i < norm.Count(); ++i) {
    const size_t at = norm.StatisticOf(i), c = i % norm.cols;
    const double inverse = 1 / std::sqrt(s.variance[at] + norm.epsilon);
    const double from = x[i] - s.mean[at];
    g.dscale[c] += dy[i] * from * inverse;
    g.dshift[c] += dy[i];
    dmean[at] -= dy[i] * scale[c] * inverse;
    dvariance[at] -= dy[i] * scale[c] * from * inverse * inverse * inverse / 2;
  }
  for (size_t i = 0; i < norm.Count(); ++i) {
    const size_t at = norm.StatisticOf(i), c = i % norm.cols;
    const double inverse = 1 / std::sqrt(s.variance[at] + norm.epsilon);
    g.dx[i] = dy[i] * scale[c] * inverse + dmean[at] * share +
              dvariance[at] * 2 * (x[i] - s.mean[at]) * share;
  }
  return g;
}

void Forward(const Kernels& k, const Norm& n, const float* x, const float* scale,
             const float* shift, float* y, float* mean, float* variance, float* workspace,
             Executor* executor) {
  if (n.kind == Kind::kBatch) {
    k.norm.batch_norm(x, n.rows, n.cols, n.epsilon, scale, shift, y, mean, variance, workspace,
                      executor);
  } else if (n.kind == Kind::kLayer) {
    k.norm.layer_norm(x, n.rows, n.cols, n.epsilon, scale, shift, y, mean, variance);
  } else {
    k.norm.group_norm(x, n.batch, n.rows, n.cols, n.groups, n.epsilon, scale, shift, y, mean,
                      variance, workspace, executor);
  }
}

void Gradient(const Kernels& k, const Norm& n, const float* x, const float* scale,
              const float* mean, const float* variance, const float* dy, float* dx, bool accumulate,
              float* dscale, float* dshift, float* workspace, Executor* executor) {
  if (n.kind == Kind::kGroup) {
    k.norm.group_norm_grad(x, n.batch, n.rows, n.cols, n.groups, n.epsilon, scale, mean, variance,
                           dy, dx, accumulate, dscale, dshift, workspace, executor);
  } else {
    (n.kind == Kind::kBatch ? k.norm.batch_norm_grad : k.norm.layer_norm_grad)(
        x, n.rows, n.cols, n.epsilon, scale, mean, variance, dy, dx, accumulate, dscale, dshift,
        workspace, executor);
  }
}

std::vector<Norm> Norms() {
  std::vector<Norm> norms;
  for (const Kind kind : {Kind::kBatch, Kind::kLayer}) {
    for (size_t cols = 1; cols <= 70; ++cols) norms.push_back({kind, 5, cols});
    // More than one block of rows, and a rest.
    norms.push_back({kind, 700, 33});
    norms.push_back({kind, 1, 16});
    norms.push_back({kind, 19, 5000});
  }
  for (const size_t width : {1, 2, 3, 8, 17}) {
    for (const size_t groups : {1, 2, 5})
      norms.push_back({Kind::kGroup, 6, width * groups, 3, groups});
  }
  // Images that are worth a task each.
  norms.push_back({Kind::kGroup, 2100, 32, 3, 4});
  return norms;
}

void ExpectNear(const std::vector<float>& found, const std::vector<double>& expected,
                double tolerance, const char* what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], tolerance * (1 + std::abs(expected[i])))
        << what << " at " << i;
  }
}

TEST_P(NormTest, ValuesStatisticsAndGradientsMatchDoublePrecision) {
  const std::unique_ptr<Executor> pool = MakePool(2);
  for (const Norm& norm : Norms()) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(norm.kind) << " " << norm.batch << " x "
                                    << norm.rows << " x " << norm.cols);
    const size_t n = norm.Count();
    // A mean that is not small beside the deviation.
    Guarded<float> x(n, 1, [&](size_t) { return 20 + Spread(random, -3, 1); });
    Guarded<float> dy(n, 3, [&](size_t) { return Whole(random, 2); });
    const auto parameter = [&](size_t) { return Spread(random, -2, 0); };
    Guarded<float> scale(norm.cols, 2, parameter), shift(norm.cols, 3, parameter);
    Guarded<float> y(n, 5), dx(n, 7), mean(norm.Statistics(), 1), variance(norm.Statistics(), 2);
    Guarded<float> workspace(norm.Workspace(), 0);
    const Statistics statistics = StatisticsTwin(norm, x.Values());
    Forward(k, norm, x.data(), scale.data(), shift.data(), y.data(), mean.data(), variance.data(),
            workspace.data(), nullptr);
    ExpectNear(mean.Values(), statistics.mean, 1e-6, "mean");
    ExpectNear(variance.Values(), statistics.variance, 1e-5, "variance");
    // x - mean cancels: x near 20 has 2^-20 of absolute error, times the inverse deviation.
    ExpectNear(y.Values(), Twin(norm, x.Values(), scale.Values(), shift.Values()), 1e-3, "y");

    const Gradients expected = GradientTwin(norm, x.Values(), scale.Values(), dy.Values());
    Guarded<float> dscale(norm.cols, 1), dshift(norm.cols, 2);
    Gradient(k, norm, x.data(), scale.data(), mean.data(), variance.data(), dy.data(), dx.data(),
             false, dscale.data(), dshift.data(), workspace.data(), nullptr);
    ExpectNear(dx.Values(), expected.dx, 1e-3, "dx");
    ExpectNear(dscale.Values(), expected.dscale, 1e-3, "dscale");
    ExpectNear(dshift.Values(), expected.dshift, 1e-5, "dshift");

    // Again on two workers, in place and accumulating: the same bits, and twice the sums.
    const std::vector<float> first_y = y.Values(), first_dx = dx.Values();
    Gradient(k, norm, x.data(), scale.data(), mean.data(), variance.data(), dy.data(), dy.data(),
             true, dscale.data(), dshift.data(), workspace.data(), pool.get());
    ASSERT_EQ(dy.Values(), first_dx);
    std::vector<double> twice = expected.dscale;
    for (double& value : twice) value *= 2;
    ExpectNear(dscale.Values(), twice, 1e-3, "accumulated dscale");
    Forward(k, norm, x.data(), scale.data(), shift.data(), x.data(), mean.data(), variance.data(),
            workspace.data(), pool.get());
    ASSERT_EQ(x.Values(), first_y);
  }
}

TEST_P(NormTest, GradientsMatchFiniteDifferences) {
  const Norm norms[] = {{Kind::kBatch, 7, 5}, {Kind::kLayer, 3, 11}, {Kind::kGroup, 4, 6, 2, 3}};
  for (const Norm& norm : norms) {
    const size_t n = norm.Count();
    Guarded<float> x(n, 1, [&](size_t) { return Spread(random, -3, 1); });
    Guarded<float> dy(n, 3, [&](size_t) { return Whole(random, 2); });
    const auto parameter = [&](size_t) { return Spread(random, -2, 0); };
    Guarded<float> scale(norm.cols, 2, parameter), shift(norm.cols, 3, parameter);
    Guarded<float> y(n), dx(n), mean(norm.Statistics()), variance(norm.Statistics());
    Guarded<float> workspace(norm.Workspace()), dscale(norm.cols), dshift(norm.cols);
    Forward(k, norm, x.data(), scale.data(), shift.data(), y.data(), mean.data(), variance.data(),
            workspace.data(), nullptr);
    Gradient(k, norm, x.data(), scale.data(), mean.data(), variance.data(), dy.data(), dx.data(),
             false, dscale.data(), dshift.data(), workspace.data(), nullptr);

    const auto doubles = [](Guarded<float>& values, size_t count) {
      return std::vector<double>(values.data(), values.data() + count);
    };
    std::vector<double> x64 = doubles(x, n), scale64 = doubles(scale, norm.cols),
                        shift64 = doubles(shift, norm.cols);
    const auto slope = [&](double& variable) {
      constexpr double kStep = 1e-5;
      const auto loss = [&] {
        const std::vector<double> at = Twin(norm, x64, scale64, shift64);
        double sum = 0;
        for (size_t i = 0; i < n; ++i) sum += at[i] * dy[i];
        return sum;
      };
      const double before = variable;
      variable = before + kStep;
      const double above = loss();
      variable = before - kStep;
      const double below = loss();
      variable = before;
      return (above - below) / (2 * kStep);
    };
    for (size_t i = 0; i < n; ++i) EXPECT_NEAR(dx[i], slope(x64[i]), 2e-4);
    for (size_t j = 0; j < norm.cols; ++j) {
      EXPECT_NEAR(dscale[j], slope(scale64[j]), 2e-4);
      EXPECT_NEAR(dshift[j], slope(shift64[j]), 2e-4);
    }
  }
}

TEST_P(NormTest, StatisticsMayBeLeftOutInInference) {
  for (const Norm& norm : {Norm{Kind::kLayer, 3, 19}, Norm{Kind::kGroup, 5, 8, 2, 4}}) {
    const auto value = [&](size_t) { return Spread(random, -2, 2); };
    Guarded<float> x(norm.Count(), 1, value), scale(norm.cols, 2, value),
        shift(norm.cols, 3, value);
    Guarded<float> y(norm.Count()), alone(norm.Count()), mean(norm.Statistics()),
        variance(norm.Statistics()), workspace(norm.Workspace());
    Forward(k, norm, x.data(), scale.data(), shift.data(), y.data(), mean.data(), variance.data(),
            workspace.data(), nullptr);
    Forward(k, norm, x.data(), scale.data(), shift.data(), alone.data(), nullptr, nullptr,
            workspace.data(), nullptr);
    EXPECT_EQ(alone.Values(), y.Values());
  }
}

TEST_P(NormTest, RunningStatisticsMoveByTheMomentumAndFoldIntoOneAffineMap) {
  const size_t channels = 3, rows = 5;
  const float mean[] = {1, 2, -3}, variance[] = {4, 0, 0.5f};
  float running_mean[] = {0, 4, 1}, running_variance[] = {1, 1, 2};
  k.norm.batch_norm_update(mean, variance, rows, channels, 0.25f, running_mean, running_variance);
  const float expected_mean[] = {0.25f, 3.5f, 0};
  for (size_t j = 0; j < channels; ++j) {
    EXPECT_FLOAT_EQ(running_mean[j], expected_mean[j]);
    // The unbiased variance: times rows / (rows - 1).
    EXPECT_FLOAT_EQ(running_variance[j],
                    0.75f * (j == 2 ? 2.0f : 1.0f) + 0.25f * variance[j] * 1.25f);
  }
  const float scale[] = {2, -1, 1}, shift[] = {1, 0, -1}, epsilon = 0.01f;
  float multiplier[channels], offset[channels];
  k.norm.batch_norm_fold(running_mean, running_variance, channels, epsilon, scale, shift,
                         multiplier, offset);
  for (size_t j = 0; j < channels; ++j) {
    const double inverse = 1 / std::sqrt(static_cast<double>(running_variance[j]) + epsilon);
    EXPECT_NEAR(multiplier[j] * 7 + offset[j],
                (7 - running_mean[j]) * inverse * scale[j] + shift[j], 1e-5);
  }
}

}  // namespace
}  // namespace linnet
