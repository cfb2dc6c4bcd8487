// Products with a transposed right side and few rows, as dot products of rows of A and rows of B:
// nothing is transposed, where packing would cost as much as the product.
#if defined(LINNET_KERNELS_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_DOT_INL_H_
#undef LINNET_KERNELS_DOT_INL_H_
#else
#define LINNET_KERNELS_DOT_INL_H_
#endif

#include "kernels/gemm-inl.h"
#include "kernels/tasks.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DDot = hn::CappedTag<float, kMaxTileLanes>;
using VDot = hn::Vec<DDot>;

// Columns of C (rows of B) of a tile, and as many rows of C as leave registers for the operands.
constexpr size_t kDotColumns = 4;
constexpr size_t kDotRows = HWY_TARGET <= HWY_AVX3   ? 6
                            : HWY_ARCH_ARM_A64       ? 5
                            : HWY_TARGET <= HWY_AVX2 ? 3
                                                     : 2;

// The sums of four vectors' lanes, as the four lanes of one vector.
template <class V>
HWY_INLINE hn::Vec<hn::FixedTag<float, 4>> SumsOfLanes(V a, V b, V c, V d) {
  const hn::DFromV<V> tag;
  const hn::Repartition<uint64_t, hn::DFromV<V>> pairs;
  const V ab = hn::Add(hn::InterleaveLower(tag, a, b), hn::InterleaveUpper(tag, a, b));
  const V cd = hn::Add(hn::InterleaveLower(tag, c, d), hn::InterleaveUpper(tag, c, d));
  const auto ab2 = hn::BitCast(pairs, ab), cd2 = hn::BitCast(pairs, cd);
  // Each block of four lanes now holds what it adds to the four sums.
  const V sums = hn::Add(hn::BitCast(tag, hn::InterleaveLower(pairs, ab2, cd2)),
                         hn::BitCast(tag, hn::InterleaveUpper(pairs, ab2, cd2)));
  if constexpr (hn::MaxLanes(tag) == 4) {
    return sums;
  } else {
    const hn::Half<hn::DFromV<V>> half;
    const auto two = hn::Add(hn::LowerHalf(half, sums), hn::UpperHalf(half, sums));
    if constexpr (hn::MaxLanes(half) == 4) {
      return two;
    } else {
      const hn::Half<decltype(half)> quarter;
      return hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two));
    }
  }
}

template <size_t kRows>
void DotTile(const GemmArgs& args, size_t row, size_t column) {
  const DDot d;
  const hn::FixedTag<float, 4> d4;
  VDot sum[kRows][kDotColumns];
  HWY_UNROLL(6)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t j = 0; j < kDotColumns; ++j) sum[r][j] = hn::Zero(d);
  }
  const float* a[kRows];
  for (size_t r = 0; r < kRows; ++r) a[r] = args.a + (row + r) * args.lda;
  // The columns beyond n repeat the last one and are not stored.
  const float* b[kDotColumns];
  for (size_t j = 0; j < kDotColumns; ++j)
    b[j] = args.b + HWY_MIN(column + j, args.n - 1) * args.ldb;

  ForEachVector(d, args.k, [&](size_t p, auto memory) HWY_ATTR {
    VDot left[kRows];
    HWY_UNROLL(6)
    for (size_t r = 0; r < kRows; ++r) left[r] = memory.Load(d, a[r] + p);
    HWY_UNROLL(4)
    for (size_t j = 0; j < kDotColumns; ++j) {
      const VDot right = memory.Load(d, b[j] + p);
      HWY_UNROLL(6)
      for (size_t r = 0; r < kRows; ++r) sum[r][j] = FastMulAdd(left[r], right, sum[r][j]);
    }
  });

  const size_t columns = HWY_MIN(kDotColumns, args.n - column);
  HWY_UNROLL(6)
  for (size_t r = 0; r < kRows; ++r) {
    float* c = args.c + (row + r) * args.ldc + column;
    const auto store = [&](auto memory) HWY_ATTR {
      auto value = SumsOfLanes(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
      if (args.accumulate) value = hn::Add(value, memory.Load(d4, c));
      if (args.bias != nullptr) value = hn::Add(value, memory.Load(d4, args.bias + column));
      if (args.relu) value = hn::Max(value, hn::Zero(d4));
      memory.Store(value, d4, c);
    };
    if (columns == kDotColumns) {
      store(WholeVector{});
    } else {
      store(PartOfVector{columns});
    }
  }
}

template <size_t kRows>
void DotRowTile(const GemmArgs& args, size_t row, size_t rows, size_t begin, size_t end) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return DotRowTile<kRows - 1>(args, row, rows, begin, end);
  }
  for (size_t j = begin; j < end; j += kDotColumns) DotTile<kRows>(args, row, j);
}

// A as stored, B transposed.
void DotProducts(const GemmArgs& args) {
  // Rows of B that fit L1 (32 KiB) pass all rows of A.
  const size_t block = HWY_MAX(kDotColumns, 8192 / args.k / kDotColumns * kDotColumns);
  const Tasks tasks(DivideUp(args.n, block), 2 * args.m * block * args.k);
  RunTasks(args.executor, tasks, [&](size_t first, size_t last) {
    for (; first < last; ++first) {
      const size_t begin = first * block, end = HWY_MIN(begin + block, args.n);
      ForEachRowTile(args.m, kDotRows, [&](size_t row, size_t rows) {
        DotRowTile<kDotRows>(args, row, rows, begin, end);
      });
    }
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_DOT_INL_H_
