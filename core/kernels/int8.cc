// Products of 8-bit activations and weights. Packed weights are blocks of one vector of columns:
// bias, scale, then for each group of four weights of one column a vector of them, so that one
// instruction (VNNI, or what a target has instead) adds four products to each 32-bit lane.
#include <cstring>
#include <type_traits>

#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef LINNET_RELAXED_DOT
#if defined(__wasm_relaxed_simd__)
#define LINNET_RELAXED_DOT 1
#else
#define LINNET_RELAXED_DOT 0
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DI32 = hn::CappedTag<int32_t, kMaxTileLanes>;
using DF = hn::Rebind<float, DI32>;
using DI16 = hn::Repartition<int16_t, DI32>;
using DI8 = hn::Repartition<int8_t, DI32>;
using DU8 = hn::Repartition<uint8_t, DI32>;
using VI32 = hn::Vec<DI32>;
using VI8 = hn::Vec<DI8>;
using VU8 = hn::Vec<DU8>;

// ---- Four products a lane

// One instruction, or the shortest way that is exact because activations have seven bits.
struct QuadDot {
  using Sum = VI32;
  using Right = VI8;
  using Left = VI8;
  static HWY_INLINE Sum First(VI32 bias) { return bias; }
  static HWY_INLINE VI32 Last(Sum sum) { return sum; }
  static HWY_INLINE Right LoadRight(const uint8_t* p) {
    return hn::BitCast(DI8(), hn::LoadU(DU8(), p));
  }
  static HWY_INLINE Left LoadLeft(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, 4);
    return hn::BitCast(DI8(), hn::Set(DI32(), four));
  }
  static HWY_INLINE void Accumulate(Left left, Right right, Sum& sum) {
#if HWY_TARGET <= HWY_AVX3_DL
    sum = hn::SumOfMulQuadAccumulate(DI32(), hn::BitCast(DU8(), left), right, sum);
#elif HWY_ARCH_X86
    const auto pairs = hn::SatWidenMulPairwiseAdd(DI16(), hn::BitCast(DU8(), left), right);
    sum = hn::Add(sum, hn::WidenMulPairwiseAdd(DI32(), pairs, hn::Set(DI16(), 1)));
#elif LINNET_RELAXED_DOT
    sum = VI32{__builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4(right.raw, left.raw, sum.raw)};
#else
    sum = hn::SumOfMulQuadAccumulate(DI32(), left, right, sum);
#endif
  }
};

// By products of pairs of 16 bits, of the lower and the upper half of the columns; the halves meet
// after the last product. For vectors of 128 bits.
struct PairDot {
  struct Sum {
    VI32 lower, upper;
  };
  struct Right {
    hn::Vec<DI16> lower, upper;
  };
  using Left = hn::Vec<DI16>;
  static HWY_INLINE Sum First(VI32 bias) {
    const VI32 zero = hn::Zero(DI32());
    return {hn::InterleaveLower(DI32(), bias, zero), hn::InterleaveUpper(DI32(), bias, zero)};
  }
  static HWY_INLINE VI32 Last(const Sum& sum) {
    return hn::Add(hn::ConcatEven(DI32(), sum.upper, sum.lower),
                   hn::ConcatOdd(DI32(), sum.upper, sum.lower));
  }
  static HWY_INLINE Right LoadRight(const uint8_t* p) {
    const VI8 v = hn::BitCast(DI8(), hn::LoadU(DU8(), p));
    return {hn::PromoteLowerTo(DI16(), v), hn::PromoteUpperTo(DI16(), v)};
  }
  static HWY_INLINE Left LoadLeft(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, 4);
    return hn::PromoteLowerTo(DI16(), hn::BitCast(DI8(), hn::Set(DI32(), four)));
  }
  static HWY_INLINE void Accumulate(Left left, const Right& right, Sum& sum) {
    sum.lower = hn::Add(sum.lower, hn::WidenMulPairwiseAdd(DI32(), left, right.lower));
    sum.upper = hn::Add(sum.upper, hn::WidenMulPairwiseAdd(DI32(), left, right.upper));
  }
};

