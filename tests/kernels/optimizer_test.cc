#include <cmath>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using OptimizerTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(OptimizerTest);

TEST_P(OptimizerTest, AdamFollowsItsEquationsOverStepsForEveryLength) {
  for (const size_t n : Lengths()) {
    for (const float weight_decay : {0.0f, 0.1f}) {
      AdamArgs args{.lr = 0.01f,
                    .beta1 = 0.9f,
                    .beta2 = 0.999f,
                    .epsilon = 1e-8f,
                    .weight_decay = weight_decay,
                    .step = 0};
      Guarded<float> m(n, 1), v(n, 2), w(n, 3, [&](size_t) { return Whole(random); });
      std::vector<double> m64(n), v64(n), w64(w.data(), w.data() + n);
      for (args.step = 1; args.step <= 3; ++args.step) {
        Guarded<float> g(n, 1, [&](size_t) { return Spread(random, -10, 3); });
        k.optimizer.adam(args, g.data(), m.data(), v.data(), w.data(), n);
        const auto steps = static_cast<double>(args.step);
        const double lr = args.lr, beta1 = args.beta1, beta2 = args.beta2;
        for (size_t i = 0; i < n; ++i) {
          m64[i] = beta1 * m64[i] + (1 - beta1) * g[i];
          v64[i] = beta2 * v64[i] + (1 - beta2) * g[i] * g[i];
          const double first = m64[i] / (1 - std::pow(beta1, steps));
          const double second = v64[i] / (1 - std::pow(beta2, steps));
          w64[i] -= lr * weight_decay * w64[i];
          w64[i] -= lr * first / (std::sqrt(second) + args.epsilon);
          // 1 - beta2 in f32 is off by 2^-25 of 0.001: 3e-5, half of it after the root, and a step
          // is 0.01 of a weight.
          ASSERT_NEAR(w[i], w64[i], 3e-6);
        }
      }
    }
  }
}

TEST_P(OptimizerTest, TheProximalTermIsExactOnWholeNumbersForEveryLength) {
  for (const size_t n : Lengths()) {
    const auto whole = [&](size_t) { return Whole(random); };
    Guarded<float> w(n, 1, whole), w0(n, 2, whole), g(n, 3, whole);
    std::vector<float> expected(n);
    for (size_t i = 0; i < n; ++i) expected[i] = g[i] + 0.5f * (w[i] - w0[i]);
    k.optimizer.proximal(0.5f, w.data(), w0.data(), g.data(), n);
    ASSERT_EQ(g.Values(), expected);
  }
}

}  // namespace
}  // namespace linnet
