// The Walsh-Hadamard transform. Stages run in the order h = 1, 2, 4, ... on every target, each
// butterfly is (a + b, a - b): where several stages share one pass over memory, every sum is still
// the same sum.
#if defined(LINNET_KERNELS_HADAMARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_HADAMARD_INL_H_
#undef LINNET_KERNELS_HADAMARD_INL_H_
#else
#define LINNET_KERNELS_HADAMARD_INL_H_
#endif

#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Stage h inside a vector: lane l with bit h clear becomes x[l] + x[l ^ h], the other x[l ^ h] -
// x[l].
template <size_t kH, class D, class V>
HWY_INLINE V StageInVector(D d, V v) {
  const hn::RebindToUnsigned<D> du;
  V swapped;
  if constexpr (kH == 1) {
    swapped = hn::Shuffle2301(v);
  } else if constexpr (kH == 2) {
    swapped = hn::Shuffle1032(v);
  } else if constexpr (kH == 4) {
    swapped = hn::SwapAdjacentBlocks(v);
  } else {
    swapped = hn::ConcatLowerUpper(d, v, v);
  }
  const auto h = hn::Set(du, static_cast<uint32_t>(kH));
  const auto is_upper = hn::Eq(hn::And(hn::Iota(du, 0), h), h);
  const auto sign = hn::IfThenElseZero(is_upper, hn::Set(du, 0x80000000u));
  return hn::Add(swapped, hn::Xor(v, hn::BitCast(d, sign)));
}

// All stages h < N.
template <class D, class V>
HWY_INLINE V StagesInVector(D d, V v) {
  v = StageInVector<1>(d, v);
  v = StageInVector<2>(d, v);
  if constexpr (hn::MaxLanes(D()) >= 8) v = StageInVector<4>(d, v);
  if constexpr (hn::MaxLanes(D()) >= 16) v = StageInVector<8>(d, v);
  return v;
}

// The log2(kRadix) stages h, 2h, ... on x[0], x[h], ..., x[(kRadix - 1) h].
template <size_t kRadix, bool kFirst, class D>
HWY_INLINE void Butterfly(D d, float* x, size_t h) {
  hn::Vec<D> v[kRadix];
  HWY_UNROLL(8)
  for (size_t i = 0; i < kRadix; ++i) {
    v[i] = hn::LoadU(d, x + i * h);
    if constexpr (kFirst) v[i] = StagesInVector(d, v[i]);
  }
  HWY_UNROLL(3)
  for (size_t step = 1; step < kRadix; step *= 2) {
    HWY_UNROLL(8)
    for (size_t i = 0; i < kRadix; ++i) {
      if (i & step) continue;
      const auto a = v[i], b = v[i + step];
      v[i] = hn::Add(a, b);
      v[i + step] = hn::Sub(a, b);
    }
  }
  HWY_UNROLL(8)
  for (size_t i = 0; i < kRadix; ++i) hn::StoreU(v[i], d, x + i * h);
}

// One pass over x[0, n): the stages h, 2h, ..., kRadix h / 2.
template <size_t kRadix, bool kFirst, class D>
HWY_INLINE void HadamardPass(D d, float* x, size_t n, size_t h) {
  const size_t N = hn::Lanes(d);
  for (size_t block = 0; block < n; block += kRadix * h) {
    for (size_t i = 0; i < h; i += N) Butterfly<kRadix, kFirst>(d, x + block + i, h);
  }
}

inline void SmallHadamard(float* x, size_t n) {
  for (size_t h = 1; h < n; h *= 2) {
    for (size_t i = 0; i < n; ++i) {
      if (i & h) continue;
      const float a = x[i], b = x[i + h];
      x[i] = a + b;
      x[i + h] = a - b;
    }
  }
}

inline void Hadamard(float* x, size_t n) {
  const hn::CappedTag<float, 16> d;
  const size_t N = hn::Lanes(d);
  if (n < 4 * N || N < 4) return SmallHadamard(x, n);
  // The first pass: the stages inside vectors and two more.
  HadamardPass<4, true>(d, x, n, N);
  size_t h = 4 * N;
  for (; h * 8 <= n; h *= 8) HadamardPass<8, false>(d, x, n, h);
  if (h * 4 <= n) {
    HadamardPass<4, false>(d, x, n, h);
  } else if (h * 2 <= n) {
    HadamardPass<2, false>(d, x, n, h);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_HADAMARD_INL_H_
