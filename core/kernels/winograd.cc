// 3x3 convolutions and their gradients by Winograd's minimal filtering (winograd-inl.h): patches
// and weights are transformed, multiplied channel by channel as 36 matrix products, and transformed
// back. Blocks of tiles pass all three while they are in the cache.
#include "kernels/winograd.h"

#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/tasks.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/winograd.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"
#include "kernels/winograd-inl.h"

#ifndef LINNET_KERNELS_WINOGRAD_GRID
#define LINNET_KERNELS_WINOGRAD_GRID
namespace linnet {
namespace {

// A stack of images of which squares at regular places are read or written.
struct Grid {
  size_t height, width, channels;
  size_t pad_top, pad_left;
  size_t rows, columns;  // of tiles in an image
  size_t size;           // of a square
};

// The square of one tile, and the part of it that is inside of the image.
struct Square {
  Square(const Grid& g, size_t tile) {
    const size_t image = tile / (g.rows * g.columns);
    const auto row = static_cast<ptrdiff_t>(tile / g.columns % g.rows * kWinogradTile) -
                     static_cast<ptrdiff_t>(g.pad_top);
    const auto column = static_cast<ptrdiff_t>(tile % g.columns * kWinogradTile) -
                        static_cast<ptrdiff_t>(g.pad_left);
    first_row = Inside(-row, g.size), first_column = Inside(-column, g.size);
    end_row = Inside(static_cast<ptrdiff_t>(g.height) - row, g.size);
    end_column = Inside(static_cast<ptrdiff_t>(g.width) - column, g.size);
    offset = ((static_cast<ptrdiff_t>(image * g.height) + row) * static_cast<ptrdiff_t>(g.width) +
              column) *
             static_cast<ptrdiff_t>(g.channels);
    whole = first_row + first_column == 0 && end_row == g.size && end_column == g.size;
  }
  static size_t Inside(ptrdiff_t at, size_t size) {
    return static_cast<size_t>(std::clamp<ptrdiff_t>(at, 0, static_cast<ptrdiff_t>(size)));
  }

