// Elementwise arithmetic of values with each other and of rows with a parameter; dropout.
#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/arithmetic.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

void Multiply(const float* a, const float* b, float* out, size_t n) {
  Lift(a, b, out, n, [](VF u, VF v) HWY_ATTR { return hn::Mul(u, v); });
}

void ScaleInto(float factor, const float* x, float* out, size_t n) {
  const VF vfactor = hn::Set(DF(), factor);
  Lift(x, out, n, [=](VF v) HWY_ATTR { return hn::Mul(v, vfactor); });
}

void AddRows(const float* x, const float* p, size_t rows, size_t cols, float* out) {
  for (size_t r = 0; r < rows; ++r, x += cols, out += cols) {
    Lift(x, p, out, cols, [](VF u, VF v) HWY_ATTR { return hn::Add(u, v); });
  }
}

void MultiplyRows(const float* x, const float* p, size_t rows, size_t cols, float* out) {
  for (size_t r = 0; r < rows; ++r, x += cols, out += cols) Multiply(x, p, out, cols);
}

template <bool kRelu>
void AffineRows(const float* x, const float* scale, const float* shift, size_t rows, size_t cols,
                float* out) {
  const DF d;
  for (size_t r = 0; r < rows; ++r, x += cols, out += cols) {
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      VF value =
          FastMulAdd(memory.Load(d, x + j), memory.Load(d, scale + j), memory.Load(d, shift + j));
      if constexpr (kRelu) value = hn::Max(value, hn::Zero(d));
      memory.Store(value, d, out + j);
    });
  }
}

void Affine(const float* x, const float* scale, const float* shift, size_t rows, size_t cols,
            bool relu, float* out) {
  (relu ? AffineRows<true> : AffineRows<false>)(x, scale, shift, rows, cols, out);
}

// ---- Dropout

// A bijection of 32 bits without visible structure (Wellons, "Prospecting for Hash Functions",
// 2018: lowbias32).
template <class V>
HWY_INLINE V Mix(V x) {
  const hn::DFromV<V> d;
  x = hn::Xor(x, hn::ShiftRight<16>(x));
  x = hn::Mul(x, hn::Set(d, 0x7feb352du));
  x = hn::Xor(x, hn::ShiftRight<15>(x));
  x = hn::Mul(x, hn::Set(d, 0x846ca68bu));
  return hn::Xor(x, hn::ShiftRight<16>(x));
}

void Dropout(uint64_t key, size_t first, float rate, const float* x, float* out, size_t n) {
  const DF d;
  const hn::RebindToUnsigned<DF> du;
  const auto key0 = hn::Set(du, static_cast<uint32_t>(key));
  const auto key1 = hn::Set(du, static_cast<uint32_t>(key >> 32));
  const auto threshold = hn::Set(du, static_cast<uint32_t>(static_cast<double>(rate) * 0x1p32));
  const VF scale = hn::Set(d, 1.0f / (1.0f - rate));
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto index = hn::Iota(du, static_cast<uint32_t>(first + i));
    const auto random = Mix(hn::Xor(Mix(hn::Xor(index, key0)), key1));
    const auto kept = hn::RebindMask(d, hn::Ge(random, threshold));
    memory.Store(hn::IfThenElseZero(kept, hn::Mul(memory.Load(d, x + i), scale)), d, out + i);
  });
}

}  // namespace

void FillArithmetic(Kernels& table) {
  table.arithmetic = {.multiply = Multiply,
                      .scale = ScaleInto,
                      .add_rows = AddRows,
                      .multiply_rows = MultiplyRows,
                      .affine_rows = Affine,
                      .dropout = Dropout};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillArithmetic(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillArithmetic, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
