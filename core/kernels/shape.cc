// Moving elements without changing them.
#include <array>
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/shape.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

#ifndef LINNET_KERNELS_SHAPE_AXES
#define LINNET_KERNELS_SHAPE_AXES
namespace linnet {
namespace {

constexpr size_t kMaxAxes = 8;

// One axis of a transposition, in the output's order: its size and the steps it makes.
struct Axis {
  size_t size, x_step, y_step;
};
struct Axes {
  std::array<Axis, kMaxAxes> axes;
  size_t count = 0;
};

// Without axes of one element, and with those joined that lie next to each other on both sides.
inline Axes AxesOf(const size_t* dims, const size_t* perm, size_t rank) {
  std::array<size_t, kMaxAxes> x_steps{};
  for (size_t a = rank, step = 1; a-- > 0; step *= dims[a]) x_steps[a] = step;
  Axes out;
  for (size_t k = 0; k < rank; ++k) {
    const size_t size = dims[perm[k]], step = x_steps[perm[k]];
    if (size == 1) continue;
    if (out.count > 0 && out.axes[out.count - 1].x_step == size * step) {
      Axis& last = out.axes[out.count - 1];
      last = {last.size * size, step, 0};
    } else {
      out.axes[out.count++] = {size, step, 0};
    }
  }
  for (size_t k = out.count, step = 1; k-- > 0; step *= out.axes[k].size) out.axes[k].y_step = step;
  return out;
}

// Takes axis k out.
inline Axis Take(Axes& axes, size_t k) {
  const Axis axis = axes.axes[k];
  for (size_t i = k; i + 1 < axes.count; ++i) axes.axes[i] = axes.axes[i + 1];
  --axes.count;
  return axis;
}

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

void CopyRows(const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
              size_t cols) {
  const hn::ScalableTag<float> d;
  for (size_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    // A call of memcpy costs as much as a few vectors.
    if (cols > 256) {
      std::memcpy(y, x, cols * sizeof(float));
    } else {
      ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
        memory.Store(memory.Load(d, x + j), d, y + j);
      });
    }
  }
}

// y[i * y_stride + j] = x[j * x_stride + i] for i < rows, j < cols.
void Transpose2d(const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
                 size_t cols) {
  const hn::FixedTag<float, 4> d;
  // Blocks whose lines of both sides stay in L1.
  constexpr size_t kBlock = 64;
  for (size_t i0 = 0; i0 < rows; i0 += kBlock) {
    const size_t i_end = HWY_MIN(i0 + kBlock, rows);
    size_t j = 0;
    for (; j + 4 <= cols; j += 4) {
      const float* from = x + j * x_stride;
      size_t i = i0;
      for (; i + 4 <= i_end; i += 4) {
        auto r0 = hn::LoadU(d, from + i), r1 = hn::LoadU(d, from + x_stride + i);
        auto r2 = hn::LoadU(d, from + 2 * x_stride + i), r3 = hn::LoadU(d, from + 3 * x_stride + i);
        Transpose4(r0, r1, r2, r3);
        float* to = y + i * y_stride + j;
        hn::StoreU(r0, d, to);
        hn::StoreU(r1, d, to + y_stride);
        hn::StoreU(r2, d, to + 2 * y_stride);
        hn::StoreU(r3, d, to + 3 * y_stride);
      }
      for (; i < i_end; ++i) {
        for (size_t q = 0; q < 4; ++q) y[i * y_stride + j + q] = from[q * x_stride + i];
      }
    }
    for (; j < cols; ++j) {
      for (size_t i = i0; i < i_end; ++i) y[i * y_stride + j] = x[j * x_stride + i];
    }
  }
}

// The innermost axis of the output and, where it is another one, that of the input make a copy or a
// plain transposition; the others count up around it.
void Transpose(const float* x, const size_t* dims, const size_t* perm, size_t rank, float* y) {
  for (size_t a = 0; a < rank; ++a) {
    if (dims[a] == 0) return;
  }
  Axes axes = AxesOf(dims, perm, rank);
  if (axes.count == 0) {
    *y = *x;
    return;
  }
  const Axis inner = Take(axes, axes.count - 1);
  Axis other{1, 0, 0};
  if (inner.x_step == 1) {
    if (axes.count > 0) other = Take(axes, axes.count - 1);
  } else {
    size_t k = 0;
    while (axes.axes[k].x_step != 1) ++k;
    other = Take(axes, k);
  }
  std::array<size_t, kMaxAxes> index{};
  for (;;) {
    if (inner.x_step == 1) {
      CopyRows(x, other.x_step, y, other.y_step, other.size, inner.size);
    } else {
      Transpose2d(x, inner.x_step, y, other.y_step, other.size, inner.size);
    }
    size_t k = axes.count;
    for (; k > 0; --k) {
      const Axis& axis = axes.axes[k - 1];
      x += axis.x_step;
      y += axis.y_step;
      if (++index[k - 1] < axis.size) break;
      index[k - 1] = 0;
      x -= axis.size * axis.x_step;
      y -= axis.size * axis.y_step;
    }
    if (k == 0) return;
  }
}

void Pad(const float* x, size_t batch, size_t height, size_t width, size_t channels, size_t top,
         size_t left, size_t bottom, size_t right, float* y) {
  const size_t row = width * channels, padded = (left + width + right) * channels;
  for (size_t image = 0; image < batch; ++image) {
    std::memset(y, 0, top * padded * sizeof(float));
    y += top * padded;
    for (size_t r = 0; r < height; ++r, x += row, y += padded) {
      std::memset(y, 0, left * channels * sizeof(float));
      std::memcpy(y + left * channels, x, row * sizeof(float));
      std::memset(y + left * channels + row, 0, right * channels * sizeof(float));
    }
    std::memset(y, 0, bottom * padded * sizeof(float));
    y += bottom * padded;
  }
}

void Crop(const float* y, size_t batch, size_t height, size_t width, size_t channels, size_t top,
          size_t left, size_t bottom, size_t right, float* x) {
  const size_t row = width * channels, padded = (left + width + right) * channels;
  for (size_t image = 0; image < batch; ++image) {
    const float* first = y + top * padded + left * channels;
    CopyRows(first, padded, x, row, height, row);
    y += (top + height + bottom) * padded;
    x += height * row;
  }
}

}  // namespace

void FillShape(Kernels& table) {
  table.shape = {.transpose = Transpose, .copy_rows = CopyRows, .pad = Pad, .crop = Crop};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillShape(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillShape, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
