// What a training step does with a gradient: a value, and the terms that a federation adds.
#ifndef LINNET_MODEL_OPTIONS_H_
#define LINNET_MODEL_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "model/schedule.h"

namespace linnet {

struct TrainOptions {
  enum class Optimizer : uint8_t {
    kSgd,
    kMomentum,
    kNesterov,
    kAdam,   // Kingma and Ba 2015, with bias correction; weight_decay is part of the gradient
    kAdamW,  // Loshchilov and Hutter 2019: weight_decay beside the gradient, times the rate
  } optimizer = Optimizer::kSgd;
  float learning_rate = 0.1f;                           // of a step: times schedule.At(step)
  float momentum = 0.9f;                                // kMomentum, kNesterov: [0, 1)
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;  // kAdam, kAdamW: [0, 1), [0, 1), > 0
  float weight_decay = 0.0f;
  // Decay only tensors of two or more dimensions: spares biases, and scales and shifts of norms.
  bool decay_weights_only = false;
  float clip_norm = 0.0f;   // of the loss's gradient over all parameters, 0 = off
  float clip_value = 0.0f;  // of each element of it, before clip_norm; 0 = off
  // FedProx (Li et al. 2020): the gradient of mu/2 |w - anchor|^2 is added, 0 = off. The anchor is
  // GradientTerms::anchor.
  float proximal = 0.0f;
  Schedule schedule{};  // by step; one by round is the coordinator's matter and refused here
};

// What a strategy adds to the gradient on the participant's side (Trainer::SetTerms), in layout
// order; the memory is the caller's and must outlive the steps. Empty: nothing is added.
//   FedProx   options.proximal = mu, anchor = w, the parameters of the round
//   SCAFFOLD  constant = c - c_k                    (y -= lr (g - c_k + c))
//   FedDyn    constant = -h_k, anchor = w, options.proximal = a   (y -= lr (g - h_k + a (y - w)))
// Both terms come after clipping and are no part of weight decay.
struct GradientTerms {
  std::span<const float> anchor;
  std::span<const float> constant;
};

// A loss of the caller's own (Trainer::StepWith): for outputs[batch, rows, classes] writes
// `scale` times the gradient of the sum of the examples' losses to gradient, of the same size, and
// returns the sum.
using OutputLoss =
    std::function<double(const float* outputs, size_t batch, float scale, float* gradient)>;

}  // namespace linnet

#endif  // LINNET_MODEL_OPTIONS_H_
