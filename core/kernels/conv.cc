// Convolution and the gradient of its input as products over windows read in place: tile.h lets a
// tile of A be a strip of windows of the image, so nothing is unrolled into columns, padded or
// spread out. Where windows leave the image, those that keep the same taps are computed together.
#include "kernels/conv.h"

#include <cstring>
#include <utility>

#include "kernels/axis.h"
#include "kernels/dispatch.h"
#include "kernels/tasks.h"
#include "kernels/tile.h"
#include "kernels/winograd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

#ifndef LINNET_KERNELS_CONV_AXIS
#define LINNET_KERNELS_CONV_AXIS
namespace linnet {
namespace {

// A stack of images, and the part of each pixel that a group sees.
struct Images {
  size_t width, pixel, channels;
  size_t size;  // of one image, in floats
};

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// A convolution of images with packed weights: for each group, panels of [rows.taps, columns.taps,
// channels, width].
struct Convolution {
  Axis rows, columns;
  Images from, to;
  size_t groups;
  const float* source;
  const float* packed;
  const float* bias;
  bool relu;
  float* out;

  size_t Depth() const { return rows.taps * columns.taps * from.channels; }
};

// The widest panels that any tile of these positions can take.
size_t PanelVectors(const MicroKernels& micro, const Axis& rows, const Axis& columns) {
  const size_t longest = HWY_MAX(size_t{1}, HWY_MAX(rows.positions, columns.positions));
  return micro.vectors[HWY_MIN(longest, micro.max_rows)];
}

// The positions of two runs, whose windows keep the same taps, in one panel of one group.
void ComputeRegion(const MicroKernels& micro, const Convolution& v, const Panel& panel,
                   size_t image, size_t group, const float* packed, const Run& r, const Run& c) {
  const size_t width = panel.vectors * micro.lanes;
  const size_t pixel = v.from.pixel;
  const size_t a_down = v.rows.source_step * v.from.width * pixel;
  const size_t a_right = v.columns.source_step * pixel;
  const size_t c_down = v.rows.to_step * v.to.width * v.to.pixel;
  const size_t c_right = v.columns.to_step * v.to.pixel;
  const bool has_taps = r.taps > 0 && c.taps > 0;
  Tile tile{.a = v.source,
            .a_row = a_right,
            .a_step = 1,
            .b = packed,
            .b_row = width,
            .steps = v.from.channels,
            .segments = c.taps,
            .a_segment = v.columns.tap_step * pixel,
            .b_segment = v.from.channels * width,
            .blocks = has_taps ? r.taps : 0,
            .a_block = v.rows.tap_step * v.from.width * pixel,
            .b_block = v.columns.taps * v.from.channels * width,
            .c = nullptr,
            .c_row = c_right,
            .bias = v.bias == nullptr ? nullptr : v.bias + group * v.to.channels + panel.column,
            .accumulate = false,
            .relu = v.relu};
  if (has_taps) {
    const ptrdiff_t row = v.rows.Source(r.position, r.tap);
    const ptrdiff_t column = v.columns.Source(c.position, c.tap);
    tile.a += image * v.from.size + group * v.from.channels +
              (static_cast<size_t>(row) * v.from.width + static_cast<size_t>(column)) * pixel;
    tile.b += (r.tap * v.columns.taps + c.tap) * v.from.channels * width;
  }
  if (tile.a_segment == tile.steps) {  // the taps of a row lie side by side
    tile.steps *= tile.segments;
    tile.segments = 1;
  }
  float* out = v.out + image * v.to.size + group * v.to.channels + panel.column +
               ((v.rows.to_first + r.position * v.rows.to_step) * v.to.width + v.columns.to_first +
                c.position * v.columns.to_step) *
                   v.to.pixel;
  // Tiles along rows or along columns, whichever are fewer.
  const bool down =
      c.count * DivideUp(r.count, micro.max_rows) < r.count * DivideUp(c.count, micro.max_rows);
  const size_t strips = down ? c.count : r.count;
  const size_t a_strip = down ? a_right : a_down, c_strip = down ? c_right : c_down;
  if (down) tile.a_row = a_down, tile.c_row = c_down;
  const float* a = tile.a;
  for (size_t strip = 0; strip < strips; ++strip, a += has_taps ? a_strip : 0, out += c_strip) {
    ForEachRowRun(down ? r.count : c.count, micro.max_rows,
                  [&](size_t first, size_t height, size_t tiles) {
                    tile.a = a + (has_taps ? first * tile.a_row : 0);
                    tile.c = out + first * tile.c_row;
                    tile.tiles = tiles;
                    RunTiles(micro, panel, height, tile);
                  });
  }
}

// Rows [begin, end) of positions of one image.
void ComputeRows(const MicroKernels& micro, size_t vectors, const Convolution& v, size_t image,
                 size_t begin, size_t end) {
  const float* packed = v.packed;
  for (size_t group = 0; group < v.groups; ++group) {
    ForEachPanel(v.to.channels, vectors, micro.lanes, [&](const Panel& panel) {
      ForEachRun(v.rows, begin, end, [&](const Run& r) {
        ForEachRun(v.columns, 0, v.columns.positions, [&](const Run& c) {
          ComputeRegion(micro, v, panel, image, group, packed, r, c);
        });
      });
      packed += v.Depth() * panel.vectors * micro.lanes;
    });
  }
}

// The convolution of all images. A task is a run of rows, of one image or several.
void Convolve(const MicroKernels& micro, size_t vectors, const Convolution& v, size_t batch,
              Executor* executor) {
  const size_t row_flops = 2 * v.columns.positions * v.Depth() * v.groups * v.to.channels;
  RunTasks(executor, Tasks(batch * v.rows.positions, row_flops), [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t image = begin / v.rows.positions, row = begin % v.rows.positions;
      const size_t here = HWY_MIN(end - begin, v.rows.positions - row);
      ComputeRows(micro, vectors, v, image, row, row + here);
      begin += here;
    }
  });
}

void PackConv2d(const Conv2dShape& s, const float* w, float* packed) {
  if (s.IsDepthwise()) {
    std::memcpy(packed, w, WeightsSize(s) * sizeof(float));
    return;
  }
  if (IsWinograd(s)) return WinogradPack(s, w, packed);
  if (IsPointwise(s)) return PackB(w, s.out_channels, false, s.in_channels, s.out_channels, packed);
  const MicroKernels& micro = Micro();
  const size_t vectors = PanelVectors(micro, ForwardRows(s), ForwardColumns(s));
  const size_t n = s.out_channels / s.groups;
  for (size_t group = 0; group < s.groups; ++group) {
    ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
      const size_t width = panel.vectors * micro.lanes;
      PackRows(w + group * n + panel.column, s.out_channels, s.WindowSize(), panel.columns, width,
               packed);
      packed += s.WindowSize() * width;
    });
  }
}

