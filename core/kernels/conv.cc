// Convolution and its gradients as products over windows read in place: tile.h lets a tile of A be
// a strip of windows of the (padded) image, so nothing is unrolled into columns. One image at a
// time.
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

#ifndef LINNET_KERNELS_CONV_WORKSPACE
#define LINNET_KERNELS_CONV_WORKSPACE
namespace linnet {
namespace {

size_t InSize(const Conv2dShape& s) { return s.height * s.width * s.in_channels; }
size_t OutSize(const Conv2dShape& s) { return s.OutHeight() * s.OutWidth() * s.out_channels; }
size_t WindowSize(const Conv2dShape& s) { return s.kernel_h * s.kernel_w * s.in_channels; }

// Floats, in whole cache lines, of one padded input image and of one image of dy spread out for the
// gradient of the input.
size_t PaddedInSize(const Conv2dShape& s) {
  const size_t size = (s.height + 2 * s.pad) * (s.width + 2 * s.pad) * s.in_channels;
  return RoundUp(size, kMaxTileLanes);
}
size_t SpreadOutSize(const Conv2dShape& s) {
  const size_t size = (s.height + s.kernel_h - 1) * (s.width + s.kernel_w - 1) * s.out_channels;
  return RoundUp(size, kMaxTileLanes);
}

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// Windows of an image without padding: source [.., source_width, channels], rows x columns of
// windows.
struct Windows {
  size_t source_width, channels, kernel_h, kernel_w, stride, rows, columns;
  size_t Steps() const { return kernel_w * channels; }
  size_t Size() const { return kernel_h * Steps(); }
};

// out[rows, columns, n] = windows of source times packed weights: panels of [Size(), width] for
// `vectors`.
void ConvolveImage(const MicroKernels& micro, size_t vectors, const Windows& w, const float* source,
                   const float* packed, size_t n, const float* bias, bool relu, float* out) {
  ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
    const size_t width = panel.vectors * micro.lanes;
    for (size_t row = 0; row < w.rows; ++row) {
      ForEachRowTile(w.columns, micro.max_rows, [&](size_t column, size_t height) {
        RunTile(micro, panel, height,
                Tile{.a = source + (row * w.source_width + column) * w.stride * w.channels,
                     .a_row = w.stride * w.channels,
                     .a_step = 1,
                     .a_segment = w.source_width * w.channels,
                     .segments = w.kernel_h,
                     .steps = w.Steps(),
                     .b = packed,
                     .b_row = width,
                     .c = out + (row * w.columns + column) * n + panel.column,
                     .c_row = n,
                     .bias = bias == nullptr ? nullptr : bias + panel.column,
                     .accumulate = false,
                     .relu = relu});
      });
    }
    packed += w.Size() * width;
  });
}

// Copies an image into the middle of zeros.
void PadImage(const Conv2dShape& s, const float* x, float* padded) {
  const size_t row = s.width * s.in_channels;
  const size_t padded_row = (s.width + 2 * s.pad) * s.in_channels;
  const size_t side = s.pad * s.in_channels;
  std::memset(padded, 0, s.pad * padded_row * sizeof(float));
  padded += s.pad * padded_row;
  for (size_t i = 0; i < s.height; ++i, x += row, padded += padded_row) {
    std::memset(padded, 0, side * sizeof(float));
    std::memcpy(padded + side, x, row * sizeof(float));
    std::memset(padded + side + row, 0, side * sizeof(float));
  }
  std::memset(padded, 0, s.pad * padded_row * sizeof(float));
}

Windows InputWindows(const Conv2dShape& s) {
  return {s.width + 2 * s.pad, s.in_channels, s.kernel_h, s.kernel_w, s.stride,
          s.OutHeight(),       s.OutWidth()};
}

void Conv2d(const Conv2dShape& s, const float* x, const float* w, const float* bias, bool relu,
            float* y, float* workspace) {
  if (s.batch == 0 || OutSize(s) == 0) return;
  const MicroKernels& micro = Micro();
  const Windows windows = InputWindows(s);
  const size_t vectors = micro.vectors[TallestTile(windows.columns, micro.max_rows)];
  float* padded = workspace;
  float* packed = workspace + PaddedInSize(s);
  float* to = packed;
  ForEachPanel(s.out_channels, vectors, micro.lanes, [&](const Panel& panel) {
    const size_t width = panel.vectors * micro.lanes;
    PackRows(w + panel.column, s.out_channels, WindowSize(s), panel.columns, width, to);
    to += WindowSize(s) * width;
  });
  for (size_t image = 0; image < s.batch; ++image, x += InSize(s), y += OutSize(s)) {
    if (s.pad > 0) PadImage(s, x, padded);
    ConvolveImage(micro, vectors, windows, s.pad > 0 ? padded : x, packed, s.out_channels, bias,
                  relu, y);
  }
}

