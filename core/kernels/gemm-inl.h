// Cutting matrices into packed panels and tiles; shared by products and convolutions.
#if defined(LINNET_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_GEMM_INL_H_
#undef LINNET_KERNELS_GEMM_INL_H_
#else
#define LINNET_KERNELS_GEMM_INL_H_
#endif

#include <cstring>

#include "kernels/kernels.h"
#include "kernels/ops-inl.h"
#include "kernels/tile.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Of the same target: micro.cc,
const MicroKernels& Micro();
// gemm.cc,
void Gemm(const GemmArgs& args);
void PackB(const float* b, size_t ldb, bool trans_b, size_t k, size_t n, float* packed);
// conv_weights.cc,
void Conv2dGradWeights(const Conv2dGradWeightsArgs& args);
// depthwise.cc.
void Depthwise(const Conv2dArgs& args);
void DepthwiseGradWeights(const Conv2dGradWeightsArgs& args);
void DepthwiseGradInput(const Conv2dGradInputArgs& args);
// winograd.cc, for shapes that IsWinograd.
void WinogradPack(const Conv2dShape& s, const float* w, float* packed);
void Winograd(const Conv2dArgs& args);
void WinogradGradWeights(const Conv2dGradWeightsArgs& args);
void WinogradGradInput(const Conv2dGradInputArgs& args);  // those that HasTransposed

namespace {

// A run of columns that one column of tiles covers.
struct Panel {
  size_t column;   // its first column
  size_t columns;  // <= vectors * lanes; fewer only in the last panel, which is then `partial`
  size_t vectors;  // a power of two
  size_t log2_vectors;
  bool partial;
};

// Calls body(panel) for the panels of n columns, at most `vectors` wide.
template <class Body>
HWY_INLINE void ForEachPanel(size_t n, size_t vectors, size_t lanes, const Body& body) {
  size_t log2 = 0;
  while ((size_t{2} << log2) <= vectors) ++log2;
  for (size_t column = 0; column < n;) {
    while (log2 > 0 && (lanes << log2) > RoundUp(n - column, lanes)) --log2;
    const size_t width = lanes << log2;
    const size_t columns = HWY_MIN(width, n - column);
    body(Panel{column, columns, size_t{1} << log2, log2, columns < width});
    column += width;
  }
}

// Calls body(first row, rows, tiles) for `rows` cut into the fewest, and most equal, tiles of at
// most max_rows: for `count` of them at most, from the tile `first` on; tiles of the same height
// together.
template <class Body>
HWY_INLINE void ForEachRowRun(size_t rows, size_t max_rows, size_t first, size_t count,
                              const Body& body) {
  const size_t tiles = DivideUp(rows, max_rows);
  if (first >= tiles) return;
  const size_t height = rows / tiles, taller = rows % tiles;
  const size_t end = HWY_MIN(tiles, first + count);
  if (first < taller) {
    body(first * (height + 1), height + 1, HWY_MIN(end, taller) - first);
    first = taller;
  }
  if (first < end) body(first * height + taller, height, end - first);
}
template <class Body>
HWY_INLINE void ForEachRowRun(size_t rows, size_t max_rows, const Body& body) {
  ForEachRowRun(rows, max_rows, 0, rows, body);
}
// Calls body(first row, rows) for each of those tiles.
template <class Body>
HWY_INLINE void ForEachRowTile(size_t rows, size_t max_rows, const Body& body) {
  ForEachRowRun(rows, max_rows, [&](size_t row, size_t height, size_t tiles) {
    for (; tiles > 0; --tiles, row += height) body(row, height);
  });
}

// Rows of the tallest tile when m rows are cut up.
inline size_t TallestTile(size_t m, size_t max_rows) { return DivideUp(m, DivideUp(m, max_rows)); }

// Copies rows of columns: out[p * width + j] = src[p * ld + j], zeros for columns <= j < width;
// less than a vector of them.
inline void PackRows(const float* src, size_t ld, size_t rows, size_t columns, size_t width,
                     float* out) {
  const hn::CappedTag<float, kMaxTileLanes> d;
  const size_t N = hn::Lanes(d);
  const size_t whole = columns / N * N;
  for (size_t p = 0; p < rows; ++p, src += ld, out += width) {
    for (size_t j = 0; j < whole; j += N) hn::StoreU(hn::LoadU(d, src + j), d, out + j);
    if (whole < columns) hn::StoreU(hn::LoadN(d, src + whole, columns - whole), d, out + whole);
  }
}

// Transposes: out[p * width + j] = src[j * ld + p], zeros for columns <= j < width.
inline void PackColumns(const float* src, size_t ld, size_t rows, size_t columns, size_t width,
                        float* out) {
  const hn::FixedTag<float, 4> d;
  // A cache line of each column at a time.
  constexpr size_t kLine = 16;
  for (size_t begin = 0; begin < rows; begin += kLine) {
    const size_t end = HWY_MIN(begin + kLine, rows);
    size_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      const float* from = src + j * ld;
      size_t p = begin;
      for (; p + 4 <= end; p += 4) {
        auto r0 = hn::LoadU(d, from + p), r1 = hn::LoadU(d, from + ld + p);
        auto r2 = hn::LoadU(d, from + 2 * ld + p), r3 = hn::LoadU(d, from + 3 * ld + p);
        Transpose4(r0, r1, r2, r3);
        float* to = out + p * width + j;
        hn::StoreU(r0, d, to);
        hn::StoreU(r1, d, to + width);
        hn::StoreU(r2, d, to + 2 * width);
        hn::StoreU(r3, d, to + 3 * width);
      }
      for (; p < end; ++p) {
        for (size_t i = 0; i < 4; ++i) out[p * width + j + i] = from[i * ld + p];
      }
    }
    for (; j < columns; ++j) {
      for (size_t p = begin; p < end; ++p) out[p * width + j] = src[j * ld + p];
    }
    for (; j < width; ++j) {
      for (size_t p = begin; p < end; ++p) out[p * width + j] = 0;
    }
  }
}

