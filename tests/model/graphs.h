// Small graphs and data for tests.
#ifndef LINNET_TESTS_MODEL_GRAPHS_H_
#define LINNET_TESTS_MODEL_GRAPHS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/program.h"
#include "model/train.h"
#include "operator_graphs.h"
#include "scalar_kernels.h"
#include "test_graph.h"

namespace linnet {

struct NamedGraph {
  std::string name;
  Graph graph;
};

// The builtin models with one label for each example, at small sizes.
inline std::vector<Model> SmallClassifiers() {
  struct Row {
    std::string name;
    std::vector<uint32_t> shape;
  };
  const std::vector<Row> rows = {
      {"mlp-2nn", {3, 4}},      {"mlp-256-128", {3, 4}},    {"cnn-small", {7, 8, 2}},
      {"cnn-mnist", {4, 5, 2}}, {"dscnn-small", {6, 5, 1}}, {"softmax-regression", {3, 4}},
  };
  std::vector<Model> models;
  for (const Row& row : rows) {
    Model model = BuiltinModel(row.name, SeedFromInt(1), row.shape, 5).value();
    models.push_back(std::move(model));
  }
  return models;
}

// Adds a graph that `build` makes to a list.
inline auto AdderTo(std::vector<NamedGraph>& all) {
  return [&all](std::string name, std::vector<uint32_t> input, uint32_t classes, auto build) {
    TestGraph g(std::move(input), classes);
    build(g);
    all.push_back({std::move(name), std::move(g.graph_)});
  };
}

// Graphs of dense layers, convolutions, pools and relus in each way they meet.
inline std::vector<NamedGraph> OperatorGraphs() {
  std::vector<NamedGraph> all;
  const auto add = AdderTo(all);
  add("Dense", {5}, 3, [](auto& g) { g.Dense(0, 5, 3); });
  add("DenseOfAnImage", {2, 3, 2}, 4, [](auto& g) { g.Dense(0, 12, 4); });
  add("DenseRelu", {5}, 3, [](auto& g) { g.Dense(g.Relu(g.Dense(0, 5, 7)), 7, 3); });
  add("ReluOfTheInput", {6}, 3, [](auto& g) { g.Dense(g.Relu(0), 6, 3); });
  add("ReluOfTheLogits", {6}, 3, [](auto& g) { g.Relu(g.Dense(0, 6, 3)); });
  add("ReluTwice", {6}, 3, [](auto& g) { g.Dense(g.Relu(g.Relu(g.Dense(0, 6, 8))), 8, 3); });
  add("Flatten", {4, 3, 1}, 2, [](auto& g) { g.Dense(g.Add(Op::kFlatten, {0}), 12, 2); });
  add("FlattenOfTheLogits", {4}, 2, [](auto& g) { g.Add(Op::kFlatten, {g.Dense(0, 4, 2)}); });
  add("Conv", {5, 6, 2}, 3, [](auto& g) { g.Dense(g.Conv(0, {3, 3, 2, 4}, 1, 0), 48, 3); });
  add("ConvPadded", {5, 4, 1}, 3, [](auto& g) { g.Dense(g.Conv(0, {3, 3, 1, 2}, 1, 1), 40, 3); });
  add("ConvStride", {7, 6, 3}, 3, [](auto& g) {
    const uint32_t x = g.Relu(g.Conv(0, {3, 2, 3, 5}, 2, 1));
    g.Dense(g.Relu(g.Conv(x, {2, 2, 5, 4}, 2, 0)), 16, 3);
  });
  add("ConvOfConvPadded", {4, 5, 2}, 2, [](auto& g) {
    const uint32_t x = g.Conv(0, {3, 3, 2, 3}, 1, 1);
    g.Dense(g.Conv(x, {3, 3, 3, 2}, 1, 2), 6 * 7 * 2, 2);
  });
  add("ConvOneByOne", {3, 3, 4}, 2, [](auto& g) {
    g.Dense(g.Relu(g.Conv(g.Relu(g.Conv(0, {1, 1, 4, 6}, 1, 0)), {1, 1, 6, 3}, 1, 0)), 27, 2);
  });
  add("Pool", {4, 6, 2}, 2, [](auto& g) { g.Dense(g.Pool(0, 2), 12, 2); });
  add("PoolWithARemainder", {5, 7, 2}, 3,
      [](auto& g) { g.Dense(g.Pool(g.Conv(0, {1, 1, 2, 3}, 1, 0), 3), 6, 3); });
  add("ReluOfPool", {4, 4, 1}, 3,
      [](auto& g) { g.Dense(g.Relu(g.Pool(g.Conv(0, {1, 1, 1, 2}, 1, 0), 2)), 8, 3); });
  add("Residual", {6}, 3, [](auto& g) {
    const uint32_t x = g.Relu(g.Dense(0, 6, 5));
    const uint32_t y = g.Dense(g.Relu(g.Dense(x, 5, 4)), 4, 5);
    g.Dense(g.Relu(g.Add(Op::kAdd, {x, y})), 5, 3);
  });
  add("AddOfAValueToItself", {4}, 3, [](auto& g) {
    const uint32_t x = g.Dense(0, 4, 3);
    g.Add(Op::kAdd, {x, x});
  });
  add("AddOfTheInput", {4}, 3,
      [](auto& g) { g.Dense(g.Add(Op::kAdd, {g.Relu(g.Dense(0, 4, 4)), 0}), 4, 3); });
  add("ValueWithThreeReaders", {4}, 3, [](auto& g) {
    const uint32_t x = g.Dense(0, 4, 3);
    const uint32_t y = g.Add(Op::kAdd, {g.Relu(x), g.Dense(x, 3, 3)});
    g.Add(Op::kAdd, {y, x});
  });
  add("SharedParameters", {4}, 4, [](auto& g) {
    const uint32_t weights = g.Param({4, 4}), bias = g.Param({4});
    const uint32_t x = g.Relu(g.Add(Op::kDense, {0}, {weights, bias}));
    const uint32_t y = g.Relu(g.Add(Op::kDense, {x}, {weights, bias}));
    g.Add(Op::kDense, {y}, {weights, bias});
  });
  for (const Model& model : SmallClassifiers()) {
    const auto is_buffer = [](const ParamInfo& p) { return p.role == ParamRole::kBuffer; };
    // Many batch norms over few values make gradients too steep for differences of f32.
    if (std::ranges::any_of(model.graph.params, is_buffer)) continue;
    all.push_back({"Builtin " + model.graph.name, model.graph});
  }
  return all;
}

// One graph for each operator, and all of OperatorGraphs.
inline std::vector<NamedGraph> EveryOperatorGraph() {
  std::vector<NamedGraph> all = OperatorGraphs();
  const auto add = AdderTo(all);
  AddActivationGraphs(add);
  AddImageGraphs(add);
  AddShapeGraphs(add);
  AddSequenceGraphs(add);
  return all;
}

// Uniform in [-1, 1).
inline std::vector<float> RandomFloats(uint64_t seed, size_t count) {
  RandomStream random(SeedFromInt(seed), 0);
  std::vector<float> values(count);
  for (float& value : values) value = 2 * random.Uniform() - 1;
  return values;
}
inline std::vector<int32_t> RandomLabels(uint64_t seed, size_t count, uint32_t classes) {
  RandomStream random(SeedFromInt(seed), 1);
  std::vector<int32_t> labels(count);
  for (int32_t& label : labels) label = int32_t(random.Below(classes));
  return labels;
}

// Random parameters; statistics are such as a variance may be.
inline std::vector<float> RandomParameters(uint64_t seed, const Graph& graph) {
  std::vector<float> values = RandomFloats(seed, graph.ParamCount());
  for (const ParamInfo& param : graph.params) {
    if (param.role != ParamRole::kBuffer) continue;
    for (uint64_t i = 0; i < param.count; ++i) {
      values[param.offset + i] = 0.5f + std::abs(values[param.offset + i]);
    }
  }
  return values;
}
inline size_t OutputCount(const Graph& graph) {
  size_t count = 1;
  for (const uint32_t size : InferShapes(graph).value().back()) count *= size;
  return count;
}

// Examples with what either loss wants of them.
struct TestBatch {
  TestBatch(uint64_t seed, const Graph& graph, size_t batch)
      : is_mse(graph.loss == Loss::kMse),
        x(RandomFloats(seed, batch * graph.InputCount())),
        targets(RandomFloats(seed + 1, batch * OutputCount(graph))),
        y(RandomLabels(seed + 2, targets.size() / graph.classes, graph.classes)) {
    // Ids for an embedding.
    for (const Node& node : graph.nodes) {
      if (node.op != Op::kEmbedding || node.inputs[0] != 0) continue;
      const float vocabulary = float(graph.params[node.params[0]].shape[0]);
      for (float& id : x) id = std::floor((id + 1) / 2 * vocabulary);
    }
  }
  double Step(Trainer& trainer, size_t batch) const {
    return is_mse ? trainer.StepValues(x.data(), targets.data(), batch)
                  : trainer.Step(x.data(), y.data(), batch);
  }
  double Gradient(Trainer& trainer, size_t batch, std::span<float> out) const {
    return is_mse ? trainer.GradientValues(x.data(), targets.data(), batch, out)
                  : trainer.Gradient(x.data(), y.data(), batch, out);
  }
  bool is_mse;
  std::vector<float> x, targets;
  std::vector<int32_t> y;
};

// The scalar twin and every table this machine can run.
inline std::vector<const Kernels*> TestedKernels() {
  std::vector<const Kernels*> tables = {&ScalarKernels()};
  for (const Kernels* kernels : AllKernels()) tables.push_back(kernels);
  return tables;
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_GRAPHS_H_
