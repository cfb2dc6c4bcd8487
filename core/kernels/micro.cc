// The register tiles of matrix products (tile.h), for every target and height.
#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/micro.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Defined once per target and used by gemm-inl.h from other files.
const MicroKernels& Micro();

namespace {

using DF = hn::CappedTag<float, kMaxTileLanes>;
using VF = hn::Vec<DF>;

// Registers: accumulators, plus one operand's vectors, plus one of the other.
// 32 of them: 14 x 2 + 2 + 1; 16: 6 x 2 + 2 + 1, and one product where multiply-add is two
// instructions.
constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64;
constexpr size_t kMaxRows = HWY_ARCH_ARM_A64         ? 6
                            : kManyRegisters         ? kMaxTileRows
                            : HWY_TARGET <= HWY_AVX2 ? 6
                                                     : 4;

// Where masks are cheap.
constexpr bool kStoresParts = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2;

constexpr size_t VectorsFor(size_t rows) {
  if (HWY_ARCH_ARM_A64) return rows <= 3 ? 8 : 4;
  if (kManyRegisters) return rows <= 3 ? 8 : rows <= 6 ? 4 : 2;
  if (HWY_ARCH_WASM && rows == 1) return 4;  // those of B as well
  return rows == 1 ? 8 : rows == 2 ? 4 : rows == 3 && kMaxRows == 6 ? 4 : 2;
}

// The elements of A at one step. One pointer per four rows: with one in all, compilers walk the
// rows by a chain of additions as long as the multiplications take; with one per row, they run out
// of registers.
template <size_t kRows>
class RowPointers {
 public:
  RowPointers(const float* a, size_t row) : row_(row), row3_(3 * row) {
    Hide(row3_);
    for (size_t g = 0; g < kGroups; ++g) groups_[g] = a + 4 * g * row_;
  }
  HWY_INLINE void Advance(size_t elements) {
    HWY_UNROLL(4)
    for (size_t g = 0; g < kGroups; ++g) {
      groups_[g] += elements;
      Hide(groups_[g]);
    }
  }
  HWY_INLINE float At(size_t r) const {
    const float* group = groups_[r / 4];
    return r % 4 == 3 ? group[row3_] : group[r % 4 * row_];
  }

 private:
  // Keeps the compiler from deriving one value from another.
  template <typename T>
  static HWY_INLINE void Hide([[maybe_unused]] T& value) {
#if HWY_ARCH_X86_64 || HWY_ARCH_ARM_A64
    __asm__("" : "+r"(value));
#endif
  }

  static constexpr size_t kGroups = DivideUp(kRows, 4);
  const float* groups_[kGroups];
  size_t row_, row3_;
};

// Sums of steps taken in turn by tiles that are too small otherwise to keep two units busy with
// multiply-adds of four cycles. V8 loads the operands of all steps of a turn first, and has 15
// registers: of more rows than one it takes single steps.
constexpr size_t SplitsFor(size_t rows, size_t vectors) {
  const size_t sums = rows * vectors;
  if (HWY_ARCH_WASM) return rows > 1 ? 1 : HWY_MAX(size_t{1}, 15 / (2 * vectors + 1));
  return sums >= 8 ? 1 : sums >= 4 ? 2 : sums >= 2 ? 4 : 8;
}

// One step of a tile.
template <size_t kRows, size_t kVectors>
HWY_INLINE void AddStep(const RowPointers<kRows>& a, const float* b, VF (&sum)[kRows][kVectors]) {
  const DF d;
  const size_t N = hn::Lanes(d);
  if constexpr (kRows < kVectors) {
    VF left[kRows];
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) left[r] = hn::Set(d, a.At(r));
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVectors; ++v) {
      const VF right = hn::LoadU(d, b + v * N);
      HWY_UNROLL(14)
      for (size_t r = 0; r < kRows; ++r) sum[r][v] = FastMulAdd(left[r], right, sum[r][v]);
    }
  } else {
    VF right[kVectors];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVectors; ++v) right[v] = hn::LoadU(d, b + v * N);
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) {
      const VF left = hn::Set(d, a.At(r));
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = FastMulAdd(left, right[v], sum[r][v]);
    }
  }
}

