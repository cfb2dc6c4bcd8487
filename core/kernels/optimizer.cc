// Steps of adaptive optimizers and terms that are added to gradients.
#include <cmath>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/optimizer.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

void Adam(const AdamArgs& args, const float* g, float* m, float* v, float* w, size_t n) {
  const DF d;
  const double steps = static_cast<double>(args.step);
  const double correction1 = 1 - std::pow(static_cast<double>(args.beta1), steps);
  const double correction2 = 1 - std::pow(static_cast<double>(args.beta2), steps);
  const VF beta1 = hn::Set(d, args.beta1), rest1 = hn::Set(d, 1.0f - args.beta1);
  const VF beta2 = hn::Set(d, args.beta2), rest2 = hn::Set(d, 1.0f - args.beta2);
  const VF epsilon = hn::Set(d, args.epsilon);
  const VF unbias = hn::Set(d, static_cast<float>(1 / std::sqrt(correction2)));
  const VF minus_rate = hn::Set(d, static_cast<float>(-args.lr / correction1));
  const VF keep = hn::Set(d, 1.0f - args.lr * args.weight_decay);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const VF gradient = memory.Load(d, g + i);
    const VF first = FastMulAdd(beta1, memory.Load(d, m + i), hn::Mul(rest1, gradient));
    const VF second =
        FastMulAdd(beta2, memory.Load(d, v + i), hn::Mul(hn::Mul(rest2, gradient), gradient));
    memory.Store(first, d, m + i);
    memory.Store(second, d, v + i);
    const VF deviation = FastMulAdd(hn::Sqrt(second), unbias, epsilon);
    const VF step = hn::Div(first, deviation);
    memory.Store(FastMulAdd(minus_rate, step, hn::Mul(keep, memory.Load(d, w + i))), d, w + i);
  });
}

void Proximal(float mu, const float* w, const float* w0, float* g, size_t n) {
  const DF d;
  const VF vmu = hn::Set(d, mu);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const VF drift = hn::Sub(memory.Load(d, w + i), memory.Load(d, w0 + i));
    memory.Store(FastMulAdd(vmu, drift, memory.Load(d, g + i)), d, g + i);
  });
}

}  // namespace

void FillOptimizer(Kernels& table) { table.optimizer = {.adam = Adam, .proximal = Proximal}; }

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillOptimizer(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillOptimizer, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
