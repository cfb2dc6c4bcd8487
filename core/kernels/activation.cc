// Activations and their gradients.
#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

VF One() { return hn::Set(DF(), 1.0f); }

// ---- Gelu, exact: x P(x), with P and p the normal distribution and density; (x P)' = P + x p.

void Gelu(const float* x, float* y, size_t n) {
  Lift(x, y, n, [](VF v) HWY_ATTR { return hn::Mul(v, Normal(DF(), v).probability); });
}

void GeluGrad(const float* x, const float* dy, float* dx, size_t n) {
  Lift(x, dy, dx, n, [](VF v, VF dv) HWY_ATTR {
    const auto normal = Normal(DF(), v);
    return hn::Mul(dv, FastMulAdd(v, normal.density, normal.probability));
  });
}

// ---- Gelu by tanh (Hendrycks and Gimpel 2016): x/2 (1 + tanh z) = x sigmoid(2z) with
// 2z = a x + b x^3.

constexpr float kGeluA = 1.59576912f;  // 2 sqrt(2 / pi)
constexpr float kGeluB = kGeluA * 0.044715f;

HWY_INLINE VF GeluTanhShare(VF x) {
  const DF d;
  const VF slope = FastMulAdd(hn::Mul(x, x), hn::Set(d, kGeluB), hn::Set(d, kGeluA));
  return Sigmoid(d, hn::Mul(x, slope));
}

void GeluTanh(const float* x, float* y, size_t n) {
  Lift(x, y, n, [](VF v) HWY_ATTR { return hn::Mul(v, GeluTanhShare(v)); });
}

// s + x s (1 - s) (2z)'.
void GeluTanhGrad(const float* x, const float* dy, float* dx, size_t n) {
  Lift(x, dy, dx, n, [](VF v, VF dv) HWY_ATTR {
    const DF d;
    const VF s = GeluTanhShare(v);
    // Bounded: beyond |x| = 100 the weight is 0, and must not meet infinity.
    const VF square = hn::Min(hn::Mul(v, v), hn::Set(d, 1e4f));
    const VF slope = FastMulAdd(square, hn::Set(d, 3 * kGeluB), hn::Set(d, kGeluA));
    const VF weight = hn::Mul(hn::Mul(v, s), hn::Sub(One(), s));
    return hn::Mul(dv, FastMulAdd(weight, slope, s));
  });
}

// ---- Silu (Elfwing et al. 2018)

void Silu(const float* x, float* y, size_t n) {
  Lift(x, y, n, [](VF v) HWY_ATTR { return hn::Mul(v, Sigmoid(DF(), v)); });
}

// s (1 + x (1 - s))
void SiluGrad(const float* x, const float* dy, float* dx, size_t n) {
  Lift(x, dy, dx, n, [](VF v, VF dv) HWY_ATTR {
    const VF s = Sigmoid(DF(), v);
    return hn::Mul(dv, hn::Mul(s, FastMulAdd(v, hn::Sub(One(), s), One())));
  });
}

// ---- Sigmoid and tanh

void SigmoidAll(const float* x, float* y, size_t n) {
  Lift(x, y, n, [](VF v) HWY_ATTR { return Sigmoid(DF(), v); });
}

void SigmoidGrad(const float* y, const float* dy, float* dx, size_t n) {
  Lift(y, dy, dx, n,
       [](VF v, VF dv) HWY_ATTR { return hn::Mul(dv, hn::Mul(v, hn::Sub(One(), v))); });
}

void TanhAll(const float* x, float* y, size_t n) {
  Lift(x, y, n, [](VF v) HWY_ATTR { return Tanh(DF(), v); });
}

// (1 - y)(1 + y): 1 - y^2 would lose its digits where y is near 1.
void TanhGrad(const float* y, const float* dy, float* dx, size_t n) {
  Lift(y, dy, dx, n, [](VF v, VF dv) HWY_ATTR {
    return hn::Mul(dv, hn::Mul(hn::Sub(One(), v), hn::Add(One(), v)));
  });
}

// ---- Piecewise linear

void LeakyRelu(float slope, const float* x, float* y, size_t n) {
  const VF factor = hn::Set(DF(), slope);
  Lift(x, y, n, [=](VF v) HWY_ATTR {
    return hn::IfThenElse(hn::Gt(v, hn::Zero(DF())), v, hn::Mul(v, factor));
  });
}

void LeakyReluGrad(float slope, const float* y, const float* dy, float* dx, size_t n) {
  const VF factor = hn::Set(DF(), slope);
  Lift(y, dy, dx, n, [=](VF v, VF dv) HWY_ATTR {
    return hn::IfThenElse(hn::Gt(v, hn::Zero(DF())), dv, hn::Mul(dv, factor));
  });
}

void Clip(float low, float high, const float* x, float* y, size_t n) {
  const VF vlow = hn::Set(DF(), low), vhigh = hn::Set(DF(), high);
  Lift(x, y, n, [=](VF v) HWY_ATTR { return hn::Min(vhigh, hn::Max(vlow, v)); });
}

void ClipGrad(float low, float high, const float* y, const float* dy, float* dx, size_t n) {
  const VF vlow = hn::Set(DF(), low), vhigh = hn::Set(DF(), high);
  Lift(y, dy, dx, n, [=](VF v, VF dv) HWY_ATTR {
    return hn::IfThenElseZero(hn::And(hn::Gt(v, vlow), hn::Lt(v, vhigh)), dv);
  });
}

}  // namespace

void FillActivation(Kernels& table) {
  table.activation = {.gelu = Gelu,
                      .gelu_tanh = GeluTanh,
                      .silu = Silu,
                      .sigmoid = SigmoidAll,
                      .tanh = TanhAll,
                      .leaky_relu = LeakyRelu,
                      .clip = Clip,
                      .gelu_grad = GeluGrad,
                      .gelu_tanh_grad = GeluTanhGrad,
                      .silu_grad = SiluGrad,
                      .sigmoid_grad = SigmoidGrad,
                      .tanh_grad = TanhGrad,
                      .leaky_relu_grad = LeakyReluGrad,
                      .clip_grad = ClipGrad};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillActivation(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillActivation, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
