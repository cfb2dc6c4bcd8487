#include <cmath>

#include "kernels/guarded.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

using AttentionTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(AttentionTest);

struct Result64 {
  std::vector<double> out, log_sums, dqkv;
};

// From the definition, and its gradient by the chain rule through the probabilities.
template <typename T>
Result64 Twin(const AttentionShape& s, const std::vector<T>& qkv, const std::vector<float>& dout) {
  const size_t d = s.heads * s.head_size, t = s.tokens;
  Result64 result{
      std::vector<double>(s.batch * t * d), {}, std::vector<double>(s.batch * t * 3 * d)};
  for (size_t b = 0; b < s.batch; ++b) {
    for (size_t h = 0; h < s.heads; ++h) {
      const auto at = [&](size_t token, size_t part, size_t j) {
        return (b * t + token) * 3 * d + part * d + h * s.head_size + j;
      };
      for (size_t i = 0; i < t; ++i) {
        const size_t keys = s.causal ? i + 1 : t;
        const double scale = 1 / std::sqrt(static_cast<double>(s.head_size));
        std::vector<double> p(keys), dp(keys);
        double sum = 0, dot = 0;
        for (size_t key = 0; key < keys; ++key) {
          for (size_t j = 0; j < s.head_size; ++j) {
            p[key] += scale * static_cast<double>(qkv[at(i, 0, j)]) * qkv[at(key, 1, j)];
          }
          sum += p[key] = std::exp(p[key]);
        }
        result.log_sums.push_back(std::log(sum));
        const size_t row = (b * t + i) * d + h * s.head_size;
        for (size_t key = 0; key < keys; ++key) {
          p[key] /= sum;
          for (size_t j = 0; j < s.head_size; ++j) {
            result.out[row + j] += p[key] * qkv[at(key, 2, j)];
            result.dqkv[at(key, 2, j)] += p[key] * dout[row + j];
            dp[key] += static_cast<double>(dout[row + j]) * qkv[at(key, 2, j)];
          }
          dot += p[key] * dp[key];
        }
        for (size_t key = 0; key < keys; ++key) {
          const double ds = p[key] * (dp[key] - dot) * scale;
          for (size_t j = 0; j < s.head_size; ++j) {
            result.dqkv[at(i, 0, j)] += ds * qkv[at(key, 1, j)];
            result.dqkv[at(key, 1, j)] += ds * qkv[at(i, 0, j)];
          }
        }
      }
    }
  }
  return result;
}

void ExpectNear(const std::vector<float>& found, const std::vector<double>& expected,
                const char* what) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 2e-5 * (1 + std::abs(expected[i]))) << what << " " << i;
  }
}

