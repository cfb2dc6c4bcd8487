// The gradient of a convolution's weights: windows' rows transposed, times the gradient of the
// outputs. As in conv.cc, windows are read in place.
#include <cstring>
#include <utility>

#include "kernels/axis.h"
#include "kernels/conv.h"
#include "kernels/dispatch.h"
#include "kernels/tasks.h"
#include "kernels/tile.h"
#include "kernels/winograd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv_weights.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// With fewer channels than this, the taps of a row are taken together although padding lets them
// keep different columns.
constexpr size_t kFewChannels = 8;

// Adds to dw, for one row of the kernel in one panel of one group, the products of output rows
// [begin, end) of an image: windows' rows transposed, times dy, which starts at row `begin`.
void AddWeightsGradient(const MicroKernels& micro, const Conv2dGradWeightsArgs& args,
                        const Panel& panel, size_t group, size_t kernel_row, size_t image,
                        size_t begin, size_t end, const float* dy) {
  const Conv2dShape& s = args.shape;
  const Axis rows = ForwardRows(s), columns = ForwardColumns(s);
  const size_t channels = s.in_channels / s.groups, n = s.out_channels / s.groups;
  const Run r = PositionsOfTap(rows, kernel_row);
  if (begin < r.position) {
    dy += (r.position - begin) * s.OutWidth() * s.out_channels;
    begin = r.position;
  }
  end = HWY_MIN(end, r.position + r.count);
  if (begin >= end) return;
  const float* x = args.x + image * InSize(s) + group * channels +
                   static_cast<size_t>(rows.Source(begin, kernel_row)) * s.width * s.in_channels;
  dy += group * n + panel.column;
  // `taps` taps from `tap` on, at the `count` columns of the output that keep them all.
  const auto add = [&](size_t tap, size_t taps, size_t column, size_t count) {
    const size_t source = static_cast<size_t>(columns.Source(column, tap)) * s.in_channels;
    float* dw = args.dw + (kernel_row * s.kernel_w + tap) * channels * s.out_channels + group * n +
                panel.column;
    ForEachRowRun(taps * channels, micro.max_rows, [&](size_t row, size_t height, size_t tiles) {
      RunTiles(micro, panel, height,
               Tile{.a = x + source + row,
                    .a_row = 1,
                    .a_step = s.stride_w * s.in_channels,
                    .b = dy + column * s.out_channels,
                    .b_row = s.out_channels,
                    .steps = count,
                    .segments = end - begin,
                    .a_segment = s.stride_h * s.width * s.in_channels,
                    .b_segment = s.OutWidth() * s.out_channels,
                    .c = dw + row * s.out_channels,
                    .c_row = s.out_channels,
                    .bias = nullptr,
                    .accumulate = true,
                    .relu = false,
                    .tiles = tiles});
    });
  };
  const bool side_by_side = s.groups == 1 && s.dilation_w == 1;
  if (side_by_side && (channels < kFewChannels || s.pad_left + s.pad_right == 0)) {
    ForEachRun(columns, 0, columns.positions, [&](const Run& c) {
      if (c.taps > 0) add(c.tap, c.taps, c.position, c.count);
    });
    return;
  }
  for (size_t tap = 0; tap < s.kernel_w; ++tap) {
    const Run c = PositionsOfTap(columns, tap);
    if (c.count > 0) add(tap, 1, c.position, c.count);
  }
}

}  // namespace

void Conv2dGradWeights(const Conv2dGradWeightsArgs& args) {
  const Conv2dShape& s = args.shape;
  if (!args.accumulate) std::memset(args.dw, 0, WeightsSize(s) * sizeof(float));
  if (s.batch == 0 || InSize(s) == 0 || OutSize(s) == 0) return;
  if (s.IsDepthwise()) return DepthwiseGradWeights(args);
  if (IsWinograd(s)) return WinogradGradWeights(args);
  if (IsPointwise(s)) {
    GemmArgs gemm = PointwiseArgs(s, args.workspace, args.executor);
    std::swap(gemm.m, gemm.k);
    gemm.a = args.x;
    gemm.trans_a = true;
    gemm.b = args.dy;
    gemm.c = args.dw;
    gemm.accumulate = true;
    return Gemm(gemm);
  }
  const MicroKernels& micro = Micro();
  const size_t height = s.OutHeight(), at_once = RowsAtOnce(s), row = s.OutWidth() * s.out_channels;
  const size_t n = s.out_channels / s.groups;
  const size_t vectors =
      micro.vectors[HWY_MIN(s.kernel_w * (s.in_channels / s.groups), micro.max_rows)];
  const Tail tail(s);
  float* copy = args.workspace;
  std::memcpy(copy, args.dy + tail.Offset(s), tail.Size(s) * sizeof(float));
  std::memset(copy + tail.Size(s), 0, kMaxTileLanes * sizeof(float));
  // Units are a row of the kernel in a panel of a group.
  const auto add = [&](size_t image, size_t begin, size_t first_unit, size_t end_unit) {
    const size_t offset = image * OutSize(s) + begin * row;
    const float* dy =
        tail.Holds(image, begin) ? copy + (offset - tail.Offset(s)) : args.dy + offset;
    size_t unit = 0;
    for (size_t group = 0; group < s.groups; ++group) {
      ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
        for (size_t kernel_row = 0; kernel_row < s.kernel_h; ++kernel_row, ++unit) {
          if (unit < first_unit || unit >= end_unit) continue;
          AddWeightsGradient(micro, args, panel, group, kernel_row, image, begin,
                             HWY_MIN(begin + at_once, height), dy);
        }
      });
    }
  };
  size_t units = 0;
  ForEachPanel(n, vectors, micro.lanes, [&](const Panel&) { units += s.kernel_h * s.groups; });
  const size_t flops = 2 * s.batch * OutSize(s) * s.WindowSize() / units;
  const auto add_all = [&](size_t first, size_t end) {
    for (size_t image = 0; image < s.batch; ++image) {
      for (size_t begin = 0; begin < height; begin += at_once) add(image, begin, first, end);
    }
  };
  // Alone, all units pass over dy together; the order of each sum is the same.
  const Tasks tasks(units, flops);
  if (!IsParallel(args.executor, tasks.Count())) return add_all(0, units);
  RunTasks(args.executor, tasks, add_all);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
