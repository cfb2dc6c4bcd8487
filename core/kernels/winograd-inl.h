// The transforms of F(4x4, 3x3): Winograd, "Arithmetic Complexity of Computations" (1980); Lavin
// and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). Of patches d, weights g and
// outputs y,
//   y = A^T [(G g G^T) . (B^T d B)] A,
// and since that is linear in g, its gradient is G^T [(A dy A^T) . (B^T d B)] G.
// Polynomials are evaluated at 0, +-p, +-q and infinity with p q = 1, p^2 = 1/2: numbers stay
// of one size, where whole points (+-1, +-2) lose two bits more.
#if defined(LINNET_KERNELS_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_WINOGRAD_INL_H_
#undef LINNET_KERNELS_WINOGRAD_INL_H_
#else
#define LINNET_KERNELS_WINOGRAD_INL_H_
#endif

#include "kernels/ops-inl.h"
#include "kernels/winograd.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DW = hn::CappedTag<float, kMaxTileLanes>;
using VW = hn::Vec<DW>;

constexpr float kP = 0.70710678f, kP2 = 0.5f, kP3 = 0.35355339f;
constexpr float kQ = 1.41421356f, kQ2 = 2.0f, kQ3 = 2.82842712f;

HWY_INLINE VW Times(float factor, VW v) { return hn::Mul(hn::Set(DW(), factor), v); }
// sum + factor * v
HWY_INLINE VW Plus(VW sum, float factor, VW v) { return FastMulAdd(hn::Set(DW(), factor), v, sum); }

// Each turns a row of kIn vectors into one of kOut.
struct PatchTransform {  // B^T
  static constexpr size_t kIn = 6, kOut = 6;
  HWY_INLINE void operator()(const VW* d, VW* t) const {
    t[0] = Plus(hn::Add(d[0], d[4]), -(kP2 + kQ2), d[2]);
    const VW even_p = Plus(d[4], -kQ2, d[2]), odd_p = Plus(d[3], -kQ2, d[1]);
    t[1] = Plus(even_p, kP, odd_p);
    t[2] = Plus(even_p, -kP, odd_p);
    const VW even_q = Plus(d[4], -kP2, d[2]), odd_q = Plus(d[3], -kP2, d[1]);
    t[3] = Plus(even_q, kQ, odd_q);
    t[4] = Plus(even_q, -kQ, odd_q);
    t[5] = Plus(hn::Add(d[1], d[5]), -(kP2 + kQ2), d[3]);
  }
};
struct WeightsTransform {  // G
  static constexpr size_t kIn = 3, kOut = 6;
  HWY_INLINE void operator()(const VW* g, VW* t) const {
    t[0] = g[0];
    const VW even_p = Times(-2.0f / 3, Plus(g[0], kP2, g[2]));
    t[1] = Plus(even_p, -2 * kP / 3, g[1]);
    t[2] = Plus(even_p, 2 * kP / 3, g[1]);
    const VW even_q = Times(1.0f / 6, Plus(g[0], kQ2, g[2]));
    t[3] = Plus(even_q, kQ / 6, g[1]);
    t[4] = Plus(even_q, -kQ / 6, g[1]);
    t[5] = g[2];
  }
};
struct OutputTransform {  // A^T
  static constexpr size_t kIn = 6, kOut = 4;
  HWY_INLINE void operator()(const VW* m, VW* y) const {
    const VW even_p = hn::Add(m[1], m[2]), odd_p = hn::Sub(m[1], m[2]);
    const VW even_q = hn::Add(m[3], m[4]), odd_q = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(m[0], hn::Add(even_p, even_q));
    y[1] = Plus(Times(kP, odd_p), kQ, odd_q);
    y[2] = Plus(Times(kP2, even_p), kQ2, even_q);
    y[3] = Plus(Plus(m[5], kP3, odd_p), kQ3, odd_q);
  }
};
struct OutputGradTransform {  // A
  static constexpr size_t kIn = 4, kOut = 6;
  HWY_INLINE void operator()(const VW* y, VW* m) const {
    m[0] = y[0];
    const VW even_p = Plus(y[0], kP2, y[2]), odd_p = Plus(y[1], kP2, y[3]);
    m[1] = Plus(even_p, kP, odd_p);
    m[2] = Plus(even_p, -kP, odd_p);
    const VW even_q = Plus(y[0], kQ2, y[2]), odd_q = Plus(y[1], kQ2, y[3]);
    m[3] = Plus(even_q, kQ, odd_q);
    m[4] = Plus(even_q, -kQ, odd_q);
    m[5] = y[3];
  }
};
struct WeightsGradTransform {  // G^T
  static constexpr size_t kIn = 6, kOut = 3;
  HWY_INLINE void operator()(const VW* u, VW* g) const {
    const VW even_p = hn::Add(u[1], u[2]), odd_p = hn::Sub(u[1], u[2]);
    const VW even_q = hn::Add(u[3], u[4]), odd_q = hn::Sub(u[3], u[4]);
    g[0] = Plus(Plus(u[0], -2.0f / 3, even_p), 1.0f / 6, even_q);
    g[1] = Plus(Times(-2 * kP / 3, odd_p), kQ / 6, odd_q);
    g[2] = Plus(Plus(u[5], -1.0f / 3, even_p), 1.0f / 3, even_q);
  }
};

// Applies a transform to both axes: store(row, column, value) for its results from load(row,
// column).
template <class Transform, class Load, class Store>
HWY_INLINE void TransformBoth(const Transform& transform, const Load& load, const Store& store) {
  constexpr size_t kIn = Transform::kIn, kOut = Transform::kOut;
  VW half[kOut][kIn];
  HWY_UNROLL(6)
  for (size_t c = 0; c < kIn; ++c) {
    VW from[kIn], to[kOut];
    HWY_UNROLL(6)
    for (size_t r = 0; r < kIn; ++r) from[r] = load(r, c);
    transform(from, to);
    HWY_UNROLL(6)
    for (size_t r = 0; r < kOut; ++r) half[r][c] = to[r];
  }
  HWY_UNROLL(6)
  for (size_t r = 0; r < kOut; ++r) {
    VW to[kOut];
    transform(half[r], to);
    HWY_UNROLL(6)
    for (size_t c = 0; c < kOut; ++c) store(r, c, to[c]);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_WINOGRAD_INL_H_
