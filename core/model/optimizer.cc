#include "model/optimizer.h"

#include <algorithm>
#include <cmath>

namespace linnet {
namespace {

using Kind = TrainOptions::Optimizer;

bool IsAdam(Kind kind) { return kind == Kind::kAdam || kind == Kind::kAdamW; }

}  // namespace

Status ValidateOptions(const TrainOptions& options) {
  const auto check = [](std::string_view name, float value, float below) -> Status {
    if (value >= 0 && value < below) return {};
    return Fail(Code::kInvalid, name, " is ", value, ", wanted 0 or more and less than ", below);
  };
  constexpr float kLarge = 1e30f;
  LINNET_TRY_STATUS(check("the learning rate", options.learning_rate, kLarge));
  LINNET_TRY_STATUS(check("the momentum", options.momentum, 1.0f));
  LINNET_TRY_STATUS(check("beta1", options.beta1, 1.0f));
  LINNET_TRY_STATUS(check("beta2", options.beta2, 1.0f));
  LINNET_TRY_STATUS(check("epsilon", options.epsilon, kLarge));
  if (options.epsilon == 0) return Fail(Code::kInvalid, "epsilon is 0, wanted more");
  LINNET_TRY_STATUS(check("the weight decay", options.weight_decay, kLarge));
  LINNET_TRY_STATUS(check("the clipping norm", options.clip_norm, kLarge));
  LINNET_TRY_STATUS(check("the clipping value", options.clip_value, kLarge));
  LINNET_TRY_STATUS(check("the proximal weight", options.proximal, kLarge));
  const Schedule& schedule = options.schedule;
  LINNET_TRY_STATUS(check("the schedule's factor", schedule.factor, std::nextafter(1.0f, 2.0f)));
  if (schedule.by_round) {
    return Fail(Code::kInvalid, "the schedule is by round, a trainer knows only steps");
  }
  if (schedule.steps == 0 ||
      (schedule.kind == Schedule::Kind::kCosine && schedule.steps <= schedule.warmup)) {
    return Fail(Code::kInvalid, "the schedule has ", schedule.steps,
                " steps, wanted 1 or more, and for cosine more than the warm-up's ",
                schedule.warmup);
  }
  return {};
}

Optimizer::Optimizer(const TrainOptions& options, std::span<const ParamInfo> params,
                     const Kernels& kernels)
    : options_(options), kernels_(kernels) {
  size_t count = 0;
  for (const ParamInfo& param : params) {
    count = param.offset + param.count;
    if (param.role == ParamRole::kBuffer || param.frozen) continue;
    const bool decays = !options.decay_weights_only || param.shape.size() > 1;
    if (!ranges_.empty() && ranges_.back().decays == decays &&
        ranges_.back().offset + ranges_.back().count == param.offset) {
      ranges_.back().count += param.count;
    } else {
      ranges_.push_back({param.offset, param.count, decays});
    }
  }
  if (options.optimizer != Kind::kSgd) first_ = AlignedBuffer<float>(count);
  if (IsAdam(options.optimizer)) second_ = AlignedBuffer<float>(count);
}

void Optimizer::Apply(std::span<float> gradient, std::span<float> parameters) {
  LINNET_CHECK(gradient.size() == parameters.size());
  LINNET_CHECK(terms_.constant.empty() || terms_.constant.size() == parameters.size());
  LINNET_CHECK_MSG(terms_.anchor.size() == (options_.proximal > 0 ? parameters.size() : 0),
                   "the proximal term and its anchor come together");
  ClipGradient(gradient);
  for (const Range& range : ranges_) ApplyTo(range, gradient.data(), parameters.data());
  CountStep();
}

void Optimizer::ClipGradient(std::span<float> gradient) const {
  if (options_.clip_value > 0) {
    const float limit = options_.clip_value;
    kernels_.activation.clip(-limit, limit, gradient.data(), gradient.data(), gradient.size());
  }
  if (options_.clip_norm > 0) {
    const double norm = std::sqrt(kernels_.sum_squares(gradient.data(), gradient.size()));
    if (norm > options_.clip_norm) {
      kernels_.scale(static_cast<float>(options_.clip_norm / norm), gradient.data(),
                     gradient.size());
    }
  }
}

void Optimizer::ApplyTo(const Range& range, float* gradient, float* parameters) {
  float* g = gradient + range.offset;
  float* w = parameters + range.offset;
  const size_t n = range.count;
  const Kind kind = options_.optimizer;
  if (options_.weight_decay > 0 && range.decays && kind != Kind::kAdamW) {
    kernels_.axpy(options_.weight_decay, w, g, n);
  }
  if (options_.proximal > 0) {
    const float* anchor = terms_.anchor.data() + range.offset;
    kernels_.optimizer.proximal(options_.proximal, w, anchor, g, n);
  }
  if (!terms_.constant.empty()) kernels_.add(g, terms_.constant.data() + range.offset, g, n);
  if (kind == Kind::kSgd) {
    kernels_.sgd_step(learning_rate(), g, w, n);
  } else if (IsAdam(kind)) {
    const AdamArgs args{
        .lr = learning_rate(),
        .beta1 = options_.beta1,
        .beta2 = options_.beta2,
        .epsilon = options_.epsilon,
        .weight_decay = kind == Kind::kAdamW && range.decays ? options_.weight_decay : 0.0f,
        .step = step_ + 1};
    kernels_.optimizer.adam(args, g, first_.data() + range.offset, second_.data() + range.offset, w,
                            n);
  } else {
    kernels_.momentum_step(learning_rate(), options_.momentum, kind == Kind::kNesterov, g,
                           first_.data() + range.offset, w, n);
  }
}

void Optimizer::SetState(uint64_t steps, std::span<const float> first,
                         std::span<const float> second) {
  LINNET_CHECK(first.size() == first_.size() && second.size() == second_.size());
  std::ranges::copy(first, first_.span().begin());
  std::ranges::copy(second, second_.span().begin());
  step_ = steps;
}

void Optimizer::Reset() {
  std::ranges::fill(first_.span(), 0.0f);
  std::ranges::fill(second_.span(), 0.0f);
  step_ = 0;
}

bool Optimizer::IsPlain() const {
  return options_.optimizer == Kind::kSgd && options_.weight_decay == 0 &&
         options_.clip_norm == 0 && options_.clip_value == 0 && options_.proximal == 0 &&
         terms_.constant.empty();
}

}  // namespace linnet
