// Depthwise convolution, each channel by itself, and its gradients: vectors of channels, so memory
// is read as it lies and nothing is packed.
#include "kernels/axis.h"
#include "kernels/dispatch.h"
#include "kernels/tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DC = hn::CappedTag<float, kMaxTileLanes>;
using VC = hn::Vec<DC>;

// Columns that share each load of a weight: with as many sums, multiply-adds wait for no other.
constexpr size_t kColumns = 8;

// A depthwise convolution of one image of `channels`.
struct Image {
  Axis rows, columns;
  size_t channels, source_width, width;  // widths in pixels
  size_t kernel_w;
  const float* source;
  const float* w;
  const float* bias;
  bool relu;
  float* out;
};

// kCount positions of a row from `column` on, all with the taps of r and c; channels from `at` on.
template <size_t kCount, class Memory>
HWY_INLINE void ComputePositions(const Image& v, const Run& r, size_t row, const Run& c,
                                 size_t column, size_t at, Memory memory) {
  const DC d;
  VC sum[kCount];
  const VC start = v.bias == nullptr ? hn::Zero(d) : memory.Load(d, v.bias + at);
  HWY_UNROLL(8)
  for (size_t i = 0; i < kCount; ++i) sum[i] = start;
  const size_t step = v.columns.source_step * v.channels;
  for (size_t i = 0; i < r.taps; ++i) {
    const size_t source_row = static_cast<size_t>(v.rows.Source(row, r.tap + i));
    for (size_t j = 0; j < c.taps; ++j) {
      const size_t source_column = static_cast<size_t>(v.columns.Source(column, c.tap + j));
      const float* x = v.source + (source_row * v.source_width + source_column) * v.channels + at;
      const size_t tap = v.rows.KernelTap(r.tap + i) * v.kernel_w + v.columns.KernelTap(c.tap + j);
      const VC weight = memory.Load(d, v.w + tap * v.channels + at);
      HWY_UNROLL(8)
      for (size_t p = 0; p < kCount; ++p) {
        sum[p] = FastMulAdd(memory.Load(d, x + p * step), weight, sum[p]);
      }
    }
  }
  float* out = v.out +
               ((v.rows.to_first + row * v.rows.to_step) * v.width + v.columns.to_first +
                column * v.columns.to_step) *
                   v.channels +
               at;
  HWY_UNROLL(8)
  for (size_t p = 0; p < kCount; ++p) {
    if (v.relu) sum[p] = hn::Max(sum[p], hn::Zero(d));
    memory.Store(sum[p], d, out + p * v.columns.to_step * v.channels);
  }
}

void ComputeRow(const Image& v, const Run& r, size_t row) {
  ForEachRun(v.columns, 0, v.columns.positions, [&](const Run& c) {
    size_t column = c.position;
    const size_t end = c.position + c.count;
    for (; column + kColumns <= end; column += kColumns) {
      ForEachVector(DC(), v.channels, [&](size_t at, auto memory) HWY_ATTR {
        ComputePositions<kColumns>(v, r, row, c, column, at, memory);
      });
    }
    for (; column + 4 <= end; column += 4) {
      ForEachVector(DC(), v.channels, [&](size_t at, auto memory) HWY_ATTR {
        ComputePositions<4>(v, r, row, c, column, at, memory);
      });
    }
    for (; column < end; ++column) {
      ForEachVector(DC(), v.channels, [&](size_t at, auto memory) HWY_ATTR {
        ComputePositions<1>(v, r, row, c, column, at, memory);
      });
    }
  });
}

// All images; `image` moves from the first one on.
void ComputeImages(const Image& first, size_t batch, size_t source_size, size_t out_size,
                   Executor* executor) {
  const size_t rows = first.rows.positions;
  const size_t flops =
      2 * first.columns.positions * first.rows.taps * first.columns.taps * first.channels;
  RunTasks(executor, Tasks(batch * rows, flops), [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t index = begin / rows, row = begin % rows;
      const size_t here = HWY_MIN(end - begin, rows - row);
      Image image = first;
      image.source += index * source_size;
      image.out += index * out_size;
      ForEachRun(image.rows, row, row + here, [&](const Run& r) {
        for (size_t p = r.position; p < r.position + r.count; ++p) ComputeRow(image, r, p);
      });
      begin += here;
    }
  });
}

