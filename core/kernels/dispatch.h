// What the translation units of this folder share: which SIMD targets are compiled, and how the
// function of one target is picked. Included before any Highway header.
#ifndef LINNET_KERNELS_DISPATCH_H_
#define LINNET_KERNELS_DISPATCH_H_

#include <cstdint>

#include "kernels/kernels.h"

// The targets that are tested; each one is code size. SSSE3 and the AVX-512 after Zen 4 gain
// nothing over their neighbours here, and scalable vectors (SVE, RVV) cannot be held in register
// tiles.
// LINNET_FEW_TARGETS (sanitizer builds, where a target takes minutes to compile) leaves two of x86.
#ifdef LINNET_FEW_TARGETS
#define HWY_DISABLED_TARGETS (~(HWY_SSE2 | HWY_AVX2 | HWY_NEON_WITHOUT_AES | HWY_NEON | HWY_EMU128))
#else
#define HWY_DISABLED_TARGETS                                                   \
  (~(HWY_SSE2 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL | HWY_AVX3_ZEN4 | \
     HWY_NEON_WITHOUT_AES | HWY_NEON | HWY_WASM | HWY_EMU128))
#endif

// After the choice of targets, which it reads.
#include "hwy/targets.h"

// The address of FUNC, a function of each target's namespace, for the target with the bit `target`
// (that of the baseline where the target was not compiled). Used after all targets are compiled.
#define LINNET_FOR_TARGET(FUNC, target)                                   \
  ((target) == HWY_AVX3_ZEN4          ? HWY_CHOOSE_AVX3_ZEN4(FUNC)        \
   : (target) == HWY_AVX3_DL          ? HWY_CHOOSE_AVX3_DL(FUNC)          \
   : (target) == HWY_AVX3             ? HWY_CHOOSE_AVX3(FUNC)             \
   : (target) == HWY_AVX2             ? HWY_CHOOSE_AVX2(FUNC)             \
   : (target) == HWY_SSE4             ? HWY_CHOOSE_SSE4(FUNC)             \
   : (target) == HWY_SSE2             ? HWY_CHOOSE_SSE2(FUNC)             \
   : (target) == HWY_NEON             ? HWY_CHOOSE_NEON(FUNC)             \
   : (target) == HWY_NEON_WITHOUT_AES ? HWY_CHOOSE_NEON_WITHOUT_AES(FUNC) \
                                      : &HWY_STATIC_DISPATCH(FUNC))

namespace linnet {

// Each puts the functions of its file, compiled for `target` (a bit of hwy/detect_targets.h that is
// in HWY_TARGETS), into the table.
void FillElementwise(int64_t target, Kernels& table);
void FillActivation(int64_t target, Kernels& table);
void FillArithmetic(int64_t target, Kernels& table);
void FillReduce(int64_t target, Kernels& table);
void FillBatchNorm(int64_t target, Kernels& table);
void FillLayerNorm(int64_t target, Kernels& table);
void FillGroupNorm(int64_t target, Kernels& table);
void FillShape(int64_t target, Kernels& table);
void FillEmbedding(int64_t target, Kernels& table);
void FillGru(int64_t target, Kernels& table);
void FillOptimizer(int64_t target, Kernels& table);
void FillAttention(int64_t target, Kernels& table);
void FillSoftmax(int64_t target, Kernels& table);
void FillPooling(int64_t target, Kernels& table);
void FillGemm(int64_t target, Kernels& table);
void FillConv(int64_t target, Kernels& table);
void FillExact(int64_t target, Kernels& table);
void FillCodec(int64_t target, Kernels& table);
void FillCompressed(int64_t target, Kernels& table);
void FillInt8(int64_t target, Kernels& table);
void FillInt8Layers(int64_t target, Kernels& table);

}  // namespace linnet

#endif  // LINNET_KERNELS_DISPATCH_H_