// Targets on which QuadDot is compiled.
constexpr bool kHasQuadDot = HWY_TARGET != HWY_SSE2 && HWY_TARGET != HWY_EMU128 &&
                             (HWY_TARGET != HWY_WASM || LINNET_RELAXED_DOT);

// Relaxed SIMD leaves open what an engine makes of bits that ours never sets: this asks the engine.
[[maybe_unused]] bool QuadDotIsExact() {
  if (HWY_TARGET != HWY_WASM) return true;
  for (const int weight : {-128, -127, -1, 0, 1, 127}) {
    for (const int activation : {0, 1, 64, 127}) {
      // Hidden from the compiler, which may compute the instruction by rules of its own.
      volatile int8_t right = static_cast<int8_t>(weight);
      volatile int8_t left = static_cast<int8_t>(activation);
      VI32 sum = hn::Set(DI32(), -5);
      QuadDot::Accumulate(hn::Set(DI8(), left), hn::Set(DI8(), right), sum);
      const VI32 exact = hn::Set(DI32(), 4 * activation * weight - 5);
      if (!hn::AllTrue(DI32(), hn::Eq(sum, exact))) return false;
    }
  }
  return true;
}

// ---- Tiles

struct Int8Tile {
  const uint8_t* a;
  size_t a_row;
  const uint32_t* offsets;
  size_t parts, groups;  // groups of four bytes in a part
  const uint8_t* b;
  size_t block;  // bytes from one block of weights to the next
  void* c;
  size_t c_row;
  Requantize out;
  bool to_f32;
};
using Int8Kernel = void (*)(const Int8Tile& tile);

// Registers as in micro.cc; the exact way holds two accumulators for each vector, and the way by
// pairs of bytes a constant and a product.
constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64;
template <class Dot>
constexpr size_t MaxRows() {
  return kManyRegisters ? (HWY_TARGET <= HWY_AVX3_DL ? 14 : 12) : 4;
}
template <class Dot>
constexpr size_t VectorsFor(size_t rows) {
  if (std::is_same_v<Dot, PairDot>) return rows == 1 ? 4 : rows == 2 ? 2 : 1;
  if (kManyRegisters) return rows <= 3 ? 8 : rows <= 6 ? 4 : 2;
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}

// One pointer per four rows (micro.cc says why).
template <size_t kRows>
class ByteRows {
 public:
  ByteRows(const uint8_t* a, size_t row) : row_(row), row3_(3 * row) {
    Hide(row3_);
    for (size_t g = 0; g < kGroups; ++g) groups_[g] = a + 4 * g * row;
  }
  HWY_INLINE void Advance(size_t bytes) {
    HWY_UNROLL(4)
    for (size_t g = 0; g < kGroups; ++g) {
      groups_[g] += bytes;
      Hide(groups_[g]);
    }
  }
  HWY_INLINE const uint8_t* At(size_t r) const {
    const uint8_t* group = groups_[r / 4];
    return r % 4 == 3 ? group + row3_ : group + r % 4 * row_;
  }

 private:
  template <typename T>
  static HWY_INLINE void Hide([[maybe_unused]] T& value) {
#if HWY_ARCH_X86_64 || HWY_ARCH_ARM_A64
    __asm__("" : "+r"(value));
#endif
  }
  static constexpr size_t kGroups = DivideUp(kRows, 4);
  const uint8_t* groups_[kGroups];
  size_t row_, row3_;
};

HWY_INLINE hn::Vec<DF> Scaled(VI32 sum, hn::Vec<DF> scale, hn::Vec<DF> offset) {
  return hn::Add(hn::Mul(hn::ConvertTo(DF(), sum), scale), offset);
}

