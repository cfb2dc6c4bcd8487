#include <cmath>
#include <limits>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using Forward = void (*)(const Kernels& k, const float* x, float* y, size_t n);
using Gradient = void (*)(const Kernels& k, const float* at, const float* dy, float* dx, size_t n);

struct Activation {
  const char* name;
  Forward forward;
  Gradient gradient;
  bool from_y;  // whether the gradient is computed from y
  double (*twin)(double x);
};

double SigmoidTwin(double x) { return 1 / (1 + std::exp(-x)); }

const Activation kActivations[] = {
    {"gelu", [](const Kernels& k, auto... a) { k.activation.gelu(a...); },
     [](const Kernels& k, auto... a) { k.activation.gelu_grad(a...); }, false,
     [](double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }},
    {"gelu_tanh", [](const Kernels& k, auto... a) { k.activation.gelu_tanh(a...); },
     [](const Kernels& k, auto... a) { k.activation.gelu_tanh_grad(a...); }, false,
     [](double x) {
       return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     }},
    {"silu", [](const Kernels& k, auto... a) { k.activation.silu(a...); },
     [](const Kernels& k, auto... a) { k.activation.silu_grad(a...); }, false,
     [](double x) { return x * SigmoidTwin(x); }},
    {"sigmoid", [](const Kernels& k, auto... a) { k.activation.sigmoid(a...); },
     [](const Kernels& k, auto... a) { k.activation.sigmoid_grad(a...); }, true, SigmoidTwin},
    {"tanh", [](const Kernels& k, auto... a) { k.activation.tanh(a...); },
     [](const Kernels& k, auto... a) { k.activation.tanh_grad(a...); }, true,
     [](double x) { return std::tanh(x); }},
    {"leaky_relu", [](const Kernels& k, auto... a) { k.activation.leaky_relu(0.25f, a...); },
     [](const Kernels& k, auto... a) { k.activation.leaky_relu_grad(0.25f, a...); }, true,
     [](double x) { return x > 0 ? x : x / 4; }},
    {"clip", [](const Kernels& k, auto... a) { k.activation.clip(0, 6, a...); },
     [](const Kernels& k, auto... a) { k.activation.clip_grad(0, 6, a...); }, true,
     [](double x) { return std::min(std::max(x, 0.0), 6.0); }},
};

class ActivationTest : public KernelsTest {
 protected:
  // In [-12, 12] and on no kink, nor within a finite difference of one.
  float Argument() { return (static_cast<float>(random() % 2400) - 1200 + 0.5f) / 100; }
};
LINNET_TEST_ALL_TARGETS(ActivationTest);

// Values reach 12, and each f32 operation rounds by 2^-24 of it.
constexpr double kTolerance = 12 * 4e-7;

TEST_P(ActivationTest, ValuesMatchTheirDefinitionsForEveryLengthAndInPlace) {
  for (const Activation& f : kActivations) {
    SCOPED_TRACE(f.name);
    for (const size_t n : Lengths()) {
      Guarded<float> x(n, n % 3, [&](size_t) { return Argument(); });
      Guarded<float> y(n, n % 5);
      f.forward(k, x.data(), y.data(), n);
      for (size_t i = 0; i < n; ++i) ASSERT_NEAR(y[i], f.twin(x[i]), kTolerance) << "at " << x[i];
      f.forward(k, x.data(), x.data(), n);
      ASSERT_EQ(x.Values(), y.Values()) << "in place";
    }
  }
}

TEST_P(ActivationTest, GradientsMatchFiniteDifferencesForEveryLengthAndInPlace) {
  constexpr double kStep = 1e-5;
  for (const Activation& f : kActivations) {
    SCOPED_TRACE(f.name);
    for (const size_t n : Lengths()) {
      Guarded<float> x(n, n % 3, [&](size_t) { return Argument(); });
      Guarded<float> dy(n, n % 5, [&](size_t) { return Whole(random); });
      Guarded<float> y(n), dx(n, n % 7);
      f.forward(k, x.data(), y.data(), n);
      f.gradient(k, (f.from_y ? y : x).data(), dy.data(), dx.data(), n);
      for (size_t i = 0; i < n; ++i) {
        const double slope = (f.twin(x[i] + kStep) - f.twin(x[i] - kStep)) / (2 * kStep);
        ASSERT_NEAR(dx[i], dy[i] * slope, 8 * 2e-6) << "at " << x[i];
      }
      f.gradient(k, (f.from_y ? y : x).data(), dy.data(), dy.data(), n);
      ASSERT_EQ(dy.Values(), dx.Values()) << "in place";
    }
  }
}

TEST_P(ActivationTest, NothingOverflowsAtTheEndsOfTheRange) {
  constexpr float kHuge = 1e30f;
  for (const Activation& f : kActivations) {
    Guarded<float> x(4, 1), y(4), dx(4), dy(4, 0, [](size_t) { return 1; });
    x[0] = -kHuge, x[1] = -100, x[2] = 100, x[3] = kHuge;
    f.forward(k, x.data(), y.data(), 4);
    f.gradient(k, (f.from_y ? y : x).data(), dy.data(), dx.data(), 4);
    for (size_t i = 0; i < 4; ++i) {
      const double expected = f.twin(x[i]);
      EXPECT_NEAR(y[i], expected, std::abs(expected) * 1e-6 + 1e-6) << f.name << " at " << x[i];
      EXPECT_TRUE(std::abs(dx[i]) < 1.000001f) << f.name << "_grad at " << x[i] << ": " << dx[i];
    }
  }
}

TEST_P(ActivationTest, NotANumberStaysSo) {
  for (const Activation& f : kActivations) {
    if (std::string(f.name) == "clip") continue;  // whose minimum and maximum decide
    Guarded<float> x(19, 1, [](size_t) { return std::numeric_limits<float>::quiet_NaN(); });
    f.forward(k, x.data(), x.data(), 19);
    for (size_t i = 0; i < 19; ++i) EXPECT_TRUE(std::isnan(x[i])) << f.name;
  }
}

// The largest distance from the twin in units of the last place of its result, over 2^18 arguments.
double LargestError(const Kernels& k, const Activation& f, double low, double high,
                    double (*allowed)(double x)) {
  constexpr size_t kCount = size_t{1} << 18;
  std::vector<float> x(kCount), y(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    x[i] = static_cast<float>(low + (high - low) * static_cast<double>(i) / kCount);
  }
  f.forward(k, x.data(), y.data(), kCount);
  double largest = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const double expected = f.twin(x[i]);
    const double ulp = std::ldexp(1.0, std::max(-126, std::ilogb(expected)) - 23);
    largest = std::max(largest, std::abs(y[i] - expected) / ulp / allowed(x[i]));
  }
  return largest;
}

TEST_P(ActivationTest, ErrorsStayBelowTheUnitsOfTheLastPlaceThatAreStated) {
  const Activation& gelu = kActivations[0];
  const Activation& sigmoid = kActivations[3];
  const Activation& tanh = kActivations[4];
  const auto units = [](double) { return 1.0; };
  EXPECT_LE(LargestError(k, sigmoid, -87, 20, units), 3);
  EXPECT_LE(LargestError(k, tanh, -11, 11, units), 3);
  EXPECT_LE(LargestError(k, tanh, -1e-4, 1e-4, units), 3);
  EXPECT_LE(LargestError(k, gelu, -12.9, 0, [](double x) { return 11 + x * x; }), 1);
  EXPECT_LE(LargestError(k, gelu, 0, 20, units), 8);
}

}  // namespace
}  // namespace linnet
