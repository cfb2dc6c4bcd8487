#include "model/optimizer.h"

#include <algorithm>
#include <cmath>

namespace linnet {

Status ValidateOptions(const TrainOptions& options) {
  const auto check = [](std::string_view name, float value, float below) -> Status {
    if (value >= 0 && value < below) return {};
    return Fail(Code::kInvalid, name, " is ", value, ", wanted 0 or more and less than ", below);
  };
  constexpr float kLarge = 1e30f;
  LINNET_TRY_STATUS(check("the learning rate", options.learning_rate, kLarge));
  LINNET_TRY_STATUS(check("the momentum", options.momentum, 1.0f));
  LINNET_TRY_STATUS(check("the weight decay", options.weight_decay, kLarge));
  return check("the clipping norm", options.clip_norm, kLarge);
}

Optimizer::Optimizer(const TrainOptions& options, size_t parameters, const Kernels& kernels)
    : options_(options),
      kernels_(kernels),
      velocity_(options.optimizer == TrainOptions::Optimizer::kSgd ? 0 : parameters) {}

void Optimizer::Apply(std::span<float> gradient, std::span<float> parameters) {
  LINNET_CHECK(gradient.size() == parameters.size());
  const size_t n = parameters.size();
  if (options_.clip_norm > 0) {
    const double norm = std::sqrt(kernels_.sum_squares(gradient.data(), n));
    if (norm > options_.clip_norm) {
      kernels_.scale(static_cast<float>(options_.clip_norm / norm), gradient.data(), n);
    }
  }
  if (options_.weight_decay > 0) {
    kernels_.axpy(options_.weight_decay, parameters.data(), gradient.data(), n);
  }
  if (options_.optimizer == TrainOptions::Optimizer::kSgd) {
    kernels_.sgd_step(options_.learning_rate, gradient.data(), parameters.data(), n);
  } else {
    const bool nesterov = options_.optimizer == TrainOptions::Optimizer::kNesterov;
    kernels_.momentum_step(options_.learning_rate, options_.momentum, nesterov, gradient.data(),
                           velocity_.data(), parameters.data(), n);
  }
}

void Optimizer::Reset() { std::ranges::fill(velocity_.span(), 0.0f); }

bool Optimizer::IsPlain() const {
  return options_.optimizer == TrainOptions::Optimizer::kSgd && options_.weight_decay == 0 &&
         options_.clip_norm == 0;
}

}  // namespace linnet
