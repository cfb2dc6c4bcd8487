// A small graph for each operator, for tests of gradients, plans and formats. `add` takes a name,
// an input shape, the classes and a function that builds the graph.
#ifndef LINNET_TESTS_MODEL_OPERATOR_GRAPHS_H_
#define LINNET_TESTS_MODEL_OPERATOR_GRAPHS_H_

#include "test_graph.h"

namespace linnet {

template <typename Add>
void AddActivationGraphs(const Add& add) {
  struct Row {
    const char* name;
    Op op;
    std::vector<uint32_t> attributes;
  };
  const std::vector<Row> rows = {
      {"Gelu", Op::kGelu, {0}},
      {"GeluTanh", Op::kGelu, {1}},
      {"Silu", Op::kSilu, {}},
      {"Sigmoid", Op::kSigmoid, {}},
      {"Tanh", Op::kTanh, {}},
      {"LeakyRelu", Op::kLeakyRelu, {Bits(0.1f)}},
      {"Clip", Op::kClip, {Bits(-0.3f), Bits(0.4f)}},
      {"Scale", Op::kScale, {Bits(-1.7f)}},
      {"Softmax", Op::kSoftmax, {}},
      {"DropoutOfNothing", Op::kDropout, {Bits(0.0f)}},
  };
  for (const Row& row : rows) {
    add(row.name, {5}, 3,
        [&](auto& g) { g.Dense(g.Add(row.op, {g.Dense(0, 5, 7)}, {}, row.attributes), 7, 3); });
  }
  add("Mul", {4}, 3, [](auto& g) { g.Add(Op::kMul, {g.Dense(0, 4, 3), g.Dense(0, 4, 3)}); });
  add("Square", {4}, 3, [](auto& g) {
    const uint32_t x = g.Dense(0, 4, 3);
    g.Add(Op::kMul, {x, x});
  });
  add("Sub", {4}, 3, [](auto& g) { g.Add(Op::kSub, {g.Dense(0, 4, 3), g.Dense(0, 4, 3)}); });
  add("AddParam", {3, 4}, 2, [](auto& g) {
    const uint32_t x = g.Add(Op::kAddParam, {g.Linear(0, 4, 5)}, {g.Param({5})});
    g.Dense(g.Add(Op::kAddParam, {x}, {g.Param({3, 5})}), 15, 2);
  });
  add("MulParam", {3, 4}, 2, [](auto& g) {
    const uint32_t x = g.Add(Op::kMulParam, {g.Linear(0, 4, 5)}, {g.Param({5})});
    g.Dense(g.Add(Op::kMulParam, {x}, {g.Param({3, 5})}), 15, 2);
  });
  add("MeanSquaredError", {4}, 3, [](auto& g) {
    g.Dense(g.Relu(g.Dense(0, 4, 6)), 6, 3);
    g.graph_.loss = Loss::kMse;
  });
  add("FrozenLayers", {4}, 3, [](auto& g) {
    g.Dense(g.Relu(g.Dense(g.Relu(g.Dense(0, 4, 5)), 5, 6)), 6, 3);
    for (const size_t param : {0, 1, 2}) g.graph_.params[param].frozen = true;
  });
}

template <typename Add>
void AddImageGraphs(const Add& add) {
  const auto conv = [](auto& g, uint32_t x, std::vector<uint32_t> kernel,
                       std::vector<uint32_t> attributes) {
    const uint32_t out = kernel[3], weights = g.Param(std::move(kernel)), bias = g.Param({out});
    return g.Add(Op::kConv2d, {x}, {weights, bias}, std::move(attributes));
  };
  add("ConvOfUnequalSides", {6, 7, 2}, 2, [&](auto& g) {
    const uint32_t x = conv(g, 0, {3, 2, 2, 3}, {2, 1, 1, 0, 2, 1, 1, 3, 1});
    g.Dense(conv(g, x, {2, 1, 3, 2}, {1, 2, 0, 0, 1, 0, 2, 1, 1}), 18, 2);
  });
  add("ConvInGroups", {4, 4, 4}, 2, [&](auto& g) {
    const uint32_t x = conv(g, 0, {1, 1, 2, 6}, {1, 1, 0, 0, 0, 0, 1, 1, 2});
    g.Dense(conv(g, x, {3, 3, 2, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 3}), 48, 2);
  });
  add("ConvDepthwise", {5, 4, 3}, 2, [&](auto& g) {
    const uint32_t x = conv(g, 0, {3, 3, 1, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 3});
    g.Dense(g.Relu(conv(g, x, {3, 3, 1, 3}, {2, 2, 1, 1, 0, 0, 1, 1, 3})), 2 * 2 * 3, 2);
  });
  add("PoolOverlapping", {5, 6, 2}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {1, 1, 2, 3}, 1, 0);
    g.Dense(g.Add(Op::kMaxPool, {x}, {}, {3, 2, 2, 1, 1, 1, 1, 0}), 3 * 6 * 3, 2);
  });
  add("AveragePool", {5, 6, 2}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {1, 1, 2, 3}, 1, 0);
    const uint32_t y = g.Add(Op::kAvgPool, {x}, {}, {3, 2, 2, 1, 1, 1, 1, 0, 0});
    g.Dense(g.Add(Op::kAvgPool, {y}, {}, {2, 2, 2, 2, 1, 0, 0, 1, 1}), 2 * 3 * 3, 2);
  });
  add("GlobalAveragePool", {4, 3, 2}, 3,
      [](auto& g) { g.Dense(g.Add(Op::kGlobalAvgPool, {g.Conv(0, {2, 2, 2, 4}, 1, 0)}), 4, 3); });
  add("Pad", {3, 4, 2}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {1, 1, 2, 2}, 1, 0);
    g.Dense(g.Add(Op::kPad, {x}, {}, {1, 0, 2, 3}), 6 * 7 * 2, 2);
  });
  add("BatchNorm", {4, 3, 2}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {1, 1, 2, 5}, 1, 0);
    g.Dense(g.Relu(g.Norm(Op::kBatchNorm, x, 5, {Bits(1e-3f), Bits(0.1f)})), 60, 2);
  });
  add("BatchNormOfRows", {4}, 3, [](auto& g) {
    const uint32_t x = g.Norm(Op::kBatchNorm, g.Dense(0, 4, 6), 6, {Bits(1e-2f), Bits(0.3f)});
    g.Dense(g.Add(Op::kTanh, {x}), 6, 3);
  });
  add("LayerNorm", {3, 4}, 2,
      [](auto& g) { g.Dense(g.Norm(Op::kLayerNorm, g.Linear(0, 4, 6), 6, {Bits(1e-5f)}), 18, 2); });
  add("GroupNorm", {3, 2, 4}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {1, 1, 4, 6}, 1, 0);
    g.Dense(g.Norm(Op::kGroupNorm, x, 6, {3, Bits(1e-5f)}), 36, 2);
  });
}