void Conv2d(const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  if (s.batch == 0 || OutSize(s) == 0) return;
  if (s.IsDepthwise()) return Depthwise(args);
  if (IsWinograd(s)) return Winograd(args);
  const float* packed = args.w;
  if (IsPointwise(s)) {
    GemmArgs gemm = PointwiseArgs(s, args.workspace, args.executor);
    gemm.a = args.x;
    gemm.b = args.w;
    gemm.packed_b = args.packed_w;
    gemm.c = args.y;
    gemm.bias = args.bias;
    gemm.relu = args.relu;
    return Gemm(gemm);
  }
  if (!args.packed_w) {
    PackConv2d(s, args.w, args.workspace);
    packed = args.workspace;
  }
  const MicroKernels& micro = Micro();
  const Convolution v{.rows = ForwardRows(s),
                      .columns = ForwardColumns(s),
                      .from = {s.width, s.in_channels, s.in_channels / s.groups, InSize(s)},
                      .to = {s.OutWidth(), s.out_channels, s.out_channels / s.groups, OutSize(s)},
                      .groups = s.groups,
                      .source = args.x,
                      .packed = packed,
                      .bias = args.bias,
                      .relu = args.relu,
                      .out = args.y};
  Convolve(micro, PanelVectors(micro, v.rows, v.columns), v, s.batch, args.executor);
}

// Packs the taps of these axes, transposed, for the gradient of the input.
void PackTransposed(const Conv2dShape& s, const Axis& rows, const Axis& columns, size_t vectors,
                    const float* w, float* packed) {
  const MicroKernels& micro = Micro();
  const size_t in = s.in_channels / s.groups, out = s.out_channels / s.groups;
  for (size_t group = 0; group < s.groups; ++group) {
    ForEachPanel(in, vectors, micro.lanes, [&](const Panel& panel) {
      const size_t width = panel.vectors * micro.lanes;
      for (size_t r = 0; r < rows.taps; ++r) {
        for (size_t c = 0; c < columns.taps; ++c, packed += out * width) {
          const size_t tap = rows.KernelTap(r) * s.kernel_w + columns.KernelTap(c);
          PackColumns(w + (tap * in + panel.column) * s.out_channels + group * out, s.out_channels,
                      out, panel.columns, width, packed);
        }
      }
    });
  }
}