// The whole numbers nearest to y < 2^31; NearestInt also saturates above, which costs as much
// again.
HWY_INLINE VI32 Nearest(hn::Vec<DF> y) {
#if HWY_TARGET <= HWY_AVX3
  return VI32{_mm512_cvtps_epi32(y.raw)};
#elif HWY_TARGET == HWY_AVX2
  return VI32{_mm256_cvtps_epi32(y.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  return VI32{_mm_cvtps_epi32(y.raw)};
#elif LINNET_RELAXED_DOT
  return VI32{__builtin_wasm_relaxed_trunc_s_i32x4_f32x4(hn::Round(y).raw)};
#else
  return hn::NearestInt(y);
#endif
}

// The bytes of four vectors of whole numbers, one vector after the other: saturated to 0..255.
HWY_INLINE VU8 Bytes(const VI32 (&y)[4]) {
  const VU8 blocks = hn::ReorderDemote2To(DU8(), hn::ReorderDemote2To(DI16(), y[0], y[1]),
                                          hn::ReorderDemote2To(DI16(), y[2], y[3]));
  constexpr size_t kBlocks = DI32().MaxBytes() / 16;
  if constexpr (kBlocks == 1) {
    return blocks;
  } else {
    // Wider vectors come out by blocks of 128 bits: four bytes of each vector.
    const hn::RebindToUnsigned<DI32> d;
    HWY_ALIGN uint32_t order[4 * kBlocks];
    for (size_t i = 0; i < 4 * kBlocks; ++i) order[i] = i % kBlocks * 4 + i / kBlocks;
    return hn::BitCast(DU8(),
                       hn::TableLookupLanes(hn::BitCast(d, blocks), hn::SetTableIndices(d, order)));
  }
}

// The part `at` of `kParts` (1, 2 or 4) of a vector.
template <size_t kParts, class D>
HWY_INLINE void StorePart(hn::Vec<D> bytes, D d, size_t at, uint8_t* to) {
  if constexpr (kParts == 1) {
    hn::StoreU(bytes, d, to);
  } else {
    const hn::Half<D> half;
    const bool upper = at >= kParts / 2;
    StorePart<kParts / 2>(upper ? hn::UpperHalf(half, bytes) : hn::LowerHalf(half, bytes), half,
                          at % (kParts / 2), to);
  }
}

// Four vectors at a time, as bytes. Rounding is monotonous: clamping below may come after it.
template <class Dot, size_t kRows, size_t kVectors, class Scales>
HWY_INLINE void StoreCodes(const typename Dot::Sum (&sum)[kRows][kVectors], const Scales& scale,
                           const Int8Tile& tile) {
  constexpr size_t kAll = kRows * kVectors;
  // Neighbours in a row of c, of four vectors.
  constexpr size_t kRun = kVectors < 4 ? kVectors : 4;
  const size_t N = hn::Lanes(DI32());
  const DF df;
  const int32_t least = hn::GetLane(hn::NearestInt(hn::Set(df, tile.out.low)));
  const VU8 low = hn::Set(DU8(), static_cast<uint8_t>(HWY_MAX(least, 0)));
  // Read before anything is stored: bytes may alias them.
  const auto offset = hn::Set(df, tile.out.offset), high = hn::Set(df, tile.out.high);
  uint8_t* const c = static_cast<uint8_t*>(tile.c);
  const size_t c_row = tile.c_row;
  HWY_UNROLL(28)
  for (size_t i = 0; i < kAll; i += 4) {
    VI32 y[4];
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
      const size_t at = HWY_MIN(i + j, kAll - 1), r = at / kVectors, v = at % kVectors;
      y[j] = Nearest(hn::Min(Scaled(Dot::Last(sum[r][v]), scale(v), offset), high));
    }
    const VU8 bytes = hn::Max(Bytes(y), low);
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4 && i + j < kAll; j += kRun) {
      const size_t r = (i + j) / kVectors, v = (i + j) % kVectors;
      StorePart<4 / kRun>(bytes, DU8(), j / kRun, c + r * c_row + v * N);
    }
  }
}

