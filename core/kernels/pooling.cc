// Pooling and its gradients; channels are the vector dimension.
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
using DI = hn::RebindToSigned<DF>;
using D8 = hn::Rebind<uint8_t, DF>;
using VF = hn::Vec<DF>;

// The cells [begin, end) of a window that lie inside of the input along one axis, and where the
// first of them is.
struct Span {
  size_t begin, end, at;
};
HWY_INLINE Span SpanOf(size_t index, size_t stride, size_t pad, size_t size, size_t extent) {
  const size_t start = index * stride;  // counted from the start of the padding
  const size_t begin = pad > start ? pad - start : 0;
  return {begin, HWY_MIN(size, extent + pad - start), start + begin - pad};
}

// One window: its cells inside, the offset of the first in the input, and of the output.
struct Window {
  Span rows, columns;
  size_t input, output;
  size_t Cells() const { return (rows.end - rows.begin) * (columns.end - columns.begin); }
};

template <class Body>
HWY_INLINE void ForEachWindow(const WindowShape& s, const Body& body) {
  size_t out = 0;
  for (size_t image = 0; image < s.batch; ++image) {
    for (size_t row = 0; row < s.OutHeight(); ++row) {
      const Span rows = SpanOf(row, s.stride_h, s.pad_top, s.size_h, s.height);
      const size_t first = (image * s.height + rows.at) * s.width;
      for (size_t column = 0; column < s.OutWidth(); ++column, out += s.channels) {
        const Span columns = SpanOf(column, s.stride_w, s.pad_left, s.size_w, s.width);
        body(Window{rows, columns, (first + columns.at) * s.channels, out});
      }
    }
  }
}

// Calls body(offset in the input, position in the window) for each cell inside.
template <class Body>
HWY_INLINE void ForEachCell(const WindowShape& s, const Window& window, const Body& body) {
  size_t line = window.input;
  for (size_t r = window.rows.begin; r < window.rows.end; ++r, line += s.width * s.channels) {
    size_t at = line;
    for (size_t q = window.columns.begin; q < window.columns.end; ++q, at += s.channels) {
      body(at, r * s.size_w + q);
    }
  }
}

// Whether each element of the input is in at most one window.
bool WindowsAreApart(const WindowShape& s) {
  return s.stride_h >= s.size_h && s.stride_w >= s.size_w;
}

void ZeroInput(const WindowShape& s, float* dx) {
  std::memset(dx, 0, s.batch * s.height * s.width * s.channels * sizeof(float));
}

// ---- The largest

void Max(const WindowShape& s, const float* x, float* y, uint8_t* argmax) {
  const DF d;
  const DI di;
  const D8 d8;
  ForEachWindow(s, [&](const Window& window) HWY_ATTR {
    const size_t first = window.rows.begin * s.size_w + window.columns.begin;
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      VF largest = memory.Load(d, x + window.input + c);
      auto where = hn::Set(di, static_cast<int32_t>(first));
      ForEachCell(s, window, [&](size_t at, size_t position) HWY_ATTR {
        const VF value = memory.Load(d, x + at + c);
        const auto larger = hn::Gt(value, largest);
        largest = hn::IfThenElse(larger, value, largest);
        where = hn::IfThenElse(hn::RebindMask(di, larger),
                               hn::Set(di, static_cast<int32_t>(position)), where);
      });
      memory.Store(largest, d, y + window.output + c);
      if (argmax != nullptr) {
        memory.Store(hn::DemoteTo(d8, where), d8, argmax + window.output + c);
      }
    });
  });
}

template <bool kApart>
void MaxGradTo(const WindowShape& s, const float* dy, const uint8_t* argmax, float* dx) {
  const DF d;
  const DI di;
  const D8 d8;
  ForEachWindow(s, [&](const Window& window) HWY_ATTR {
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      const VF gradient = memory.Load(d, dy + window.output + c);
      const auto where = hn::PromoteTo(di, memory.Load(d8, argmax + window.output + c));
      ForEachCell(s, window, [&](size_t at, size_t position) HWY_ATTR {
        const auto here = hn::Eq(where, hn::Set(di, static_cast<int32_t>(position)));
        VF part = hn::IfThenElseZero(hn::RebindMask(d, here), gradient);
        if constexpr (!kApart) part = hn::Add(part, memory.Load(d, dx + at + c));
        memory.Store(part, d, dx + at + c);
      });
    });
  });
}

void MaxGrad(const WindowShape& s, const float* dy, const uint8_t* argmax, float* dx) {
  const bool tiled = s.stride_h == s.size_h && s.stride_w == s.size_w &&
                     s.OutHeight() * s.size_h >= s.height + s.pad_top &&
                     s.OutWidth() * s.size_w >= s.width + s.pad_left;
  if (!tiled) ZeroInput(s, dx);
  (WindowsAreApart(s) ? MaxGradTo<true> : MaxGradTo<false>)(s, dy, argmax, dx);
}

// ---- The mean

HWY_INLINE float ShareOfCell(const WindowShape& s, const Window& window, bool count_include_pad) {
  const size_t cells = count_include_pad ? s.size_h * s.size_w : window.Cells();
  return 1.0f / static_cast<float>(cells);
}

void Average(const WindowShape& s, bool count_include_pad, const float* x, float* y) {
  const DF d;
  ForEachWindow(s, [&](const Window& window) HWY_ATTR {
    const VF share = hn::Set(d, ShareOfCell(s, window, count_include_pad));
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      VF sum = hn::Zero(d);
      ForEachCell(s, window, [&](size_t at, size_t) HWY_ATTR {
        sum = hn::Add(sum, memory.Load(d, x + at + c));
      });
      memory.Store(hn::Mul(sum, share), d, y + window.output + c);
    });
  });
}

void AverageGrad(const WindowShape& s, bool count_include_pad, const float* dy, float* dx) {
  const DF d;
  ZeroInput(s, dx);
  ForEachWindow(s, [&](const Window& window) HWY_ATTR {
    const VF share = hn::Set(d, ShareOfCell(s, window, count_include_pad));
    ForEachVector(d, s.channels, [&](size_t c, auto memory) HWY_ATTR {
      const VF part = hn::Mul(memory.Load(d, dy + window.output + c), share);
      ForEachCell(s, window, [&](size_t at, size_t) HWY_ATTR {
        memory.Store(hn::Add(part, memory.Load(d, dx + at + c)), d, dx + at + c);
      });
    });
  });
}

// ---- Square windows side by side

WindowShape Square(const PoolShape& s) {
  return {.batch = s.batch,
          .height = s.height,
          .width = s.width,
          .channels = s.channels,
          .size_h = s.size,
          .size_w = s.size,
          .stride_h = s.size,
          .stride_w = s.size};
}
void MaxPool(const PoolShape& s, const float* x, float* y, uint8_t* argmax) {
  Max(Square(s), x, y, argmax);
}
void MaxPoolGrad(const PoolShape& s, const float* dy, const uint8_t* argmax, float* dx) {
  MaxGrad(Square(s), dy, argmax, dx);
}

}  // namespace

void FillPooling(Kernels& table) {
  table.pool = {.max = Max, .max_grad = MaxGrad, .average = Average, .average_grad = AverageGrad};
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
