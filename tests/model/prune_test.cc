#include "model/prune.h"

#include <algorithm>
#include <cmath>

#include "graphs.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

// Two layers, [8, 32] and [32, 5]; the weights of the second are ten times smaller.
Model TwoLayers() {
  TestGraph t({8}, 5);
  t.Dense(t.Dense(0, 8, 32), 32, 5);
  Model model{.graph = t.graph_, .parameters = {}};
  RandomStream random(Seed{3}, 1);
  model.parameters.resize(model.graph.ParamCount());
  for (float& value : model.parameters) value = random.Uniform() - 0.5f;
  const ParamInfo& second = model.graph.params[2];
  for (size_t i = 0; i < second.count; ++i) model.parameters[second.offset + i] *= 0.1f;
  return model;
}

std::vector<size_t> Kept(const Graph& graph, const Mask& mask) {
  std::vector<size_t> kept;
  for (const ParamInfo& param : graph.params) {
    size_t count = 0;
    for (size_t i = 0; i < param.count; ++i) count += mask[param.offset + i];
    kept.push_back(count);
  }
  return kept;
}

TEST(PruneTest, EachWayKeepsItsShareAndEveryBias) {
  const Model model = TwoLayers();
  const auto kept = [&](Pruning pruning, double sparsity) {
    return Kept(model.graph, PruneMask(model.graph, model.parameters, pruning, sparsity));
  };
  using Counts = std::vector<size_t>;
  EXPECT_EQ(kept(Pruning::kLayer, 0.75), (Counts{64, 32, 40, 5}));
  EXPECT_EQ(kept(Pruning::kTwoOfFour, 0.9), (Counts{128, 32, 80, 5}));
  EXPECT_EQ(kept(Pruning::kBlock, 0.5), (Counts{128, 32, 80, 5}));
  EXPECT_EQ(kept(Pruning::kLayer, 0), (Counts{256, 32, 160, 5}));
  const Counts global = kept(Pruning::kGlobal, 0.5);
  EXPECT_EQ(global[0] + global[2], 208u);
  EXPECT_LT(global[2], 40u);
  EXPECT_EQ(global[1] + global[3], 37u);
}

TEST(PruneTest, WhatGoesIsSmallerThanWhatStays) {
  Model model = TwoLayers();
  const Mask mask = PruneMask(model.graph, model.parameters, Pruning::kGlobal, 0.6);
  float largest_gone = 0, smallest_kept = 1;
  for (const size_t param : {0, 2}) {
    const ParamInfo& info = model.graph.params[param];
    for (size_t i = info.offset; i < info.offset + info.count; ++i) {
      const float magnitude = std::abs(model.parameters[i]);
      if (mask[i]) {
        smallest_kept = std::min(smallest_kept, magnitude);
      } else {
        largest_gone = std::max(largest_gone, magnitude);
      }
    }
  }
  EXPECT_LE(largest_gone, smallest_kept);
  ApplyMask(mask, model.parameters);
  EXPECT_NEAR(Sparsity(model.graph, model.parameters), 0.6, 0.002);
}

TEST(PruneTest, TwoOfFourLeavesTwoInEveryFourOfAColumn) {
  const Model model = TwoLayers();
  const Mask mask = PruneMask(model.graph, model.parameters, Pruning::kTwoOfFour, 0.5);
  for (size_t j = 0; j < 32; ++j) {
    for (size_t row = 0; row < 8; row += 4) {
      std::vector<float> kept, gone;
      for (size_t i = row; i < row + 4; ++i) {
        (mask[i * 32 + j] ? kept : gone).push_back(std::abs(model.parameters[i * 32 + j]));
      }
      ASSERT_EQ(kept.size(), 2u);
      ASSERT_GE(std::ranges::min(kept), std::ranges::max(gone));
    }
  }
}

TEST(PruneTest, BlocksGoWhole) {
  const Model model = TwoLayers();
  const Mask mask = PruneMask(model.graph, model.parameters, Pruning::kBlock, 0.25);
  for (size_t row = 0; row < 8; ++row) {
    for (size_t j = 0; j < 32; j += 16) {
      for (size_t i = 1; i < 16; ++i) ASSERT_EQ(mask[row * 32 + j + i], mask[row * 32 + j]);
    }
  }
}

TEST(PruneTest, TheCubicLawStartsSteepAndEndsAtItsAim) {
  EXPECT_EQ(CubicSparsity(0.8, 0, 10), 0);
  EXPECT_NEAR(CubicSparsity(0.8, 5, 10), 0.7, 1e-12);
  EXPECT_EQ(CubicSparsity(0.8, 10, 10), 0.8);
  EXPECT_EQ(CubicSparsity(0.8, 11, 10), 0.8);
}

}  // namespace
}  // namespace linnet
