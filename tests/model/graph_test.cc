#include <functional>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/model.h"

namespace linnet {
namespace {

// 8x8x2 -> conv 3x3x4 -> relu -> pool 2 -> flatten -> dense 3: node 0 to 4, parameters 0 to 3.
Graph SmallGraph() {
  TestGraph g({8, 8, 2}, 3);
  const uint32_t x = g.Pool(g.Relu(g.Conv(0, {3, 3, 2, 4}, 1, 0)), 2);
  g.Dense(g.Add(Op::kFlatten, {x}), 36, 3);
  return g.graph_;
}

// Sets a parameter's shape and what follows from it, so that only the shape is wrong.
void Reshape(Graph& graph, size_t param, std::vector<uint32_t> shape) {
  graph.params[param].shape = std::move(shape);
  uint64_t offset = 0;
  for (ParamInfo& info : graph.params) {
    info.offset = offset;
    info.count = 1;
    for (const uint32_t size : info.shape) info.count *= size;
    offset += info.count;
  }
}

TEST(GraphTest, AMalformedGraphGivesAnErrorThatNamesTheNode) {
  struct Row {
    std::string name;
    std::function<void(Graph&)> change;
    std::string where;  // in the message
    std::string what;
  };
  const std::vector<Row> rows = {
      {"no nodes", [](Graph& g) { g.nodes.clear(); }, "the graph", "0 nodes"},
      {"too many nodes", [](Graph& g) { g.nodes.resize(4097, g.nodes[1]); }, "the graph", "4096"},
      {"unknown operator", [](Graph& g) { g.nodes[1].op = Op(99); }, "node 1", "operator 99"},
      {"missing input", [](Graph& g) { g.nodes[0].inputs.clear(); }, "node 0 (conv2d)", "0 inputs"},
      {"extra input", [](Graph& g) { g.nodes[1].inputs.push_back(0); }, "node 1 (relu)",
       "2 inputs, wanted 1"},
      {"cycle", [](Graph& g) { g.nodes[1].inputs = {2}; }, "node 1 (relu)", "value 2"},
      {"input from nowhere", [](Graph& g) { g.nodes[2].inputs = {77}; }, "node 2 (max_pool)",
       "value 77"},
      {"missing parameter", [](Graph& g) { g.nodes[0].params.pop_back(); }, "node 0 (conv2d)",
       "1 parameters, wanted 2"},
      {"parameter from nowhere", [](Graph& g) { g.nodes[4].params[0] = 4; }, "node 4 (dense)",
       "parameter 4 of 4"},
      {"missing attribute", [](Graph& g) { g.nodes[0].attributes = {1}; }, "node 0 (conv2d)",
       "1 attributes, wanted 9"},
      {"stride of zero", [](Graph& g) { g.nodes[0].attributes[0] = 0; }, "node 0 (conv2d)",
       "stride is 0"},
      {"padding as large as the kernel", [](Graph& g) { g.nodes[0].attributes[2] = 3; },
       "node 0 (conv2d)", "padding is 3"},
      {"padding that wraps around", [](Graph& g) { g.nodes[0].attributes[5] = 0xffffffff; },
       "node 0 (conv2d)", "padding is 4294967295"},
      {"kernel larger than the input", [](Graph& g) { Reshape(g, 0, {9, 3, 2, 4}); },
       "node 0 (conv2d)", "is 9 in height, wanted at most the padded input, 8"},
      {"wrong channels", [](Graph& g) { Reshape(g, 0, {3, 3, 1, 4}); }, "node 0 (conv2d)",
       "[3, 3, 1, 4]"},
      {"weights of wrong rank", [](Graph& g) { Reshape(g, 0, {27, 4}); }, "node 0 (conv2d)",
       "[27, 4]"},
      {"wrong bias", [](Graph& g) { Reshape(g, 1, {5}); }, "node 0 (conv2d)",
       "bias is [5], wanted [4]"},
      {"convolution of a vector", [](Graph& g) { g.input_shape = {128}; }, "node 0 (conv2d)",
       "[128], wanted [height, width, channels]"},
      {"pool size of zero", [](Graph& g) { g.nodes[2].attributes[0] = 0; }, "node 2 (max_pool)",
       "size is 0"},
      {"pool larger than its input", [](Graph& g) { g.nodes[2].attributes[1] = 7; },
       "node 2 (max_pool)", "size is 7"},
      {"pool size over a byte", [](Graph& g) { g.nodes[2].attributes[0] = 17; },
       "node 2 (max_pool)", "wanted 1 to 16"},
      {"wrong dense weights", [](Graph& g) { Reshape(g, 2, {35, 3}); }, "node 4 (dense)",
       "[35, 3], wanted [36, outputs]"},
      {"sum of different shapes", [](Graph& g) { g.nodes[1] = {Op::kAdd, {0, 1}, {}, {}}; },
       "node 1 (add)", "[8, 8, 2] and [6, 6, 4]"},
      {"output nobody takes", [](Graph& g) { g.nodes[2].inputs = {1}; }, "node 1 (relu)",
       "no node takes"},
      {"unused parameter", [](Graph& g) { g.params.push_back({"spare", {1}, g.ParamCount(), 1}); },
       "parameter 4 (spare)", "used by no node"},
      {"classes do not match", [](Graph& g) { g.classes = 4; }, "node 4 (dense)",
       "[3], wanted [4]"},
      {"one class", [](Graph& g) { g.classes = 1; }, "the graph", "1 classes"},
      {"no name", [](Graph& g) { g.name.clear(); }, "the graph's name", "0 bytes"},
      {"name of control characters", [](Graph& g) { g.name = "a\nb"; }, "the graph's name",
       "printable"},
      {"parameter without a name", [](Graph& g) { g.params[1].name.clear(); },
       "the name of parameter 1", "0 bytes"},
      {"two parameters of one name", [](Graph& g) { g.params[1].name = "p0"; }, "parameter 1 (p0)",
       "earlier"},
      {"wrong offset", [](Graph& g) { g.params[1].offset = 71; }, "parameter 1 (p1)", "at 72"},
      {"wrong count", [](Graph& g) { g.params[3].count = 4; }, "parameter 3 (p3)", "count 4"},
      {"parameter of size zero", [](Graph& g) { Reshape(g, 0, {3, 0, 2, 4}); }, "parameter 0 (p0)",
       "[3, 0, 2, 4]"},
      {"parameter of rank zero", [](Graph& g) { Reshape(g, 0, {}); }, "parameter 0 (p0)", "rank 0"},
      {"parameter whose size wraps around 2^64",
       [](Graph& g) { g.params[0].shape = {0x80000000, 0x80000000, 4, 1}; }, "parameter 0 (p0)",
       "at most 268435456"},
      {"too many parameters together",
       [](Graph& g) {
         Reshape(g, 0, {1u << 27});
         Reshape(g, 1, {1u << 27});
       },
       "parameter 2 (p2)", "wanted at most 268435456"},
      {"input of rank zero", [](Graph& g) { g.input_shape = {}; }, "the input", "rank 0"},
      {"input of rank nine", [](Graph& g) { g.input_shape.assign(9, 1); }, "the input", "rank 9"},
      {"huge input", [](Graph& g) { g.input_shape = {0xffffffff, 0xffffffff, 0xffffffff}; },
       "the input", "at most"},
      {"huge output",
       [](Graph& g) {
         g.input_shape = {1 << 14, 1 << 13, 2};
         Reshape(g, 0, {1, 1, 2, 4});
       },
       "the output of node 0 (conv2d)", "at most"},
  };
  ASSERT_TRUE(ValidateGraph(SmallGraph()));
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Graph graph = SmallGraph();
    row.change(graph);
    const Status status = ValidateGraph(graph);
    ASSERT_FALSE(status);
    EXPECT_TRUE(status.error().message.contains(row.where)) << status.error().message;
    EXPECT_TRUE(status.error().message.contains(row.what)) << status.error().message;
  }
}

TEST(GraphTest, AGraphWithoutParametersIsRefused) {
  TestGraph g({3}, 3);
  g.Relu(0);
  const Status status = ValidateGraph(g.graph_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "the graph has no parameters");
}

TEST(GraphTest, ShapesFollowFromTheInput) {
  const auto shapes = InferShapes(SmallGraph());
  ASSERT_TRUE(shapes);
  const std::vector<std::vector<uint32_t>> wanted = {{8, 8, 2}, {6, 6, 4}, {6, 6, 4},
                                                     {3, 3, 4}, {36},      {3}};
  EXPECT_EQ(*shapes, wanted);
}

TEST(GraphTest, ShapesOfStrideAndPaddingRoundDown) {
  TestGraph g({7, 6, 1}, 2);
  g.Conv(0, {3, 2, 1, 5}, 2, 1);
  g.Pool(1, 3);
  EXPECT_EQ(InferShapes(g.graph_).value()[1], (std::vector<uint32_t>{4, 4, 5}));
  EXPECT_EQ(InferShapes(g.graph_).value()[2], (std::vector<uint32_t>{1, 1, 5}));
}

}  // namespace
}  // namespace linnet