template <typename Add>
void AddShapeGraphs(const Add& add) {
  add("LinearWithoutBias", {2, 3, 4}, 2, [](auto& g) {
    const uint32_t x = g.Add(Op::kLinear, {0}, {g.Param({4, 5})});
    g.Dense(g.Add(Op::kLinear, {x}, {g.Param({5, 3})}), 18, 2);
  });
  for (const uint32_t flags : {0u, 1u, 2u, 3u}) {
    const uint32_t ta = flags & 1, tb = flags >> 1;
    add("Matmul" + std::to_string(flags), {2, 12}, 2, [&](auto& g) {
      const auto matrix = [&](uint32_t rows, uint32_t cols) {
        return g.Add(Op::kReshape, {g.Linear(0, 12, rows * cols)}, {}, {2, rows, cols});
      };
      const uint32_t a = ta != 0 ? matrix(4, 3) : matrix(3, 4);
      const uint32_t b = tb != 0 ? matrix(5, 4) : matrix(4, 5);
      g.Dense(g.Add(Op::kMatmul, {a, b}, {}, {ta, tb}), 30, 2);
    });
  }
  add("Concat", {2, 3}, 2, [](auto& g) {
    const uint32_t a = g.Linear(0, 3, 4), b = g.Linear(0, 3, 2);
    const uint32_t wide = g.Add(Op::kConcat, {a, b, 0, a}, {}, {1});
    g.Dense(g.Add(Op::kConcat, {wide, wide}, {}, {0}), 52, 2);
  });
  add("Transpose", {2, 3, 4}, 2, [](auto& g) {
    const uint32_t x = g.Add(Op::kTranspose, {g.Linear(0, 4, 5)}, {}, {2, 0, 1});
    g.Dense(g.Linear(x, 3, 2), 20, 2);
  });
  add("Slice", {3, 4}, 2, [](auto& g) {
    const uint32_t x = g.Linear(0, 4, 6);
    const uint32_t a = g.Add(Op::kSlice, {x}, {}, {1, 1, 4});
    const uint32_t b = g.Add(Op::kSlice, {x}, {}, {1, 3, 6});
    g.Dense(g.Add(Op::kSlice, {g.Add(Op::kMul, {a, b})}, {}, {0, 1, 3}), 6, 2);
  });
  add("Reduce", {3, 4, 2}, 2, [](auto& g) {
    const uint32_t x = g.Linear(0, 2, 5);
    const uint32_t mean = g.Add(Op::kReduceMean, {x}, {}, {1, 0});
    g.Dense(g.Add(Op::kReduceSum, {mean}, {}, {0, 1}), 5, 2);
  });
}

template <typename Add>
void AddSequenceGraphs(const Add& add) {
  add("LabelsForEachPosition", {4, 3}, 2, [](auto& g) { g.Linear(0, 3, 2); });
  add("Embedding", {5}, 3,
      [](auto& g) { g.Linear(g.Add(Op::kEmbedding, {0}, {g.Param({7, 4})}), 4, 3); });
  for (const uint32_t flags : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    add("Gru" + std::to_string(flags), {4, 3}, 2, [&](auto& g) {
      const uint32_t whole = flags & 1, reset_after = flags >> 1 & 1, reverse = flags >> 2;
      const uint32_t x = g.Gru(g.Linear(0, 3, 4), 4, 5, {whole, reset_after, reverse});
      g.Linear(x, 5, 2);
    });
  }
  for (const uint32_t causal : {0u, 1u}) {
    add("Attention" + std::to_string(causal), {5, 3}, 2, [&](auto& g) {
      const uint32_t x = g.Add(Op::kAttention, {g.Linear(0, 3, 18)}, {}, {2, causal});
      g.Linear(x, 6, 2);
    });
  }
  add("GruOfOneStep", {1, 3}, 2, [](auto& g) { g.Linear(g.Gru(0, 3, 4, {0, 1, 0}), 4, 2); });
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_OPERATOR_GRAPHS_H_
