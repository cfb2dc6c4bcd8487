// Small parts that every kernel shares: the lifting of vector math over arrays.
#if defined(LINNET_KERNELS_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_OPS_INL_H_
#undef LINNET_KERNELS_OPS_INL_H_
#else
#define LINNET_KERNELS_OPS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/relaxed-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// How a body touches memory: whole vectors, or the `count` first lanes (the others read as zero).
struct WholeVector {
  template <class D>
  HWY_INLINE hn::VFromD<D> Load(D d, const hn::TFromD<D>* p) const {
    return hn::LoadU(d, p);
  }
  template <class V, class D>
  HWY_INLINE V LoadOr(V, D d, const hn::TFromD<D>* p) const {
    return hn::LoadU(d, p);
  }
  template <class V, class D>
  HWY_INLINE void Store(V v, D d, hn::TFromD<D>* p) const {
    hn::StoreU(v, d, p);
  }
};
struct PartOfVector {
  size_t count;
  template <class D>
  HWY_INLINE hn::VFromD<D> Load(D d, const hn::TFromD<D>* p) const {
    return hn::LoadN(d, p, count);
  }
  // The other lanes are those of `others`.
  template <class V, class D>
  HWY_INLINE V LoadOr(V others, D d, const hn::TFromD<D>* p) const {
    return hn::LoadNOr(others, d, p, count);
  }
  template <class V, class D>
  HWY_INLINE void Store(V v, D d, hn::TFromD<D>* p) const {
    hn::StoreN(v, d, p, count);
  }
};

// Calls body(i, memory) for each vector of [0, n): whole ones, then the remainder.
template <class D, class Body>
HWY_INLINE void ForEachVector(D d, size_t n, const Body& body) {
  const size_t N = hn::Lanes(d);
  size_t i = 0;
  for (; i + N <= n; i += N) body(i, WholeVector{});
  if (i < n) body(i, PartOfVector{n - i});
}

// out[i] = f(x[i]), out[i] = f(a[i], b[i]) for a function of vectors; out may be an input.
template <class F>
HWY_INLINE void Lift(const float* x, float* out, size_t n, const F& f) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(f(memory.Load(d, x + i)), d, out + i);
  });
}
template <class F>
HWY_INLINE void Lift(const float* a, const float* b, float* out, size_t n, const F& f) {
  const hn::ScalableTag<float> d;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(f(memory.Load(d, a + i), memory.Load(d, b + i)), d, out + i);
  });
}

// Four f32 rows of four as their columns.
template <class V>
HWY_INLINE void Transpose4(V& r0, V& r1, V& r2, V& r3) {
  const hn::DFromV<V> d;
  const V lower02 = hn::InterleaveLower(d, r0, r2);
  const V lower13 = hn::InterleaveLower(d, r1, r3);
  const V upper02 = hn::InterleaveUpper(d, r0, r2);
  const V upper13 = hn::InterleaveUpper(d, r1, r3);
  r0 = hn::InterleaveLower(d, lower02, lower13);
  r1 = hn::InterleaveUpper(d, lower02, lower13);
  r2 = hn::InterleaveLower(d, upper02, upper13);
  r3 = hn::InterleaveUpper(d, upper02, upper13);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_OPS_INL_H_
