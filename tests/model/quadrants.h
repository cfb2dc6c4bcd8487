// A task so small that a few hundred steps learn it.
#ifndef LINNET_TESTS_MODEL_QUADRANTS_H_
#define LINNET_TESTS_MODEL_QUADRANTS_H_

#include <vector>

#include "graphs.h"
#include "model/train.h"

namespace linnet {

// Points of a plane in four classes by their quadrant: two layers learn it.
struct Quadrants {
  static constexpr size_t kBatch = 32;
  RandomStream random{Seed{5}, 1};
  std::vector<float> x = std::vector<float>(2 * kBatch);
  std::vector<int32_t> y = std::vector<int32_t>(kBatch);
  void Draw() {
    for (float& value : x) value = 2 * random.Uniform() - 1;
    for (size_t i = 0; i < kBatch; ++i) y[i] = (x[2 * i] > 0) + 2 * (x[2 * i + 1] > 0);
  }
};

inline Model QuadrantModel(uint32_t hidden) {
  TestGraph t({2}, 4);
  t.Dense(t.Relu(t.Dense(0, 2, hidden)), hidden, 4);
  Model model{.graph = t.graph_, .parameters = {}};
  RandomStream random(Seed{7}, 2);
  model.parameters.resize(model.graph.ParamCount());
  for (float& value : model.parameters) value = random.Uniform() - 0.5f;
  return model;
}

inline TrainOptions Options() {
  TrainOptions options;
  options.learning_rate = 0.2f;
  return options;
}

template <typename Run>
double Accuracy(const Run& run) {
  Quadrants data;
  Metrics metrics;
  std::vector<float> outputs(4 * Quadrants::kBatch);
  for (int i = 0; i < 20; ++i) {
    data.Draw();
    run(data.x.data(), outputs.data());
    Score(BestKernels(), outputs.data(), data.y.data(), Quadrants::kBatch, 4, metrics);
  }
  return metrics.accuracy();
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_QUADRANTS_H_