// c[r, j] = act((accumulate ? c[r, j] : 0) + tile[r, j] + bias[j]) for a tile of rows x columns,
// whose rows hold whole vectors.
inline void StoreTile(const float* tile, size_t tile_row, size_t rows, size_t columns, float* c,
                      size_t c_row, bool accumulate, const float* bias, bool relu) {
  const hn::CappedTag<float, kMaxTileLanes> d;
  for (size_t r = 0; r < rows; ++r, tile += tile_row, c += c_row) {
    ForEachVector(d, columns, [&](size_t j, auto memory) HWY_ATTR {
      auto value = hn::LoadU(d, tile + j);  // whole: what was just stored is forwarded
      if (accumulate) value = hn::Add(value, memory.Load(d, c + j));
      if (bias != nullptr) value = hn::Add(value, memory.Load(d, bias + j));
      if (relu) value = hn::Max(value, hn::Zero(d));
      memory.Store(value, d, c + j);
    });
  }
}

// Computes tiles into the columns of C that the panel has; where there are no cheap masks, partial
// ones by way of the stack. `tile.b` holds whole vectors.
HWY_INLINE void RunTiles(const MicroKernels& micro, const Panel& panel, size_t rows,
                         const Tile& tile) {
  const MicroKernel kernel = micro.kernels[rows][panel.log2_vectors];
  if (!panel.partial) return kernel(tile);
  Tile part = tile;
  if (micro.stores_parts) {
    part.last_lanes = panel.columns % micro.lanes;
    return kernel(part);
  }
  HWY_ALIGN float whole[kMaxTileRows * kMaxTileVectors * kMaxTileLanes];
  part.c = whole;
  part.c_row = panel.vectors * micro.lanes;
  part.tiles = 1;
  part.bias = nullptr;
  part.accumulate = part.relu = false;
  float* c = tile.c;
  for (size_t t = 0; t < tile.tiles; ++t, part.a += rows * tile.a_row, c += rows * tile.c_row) {
    kernel(part);
    StoreTile(whole, part.c_row, rows, panel.columns, c, tile.c_row, tile.accumulate, tile.bias,
              tile.relu);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_GEMM_INL_H_
