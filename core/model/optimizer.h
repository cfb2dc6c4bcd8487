// What a step does to the parameters once their gradient is known.
#ifndef LINNET_MODEL_OPTIMIZER_H_
#define LINNET_MODEL_OPTIMIZER_H_

#include <span>
#include <vector>

#include "base/aligned.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/options.h"

namespace linnet {

// kInvalid names the option that is out of range or not finite.
Status ValidateOptions(const TrainOptions& options);

class Optimizer {
 public:
  // `options` are valid; `params` are a graph's. Allocates the state; nothing allocates afterwards.
  Optimizer(const TrainOptions& options, std::span<const ParamInfo> params, const Kernels& kernels);

  // One step, in this order: each element of the gradient is clipped to [-clip_value, clip_value],
  // the gradient is scaled down to clip_norm (its norm is taken in f64); added to it are
  // weight_decay * w (not for adamw), proximal * (w - anchor) and the constant term; then, with
  // rate = learning_rate() and mu = momentum (Sutskever et al. 2013, in the form without a factor
  // of the rate in v; v starts as 0):
  //   sgd       w -= rate * g
  //   momentum  v = mu * v + g;  w -= rate * v
  //   nesterov  v = mu * v + g;  w -= rate * (g + mu * v)
  //   adam      m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
  //             w -= rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon), t from 1
  //   adamw     w -= rate * weight_decay * w, then as adam
  // Buffers and frozen parameters stay as they are. `gradient` is overwritten.
  void Apply(std::span<float> gradient, std::span<float> parameters);
  // Counts a step that the caller has made itself (IsPlain).
  void CountStep() { ++step_; }
  // Forgets the state: momentum, moments and the number of steps.
  void Reset();
  // The velocity or the two moments, empty where the optimizer has none; in layout order.
  std::span<const float> first() const { return first_.span(); }
  std::span<const float> second() const { return second_.span(); }
  // Goes on from such a state behind so many steps; the sizes are those of this optimizer's.
  void SetState(uint64_t steps, std::span<const float> first, std::span<const float> second);
  // Each term is empty or has one value for each parameter.
  void SetTerms(const GradientTerms& terms) { terms_ = terms; }
  void set_learning_rate(float learning_rate) { options_.learning_rate = learning_rate; }
  // Of the next step.
  float learning_rate() const { return options_.learning_rate * options_.schedule.At(step_); }
  // Whether Apply is only w -= rate * g, so that a plan may add -rate * g to the parameters itself.
  bool IsPlain() const;
  uint64_t state_bytes() const { return (first_.size() + second_.size()) * sizeof(float); }

 private:
  // Parameters that lie together and are treated alike.
  struct Range {
    uint64_t offset, count;
    bool decays;
  };
  void ClipGradient(std::span<float> gradient) const;
  void ApplyTo(const Range& range, float* gradient, float* parameters);

  TrainOptions options_;
  const Kernels& kernels_;
  GradientTerms terms_;
  std::vector<Range> ranges_;
  AlignedBuffer<float> first_, second_;  // velocity; or the two moments
  uint64_t step_ = 0;
};

}  // namespace linnet

#endif  // LINNET_MODEL_OPTIMIZER_H_