// What follows the sums of the tile at c; `last` touches memory for the last vector of each row.
template <size_t kRows, size_t kVectors, class Memory>
HWY_INLINE void Finish(const Tile& tile, float* c, VF (&sum)[kRows][kVectors], Memory last) {
  const DF d;
  const size_t N = hn::Lanes(d);
  const auto load = [&](const float* from, size_t v) HWY_ATTR {
    return v + 1 == kVectors ? last.Load(d, from + v * N) : hn::LoadU(d, from + v * N);
  };
  // Each in its own loop: with short sums a test per vector would take as long as the sums.
  const auto for_each = [&](const auto& body) HWY_ATTR {
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) {
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVectors; ++v) body(r, v);
    }
  };
  const size_t c_row = tile.c_row;
  if (tile.accumulate) {
    for_each([&](size_t r, size_t v)
                 HWY_ATTR { sum[r][v] = hn::Add(sum[r][v], load(c + r * c_row, v)); });
  }
  if (tile.bias != nullptr) {
    for_each([&](size_t r, size_t v)
                 HWY_ATTR { sum[r][v] = hn::Add(sum[r][v], load(tile.bias, v)); });
  }
  if (tile.relu) {
    for_each([&](size_t r, size_t v) HWY_ATTR { sum[r][v] = hn::Max(sum[r][v], hn::Zero(d)); });
  }
  for_each([&](size_t r, size_t v) HWY_ATTR {
    float* to = c + r * c_row + v * N;
    if (v + 1 == kVectors) {
      last.Store(sum[r][v], d, to);
    } else {
      hn::StoreU(sum[r][v], d, to);
    }
  });
}

template <size_t kRows, size_t kVectors>
HWY_INLINE void ComputeTile(const Tile& tile, const float* tile_a, float* tile_c) {
  const DF d;
  constexpr size_t kSplits = SplitsFor(kRows, kVectors);
  VF sum[kSplits][kRows][kVectors];
  HWY_UNROLL(8)
  for (size_t s = 0; s < kSplits; ++s) {
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) {
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVectors; ++v) sum[s][r][v] = hn::Zero(d);
    }
  }

  const RowPointers<kRows> rows(tile_a, tile.a_row);
  for (size_t o = 0; o < tile.blocks; ++o) {
    for (size_t q = 0; q < tile.segments; ++q) {
      RowPointers<kRows> a = rows;
      a.Advance(o * tile.a_block + q * tile.a_segment);
      const float* b = tile.b + o * tile.b_block + q * tile.b_segment;
      size_t p = tile.steps;
      if constexpr (kSplits > 1) {
        for (; p >= kSplits; p -= kSplits) {
          HWY_UNROLL(8)
          for (size_t s = 0; s < kSplits; ++s, a.Advance(tile.a_step), b += tile.b_row) {
            AddStep(a, b, sum[s]);
          }
        }
      }
      for (; p > 0; --p, a.Advance(tile.a_step), b += tile.b_row) AddStep(a, b, sum[0]);
    }
  }
  HWY_UNROLL(8)
  for (size_t s = 1; s < kSplits; ++s) {
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) {
      HWY_UNROLL(8)
      for (size_t v = 0; v < kVectors; ++v) sum[0][r][v] = hn::Add(sum[0][r][v], sum[s][r][v]);
    }
  }

  if constexpr (kStoresParts) {
    if (tile.last_lanes != 0) return Finish(tile, tile_c, sum[0], PartOfVector{tile.last_lanes});
  }
  Finish(tile, tile_c, sum[0], WholeVector{});
}

template <size_t kRows, size_t kVectors>
void Compute(const Tile& tile) {
  const float* a = tile.a;
  float* c = tile.c;
  for (size_t t = 0; t < tile.tiles; ++t, a += kRows * tile.a_row, c += kRows * tile.c_row) {
    ComputeTile<kRows, kVectors>(tile, a, c);
  }
}

template <size_t kRows>
void FillRow(MicroKernels& micro) {
  micro.vectors[kRows] = VectorsFor(kRows);
  MicroKernel* kernels = micro.kernels[kRows];
  kernels[0] = Compute<kRows, 1>;
  kernels[1] = Compute<kRows, 2>;
  if constexpr (VectorsFor(kRows) >= 4) kernels[2] = Compute<kRows, 4>;
  if constexpr (VectorsFor(kRows) >= 8) kernels[3] = Compute<kRows, 8>;
  if constexpr (kRows > 1) FillRow<kRows - 1>(micro);
}

}  // namespace

const MicroKernels& Micro() {
  static const MicroKernels micro = [] {
    MicroKernels made{};
    made.lanes = hn::MaxLanes(DF());
    made.max_rows = kMaxRows;
    made.stores_parts = kStoresParts;
    FillRow<kMaxRows>(made);
    return made;
  }();
  return micro;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
