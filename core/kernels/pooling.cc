// Max pooling and its gradient; channels are the vector dimension.
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pooling.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;

// Offset of element (image, row, column, 0) of the input.
size_t At(const PoolShape& s, size_t image, size_t row, size_t column) {
  return ((image * s.height + row) * s.width + column) * s.channels;
}

// Calls body(input offset of the window, output offset) for each window.
template <class Body>
HWY_INLINE void ForEachWindow(const PoolShape& s, const Body& body) {
  size_t out = 0;
  for (size_t image = 0; image < s.batch; ++image) {
    for (size_t row = 0; row + s.size <= s.height; row += s.size) {
      for (size_t column = 0; column + s.size <= s.width; column += s.size) {
        body(At(s, image, row, column), out);
        out += s.channels;
      }
    }
  }
}

void MaxPool(const PoolShape& s, const float* x, float* y, uint8_t* argmax) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> d8;
  const size_t row_step = s.width * s.channels;
  ForEachWindow(s, [&](size_t window, size_t out) HWY_ATTR {
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      auto largest = memory.Load(d, x + window + c);
      auto where = hn::Zero(di);
      for (size_t row = 0; row < s.size; ++row) {
        for (size_t column = row == 0 ? 1 : 0; column < s.size; ++column) {
          const auto value = memory.Load(d, x + window + row * row_step + column * s.channels + c);
          const auto larger = hn::Gt(value, largest);
          const auto here = hn::Set(di, static_cast<int32_t>(row * s.size + column));
          largest = hn::IfThenElse(larger, value, largest);
          where = hn::IfThenElse(hn::RebindMask(di, larger), here, where);
        }
      }
      memory.Store(largest, d, y + out + c);
      memory.Store(hn::DemoteTo(d8, where), d8, argmax + out + c);
    });
  });
}

// Zeroes what no window covers: the remainder at the right and the bottom.
void ZeroRemainder(const PoolShape& s, float* dx) {
  const size_t rows = s.height / s.size * s.size;
  const size_t columns = s.width / s.size * s.size;
  for (size_t image = 0; image < s.batch; ++image) {
    for (size_t row = 0; row < rows && columns < s.width; ++row) {
      std::memset(dx + At(s, image, row, columns), 0,
                  (s.width - columns) * s.channels * sizeof(float));
    }
    if (rows < s.height) {
      std::memset(dx + At(s, image, rows, 0), 0,
                  (s.height - rows) * s.width * s.channels * sizeof(float));
    }
  }
}

void MaxPoolGrad(const PoolShape& s, const float* dy, const uint8_t* argmax, float* dx) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> d8;
  const size_t row_step = s.width * s.channels;
  ZeroRemainder(s, dx);
  ForEachWindow(s, [&](size_t window, size_t out) HWY_ATTR {
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      const auto gradient = memory.Load(d, dy + out + c);
      const auto where = hn::PromoteTo(di, memory.Load(d8, argmax + out + c));
      for (size_t row = 0; row < s.size; ++row) {
        for (size_t column = 0; column < s.size; ++column) {
          const auto here = hn::Set(di, static_cast<int32_t>(row * s.size + column));
          const auto chosen = hn::RebindMask(d, hn::Eq(where, here));
          memory.Store(hn::IfThenElseZero(chosen, gradient), d,
                       dx + window + row * row_step + column * s.channels + c);
        }
      }
    });
  });
}

}  // namespace

void FillPooling(Kernels& table) {
  table.max_pool = MaxPool;
  table.max_pool_grad = MaxPoolGrad;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillPooling(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillPooling, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
