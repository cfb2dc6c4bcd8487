// Gradients against central differences of an interpreter in double, operator by operator and model
// by model, on the scalar twin and on every table of this machine.
#include <algorithm>
#include <cmath>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/train.h"
#include "reference.h"

namespace linnet {
namespace {

struct Case {
  explicit Case(const Graph& g, uint64_t seed = 7)
      : graph(g),
        parameters(RandomFloats(seed, g.ParamCount())),
        x(RandomFloats(seed + 1, kBatch * g.InputCount())),
        targets(RandomFloats(seed + 3, kBatch * OutputCount(g))),
        y(RandomLabels(seed + 2, targets.size() / g.classes, g.classes)) {
    // As wide layers would saturate the softmax, weights shrink with their inputs.
    for (const ParamInfo& param : g.params) {
      const float factor = 1.7f / std::sqrt(float(param.count) / float(param.shape.back()));
      for (uint64_t i = 0; i < param.count; ++i) {
        float& value = parameters[param.offset + i];
        value = param.role == ParamRole::kBuffer ? 0.5f + std::abs(value) : value * factor;
      }
    }
    // Ids for an embedding.
    for (const Node& node : g.nodes) {
      if (node.op != Op::kEmbedding || node.inputs[0] != 0) continue;
      const float vocabulary = float(g.params[node.params[0]].shape[0]);
      for (float& id : x) id = std::floor((id + 1) / 2 * vocabulary);
    }
  }
  static size_t OutputCount(const Graph& g) { return CountOf(InferShapes(g).value().back()); }
  double Gradient(Trainer& trainer, std::span<float> out) const {
    return graph.loss == Loss::kMse ? trainer.GradientValues(x.data(), targets.data(), kBatch, out)
                                    : trainer.Gradient(x.data(), y.data(), kBatch, out);
  }
  double Step(Trainer& trainer) const {
    return graph.loss == Loss::kMse ? trainer.StepValues(x.data(), targets.data(), kBatch)
                                    : trainer.Step(x.data(), y.data(), kBatch);
  }

  static constexpr size_t kBatch = 3;
  Graph graph;
  std::vector<float> parameters, x, targets;
  std::vector<int32_t> y;
};

bool IsTrained(const ParamInfo& param) { return param.role == ParamRole::kWeight && !param.frozen; }

// All elements of a small tensor, some of a large one.
std::vector<uint64_t> SampledElements(const Graph& graph) {
  constexpr uint64_t kPerTensor = 41;
  std::vector<uint64_t> elements;
  for (const ParamInfo& param : graph.params) {
    if (!IsTrained(param)) continue;
    const uint64_t step = std::max<uint64_t>(1, param.count / kPerTensor);
    for (uint64_t i = 0; i < param.count; i += step) elements.push_back(param.offset + i);
  }
  return elements;
}

TEST(GradientTest, EqualsCentralDifferencesForEveryOperatorAndModel) {
  for (const NamedGraph& row : OperatorGraphs()) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(ValidateGraph(row.graph)) << ValidateGraph(row.graph).error().message;
    const Case c(row.graph);
    Doubles point(c.parameters.begin(), c.parameters.end());
    const double loss = ReferenceLoss(c.graph, point, c.x, c.y, c.targets);
    const std::vector<uint64_t> elements = SampledElements(c.graph);
    Doubles wanted;
    double largest = 0;
    for (const uint64_t element : elements) {
      constexpr double kStep = 1e-5;
      const double centre = point[element];
      point[element] = centre + kStep;
      const double above = ReferenceLoss(c.graph, point, c.x, c.y, c.targets);
      point[element] = centre - kStep;
      const double below = ReferenceLoss(c.graph, point, c.x, c.y, c.targets);
      point[element] = centre;
      wanted.push_back((above - below) / (2 * kStep));
      largest = std::max(largest, std::abs(wanted.back()));
    }
    ASSERT_GT(largest, 1e-3) << "this case tests nothing";
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto trainer = Trainer::Create(c.graph, {}, Case::kBatch, *kernels);
      ASSERT_TRUE(trainer) << trainer.error().message;
      std::ranges::copy(c.parameters, (*trainer)->parameters().begin());
      std::vector<float> gradient(c.parameters.size(), NAN);
      // f32 has 6e-8 relative; sums of some hundred terms lose two digits of that.
      EXPECT_NEAR(c.Gradient(**trainer, gradient), loss, 1e-5 * (1 + loss));
      for (size_t i = 0; i < elements.size(); ++i) {
        ASSERT_NEAR(gradient[elements[i]], wanted[i], 1e-5 * (largest + 1e-2))
            << "parameter element " << elements[i];
      }
      for (const float value : gradient) ASSERT_TRUE(std::isfinite(value));
      for (const ParamInfo& param : c.graph.params) {
        if (IsTrained(param)) continue;
        for (uint64_t i = 0; i < param.count; ++i) ASSERT_EQ(gradient[param.offset + i], 0);
      }
    }
  }
}

TEST(GradientTest, LogitsEqualTheInterpreter) {
  for (const NamedGraph& row : OperatorGraphs()) {
    SCOPED_TRACE(row.name);
    const Case c(row.graph);
    const Doubles point(c.parameters.begin(), c.parameters.end());
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto predictor = Predictor::Create(c.graph, Case::kBatch, *kernels);
      ASSERT_TRUE(predictor) << predictor.error().message;
      const size_t outputs = Case::OutputCount(c.graph);
      std::vector<float> logits(Case::kBatch * outputs, NAN);
      (*predictor)->Run(c.parameters, c.x.data(), Case::kBatch, logits.data());
      const std::vector<Doubles> wanted = ReferenceOutputs(c.graph, point, c.x, false);
      for (size_t i = 0; i < logits.size(); ++i) {
        const double value = wanted[i / outputs][i % outputs];
        ASSERT_NEAR(logits[i], value, 1e-5 * (1 + std::abs(value))) << i;
      }
    }
  }
}

TEST(GradientTest, AStepAlongTheGradientChangesTheParametersByMinusTheLearningRate) {
  for (const NamedGraph& row : OperatorGraphs()) {
    SCOPED_TRACE(row.name);
    const Case c(row.graph);
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto trainer = Trainer::Create(c.graph, {.learning_rate = 0.5f}, Case::kBatch, *kernels);
      ASSERT_TRUE(trainer);
      const std::span<float> parameters = (*trainer)->parameters();
      std::ranges::copy(c.parameters, parameters.begin());
      std::vector<float> gradient(c.parameters.size());
      const double loss = c.Gradient(**trainer, gradient);
      EXPECT_TRUE(std::ranges::equal(parameters, c.parameters)) << "Gradient changed them";
      EXPECT_EQ(c.Step(**trainer), loss);
      for (const ParamInfo& param : c.graph.params) {
        if (param.role == ParamRole::kBuffer) continue;
        for (uint64_t i = param.offset; i < param.offset + param.count; ++i) {
          ASSERT_NEAR(parameters[i], c.parameters[i] - 0.5f * gradient[i], 2e-6) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