// dw of one row of the kernel, [kernel_w * in_channels, out_channels], is a product over the
// positions of the output: windows' row transposed, times dy.
void GradWeightsOfImage(const MicroKernels& micro, const Conv2dShape& s, const float* source,
                        const float* dy, bool accumulate, float* dw, float* workspace) {
  const Windows w = InputWindows(s);
  const size_t n = s.out_channels;
  const size_t vectors = micro.vectors[TallestTile(w.Steps(), micro.max_rows)];
  ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
    const size_t width = panel.vectors * micro.lanes;
    const float* b = dy + panel.column;
    size_t b_row = n;
    if (panel.partial || w.Size() > 2 * micro.max_rows) {
      PackRows(b, n, w.rows * w.columns, panel.columns, width, workspace);
      b = workspace;
      b_row = width;
    }
    for (size_t kernel_row = 0; kernel_row < s.kernel_h; ++kernel_row) {
      ForEachRowTile(w.Steps(), micro.max_rows, [&](size_t row, size_t height) {
        RunTile(micro, panel, height,
                Tile{.a = source + kernel_row * w.source_width * w.channels + row,
                     .a_row = 1,
                     .a_step = w.stride * w.channels,
                     .a_segment = w.stride * w.source_width * w.channels,
                     .segments = w.rows,
                     .steps = w.columns,
                     .b = b,
                     .b_row = b_row,
                     .c = dw + (kernel_row * w.Steps() + row) * n + panel.column,
                     .c_row = n,
                     .bias = nullptr,
                     .accumulate = accumulate,
                     .relu = false});
      });
    }
  });
}

void Conv2dGradWeights(const Conv2dShape& s, const float* x, const float* dy, bool accumulate,
                       float* dw, float* workspace) {
  const MicroKernels& micro = Micro();
  if (s.batch == 0 && !accumulate) {
    std::memset(dw, 0, WindowSize(s) * s.out_channels * sizeof(float));
  }
  for (size_t image = 0; image < s.batch; ++image, x += InSize(s), dy += OutSize(s)) {
    if (s.pad > 0) PadImage(s, x, workspace);
    GradWeightsOfImage(micro, s, s.pad > 0 ? workspace : x, dy, accumulate || image > 0, dw,
                       workspace + PaddedInSize(s));
  }
}

// Puts output position (i, j) at (i * stride + kernel_h - 1 - pad, ...) among zeros: then the
// gradient of the input is a convolution of stride 1 with the kernel turned by half a circle.
void SpreadOut(const Conv2dShape& s, const float* dy, float* spread) {
  const size_t height = s.height + s.kernel_h - 1, width = s.width + s.kernel_w - 1;
  const size_t n = s.out_channels;
  std::memset(spread, 0, height * width * n * sizeof(float));
  for (size_t i = 0; i < s.OutHeight(); ++i) {
    const size_t row =
        i * s.stride + s.kernel_h - 1 - s.pad;  // wraps round, and is skipped, if negative
    if (row >= height) continue;
    for (size_t j = 0; j < s.OutWidth(); ++j) {
      const size_t column = j * s.stride + s.kernel_w - 1 - s.pad;
      if (column >= width) continue;
      std::memcpy(spread + (row * width + column) * n, dy + (i * s.OutWidth() + j) * n,
                  n * sizeof(float));
    }
  }
}

void Conv2dGradInput(const Conv2dShape& s, const float* w, const float* dy, float* dx,
                     float* workspace) {
  if (s.batch == 0 || InSize(s) == 0) return;
  const MicroKernels& micro = Micro();
  const Windows windows{
      s.width + s.kernel_w - 1, s.out_channels, s.kernel_h, s.kernel_w, 1, s.height, s.width};
  const size_t vectors = micro.vectors[TallestTile(windows.columns, micro.max_rows)];
  float* spread = workspace;
  float* packed = workspace + SpreadOutSize(s);
  float* to = packed;
  const size_t taps = s.kernel_h * s.kernel_w;
  ForEachPanel(s.in_channels, vectors, micro.lanes, [&](const Panel& panel) {
    const size_t width = panel.vectors * micro.lanes;
    for (size_t tap = taps; tap-- > 0; to += s.out_channels * width) {
      PackColumns(w + (tap * s.in_channels + panel.column) * s.out_channels, s.out_channels,
                  s.out_channels, panel.columns, width, to);
    }
  });
  for (size_t image = 0; image < s.batch; ++image, dy += OutSize(s), dx += InSize(s)) {
    SpreadOut(s, dy, spread);
    ConvolveImage(micro, vectors, windows, spread, packed, s.in_channels, nullptr, false, dx);
  }
}

}  // namespace

void FillConv(Kernels& table) {
  table.conv2d = Conv2d;
  table.conv2d_grad_weights = Conv2dGradWeights;
  table.conv2d_grad_input = Conv2dGradInput;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t Conv2dWorkspace(const Conv2dShape& s) {
  const size_t taps = s.kernel_h * s.kernel_w;
  const size_t out_width = RoundUp(s.out_channels, kMaxTileLanes);
  const size_t forward = PaddedInSize(s) + taps * s.in_channels * out_width;
  // One panel of dy at a time.
  const size_t panel = HWY_MIN(out_width, kMaxTileVectors * kMaxTileLanes);
  const size_t grad_weights = PaddedInSize(s) + s.OutHeight() * s.OutWidth() * panel;
  const size_t grad_input =
      SpreadOutSize(s) + taps * s.out_channels * RoundUp(s.in_channels, kMaxTileLanes);
  return HWY_MAX(forward, HWY_MAX(grad_weights, grad_input));
}

void FillConv(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillConv, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
