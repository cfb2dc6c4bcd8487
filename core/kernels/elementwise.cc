// Kernels that touch each element once: vector arithmetic, rectifiers, optimizer steps,
// conversions.
#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;

void Axpy(float a, const float* x, float* y, size_t n) {
  const DF d;
  const auto va = hn::Set(d, a);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(FastMulAdd(va, memory.Load(d, x + i), memory.Load(d, y + i)), d, y + i);
  });
}

void Scale(float a, float* x, size_t n) {
  const DF d;
  const auto va = hn::Set(d, a);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(hn::Mul(va, memory.Load(d, x + i)), d, x + i);
  });
}

void Subtract(const float* a, const float* b, float* out, size_t n) {
  const DF d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(hn::Sub(memory.Load(d, a + i), memory.Load(d, b + i)), d, out + i);
  });
}

void Add(const float* a, const float* b, float* out, size_t n) {
  const DF d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(hn::Add(memory.Load(d, a + i), memory.Load(d, b + i)), d, out + i);
  });
}

void Relu(const float* x, float* y, size_t n) {
  const DF d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(hn::Max(hn::Zero(d), memory.Load(d, x + i)), d, y + i);
  });
}

void ReluGrad(const float* y, const float* dy, float* dx, size_t n) {
  const DF d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto active = hn::Gt(memory.Load(d, y + i), hn::Zero(d));
    memory.Store(hn::IfThenElseZero(active, memory.Load(d, dy + i)), d, dx + i);
  });
}

void SgdStep(float lr, const float* g, float* w, size_t n) { Axpy(-lr, g, w, n); }

void MomentumStep(float lr, float mu, bool nesterov, const float* g, float* v, float* w, size_t n) {
  const DF d;
  const auto minus_lr = hn::Set(d, -lr);
  const auto vmu = hn::Set(d, mu);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto gradient = memory.Load(d, g + i);
    const auto velocity = FastMulAdd(vmu, memory.Load(d, v + i), gradient);
    memory.Store(velocity, d, v + i);
    const auto step = nesterov ? FastMulAdd(vmu, velocity, gradient) : velocity;
    memory.Store(FastMulAdd(minus_lr, step, memory.Load(d, w + i)), d, w + i);
  });
}

void FromU8(const uint8_t* x, float scale, float offset, float* out, size_t n) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> d8;
  const auto vscale = hn::Set(d, scale);
  const auto voffset = hn::Set(d, offset);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto value = hn::ConvertTo(d, hn::PromoteTo(di, memory.Load(d8, x + i)));
    memory.Store(hn::Add(hn::Mul(value, vscale), voffset), d, out + i);
  });
}

void FromI8(const int8_t* x, float scale, float* out, size_t n) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int8_t, DF> d8;
  const auto vscale = hn::Set(d, scale);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto value = hn::ConvertTo(d, hn::PromoteTo(di, memory.Load(d8, x + i)));
    memory.Store(hn::Mul(value, vscale), d, out + i);
  });
}

}  // namespace

void FillElementwise(Kernels& table) {
  table.axpy = Axpy;
  table.scale = Scale;
  table.subtract = Subtract;
  table.add = Add;
  table.relu = Relu;
  table.relu_grad = ReluGrad;
  table.sgd_step = SgdStep;
  table.momentum_step = MomentumStep;
  table.from_u8 = FromU8;
  table.from_i8 = FromI8;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillElementwise(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillElementwise, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