void Conv2dGradInput(const Conv2dGradInputArgs& args) {
  const Conv2dShape& s = args.shape;
  if (s.batch == 0 || InSize(s) == 0) return;
  if (s.IsDepthwise()) return DepthwiseGradInput(args);
  if (IsWinograd(s) && HasTransposed(s)) return WinogradGradInput(args);
  if (IsPointwise(s)) {
    GemmArgs gemm = PointwiseArgs(s, args.workspace, args.executor);
    std::swap(gemm.n, gemm.k);
    std::swap(gemm.lda, gemm.ldc);
    gemm.a = args.dy;
    gemm.b = args.w;
    gemm.trans_b = true;
    gemm.c = args.dx;
    return Gemm(gemm);
  }
  const MicroKernels& micro = Micro();
  for (size_t i = 0; i < s.stride_h; ++i) {
    for (size_t j = 0; j < s.stride_w; ++j) {
      Convolution v{.rows = GradientRows(s, i),
                    .columns = GradientColumns(s, j),
                    .from = {s.OutWidth(), s.out_channels, s.out_channels / s.groups, OutSize(s)},
                    .to = {s.width, s.in_channels, s.in_channels / s.groups, InSize(s)},
                    .groups = s.groups,
                    .source = args.dy,
                    .packed = args.workspace,
                    .bias = nullptr,
                    .relu = false,
                    .out = args.dx};
      if (v.rows.positions == 0 || v.columns.positions == 0) continue;
      const size_t vectors = PanelVectors(micro, v.rows, v.columns);
      PackTransposed(s, v.rows, v.columns, vectors, args.w, args.workspace);
      Convolve(micro, vectors, v, s.batch, args.executor);
    }
  }
}

}  // namespace

void FillConv(Kernels& table) {
  table.conv2d = Conv2d;
  table.conv2d_grad_weights = Conv2dGradWeights;
  table.conv2d_grad_input = Conv2dGradInput;
  table.pack_conv2d = PackConv2d;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {
namespace {

size_t DirectWorkspace(const Conv2dShape& s) {
  const size_t grad_weights = Tail(s).Size(s) + kMaxTileLanes;
  const size_t grad_input =
      s.groups * GemmPackedSize(s.kernel_h * s.kernel_w * (s.out_channels / s.groups),
                                s.in_channels / s.groups);
  return HWY_MAX(Conv2dPackedSize(s), HWY_MAX(grad_weights, grad_input));
}

size_t WinogradWorkspace(const Conv2dShape& s, size_t workers) {
  const WinogradPlan plan(s);
  const size_t forward = plan.WeightsSize() + workers * plan.WorkerSize();
  const size_t grad_weights = plan.parts * plan.WeightsSize() + workers * plan.WorkerSize();
  size_t grad_input = DirectWorkspace(s);
  if (HasTransposed(s)) {
    const WinogradPlan back(Transposed(s));
    grad_input = back.WeightsSize() + HWY_MAX(9 * back.in * back.out, workers * back.WorkerSize());
  }
  return HWY_MAX(forward, HWY_MAX(grad_weights, grad_input));
}

}  // namespace

size_t Conv2dPackedSize(const Conv2dShape& s) {
  if (s.IsDepthwise()) return WeightsSize(s);
  if (IsWinograd(s)) return WinogradPlan(s).WeightsSize();
  return s.groups * GemmPackedSize(s.WindowSize(), s.out_channels / s.groups);
}

size_t Conv2dWorkspace(const Conv2dShape& s, size_t workers) {
  if (s.IsDepthwise() || s.batch == 0 || OutSize(s) == 0) return 0;
  if (IsPointwise(s)) {
    const size_t m = s.batch * s.height * s.width, in = s.in_channels, out = s.out_channels;
    return HWY_MAX(GemmWorkspace(m, out, in),
                   HWY_MAX(GemmWorkspace(m, in, out), GemmWorkspace(in, out, m)));
  }
  if (IsWinograd(s)) return WinogradWorkspace(s, workers);
  return DirectWorkspace(s);
}

size_t Conv2dPackedWorkspace(const Conv2dShape& s, size_t workers) {
  return IsWinograd(s) ? workers * WinogradPlan(s).WorkerSize() : 0;
}

void FillConv(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillConv, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
