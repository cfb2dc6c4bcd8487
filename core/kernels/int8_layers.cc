// 8-bit layers that are no matrix products: depthwise convolution, pooling, addition, quantization.
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8_layers.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DI32 = hn::CappedTag<int32_t, kMaxTileLanes>;
using DF = hn::Rebind<float, DI32>;
using DU8 = hn::Rebind<uint8_t, DI32>;
using DI8 = hn::Rebind<int8_t, DI32>;
using VI32 = hn::Vec<DI32>;
using VF = hn::Vec<DF>;

// The value of `y` (whole but for the offset) as bytes.
HWY_INLINE hn::Vec<DU8> ToBytes(VF y, const Requantize& out) {
  const DF d;
  y = hn::Add(y, hn::Set(d, out.offset));
  y = hn::Min(hn::Max(y, hn::Set(d, out.low)), hn::Set(d, out.high));
  return hn::DemoteTo(DU8(), hn::NearestInt(y));
}

// Calls body(window, y) for each window and its row of y.
template <class Body>
HWY_INLINE void ForEachWindow(const Int8Windows& w, uint8_t* y, const Body& body) {
  for (size_t r = 0; r < w.rows; ++r) {
    for (size_t c = 0; c < w.columns; ++c, y += w.run) body(w.x + r * w.row + c * w.column, y);
  }
}

void Depthwise(const Int8Windows& w, const int8_t* weights, const int32_t* bias, const float* scale,
               const Requantize& out, uint8_t* y) {
  const DI32 d;
  ForEachWindow(w, y, [&](const uint8_t* x, uint8_t* to) HWY_ATTR {
    ForEachVector(d, w.run, [&](size_t j, auto memory) HWY_ATTR {
      VI32 sum = memory.Load(d, bias + j);
      for (size_t q = 0; q < w.parts; ++q) {
        const VI32 a = hn::PromoteTo(d, memory.Load(DU8(), x + w.offsets[q] + j));
        const VI32 b = hn::PromoteTo(d, memory.Load(DI8(), weights + q * w.run + j));
        // Both fit 16 bits, and the upper half of `a` is zero: one multiplication of pairs.
        const hn::Repartition<int16_t, DI32> d16;
        sum = hn::Add(sum, hn::WidenMulPairwiseAdd(d, hn::BitCast(d16, a), hn::BitCast(d16, b)));
      }
      const VF y32 = hn::Mul(hn::ConvertTo(DF(), sum), memory.Load(DF(), scale + j));
      memory.Store(ToBytes(y32, out), DU8(), to + j);
    });
  });
}

void MaxPool(const Int8Windows& w, uint8_t* y) {
  const hn::CappedTag<uint8_t, 4 * kMaxTileLanes> d;
  ForEachWindow(w, y, [&](const uint8_t* x, uint8_t* to) HWY_ATTR {
    ForEachVector(d, w.run, [&](size_t j, auto memory) HWY_ATTR {
      auto most = memory.Load(d, x + w.offsets[0] + j);
      for (size_t q = 1; q < w.parts; ++q) {
        most = hn::Max(most, memory.Load(d, x + w.offsets[q] + j));
      }
      memory.Store(most, d, to + j);
    });
  });
}

void SumPool(const Int8Windows& w, float scale, const Requantize& out, uint8_t* y) {
  const DI32 d;
  ForEachWindow(w, y, [&](const uint8_t* x, uint8_t* to) HWY_ATTR {
    ForEachVector(d, w.run, [&](size_t j, auto memory) HWY_ATTR {
      VI32 sum = hn::Zero(d);
      for (size_t q = 0; q < w.parts; ++q) {
        sum = hn::Add(sum, hn::PromoteTo(d, memory.Load(DU8(), x + w.offsets[q] + j)));
      }
      const VF y32 = hn::Mul(hn::ConvertTo(DF(), sum), hn::Set(DF(), scale));
      memory.Store(ToBytes(y32, out), DU8(), to + j);
    });
  });
}

void Quantize(const float* x, float scale, const Requantize& out, uint8_t* y, size_t n) {
  const DF d;
  const VF factor = hn::Set(d, scale);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(ToBytes(hn::Mul(memory.Load(d, x + i), factor), out), DU8(), y + i);
  });
}

void Add(const uint8_t* a, float scale_a, const uint8_t* b, float scale_b, const Requantize& out,
         uint8_t* y, size_t n) {
  const DF d;
  const DI32 di;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const VF va = hn::ConvertTo(d, hn::PromoteTo(di, memory.Load(DU8(), a + i)));
    const VF vb = hn::ConvertTo(d, hn::PromoteTo(di, memory.Load(DU8(), b + i)));
    const VF sum = hn::Add(hn::Mul(va, hn::Set(d, scale_a)), hn::Mul(vb, hn::Set(d, scale_b)));
    memory.Store(ToBytes(sum, out), DU8(), y + i);
  });
}

}  // namespace

void FillInt8Layers(Kernels& table) {
  table.int8.depthwise = Depthwise;
  table.int8.max_pool = MaxPool;
  table.int8.sum_pool = SumPool;
  table.int8.quantize = Quantize;
  table.int8.add = Add;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillInt8Layers(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillInt8Layers, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