template <class Dot, size_t kRows, size_t kVectors, class Scales>
HWY_INLINE void StoreFloats(const typename Dot::Sum (&sum)[kRows][kVectors], const Scales& scale,
                            const Int8Tile& tile) {
  const DF d;
  const size_t N = hn::Lanes(d);
  const auto offset = hn::Set(d, tile.out.offset);
  const auto low = hn::Set(d, tile.out.low), high = hn::Set(d, tile.out.high);
  HWY_UNROLL(14)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (size_t v = 0; v < kVectors; ++v) {
      const auto y = Scaled(Dot::Last(sum[r][v]), scale(v), offset);
      hn::StoreU(hn::Max(hn::Min(y, high), low), d,
                 static_cast<float*>(tile.c) + r * tile.c_row + v * N);
    }
  }
}

template <class Dot, size_t kRows, size_t kVectors>
void Compute(const Int8Tile& tile) {
  const DI32 d;
  const size_t N = hn::Lanes(d);
  const uint8_t* b = tile.b;
  const size_t block = tile.block;
  typename Dot::Sum sum[kRows][kVectors];
  HWY_UNROLL(8)
  for (size_t v = 0; v < kVectors; ++v) {
    const VI32 bias = hn::LoadU(d, reinterpret_cast<const int32_t*>(b + v * block));
    HWY_UNROLL(14)
    for (size_t r = 0; r < kRows; ++r) sum[r][v] = Dot::First(bias);
  }
  b += 8 * N;
  for (size_t q = 0; q < tile.parts; ++q) {
    ByteRows<kRows> a(tile.a + tile.offsets[q], tile.a_row);
    for (size_t g = 0; g < tile.groups; ++g, a.Advance(4), b += 4 * N) {
      if constexpr (kRows < kVectors) {
        typename Dot::Left left[kRows];
        HWY_UNROLL(14)
        for (size_t r = 0; r < kRows; ++r) left[r] = Dot::LoadLeft(a.At(r));
        HWY_UNROLL(8)
        for (size_t v = 0; v < kVectors; ++v) {
          const auto right = Dot::LoadRight(b + v * block);
          HWY_UNROLL(14)
          for (size_t r = 0; r < kRows; ++r) Dot::Accumulate(left[r], right, sum[r][v]);
        }
      } else {
        typename Dot::Right right[kVectors];
        HWY_UNROLL(8)
        for (size_t v = 0; v < kVectors; ++v) right[v] = Dot::LoadRight(b + v * block);
        HWY_UNROLL(14)
        for (size_t r = 0; r < kRows; ++r) {
          const auto left = Dot::LoadLeft(a.At(r));
          HWY_UNROLL(8)
          for (size_t v = 0; v < kVectors; ++v) Dot::Accumulate(left, right[v], sum[r][v]);
        }
      }
    }
  }
  const auto scale = [b = tile.b + 4 * N, block](size_t v) HWY_ATTR {
    return hn::LoadU(DF(), reinterpret_cast<const float*>(b + v * block));
  };
  if (tile.to_f32) {
    StoreFloats<Dot, kRows, kVectors>(sum, scale, tile);
  } else {
    StoreCodes<Dot, kRows, kVectors>(sum, scale, tile);
  }
}

struct Int8Tiles {
  size_t max_rows;
  size_t vectors[kMaxTileRows + 1];
  Int8Kernel kernels[kMaxTileRows + 1][4];
};

template <class Dot, size_t kRows>
void FillRow(Int8Tiles& tiles) {
  constexpr size_t kVectors = VectorsFor<Dot>(kRows);
  tiles.vectors[kRows] = kVectors;
  tiles.kernels[kRows][0] = Compute<Dot, kRows, 1>;
  if constexpr (kVectors >= 2) tiles.kernels[kRows][1] = Compute<Dot, kRows, 2>;
  if constexpr (kVectors >= 4) tiles.kernels[kRows][2] = Compute<Dot, kRows, 4>;
  if constexpr (kVectors >= 8) tiles.kernels[kRows][3] = Compute<Dot, kRows, 8>;
  if constexpr (kRows > 1) FillRow<Dot, kRows - 1>(tiles);
}

