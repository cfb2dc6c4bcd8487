// The matrix product: blocks for the caches, panels of B, tiles of C.
#include "kernels/dispatch.h"
#include "kernels/tasks.h"
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
// Tiles of a panel of C that make a unit of work: their rows of A pass the panel of B together.
constexpr size_t kBlockTiles = 12;
// Rows of B are read in place, unless they lie a page or more apart and enough tiles share them.
constexpr size_t kFarApart = 1024, kPackTiles = 3;
// With a transposed B, dot products beat packing up to this height and from this depth.
constexpr size_t kDotMaxM = 72, kDotMinK = 32;

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

// One block of B passes all of A.
void MultiplyBlock(const MicroKernels& micro, size_t vectors, const GemmArgs& args, bool pack,
                   size_t n0, size_t n, size_t k0, size_t k) {
  const size_t a_row = args.trans_a ? 1 : args.lda;
  const size_t a_step = args.trans_a ? args.lda : 1;
  const bool last = k0 + k == args.k;
  const auto in_place = [&](const Panel& panel) {
    return !args.packed_b && !pack && !panel.partial;
  };
  const auto pack_panel = [&](const Panel& panel) {
    if (args.packed_b || in_place(panel)) return;
    PackPanel(args, k0, k, n0 + panel.column, panel.columns, panel.vectors * micro.lanes,
              args.workspace + panel.column * k);
  };
  const auto compute = [&](const Panel& panel, size_t first_tile) {
    const size_t column = n0 + panel.column, width = panel.vectors * micro.lanes;
    const float* b = args.packed_b     ? args.b + column * args.k + k0 * width
                     : in_place(panel) ? args.b + k0 * args.ldb + column
                                       : args.workspace + panel.column * k;
    ForEachRowRun(args.m, micro.max_rows, first_tile, kBlockTiles,
                  [&](size_t row, size_t rows, size_t tiles) {
                    RunTiles(
                        micro, panel, rows,
                        Tile{.a = args.a + row * a_row + k0 * a_step,
                             .a_row = a_row,
                             .a_step = a_step,
                             .b = b,
                             .b_row = in_place(panel) ? args.ldb : width,
                             .steps = k,
                             .c = args.c + row * args.ldc + column,
                             .c_row = args.ldc,
                             .bias = last && args.bias != nullptr ? args.bias + column : nullptr,
                             .accumulate = args.accumulate || k0 > 0,
                             .relu = last && args.relu,
                             .tiles = tiles});
                  });
  };

  size_t panels = 0;
  ForEachPanel(n, vectors, micro.lanes, [&](const Panel&) { ++panels; });
  // Calls body(panel) for panels [first, end).
  const auto for_panels = [&](size_t first, size_t end, const auto& body) {
    size_t index = 0;
    ForEachPanel(n, vectors, micro.lanes, [&](const Panel& panel) {
      if (first <= index && index < end) body(panel);
      ++index;
    });
  };
  const size_t blocks = DivideUp(DivideUp(args.m, micro.max_rows), kBlockTiles);
  const Tasks tasks(blocks * panels, 2 * (args.m / blocks) * (n / panels) * k);
  const bool parallel = IsParallel(args.executor, tasks.Count());
  if (parallel) {
    // Packing is counted as some operations per element.
    RunTasks(args.executor, Tasks(panels, 8 * (n / panels) * k),
             [&](size_t first, size_t end) { for_panels(first, end, pack_panel); });
  }
  RunTasks(args.executor, tasks, [&](size_t first, size_t end) {
    while (first < end) {
      const size_t block = first / panels, panel_index = first % panels;
      const size_t count = HWY_MIN(end - first, panels - panel_index);
      for_panels(panel_index, panel_index + count, [&](const Panel& panel) {
        // Alone, a panel is used while it is still near.
        if (!parallel && block == 0) pack_panel(panel);
        compute(panel, block * kBlockTiles);
      });
      first += count;
    }
  });
}

}  // namespace

void PackB(const float* b, size_t ldb, bool trans_b, size_t k, size_t n, float* packed) {
  const MicroKernels& micro = Micro();
  GemmArgs args{};
  args.b = b;
  args.ldb = ldb;
  args.trans_b = trans_b;
  ForEachPanel(n, micro.vectors[micro.max_rows], micro.lanes, [&](const Panel& panel) {
    PackPanel(args, 0, k, panel.column, panel.columns, panel.vectors * micro.lanes,
              packed + panel.column * k);
  });
}

void Gemm(const GemmArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) return Epilogue(args);
  const MicroKernels& micro = Micro();
  const bool trans_b = args.trans_b && !args.packed_b;
  if (trans_b && !args.trans_a && args.m <= kDotMaxM && args.k >= kDotMinK) {
    return DotProducts(args);
  }
  const size_t height = args.packed_b ? micro.max_rows : TallestTile(args.m, micro.max_rows);
  const bool pack = trans_b || (args.ldb >= kFarApart && args.m > kPackTiles * micro.max_rows);
  for (size_t n0 = 0; n0 < args.n; n0 += kBlockN) {
    for (size_t k0 = 0; k0 < args.k; k0 += kBlockK) {
      MultiplyBlock(micro, micro.vectors[height], args, pack, n0, HWY_MIN(kBlockN, args.n - n0), k0,
                    HWY_MIN(kBlockK, args.k - k0));
    }
  }
}

void FillGemm(Kernels& table) {
  table.gemm = Gemm;
  table.pack_b = PackB;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t GemmWorkspace(size_t, size_t n, size_t k) {
  return HWY_MIN(k, kBlockK) * RoundUp(HWY_MIN(n, kBlockN), kMaxTileLanes);
}

size_t GemmPackedSize(size_t k, size_t n) { return k * RoundUp(n, kMaxTileLanes); }

void FillGemm(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillGemm, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
