// The matrix product: blocks for the caches, panels of B, tiles of C.
#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/dot-inl.h"
#include "kernels/gemm-inl.h"

#ifndef LINNET_KERNELS_GEMM_BLOCKS
#define LINNET_KERNELS_GEMM_BLOCKS
namespace linnet {
namespace {

// Rows and columns of the block of B that passes the tiles of C: 2 MiB at most, of which a panel of
// two vectors of 16 is 128 KiB. Tiles use each vector of B often enough to read it from L2.
constexpr size_t kBlockK = 1024, kBlockN = 512;
// Rows of the block of A that passes each panel of B.
constexpr size_t kBlockM = 512;
// Rows of B are read in place, unless they lie a page or more apart and enough tiles share them.
constexpr size_t kFarApart = 1024, kPackTiles = 3;
// With a transposed B, dot products beat packing up to this height and from this depth.
constexpr size_t kDotMaxM = 256, kDotMinK = 32;

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// k = 0: there is no product, but what follows it remains.
void Epilogue(const GemmArgs& args) {
  const hn::ScalableTag<float> d;
  for (size_t r = 0; r < args.m; ++r) {
    float* c = args.c + r * args.ldc;
    ForEachVector(d, args.n, [&](size_t j, auto memory) HWY_ATTR {
      auto value = args.accumulate ? memory.Load(d, c + j) : hn::Zero(d);
      if (args.bias != nullptr) value = hn::Add(value, memory.Load(d, args.bias + j));
      if (args.relu) value = hn::Max(value, hn::Zero(d));
      memory.Store(value, d, c + j);
    });
  }
}

// Packs op(B)[k0 .. k0 + k, column .. column + columns] to width.
void PackPanel(const GemmArgs& args, size_t k0, size_t k, size_t column, size_t columns,
               size_t width, float* out) {
  if (args.trans_b) {
    PackColumns(args.b + column * args.ldb + k0, args.ldb, k, columns, width, out);
  } else {
    PackRows(args.b + k0 * args.ldb + column, args.ldb, k, columns, width, out);
  }
}

void Gemm(const GemmArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) return Epilogue(args);
  const MicroKernels& micro = Micro();
  const size_t max_rows = micro.max_rows;
  if (args.trans_b && !args.trans_a && args.m <= kDotMaxM && args.k >= kDotMinK)
    return DotProducts(args);
  const size_t vectors = micro.vectors[TallestTile(args.m, max_rows)];
  const bool pack = args.trans_b || (args.ldb >= kFarApart && args.m > kPackTiles * max_rows);
  const size_t a_row = args.trans_a ? 1 : args.lda;
  const size_t a_step = args.trans_a ? args.lda : 1;

  for (size_t n0 = 0; n0 < args.n; n0 += kBlockN) {
    const size_t n = HWY_MIN(kBlockN, args.n - n0);
    for (size_t k0 = 0; k0 < args.k; k0 += kBlockK) {
      const size_t k = HWY_MIN(kBlockK, args.k - k0);
      const bool last = k0 + k == args.k;
      for (size_t m0 = 0; m0 < args.m; m0 += kBlockM) {
        const size_t m = HWY_MIN(kBlockM, args.m - m0);
        float* packed = args.workspace;
        ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
          const size_t column = n0 + panel.column;
          const size_t width = panel.vectors * micro.lanes;
          const bool in_place = !pack && !panel.partial;
          if (!in_place && m0 == 0) {
            PackPanel(args, k0, k, column, panel.columns, width, packed);
          }
          ForEachRowTile(m, max_rows, [&](size_t row, size_t rows) {
            RunTile(micro, panel, rows,
                    Tile{.a = args.a + (m0 + row) * a_row + k0 * a_step,
                         .a_row = a_row,
                         .a_step = a_step,
                         .a_segment = 0,
                         .segments = 1,
                         .steps = k,
                         .b = in_place ? args.b + k0 * args.ldb + column : packed,
                         .b_row = in_place ? args.ldb : width,
                         .c = args.c + (m0 + row) * args.ldc + column,
                         .c_row = args.ldc,
                         .bias = last && args.bias != nullptr ? args.bias + column : nullptr,
                         .accumulate = args.accumulate || k0 > 0,
                         .relu = last && args.relu});
          });
          if (!in_place) packed += k * width;
        });
      }
    }
  }
}

}  // namespace

void FillGemm(Kernels& table) { table.gemm = Gemm; }

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t GemmWorkspace(size_t, size_t n, size_t k) {
  return HWY_MIN(k, kBlockK) * RoundUp(HWY_MIN(n, kBlockN), kMaxTileLanes);
}

void FillGemm(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillGemm, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
