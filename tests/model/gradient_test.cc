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

struct Case : TestBatch {
  explicit Case(const Graph& g, uint64_t seed = 7)
      : TestBatch(seed + 1, g, kBatch), graph(g), parameters(RandomParameters(seed, g)) {
    // As wide layers would saturate the softmax, weights shrink with their inputs.
    for (const ParamInfo& param : g.params) {
      if (param.role == ParamRole::kBuffer) continue;
      const float factor = 1.7f / std::sqrt(float(param.count) / float(param.shape.back()));
      for (uint64_t i = 0; i < param.count; ++i) parameters[param.offset + i] *= factor;
    }
  }
  static constexpr size_t kBatch = 3;
  Graph graph;
  std::vector<float> parameters;
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
  for (const NamedGraph& row : EveryOperatorGraph()) {
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
    // f32 has 6e-8 relative; sums of some hundred terms lose two digits of that, and every
    // normalization by the statistics of few values another part.
    const double norms = double(std::ranges::count(c.graph.nodes, Op::kBatchNorm, &Node::op));
    const double tolerance = 1e-5 * (1 + norms);
    ASSERT_GT(largest, 1e-3) << "this case tests nothing";
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto trainer = Trainer::Create(c.graph, {}, Case::kBatch, *kernels);
      ASSERT_TRUE(trainer) << trainer.error().message;
      std::ranges::copy(c.parameters, (*trainer)->parameters().begin());
      std::vector<float> gradient(c.parameters.size(), NAN);
      EXPECT_NEAR(c.Gradient(**trainer, Case::kBatch, gradient), loss, 1e-5 * (1 + loss));
      for (size_t i = 0; i < elements.size(); ++i) {
        ASSERT_NEAR(gradient[elements[i]], wanted[i], tolerance * (largest + 1e-2))
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
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const Case c(row.graph);
    const Doubles point(c.parameters.begin(), c.parameters.end());
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto predictor = Predictor::Create(c.graph, Case::kBatch, *kernels);
      ASSERT_TRUE(predictor) << predictor.error().message;
      const size_t outputs = OutputCount(c.graph);
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
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const Case c(row.graph);
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(kernels->target);
      auto trainer = Trainer::Create(c.graph, {.learning_rate = 0.5f}, Case::kBatch, *kernels);
      ASSERT_TRUE(trainer);
      const std::span<float> parameters = (*trainer)->parameters();
      std::ranges::copy(c.parameters, parameters.begin());
      std::vector<float> gradient(c.parameters.size());
      const double loss = c.Gradient(**trainer, Case::kBatch, gradient);
      EXPECT_TRUE(std::ranges::equal(parameters, c.parameters)) << "Gradient changed them";
      EXPECT_EQ(c.Step(**trainer, Case::kBatch), loss);
      for (const ParamInfo& param : c.graph.params) {
        if (param.role == ParamRole::kBuffer) continue;
        for (uint64_t i = param.offset; i < param.offset + param.count; ++i) {
          ASSERT_NEAR(parameters[i], c.parameters[i] - 0.5f * gradient[i],
                      4e-6 * (1 + std::abs(gradient[i])))
              << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