const Int8Tiles& Tiles() {
  static const Int8Tiles made = [] {
    Int8Tiles tiles{};
    if constexpr (kHasQuadDot) {
      if (QuadDotIsExact()) {
        tiles.max_rows = MaxRows<QuadDot>();
        FillRow<QuadDot, MaxRows<QuadDot>()>(tiles);
        return tiles;
      }
    }
    if constexpr (DI32().MaxBytes() == 16) {
      tiles.max_rows = MaxRows<PairDot>();
      FillRow<PairDot, MaxRows<PairDot>()>(tiles);
    }
    return tiles;
  }();
  return made;
}

// ---- Products

size_t Groups(size_t run) { return DivideUp(run, 4); }
// Bytes of a block: a bias and a scale for each lane, and the groups.
size_t BlockBytes(size_t lanes, size_t parts, size_t run) {
  return lanes * (8 + 4 * parts * Groups(run));
}

void Product(const Int8Windows& w, const uint8_t* packed, size_t n, const Requantize& out,
             bool to_f32, void* y, size_t y_row) {
  if (w.rows == 0 || w.columns == 0) return;
  const Int8Tiles& tiles = Tiles();
  const size_t N = hn::Lanes(DI32());
  const size_t element = to_f32 ? sizeof(float) : 1;
  const size_t block = BlockBytes(N, w.parts, w.run);
  const size_t vectors = tiles.vectors[TallestTile(w.columns, tiles.max_rows)];
  ForEachPanel(n, vectors, N, [&](const Panel& panel) {
    HWY_ALIGN uint8_t whole[kMaxTileRows * kMaxTileVectors * kMaxTileLanes * sizeof(float)];
    const size_t width = panel.vectors * N;
    for (size_t row = 0; row < w.rows; ++row) {
      ForEachRowTile(w.columns, tiles.max_rows, [&](size_t column, size_t height) {
        uint8_t* c = static_cast<uint8_t*>(y) +
                     ((row * w.columns + column) * y_row + panel.column) * element;
        tiles.kernels[height][panel.log2_vectors]({.a = w.x + row * w.row + column * w.column,
                                                   .a_row = w.column,
                                                   .offsets = w.offsets,
                                                   .parts = w.parts,
                                                   .groups = Groups(w.run),
                                                   .b = packed + panel.column / N * block,
                                                   .block = block,
                                                   .c = panel.partial ? whole : c,
                                                   .c_row = panel.partial ? width : y_row,
                                                   .out = out,
                                                   .to_f32 = to_f32});
        if (!panel.partial) return;
        for (size_t r = 0; r < height; ++r) {
          std::memcpy(c + r * y_row * element, whole + r * width * element,
                      panel.columns * element);
        }
      });
    }
  });
}

void Pack(const int8_t* weights, const int32_t* bias, const float* scale, size_t parts, size_t run,
          size_t n, uint8_t* packed) {
  const size_t N = hn::Lanes(DI32());
  for (size_t column = 0; column < n; column += N) {
    const size_t columns = HWY_MIN(N, n - column);
    std::memset(packed, 0, BlockBytes(N, parts, run));
    std::memcpy(packed, bias + column, columns * sizeof(int32_t));
    std::memcpy(packed + 4 * N, scale + column, columns * sizeof(float));
    packed += 8 * N;
    for (size_t q = 0; q < parts; ++q) {
      for (size_t p = 0; p < run; ++p) {
        const int8_t* row = weights + (q * run + p) * n + column;
        uint8_t* to = packed + p / 4 * 4 * N + p % 4;
        for (size_t j = 0; j < columns; ++j) to[4 * j] = static_cast<uint8_t>(row[j]);
      }
      packed += Groups(run) * 4 * N;
    }
  }
}

}  // namespace

void FillInt8(Kernels& table) {
  table.int8.product = Product;
  table.int8.pack = Pack;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t Int8PackedBytes(size_t parts, size_t run, size_t n) {
  return RoundUp(n, kMaxTileLanes) * (8 + 4 * parts * DivideUp(run, 4));
}

void FillInt8(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillInt8, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
