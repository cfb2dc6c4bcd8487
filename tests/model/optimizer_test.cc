// The optimizers against their formulas, and what a federation adds to the gradient against its
// worked examples.
#include "model/optimizer.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "graphs.h"

namespace linnet {
namespace {

using Optimizer_ = TrainOptions::Optimizer;

// One matrix of two weights.
std::vector<ParamInfo> TwoParameters() { return {{"weight", {1, 2}, 0, 2}}; }

TEST(OptimizerTest, UpdatesAreThoseOfTheFormulas) {
  // w = {1, -2}, g = {0.5, 0.25} twice; worked out by hand. All numbers are exact in f32.
  struct Row {
    std::string name;
    TrainOptions options;
    std::array<float, 2> first, second;
  };
  const std::vector<Row> rows = {
      // w - 0.5 g
      {"sgd",
       {.optimizer = Optimizer_::kSgd, .learning_rate = 0.5f},
       {0.75f, -2.125f},
       {0.5f, -2.25f}},
      // v = g, then 0.5 g + g = 1.5 g: w - 0.5 g, then w - 0.5 * 1.5 g
      {"momentum",
       {.optimizer = Optimizer_::kMomentum, .learning_rate = 0.5f, .momentum = 0.5f},
       {0.75f, -2.125f},
       {0.375f, -2.3125f}},
      // g + 0.5 v = 1.5 g, then g + 0.5 * 1.5 g = 1.75 g
      {"nesterov",
       {.optimizer = Optimizer_::kNesterov, .learning_rate = 0.5f, .momentum = 0.5f},
       {0.625f, -2.1875f},
       {0.1875f, -2.40625f}},
      // g + 0.25 w = {0.75, -0.25}, then {0.5 + 0.25 * 0.625, 0.25 - 0.25 * 1.875}
      {"weight decay",
       {.optimizer = Optimizer_::kSgd, .learning_rate = 0.5f, .weight_decay = 0.25f},
       {0.625f, -1.875f},
       {0.296875f, -1.765625f}},
      // v = {0.75, -0.25}; then v = 0.5 v + {0.65625, -0.21875}
      {"weight decay with momentum",
       {.optimizer = Optimizer_::kMomentum,
        .learning_rate = 0.5f,
        .momentum = 0.5f,
        .weight_decay = 0.25f},
       {0.625f, -1.875f},
       {0.109375f, -1.703125f}},
  };
  for (const Kernels* kernels : TestedKernels()) {
    for (const Row& row : rows) {
      SCOPED_TRACE(row.name + " on " + kernels->target);
      Optimizer optimizer(row.options, TwoParameters(), *kernels);
      std::array<float, 2> w = {1.0f, -2.0f};
      std::array<float, 2> g = {0.5f, 0.25f};
      optimizer.Apply(g, w);
      EXPECT_EQ(w, row.first);
      g = {0.5f, 0.25f};
      optimizer.Apply(g, w);
      EXPECT_EQ(w, row.second);
      w = {1.0f, -2.0f}, g = {0.5f, 0.25f};
      optimizer.Reset();
      optimizer.Apply(g, w);
      EXPECT_EQ(w, row.first) << "after a reset the first step comes again";
    }
  }
}

TEST(OptimizerTest, AGradientIsClippedToTheNormAndASmallerOneIsNot) {
  for (const Kernels* kernels : TestedKernels()) {
    SCOPED_TRACE(kernels->target);
    Optimizer optimizer({.learning_rate = 1.0f, .clip_norm = 2.5f}, TwoParameters(), *kernels);
    std::array<float, 2> w = {0.0f, 0.0f}, g = {3.0f, -4.0f};  // norm 5
    optimizer.Apply(g, w);
    EXPECT_EQ(w, (std::array<float, 2>{-1.5f, 2.0f}));
    w = {0.0f, 0.0f}, g = {1.5f, 2.0f};  // norm 2.5
    optimizer.Apply(g, w);
    EXPECT_EQ(w, (std::array<float, 2>{-1.5f, -2.0f}));
  }
}

TEST(OptimizerTest, ClippingComesBeforeWeightDecay) {
  Optimizer optimizer({.learning_rate = 1.0f, .weight_decay = 1.0f, .clip_norm = 1.0f},
                      TwoParameters(), ScalarKernels());
  std::array<float, 2> w = {8.0f, 16.0f}, g = {0.0f, 2.0f};
  optimizer.Apply(g, w);
  EXPECT_EQ(w, (std::array<float, 2>{0.0f, -1.0f}));
}

// The formulas in double, over many steps and random gradients.
TEST(OptimizerTest, AdamFollowsItsPaper) {
  constexpr size_t kN = 37;
  const std::vector<ParamInfo> params = {{"weight", {1, kN}, 0, kN}};
  for (const bool decoupled : {false, true}) {
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(StrCat(kernels->target, decoupled ? " adamw" : " adam"));
      const TrainOptions options{.optimizer = decoupled ? Optimizer_::kAdamW : Optimizer_::kAdam,
                                 .learning_rate = 0.01f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.99f,
                                 .epsilon = 1e-6f,
                                 .weight_decay = 0.1f};
      Optimizer optimizer(options, params, *kernels);
      std::vector<float> w = RandomFloats(1, kN);
      std::vector<double> expected(w.begin(), w.end()), m(kN), v(kN);
      for (int t = 1; t <= 50; ++t) {
        std::vector<float> g = RandomFloats(uint64_t(100 + t), kN);
        for (size_t i = 0; i < kN; ++i) {
          const double gradient = g[i] + (decoupled ? 0 : 0.1 * expected[i]);
          if (decoupled) expected[i] -= 0.01 * 0.1 * expected[i];
          m[i] = 0.9 * m[i] + 0.1 * gradient;
          v[i] = 0.99 * v[i] + 0.01 * gradient * gradient;
          const double mean = m[i] / (1 - std::pow(0.9, t));
          const double square = v[i] / (1 - std::pow(0.99, t));
          expected[i] -= 0.01 * mean / (std::sqrt(square) + 1e-6);
        }
        optimizer.Apply(g, w);
        // 50 steps of 0.01, each a few roundings of numbers up to 1.
        for (size_t i = 0; i < kN; ++i) ASSERT_NEAR(w[i], expected[i], 3e-6) << "step " << t;
      }
    }
  }
}

TEST(OptimizerTest, EachElementIsClippedBeforeTheNorm) {
  for (const Kernels* kernels : TestedKernels()) {
    Optimizer optimizer({.learning_rate = 1.0f, .clip_norm = 2.5f, .clip_value = 4.0f},
                        TwoParameters(), *kernels);
    std::array<float, 2> w = {0.0f, 0.0f}, g = {3.0f, -400.0f};  // {3, -4}, of norm 5
    optimizer.Apply(g, w);
    EXPECT_EQ(w, (std::array<float, 2>{-1.5f, 2.0f})) << kernels->target;
  }
}

TEST(OptimizerTest, DecayOfWeightsOnlySparesTensorsOfOneDimension) {
  const std::vector<ParamInfo> params = {
      {"weight", {1, 1}, 0, 1}, {"bias", {2}, 1, 2}, {"next", {1, 1}, 3, 1}};
  for (const Optimizer_ optimizer_kind : {Optimizer_::kSgd, Optimizer_::kAdamW}) {
    Optimizer optimizer({.optimizer = optimizer_kind,
                         .learning_rate = 0.5f,
                         .weight_decay = 0.5f,
                         .decay_weights_only = true},
                        params, ScalarKernels());
    std::array<float, 4> w = {8, 8, 8, 8}, g = {};
    optimizer.Apply(g, w);
    EXPECT_EQ(w, (std::array<float, 4>{6, 8, 8, 6}));
  }
}

TEST(OptimizerTest, BuffersAndFrozenTensorsStayAsTheyAre) {
  const std::vector<ParamInfo> params = {{"a", {1, 1}, 0, 1, ParamRole::kWeight, true},
                                         {"b", {1, 1}, 1, 1},
                                         {"c", {1, 1}, 2, 1, ParamRole::kBuffer}};
  for (const Optimizer_ kind : {Optimizer_::kSgd, Optimizer_::kMomentum, Optimizer_::kAdamW}) {
    Optimizer optimizer({.optimizer = kind, .learning_rate = 0.5f, .weight_decay = 0.5f}, params,
                        ScalarKernels());
    std::array<float, 3> w = {8, 8, 8}, g = {};
    optimizer.Apply(g, w);
    EXPECT_EQ(w, (std::array<float, 3>{8, 6, 8}));
  }
}

TEST(OptimizerTest, TheScheduleIsCountedInStepsAndAResetBeginsItAnew) {
  Optimizer optimizer({.learning_rate = 1.0f,
                       .schedule = {.kind = Schedule::Kind::kStep, .steps = 2, .factor = 0.5f}},
                      TwoParameters(), ScalarKernels());
  std::array<float, 2> w = {0, 0};
  for (const float expected : {-1.0f, -2.0f, -2.5f, -3.0f, -3.25f}) {
    std::array<float, 2> g = {1, 1};
    optimizer.Apply(g, w);
    EXPECT_EQ(w[0], expected);
  }
  optimizer.Reset();
  EXPECT_EQ(optimizer.learning_rate(), 1.0f);
}

// Two participants with f_k(w) = h_k/2 (w - a_k)^2, h = (1, 4), a = (0, 1), rate 0.1, equal
// weights, w = 0: what each strategy's own loop gives when the optimizer does the participants'
// steps.
struct Participant {
  float curvature, optimum;
};
constexpr std::array<Participant, 2> kParticipants = {{{1, 0}, {4, 1}}};

// y after `steps` steps from w.
float Local(const Participant& participant, float w, int steps, float proximal, float constant) {
  const std::vector<ParamInfo> params = {{"weight", {1, 1}, 0, 1}};
  Optimizer optimizer({.learning_rate = 0.1f, .proximal = proximal}, params, ScalarKernels());
  GradientTerms terms;
  if (proximal > 0) terms.anchor = {&w, 1};
  if (constant != 0) terms.constant = {&constant, 1};
  optimizer.SetTerms(terms);
  float y = w;
  for (int step = 0; step < steps; ++step) {
    float g = participant.curvature * (y - participant.optimum);
    optimizer.Apply({&g, 1}, {&y, 1});
  }
  return y;
}

TEST(OptimizerTest, TheProximalTermGivesTheRoundsOfFedProx) {
  float w = 0;
  for (const double expected : {0.3, 0.483, 0.59463}) {
    float mean = 0;
    for (const Participant& p : kParticipants) mean += 0.5f * Local(p, w, 2, 1.0f, 0);
    w = mean;
    EXPECT_NEAR(w, expected, 1e-6);
  }
}

TEST(OptimizerTest, TheConstantTermGivesTheRoundsOfScaffold) {
  for (const auto& [steps, rounds] :
       {std::pair{2, std::array{0.32, 0.5312, 0.652352}},
        std::pair{5, std::array{0.46112, 0.697709144, 0.785305408756}}}) {
    float w = 0, c = 0;
    std::array<float, 2> own = {0, 0};
    for (const double expected : rounds) {
      float mean = 0, change = 0;
      for (size_t k = 0; k < 2; ++k) {
        const float y = Local(kParticipants[k], w, steps, 0, c - own[k]);
        const float next = own[k] - c + (w - y) / (0.1f * float(steps));
        change += 0.5f * (next - own[k]);
        own[k] = next;
        mean += 0.5f * y;
      }
      w = mean;
      c += change;
      EXPECT_NEAR(w, expected, 1e-6);
    }
  }
}

TEST(OptimizerTest, BothTermsTogetherGiveTheRoundsOfFedDyn) {
  float w = 0, server = 0;
  std::array<float, 2> own = {0, 0};
  for (const double expected : {0.6, 0.942, 1.03518}) {
    float mean = 0;
    for (size_t k = 0; k < 2; ++k) {
      const float y = Local(kParticipants[k], w, 2, 1.0f, -own[k]);
      own[k] -= y - w;
      mean += 0.5f * y;
    }
    server -= mean - w;
    w = mean - server;
    EXPECT_NEAR(w, expected, 1e-6);
  }
}

}  // namespace
}  // namespace linnet