TEST_P(AttentionTest, OutputsAndGradientsMatchDoublePrecisionOnAnyNumberOfWorkers) {
  const std::unique_ptr<Executor> pool = MakePool(2);
  for (const bool causal : {false, true}) {
    const AttentionShape shapes[] = {
        {.batch = 1, .tokens = 1, .heads = 1, .head_size = 1, .causal = causal},
        {.batch = 2, .tokens = 5, .heads = 3, .head_size = 4, .causal = causal},
        {.batch = 1, .tokens = 16, .heads = 2, .head_size = 16, .causal = causal},
        {.batch = 1, .tokens = 17, .heads = 1, .head_size = 33, .causal = causal},
        {.batch = 3, .tokens = 64, .heads = 4, .head_size = 32, .causal = causal},
        // Several blocks of queries, the last one not full.
        {.batch = 1, .tokens = 301, .heads = 2, .head_size = 7, .causal = causal},
    };
    for (const AttentionShape& s : shapes) {
      SCOPED_TRACE(testing::Message() << s.tokens << " tokens, " << s.heads << " x " << s.head_size
                                      << (causal ? ", causal" : ""));
      const size_t n = s.batch * s.tokens * s.heads * s.head_size;
      const size_t rows = s.batch * s.heads * s.tokens;
      Guarded<float> qkv(3 * n, 1, [&](size_t) { return Spread(random, -4, 0); });
      Guarded<float> dout(n, 2, [&](size_t) { return Whole(random, 2); });
      Guarded<float> out(n, 3), log_sums(rows, 1), dqkv(3 * n, 5);
      Guarded<float> workspace(AttentionWorkspace(s)), workspaces(2 * AttentionWorkspace(s));
      const Result64 expected = Twin(s, qkv.Values(), dout.Values());
      k.attention.forward(s, qkv.data(), out.data(), log_sums.data(), workspace.data(), nullptr);
      ExpectNear(out.Values(), expected.out, "out");
      for (size_t b = 0; b < s.batch; ++b) {
        for (size_t i = 0; i < s.heads * s.tokens; ++i) {
          ASSERT_NEAR(log_sums[b * s.heads * s.tokens + i],
                      expected.log_sums[b * s.heads * s.tokens + i], 1e-5);
        }
      }
      k.attention.gradient(s, qkv.data(), out.data(), log_sums.data(), dout.data(), dqkv.data(),
                           workspace.data(), nullptr);
      ExpectNear(dqkv.Values(), expected.dqkv, "dqkv");

      Guarded<float> again(n, 1), dagain(3 * n, 2);
      k.attention.forward(s, qkv.data(), again.data(), nullptr, workspaces.data(), pool.get());
      ASSERT_EQ(again.Values(), out.Values()) << "two workers, no logarithms";
      k.attention.gradient(s, qkv.data(), out.data(), log_sums.data(), dout.data(), dagain.data(),
                           workspaces.data(), pool.get());
      ASSERT_EQ(dagain.Values(), dqkv.Values()) << "two workers";
    }
  }
}

TEST_P(AttentionTest, TheGradientMatchesFiniteDifferences) {
  const AttentionShape s{.batch = 1, .tokens = 5, .heads = 2, .head_size = 3, .causal = true};
  const size_t n = 5 * 6;
  Guarded<float> qkv(3 * n, 1, [&](size_t) { return Spread(random, -4, 0); });
  Guarded<float> dout(n, 2, [&](size_t) { return Whole(random, 2); });
  Guarded<float> out(n), log_sums(10), dqkv(3 * n), workspace(AttentionWorkspace(s));
  k.attention.forward(s, qkv.data(), out.data(), log_sums.data(), workspace.data(), nullptr);
  k.attention.gradient(s, qkv.data(), out.data(), log_sums.data(), dout.data(), dqkv.data(),
                       workspace.data(), nullptr);
  std::vector<double> at(qkv.data(), qkv.data() + 3 * n);
  const auto loss = [&] {
    const std::vector<double> values = Twin(s, at, dout.Values()).out;
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += values[i] * dout[i];
    return sum;
  };
  for (size_t i = 0; i < 3 * n; ++i) {
    constexpr double kStep = 1e-5;
    const double before = at[i];
    at[i] = before + kStep;
    const double above = loss();
    at[i] = before - kStep;
    const double below = loss();
    at[i] = before;
    EXPECT_NEAR(dqkv[i], (above - below) / (2 * kStep), 1e-5);
  }
}

TEST_P(AttentionTest, HugeScoresNeitherOverflowNorGiveNaN) {
  const AttentionShape s{.batch = 1, .tokens = 3, .heads = 1, .head_size = 1, .causal = false};
  // Rows of q, k, v: the scores are 1e6 times -1, 0, 1.
  Guarded<float> qkv(9), out(3), log_sums(3), dqkv(9), workspace(AttentionWorkspace(s));
  Guarded<float> dout(3, 0, [](size_t) { return 1; });
  for (size_t i = 0; i < 3; ++i) {
    qkv[3 * i] = 1e3f;
    qkv[3 * i + 1] = 1e3f * (static_cast<float>(i) - 1);
    qkv[3 * i + 2] = static_cast<float>(i);
  }
  k.attention.forward(s, qkv.data(), out.data(), log_sums.data(), workspace.data(), nullptr);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(out[i], 2.0f);
  k.attention.gradient(s, qkv.data(), out.data(), log_sums.data(), dout.data(), dqkv.data(),
                       workspace.data(), nullptr);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(dqkv[i], i == 8 ? 3.0f : 0.0f);
}

}  // namespace
}  // namespace linnet
