// Operations that relaxed SIMD of WebAssembly has and Highway does not use: each is Highway's own
// where the build or the target has none.
#if defined(LINNET_KERNELS_RELAXED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_RELAXED_INL_H_
#undef LINNET_KERNELS_RELAXED_INL_H_
#else
#define LINNET_KERNELS_RELAXED_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// a * b + c, fused or not, whichever is fastest: never where bits matter.
template <class V>
HWY_INLINE V FastMulAdd(V a, V b, V c) {
#if HWY_TARGET == HWY_WASM && defined(__wasm_relaxed_simd__)
  return V{__builtin_wasm_relaxed_madd_f32x4(a.raw, b.raw, c.raw)};
#else
  return hn::MulAdd(a, b, c);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_RELAXED_INL_H_
