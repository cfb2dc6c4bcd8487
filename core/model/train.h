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
#include "model/train_state.h"

namespace linnet {

// What training holds in memory beside the code and the data, in bytes.
struct MemoryReport {
  uint64_t parameters = 0;
  uint64_t gradients = 0;  // 0 where plain SGD adds them to the parameters as they appear
  uint64_t optimizer = 0;
  uint64_t arena = 0;  // activations, their gradients and workspaces
  uint64_t total() const { return parameters + gradients + optimizer + arena; }
};

// A planned training step: gradient graph, liveness-packed arena, optimizer. After Create nothing
// allocates. One owner; not thread-safe. Copies no data: x and y are the caller's.
class Trainer {
 public:
  // `max_batch` >= 1; the executor, if any, must outlive the trainer, and changes no bit of the
  // results. kInvalid as ValidateGraph and when every parameter is frozen, kLimit when the arena
  // would exceed 1 GiB.
  static Result<std::unique_ptr<Trainer>> Create(const Graph& graph, const TrainOptions& options,
                                                 size_t max_batch, const Kernels& kernels,
                                                 Executor* executor = nullptr);
  virtual ~Trainer() = default;
  // The parameters being trained, in layout order; the caller sets them before the first step.
  virtual std::span<float> parameters() = 0;
  // Forgets the optimizer's state (momentum, moments, the number of steps) and starts the dropout
  // masks anew.
  virtual void Reset() = 0;
  virtual void set_learning_rate(float learning_rate) = 0;
  // The masks of the steps from now on follow from this and the number of the step alone; at first
  // it is 0.
  virtual void set_dropout_seed(uint64_t seed) = 0;
  // What every step from now on adds to the gradient (options.h): before the first step, by whoever
  // gave options a proximal weight or has control variates.
  virtual void SetTerms(const GradientTerms& terms) = 0;
  // One step on x[batch, InputCount()] and labels y[batch, rows] in [0, classes), one for each row
  // of the output: returns the mean loss before the step, in nats. 1 <= batch <= max_batch. Of a
  // graph with Loss::kCrossEntropy.
  virtual double Step(const float* x, const int32_t* y, size_t batch) = 0;
  // The same for Loss::kMse and targets[batch, outputs].
  virtual double StepValues(const float* x, const float* targets, size_t batch) = 0;
  // The same for any graph and a loss of the caller's own in place of the graph's.
  virtual double StepWith(const float* x, size_t batch, const OutputLoss& loss) = 0;
  // As Step without the update: the gradient of the mean loss, in layout order (for tests); zero
  // for buffers and frozen parameters.
  virtual double Gradient(const float* x, const int32_t* y, size_t batch, std::span<float> out) = 0;
  virtual double GradientValues(const float* x, const float* targets, size_t batch,
                                std::span<float> out) = 0;
  // A copy of what the next step depends on, without a note.
  virtual TrainState State() const = 0;
  // Goes on from there: the next step has the bits it would have had. kInvalid unless the state is
  // of this graph and kind of optimizer.
  virtual Status SetState(const TrainState& state) = 0;
  virtual MemoryReport memory() const = 0;
  size_t arena_bytes() const { return memory().arena; }
};

// A planned forward pass. After Create nothing allocates.
class Predictor {
 public:
  static Result<std::unique_ptr<Predictor>> Create(const Graph& graph, size_t max_batch,
                                                   const Kernels& kernels,
                                                   Executor* executor = nullptr);
  virtual ~Predictor() = default;
  // Prepares the parameters (layout order) for the runs to come: folds normalizations into the
  // layers before them and arranges weights as products want them. The memory is the caller's; it
  // must stay, unchanged, until the last run.
  virtual void SetParameters(std::span<const float> parameters) = 0;
  // The outputs [batch, rows, classes] for x[batch, InputCount()].
  virtual void Run(const float* x, size_t batch, float* outputs) = 0;
  // Both, for a single run with these parameters.
  void Run(std::span<const float> parameters, const float* x, size_t batch, float* outputs) {
    SetParameters(parameters);
    Run(x, batch, outputs);
  }
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
