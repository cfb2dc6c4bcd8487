// Transcendental functions of one vector of f32. Errors were measured against f64 over all of the
// stated range (tests/kernels/activation_test.cc holds them); they are those without fused
// multiply-add, the larger ones.
#if defined(LINNET_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_MATH_INL_H_
#undef LINNET_KERNELS_MATH_INL_H_
#else
#define LINNET_KERNELS_MATH_INL_H_
#endif

#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// e^x = power * (1 + rest), where power is a power of two and |rest| < 0.42 within the range where
// e^x is a normal number.
template <class V>
struct SplitExp {
  V power, rest;
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE SplitExp<V> ExpParts(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  const V magic = hn::Set(d, 12582912.0f);
  V shifted = FastMulAdd(x, hn::Set(d, 1.44269504f), magic);
  shifted = hn::Min(hn::Max(shifted, hn::Set(d, 12582912.0f - 126)), hn::Set(d, 12582912.0f + 127));
  const V n = hn::Sub(shifted, magic);
  // ln 2 in two parts (Cody and Waite 1980): n times the first is exact.
  V r = FastMulAdd(n, hn::Set(d, -0.693145751953125f), x);
  r = FastMulAdd(n, hn::Set(d, -1.428606765330187e-6f), r);
  // (e^r - 1 - r) / r^2: minimax for |r| < 0.3475, 4e-9 relative to e^r - 1.
  V q = hn::Set(d, 0.001388249f);
  q = FastMulAdd(q, r, hn::Set(d, 0.008366692f));
  q = FastMulAdd(q, r, hn::Set(d, 0.041667204f));
  q = FastMulAdd(q, r, hn::Set(d, 0.16666542f));
  q = FastMulAdd(q, r, hn::Set(d, 0.49999997f));
  const V rest = FastMulAdd(hn::Mul(r, r), q, r);
  const auto exponent = hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127));
  return {hn::BitCast(d, hn::ShiftLeft<23>(exponent)), rest};
}

// e^x, 2 ulp; 0 below ln 2^-126 (no subnormal numbers), infinity from ln 2^128. NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const SplitExp<V> parts = ExpParts(d, x);
  const V value = FastMulAdd(parts.power, parts.rest, parts.power);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.33654f)), value);
}

// 1 / (1 + e^-x), 3 ulp for x > -87, then 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

// 3 ulp everywhere: e / (e + 2) with e = e^(2|x|) - 1, which loses nothing near 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  const V magnitude = hn::Abs(x);
  // tanh 10 rounds to 1. The test on the left lets NaN through.
  const V twice = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, 10.0f)), hn::Set(d, 20.0f),
                                 hn::Add(magnitude, magnitude));
  const SplitExp<V> parts = ExpParts(d, twice);
  const V e = FastMulAdd(parts.power, parts.rest, hn::Sub(parts.power, hn::Set(d, 1.0f)));
  return hn::CopySign(hn::Div(e, hn::Add(e, hn::Set(d, 2.0f))), x);
}

// The normal distribution at x: its density, and the probability of less than x.
template <class V>
struct NormalAt {
  V density, probability;
};

// The probability is x's share in gelu: 1/2 (1 + erf(x / sqrt(2))). For x < 0 it keeps its
// relative precision, (11 + x^2) ulp, where x^2 comes from the rounding of the exponent.
template <class D, class V = hn::Vec<D>>
HWY_INLINE NormalAt<V> Normal(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V exponential = Exp(d, hn::Mul(hn::Mul(x, x), hn::Set(d, -0.5f)));
  // The tail beyond t = |x| over e^(-t^2/2), as a polynomial in 1 / (1 + c t) (Hastings 1955, whose
  // c this is): minimax for t < 13.3, where e^(-t^2/2) ends.
  const V u = hn::Div(one, FastMulAdd(hn::Abs(x), hn::Set(d, 0.2316419f), one));
  V p = hn::Set(d, -0.070929386f);
  p = FastMulAdd(p, u, hn::Set(d, 0.24986269f));
  p = FastMulAdd(p, u, hn::Set(d, -0.20556116f));
  p = FastMulAdd(p, u, hn::Set(d, 0.22901784f));
  p = FastMulAdd(p, u, hn::Set(d, 0.011444055f));
  p = FastMulAdd(p, u, hn::Set(d, 0.103333786f));
  p = FastMulAdd(p, u, hn::Set(d, 0.09030148f));
  p = FastMulAdd(p, u, hn::Set(d, 0.09253074f));
  const V tail = hn::Mul(hn::Mul(p, u), exponential);
  return {hn::Mul(exponential, hn::Set(d, 0.398942280f)),
          hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Sub(one, tail), tail)};
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_MATH_INL_H_
