#include "model/cost.h"

#include <gtest/gtest.h>

#include <numeric>

#include "model/model.h"

namespace linnet {
namespace {

TEST(CostTest, AnInvalidGraphIsAnError) {
  Graph graph = BuiltinModel("mlp-2nn", SeedFromInt(1)).value().graph;
  graph.nodes[0].inputs[0] = 9;
  ASSERT_FALSE(CountFlops(graph));
}

TEST(CostTest, ProductsCountTwoForEachMultiplyAdd) {
  const Graph graph = BuiltinModel("cnn-small", SeedFromInt(1)).value().graph;
  const std::vector<uint64_t> flops = CountFlops(graph).value();
  ASSERT_EQ(flops.size(), 9u);
  EXPECT_EQ(flops[0], 2u * 26 * 26 * 32 * 9);
  EXPECT_EQ(flops[1], 26u * 26 * 32);
  EXPECT_EQ(flops[2], 2u * 24 * 24 * 64 * 9 * 32);
  EXPECT_EQ(flops[4], 4u * 12 * 12 * 64);
  EXPECT_EQ(flops[5], 0u);
  EXPECT_EQ(flops[6], 2u * 9216 * 128);
}

// A depthwise convolution reads one channel for each output.
TEST(CostTest, GroupsDivideAConvolution) {
  Graph graph{.name = "test", .input_shape = {4, 4, 8}, .classes = 128, .nodes = {}, .params = {}};
  graph.params = {{"w", {3, 3, 1, 8}, 0, 72}, {"b", {8}, 72, 8}};
  graph.nodes = {{Op::kConv2d, {0}, {0, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 8}},
                 {Op::kFlatten, {1}, {}, {}}};
  const auto flops = CountFlops(graph);
  ASSERT_TRUE(flops) << flops.error().message;
  EXPECT_EQ((*flops)[0], 2u * 4 * 4 * 8 * 9);
}

}  // namespace
}  // namespace linnet