// The sum over a row's columns of x times dy for one tap.
template <class Memory>
HWY_INLINE VC SumOfColumns(const float* x, size_t x_step, const float* dy, size_t dy_step,
                           size_t count, VC start, Memory memory) {
  const DC d;
  VC sum0 = start, sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  size_t i = 0;
  for (; i + 4 <= count; i += 4, x += 4 * x_step, dy += 4 * dy_step) {
    sum0 = FastMulAdd(memory.Load(d, x), memory.Load(d, dy), sum0);
    sum1 = FastMulAdd(memory.Load(d, x + x_step), memory.Load(d, dy + dy_step), sum1);
    sum2 = FastMulAdd(memory.Load(d, x + 2 * x_step), memory.Load(d, dy + 2 * dy_step), sum2);
    sum3 = FastMulAdd(memory.Load(d, x + 3 * x_step), memory.Load(d, dy + 3 * dy_step), sum3);
  }
  for (; i < count; ++i, x += x_step, dy += dy_step) {
    sum0 = FastMulAdd(memory.Load(d, x), memory.Load(d, dy), sum0);
  }
  return hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
}

// Adds one image's products to one tap of dw, for one vector of channels.
template <class Memory>
HWY_INLINE void AddTap(const Conv2dShape& s, const Axis& rows, const Axis& columns, size_t i,
                       size_t j, const float* x, const float* dy, float* dw, Memory memory) {
  const DC d;
  const size_t n = s.in_channels;
  const Run r = PositionsOfTap(rows, i), c = PositionsOfTap(columns, j);
  if (c.count == 0) return;
  VC sum = memory.Load(d, dw);
  for (size_t p = r.position; p < r.position + r.count; ++p) {
    const size_t source = static_cast<size_t>(rows.Source(p, i)) * s.width +
                          static_cast<size_t>(columns.Source(c.position, j));
    sum = SumOfColumns(x + source * n, s.stride_w * n,
                       dy + (p * columns.positions + c.position) * n, n, c.count, sum, memory);
  }
  memory.Store(sum, d, dw);
}

}  // namespace

void Depthwise(const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  ComputeImages({.rows = ForwardRows(s),
                 .columns = ForwardColumns(s),
                 .channels = s.in_channels,
                 .source_width = s.width,
                 .width = s.OutWidth(),
                 .kernel_w = s.kernel_w,
                 .source = args.x,
                 .w = args.w,
                 .bias = args.bias,
                 .relu = args.relu,
                 .out = args.y},
                s.batch, InSize(s), OutSize(s), args.executor);
}

void DepthwiseGradInput(const Conv2dGradInputArgs& args) {
  const Conv2dShape& s = args.shape;
  for (size_t i = 0; i < s.stride_h; ++i) {
    for (size_t j = 0; j < s.stride_w; ++j) {
      ComputeImages({.rows = GradientRows(s, i),
                     .columns = GradientColumns(s, j),
                     .channels = s.in_channels,
                     .source_width = s.OutWidth(),
                     .width = s.width,
                     .kernel_w = s.kernel_w,
                     .source = args.dy,
                     .w = args.w,
                     .bias = nullptr,
                     .relu = false,
                     .out = args.dx},
                    s.batch, OutSize(s), InSize(s), args.executor);
    }
  }
}

void DepthwiseGradWeights(const Conv2dGradWeightsArgs& args) {
  const Conv2dShape& s = args.shape;
  const Axis rows = ForwardRows(s), columns = ForwardColumns(s);
  const size_t n = s.in_channels, N = hn::Lanes(DC());
  // Units are vectors of channels.
  const size_t flops = 2 * s.batch * s.OutHeight() * s.OutWidth() * s.WindowSize() * N;
  const auto add = [&](size_t first, size_t end) {
    const size_t begin = first * N, count = HWY_MIN(end * N, n) - begin;
    for (size_t image = 0; image < s.batch; ++image) {
      const float* x = args.x + image * InSize(s) + begin;
      const float* dy = args.dy + image * OutSize(s) + begin;
      ForEachVector(DC(), count, [&](size_t at, auto memory) HWY_ATTR {
        for (size_t i = 0; i < s.kernel_h; ++i) {
          for (size_t j = 0; j < s.kernel_w; ++j) {
            AddTap(s, rows, columns, i, j, x + at, dy + at,
                   args.dw + (i * s.kernel_w + j) * n + begin + at, memory);
          }
        }
      });
    }
  };
  // Alone, all channels of an image together; the order of each sum is the same.
  const Tasks tasks(DivideUp(n, N), flops);
  if (!IsParallel(args.executor, tasks.Count())) return add(0, tasks.units);
  RunTasks(args.executor, tasks, add);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
