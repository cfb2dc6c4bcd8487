// What a step does to the parameters once their gradient is known.
#ifndef LINNET_MODEL_OPTIMIZER_H_
#define LINNET_MODEL_OPTIMIZER_H_

#include <span>

#include "base/aligned.h"
#include "kernels/kernels.h"
#include "model/train.h"

namespace linnet {

// kInvalid names the option that is out of range or not finite.
Status ValidateOptions(const TrainOptions& options);

class Optimizer {
 public:
  // `options` are valid. Allocates the state for `parameters` values; nothing allocates afterwards.
  Optimizer(const TrainOptions& options, size_t parameters, const Kernels& kernels);
  // Updates `parameters`, in this order: the gradient is scaled down to clip_norm (its norm is
  // taken in f64), weight_decay * w is added to it, then with mu = momentum (Sutskever et al. 2013,
  // in the form without a factor of the learning rate in v; v starts as 0):
  //   sgd       w -= lr * g
  //   momentum  v = mu * v + g;  w -= lr * v
  //   nesterov  v = mu * v + g;  w -= lr * (g + mu * v)
  // `gradient` is overwritten.
  void Apply(std::span<float> gradient, std::span<float> parameters);
  void Reset();
  void set_learning_rate(float learning_rate) { options_.learning_rate = learning_rate; }
  float learning_rate() const { return options_.learning_rate; }
  // Whether Apply is only w -= lr * g, so that a plan may add -lr * g to the parameters itself.
  bool IsPlain() const;

 private:
  TrainOptions options_;
  const Kernels& kernels_;
  AlignedBuffer<float> velocity_;
};

}  // namespace linnet

#endif  // LINNET_MODEL_OPTIMIZER_H_