  size_t first_row, end_row, first_column, end_column;
  ptrdiff_t offset;  // of its corner, in floats; may be outside where that is
  bool whole;
};

// Calls body(offset from the corner, offset in a square of its own with `pixel` floats for each
// pixel, floats) for the rows inside.
template <class Body>
void ForEachLine(const Grid& g, const Square& square, const Body& body) {
  for (size_t r = square.first_row; r < square.end_row; ++r) {
    for (size_t c = square.first_column; c < square.end_column; ++c) {
      body(static_cast<ptrdiff_t>((r * g.width + c) * g.channels), r * g.size + c);
    }
  }
}

Grid PatchGrid(const Conv2dShape& s, const WinogradPlan& plan) {
  return {s.height,   s.width,   s.in_channels, s.pad_top,
          s.pad_left, plan.rows, plan.columns,  kWinogradPatch};
}
Grid TileGrid(const Conv2dShape& s, const WinogradPlan& plan) {
  return {s.OutHeight(), s.OutWidth(), s.out_channels, 0, 0,
          plan.rows,     plan.columns, kWinogradTile};
}

// The workspace of a worker.
struct Bench {
  Bench(const WinogradPlan& plan, float* memory, size_t worker)
      : in(memory + worker * plan.WorkerSize()),
        out(in + plan.InSize()),
        square(out + plan.OutSize()) {}
  float* in;      // transformed patches: [product, tile, channel]
  float* out;     // products with the weights, or transformed gradients of outputs
  float* square;  // a square that is not inside of its image, or no multiple of vectors
};

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

size_t Padded(size_t channels) { return RoundUp(channels, hn::Lanes(DW())); }

// Transforms the squares of tiles [first, end) of a stack of images: to[product * stride + tile *
// channels + channel], zeros where a square leaves its image.
template <class Transform>
void TransformSquares(const Grid& g, const float* images, size_t first, size_t end, float* scratch,
                      size_t stride, float* to) {
  const DW d;
  const size_t N = hn::Lanes(d), channels = Padded(g.channels);
  for (size_t tile = first; tile < end; ++tile, to += channels) {
    const Square square(g, tile);
    const float* from = images + square.offset;
    size_t row = g.width * g.channels, pixel = g.channels;
    if (!square.whole || channels != g.channels) {
      std::memset(scratch, 0, g.size * g.size * channels * sizeof(float));
      ForEachLine(g, square, [&](ptrdiff_t at, size_t index) {
        std::memcpy(scratch + index * channels, from + at, g.channels * sizeof(float));
      });
      from = scratch;
      row = g.size * channels, pixel = channels;
    }
    for (size_t i = 0; i < channels; i += N) {
      TransformBoth(
          Transform(),
          [&](size_t r, size_t c) HWY_ATTR { return hn::LoadU(d, from + r * row + c * pixel + i); },
          [&](size_t r, size_t c, VW v)
              HWY_ATTR { hn::StoreU(v, d, to + (r * kWinogradPatch + c) * stride + i); });
    }
  }
}

// Transforms products back into tiles [first, end), then + bias, then max(0, .) if relu.
void TransformProducts(const Grid& g, const float* from, size_t stride, size_t first, size_t end,
                       const float* bias, bool relu, float* scratch, float* images) {
  const DW d;
  const size_t N = hn::Lanes(d), channels = Padded(g.channels);
  for (size_t tile = first; tile < end; ++tile, from += channels) {
    const Square square(g, tile);
    const bool direct = square.whole && channels == g.channels;
    float* to = direct ? images + square.offset : scratch;
    const size_t row = direct ? g.width * g.channels : g.size * channels;
    const size_t pixel = direct ? g.channels : channels;
    for (size_t i = 0; i < channels; i += N) {
      const VW offset = bias == nullptr       ? hn::Zero(d)
                        : i + N <= g.channels ? hn::LoadU(d, bias + i)
                                              : hn::LoadN(d, bias + i, g.channels - i);
      const VW least = hn::Set(d, relu ? 0.0f : hwy::LowestValue<float>());
      TransformBoth(
          OutputTransform(),
          [&](size_t r, size_t c)
              HWY_ATTR { return hn::LoadU(d, from + (r * kWinogradPatch + c) * stride + i); },
          [&](size_t r, size_t c, VW v) HWY_ATTR {
            hn::StoreU(hn::Max(hn::Add(v, offset), least), d, to + r * row + c * pixel + i);
          });
    }
    if (direct) continue;
    ForEachLine(g, square, [&](ptrdiff_t at, size_t index) {
      std::memcpy(images + square.offset + at, scratch + index * channels,
                  g.channels * sizeof(float));
    });
  }
}

// The weights of each product as panels of [in, width], from w[tap * tap_step + in * row + out].
void TransformWeights(size_t in, size_t out, const float* w, ptrdiff_t tap_step, size_t row,
                      float* packed) {
  const DW d;
  const MicroKernels& micro = Micro();
  const size_t N = hn::Lanes(d), channels = Padded(out);
  ForEachPanel(channels, micro.vectors[micro.max_rows], N, [&](const Panel& panel) {
    const size_t width = panel.vectors * N;
    for (size_t p = 0; p < in; ++p) {
      for (size_t j = 0; j < width; j += N) {
        const size_t column = panel.column + j;
        const float* from = w + p * row + column;
        const size_t count = HWY_MIN(N, out - column);
        TransformBoth(
            WeightsTransform(),
            [&](size_t r, size_t c) HWY_ATTR {
              const float* at = from + static_cast<ptrdiff_t>(r * 3 + c) * tap_step;
              return count == N ? hn::LoadU(d, at) : hn::LoadN(d, at, count);
            },
            [&](size_t r, size_t c, VW v) HWY_ATTR {
              hn::StoreU(v, d,
                         packed + (r * kWinogradPatch + c) * in * channels + panel.column * in +
                             p * width + j);
            });
      }
    }
  });
}

// c[product] (=|+=) a[product] b[product] for matrices of m x n x k; b in panels of [k, width] or
// as it is stored.
struct Products {
  size_t m, n, k;
  const float* a;
  size_t a_stride, a_row, a_step;
  const float* b;
  size_t b_stride;
  bool packed_b;
  float* c;
  size_t c_stride;
  bool accumulate;
};
void Multiply(const MicroKernels& micro, const Products& args) {
  const size_t height = args.packed_b ? micro.max_rows : TallestTile(args.m, micro.max_rows);
  for (size_t i = 0; i < kWinogradProducts; ++i) {
    const float* b = args.b + i * args.b_stride;
    ForEachPanel(args.n, micro.vectors[height], micro.lanes, [&](const Panel& panel) {
      ForEachRowRun(args.m, micro.max_rows, [&](size_t row, size_t rows, size_t tiles) {
        RunTiles(micro, panel, rows,
                 Tile{.a = args.a + i * args.a_stride + row * args.a_row,
                      .a_row = args.a_row,
                      .a_step = args.a_step,
                      .b = b + panel.column * (args.packed_b ? args.k : 1),
                      .b_row = args.packed_b ? panel.vectors * micro.lanes : args.n,
                      .steps = args.k,
                      .c = args.c + i * args.c_stride + row * args.n + panel.column,
                      .c_row = args.n,
                      .bias = nullptr,
                      .accumulate = args.accumulate,
                      .relu = false,
                      .tiles = tiles});
      });
    });
  }
}

void Convolve(const Conv2dShape& s, const float* x, const float* packed, const float* bias,
              bool relu, float* y, float* workspace, Executor* executor) {
  const WinogradPlan plan(s);
  const Grid patches = PatchGrid(s, plan), tiles = TileGrid(s, plan);
  const size_t in = Padded(s.in_channels), out = Padded(s.out_channels);
  const size_t flops = 2 * kWinogradProducts * plan.block * s.in_channels * s.out_channels;
  RunTasks(executor, Tasks(plan.blocks, flops), [&](size_t begin, size_t end, size_t worker) {
    const Bench bench(plan, workspace, worker);
    for (; begin < end; ++begin) {
      const size_t first = begin * plan.block, last = HWY_MIN(first + plan.block, plan.tiles);
      TransformSquares<PatchTransform>(patches, x, first, last, bench.square, plan.InStride(),
                                       bench.in);
      Multiply(Micro(), {.m = last - first,
                         .n = out,
                         .k = s.in_channels,
                         .a = bench.in,
                         .a_stride = plan.InStride(),
                         .a_row = in,
                         .a_step = 1,
                         .b = packed,
                         .b_stride = s.in_channels * out,
                         .packed_b = true,
                         .c = bench.out,
                         .c_stride = plan.OutStride(),
                         .accumulate = false});
      TransformProducts(tiles, bench.out, plan.OutStride(), first, last, bias, relu, bench.square,
                        y);
    }
  });
}

}  // namespace

void WinogradPack(const Conv2dShape& s, const float* w, float* packed) {
  const auto tap = static_cast<ptrdiff_t>(s.in_channels * s.out_channels);
  TransformWeights(s.in_channels, s.out_channels, w, tap, s.out_channels, packed);
}

void Winograd(const Conv2dArgs& args) {
  const float* packed = args.w;
  float* workspace = args.workspace;
  if (!args.packed_w) {
    WinogradPack(args.shape, args.w, workspace);
    packed = workspace;
    workspace += WinogradPlan(args.shape).WeightsSize();
  }
  Convolve(args.shape, args.x, packed, args.bias, args.relu, args.y, workspace, args.executor);
}

void WinogradGradInput(const Conv2dGradInputArgs& args) {
  const Conv2dShape s = Transposed(args.shape);
  float* const packed = args.workspace;
  float* const rest = packed + WinogradPlan(s).WeightsSize();
  // dy passes the weights from the last tap to the first, outputs becoming inputs.
  const size_t row = Padded(s.out_channels), tap = s.in_channels * row;
  for (size_t t = 0; t < 9; ++t) {
    PackColumns(args.w + t * s.in_channels * s.out_channels, s.in_channels, s.in_channels,
                s.out_channels, row, rest + t * tap);
  }
  TransformWeights(s.in_channels, s.out_channels, rest + 8 * tap, -static_cast<ptrdiff_t>(tap), row,
                   packed);
  Convolve(s, args.dy, packed, nullptr, false, args.dx, rest, args.executor);
}

void WinogradGradWeights(const Conv2dGradWeightsArgs& args) {
  const Conv2dShape& s = args.shape;
  const WinogradPlan plan(s);
  const Grid patches = PatchGrid(s, plan), tiles = TileGrid(s, plan);
  const size_t in = Padded(s.in_channels), out = Padded(s.out_channels);
  const size_t product = s.in_channels * out, part_size = plan.WeightsSize();
  float* const sums = args.workspace;
  float* const benches = sums + plan.parts * part_size;
  const size_t flops = 2 * kWinogradProducts * plan.block * s.in_channels * s.out_channels;
  const auto add_part = [&](size_t part, size_t worker) {
    const Bench bench(plan, benches, worker);
    const size_t begin = part * plan.part_blocks;
    const size_t end = HWY_MIN(begin + plan.part_blocks, plan.blocks);
    for (size_t block = begin; block < end; ++block) {
      const size_t first = block * plan.block, last = HWY_MIN(first + plan.block, plan.tiles);
      TransformSquares<PatchTransform>(patches, args.x, first, last, bench.square, plan.InStride(),
                                       bench.in);
      TransformSquares<OutputGradTransform>(tiles, args.dy, first, last, bench.square,
                                            plan.OutStride(), bench.out);
      Multiply(Micro(), {.m = s.in_channels,
                         .n = out,
                         .k = last - first,
                         .a = bench.in,
                         .a_stride = plan.InStride(),
                         .a_row = 1,
                         .a_step = in,
                         .b = bench.out,
                         .b_stride = plan.OutStride(),
                         .packed_b = false,
                         .c = sums + part * part_size,
                         .c_stride = product,
                         .accumulate = block > begin});
    }
  };
  RunTasks(args.executor, Tasks(plan.parts, plan.part_blocks * flops),
           [&](size_t begin, size_t end, size_t worker) {
             for (; begin < end; ++begin) add_part(begin, worker);
           });

  const DW d;
  const size_t tap = s.in_channels * s.out_channels;
  const auto finish_row = [&](size_t p) HWY_ATTR {
    ForEachVector(d, s.out_channels, [&](size_t j, auto memory) HWY_ATTR {
      TransformBoth(
          WeightsGradTransform(),
          [&](size_t r, size_t c) HWY_ATTR {
            const float* from = sums + (r * kWinogradPatch + c) * product + p * out + j;
            VW sum = hn::LoadU(d, from);
            for (size_t part = 1; part < plan.parts; ++part) {
              sum = hn::Add(sum, hn::LoadU(d, from + part * part_size));
            }
            return sum;
          },
          [&](size_t r, size_t c, VW v) HWY_ATTR {
            float* to = args.dw + (r * 3 + c) * tap + p * s.out_channels + j;
            memory.Store(args.accumulate ? hn::Add(v, memory.Load(d, to)) : v, d, to);
          });
    });
  };
  // Additions of vectors from L2, counted as some operations each.
  RunTasks(args.executor, Tasks(s.in_channels, 8 * kWinogradProducts * out * plan.parts),
           [&](size_t begin, size_t end) {
             for (; begin < end; ++begin) finish_row(begin);
           });
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
