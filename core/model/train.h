// Plans that execute: training and inference over a model's graph.
#ifndef LINNET_MODEL_TRAIN_H_
#define LINNET_MODEL_TRAIN_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/executor.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/options.h"

namespace linnet {

// A planned training step: gradient graph, liveness-packed arena, optimizer. After Create nothing
// allocates. One owner; not thread-safe. Copies no data: x and y are the caller's.
class Trainer {
 public:
  // `max_batch` >= 1. kInvalid as ValidateGraph, kLimit when the arena would exceed 1 GiB.
  static Result<std::unique_ptr<Trainer>> Create(const Graph& graph, const TrainOptions& options,
                                                 size_t max_batch, const Kernels& kernels);
  virtual ~Trainer() = default;
  // The parameters being trained, in layout order; the caller sets them before the first step.
  virtual std::span<float> parameters() = 0;
  // Forgets the optimizer's state (momentum, moments, the number of steps).
  virtual void Reset() = 0;
  virtual void set_learning_rate(float learning_rate) = 0;
  // What every step from now on adds to the gradient (options.h): before the first step, by whoever
  // gave options a proximal weight or has control variates.
  virtual void SetTerms(const GradientTerms& terms) = 0;
  // One step on x[batch, InputCount()], y[batch] in [0, classes): returns the mean loss before the
  // step, in nats. 1 <= batch <= max_batch.
  virtual double Step(const float* x, const int32_t* y, size_t batch) = 0;
  // The same without the update: the gradient of the mean loss, in layout order (for tests).
  virtual double Gradient(const float* x, const int32_t* y, size_t batch, std::span<float> out) = 0;
  virtual size_t arena_bytes() const = 0;
};

// A planned forward pass. After Create nothing allocates.
class Predictor {
 public:
  static Result<std::unique_ptr<Predictor>> Create(const Graph& graph, size_t max_batch,
                                                   const Kernels& kernels);
  virtual ~Predictor() = default;
  // logits[batch, classes] for x[batch, InputCount()] with the given parameters (layout order).
  virtual void Run(std::span<const float> parameters, const float* x, size_t batch,
                   float* logits) = 0;
  virtual size_t arena_bytes() const = 0;
};

// Sums over examples; divide by examples for means.
struct Metrics {
  uint64_t examples = 0;
  uint64_t correct = 0;
  double loss_sum = 0;
  double accuracy() const { return examples ? double(correct) / double(examples) : 0; }
  double loss() const { return examples ? loss_sum / double(examples) : 0; }
};
// Adds the metrics of one batch.
void Score(const Kernels& kernels, const float* logits, const int32_t* labels, size_t batch,
           size_t classes, Metrics& metrics);

}  // namespace linnet

#endif  // LINNET_MODEL_TRAIN_H_
