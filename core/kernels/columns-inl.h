// Sorting networks over columns, and tiles of distances between rows.
#if defined(LINNET_KERNELS_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_COLUMNS_INL_H_
#undef LINNET_KERNELS_COLUMNS_INL_H_
#else
#define LINNET_KERNELS_COLUMNS_INL_H_
#endif

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "kernels/columns.h"
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

using DColumns = hn::ScalableTag<float>;
using VColumns = hn::Vec<DColumns>;

// Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2 M) of n elements as
// calls exchange(i, j), i < j, which puts the lower one at i.
template <class Exchange>
constexpr void MergeExchange(size_t n, const Exchange& exchange) {
  size_t top = 1;
  while (2 * top < n) top *= 2;
  for (size_t p = top; p > 0; p /= 2) {
    size_t q = top, r = 0, d = p;
    while (true) {
      for (size_t i = 0; i + d < n; ++i)
        if ((i & p) == r) exchange(i, i + d);
      if (q == p) break;
      d = q - p;
      q /= 2;
      r = p;
    }
  }
}

template <size_t kRows>
constexpr size_t CountExchanges() {
  size_t count = 0;
  MergeExchange(kRows, [&](size_t, size_t) { ++count; });
  return count;
}
template <size_t kRows>
constexpr auto ExchangesOf() {
  std::array<std::pair<uint8_t, uint8_t>, CountExchanges<kRows>()> list{};
  size_t at = 0;
  MergeExchange(kRows, [&](size_t i, size_t j) {
    list[at++] = {static_cast<uint8_t>(i), static_cast<uint8_t>(j)};
  });
  return list;
}

HWY_INLINE void Exchange(VColumns& low, VColumns& high) {
  const VColumns least = hn::Min(low, high);
  high = hn::Max(low, high);
  low = least;
}

// Every index is a constant, so that the array lives in registers (looking at clang's code: 26 rows
// are sorted without a store on targets of 32 registers).
template <size_t kRows, size_t... kAt>
HWY_INLINE void SortInRegisters(VColumns (&v)[kRows], std::index_sequence<kAt...>) {
  static constexpr auto kExchanges = ExchangesOf<kRows>();
  (Exchange(v[kExchanges[kAt].first], v[kExchanges[kAt].second]), ...);
}

HWY_INLINE VColumns DemoteTwo(hn::Vec<hn::Repartition<double, DColumns>> lower,
                              hn::Vec<hn::Repartition<double, DColumns>> upper) {
  const DColumns d;
  const hn::Half<DColumns> dhalf;
  return hn::Combine(d, hn::DemoteTo(dhalf, upper), hn::DemoteTo(dhalf, lower));
}

HWY_INLINE VColumns MeanOfTwo(VColumns a, VColumns b) {
  const hn::Repartition<double, DColumns> dd;
  const auto half = hn::Set(dd, 0.5);
  return DemoteTwo(hn::Mul(hn::Add(hn::PromoteLowerTo(dd, a), hn::PromoteLowerTo(dd, b)), half),
                   hn::Mul(hn::Add(hn::PromoteUpperTo(dd, a), hn::PromoteUpperTo(dd, b)), half));
}

// The statistic of n sorted values, each a vector of columns at `sorted + N * rank`.
HWY_INLINE VColumns OfSorted(const float* sorted, size_t n, const ColumnArgs& args) {
  const DColumns d;
  const hn::Repartition<double, DColumns> dd;
  const size_t N = hn::Lanes(d);
  const auto value = [&](size_t rank) HWY_ATTR { return hn::LoadU(d, sorted + N * rank); };
  const VColumns median = n % 2 == 1 ? value(n / 2) : MeanOfTwo(value(n / 2 - 1), value(n / 2));
  if (args.statistic == ColumnStatistic::kMedian) return median;

  size_t begin = args.parameter, end = n - args.parameter;  // of the ranks that may be in the mean
  size_t keep = end - begin;
  VColumns first = hn::Zero(d), last = hn::Set(d, static_cast<float>(n));
  if (args.statistic == ColumnStatistic::kClosestMean) {
    begin = 0;
    end = n;
    keep = args.parameter;
    VColumns least = hn::Set(d, std::numeric_limits<float>::infinity());
    for (size_t s = 0; s + keep <= n; ++s) {
      const VColumns reach =
          hn::Max(hn::Sub(median, value(s)), hn::Sub(value(s + keep - 1), median));
      const auto better = hn::Lt(reach, least);
      least = hn::IfThenElse(better, reach, least);
      first = hn::IfThenElse(better, hn::Set(d, static_cast<float>(s)), first);
    }
    last = hn::Add(first, hn::Set(d, static_cast<float>(keep)));
  }
  auto lower = hn::Zero(dd), upper = hn::Zero(dd);
  const bool all = args.statistic == ColumnStatistic::kTrimmedMean;
  for (size_t rank = begin; rank < end; ++rank) {
    const VColumns at = hn::Set(d, static_cast<float>(rank));
    VColumns x = value(rank);
    // Adding zero changes no bit of a sum.
    if (!all) x = hn::IfThenElseZero(hn::And(hn::Ge(at, first), hn::Lt(at, last)), x);
    lower = hn::Add(lower, hn::PromoteLowerTo(dd, x));
    upper = hn::Add(upper, hn::PromoteUpperTo(dd, x));
  }
  const auto divisor = hn::Set(dd, static_cast<double>(keep));
  return DemoteTwo(hn::Div(lower, divisor), hn::Div(upper, divisor));
}

// Row r of the columns that a pass is at; adding zero makes -0 to +0.
template <class Memory>
HWY_INLINE VColumns LoadRow(const ColumnArgs& args, size_t r, size_t column, Memory memory) {
  const DColumns d;
  const size_t row = args.which == nullptr ? r : args.which[r];
  return hn::Add(memory.Load(d, args.rows + row * args.stride + column), hn::Zero(d));
}

// row_count is at most kRows; infinity takes the places beyond it, and stays there.
template <size_t kRows, bool kMedian>
HWY_NOINLINE void SortFew(const ColumnArgs& args, size_t first, size_t n) {
  const DColumns d;
  const size_t N = hn::Lanes(d);
  const float* rows[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    const size_t given = HWY_MIN(r, args.row_count - 1);
    rows[r] = args.rows + (args.which == nullptr ? given : args.which[given]) * args.stride + first;
  }
  const size_t beyond = kRows - args.row_count;  // 0 to kRowStep - 1
  const VColumns infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    VColumns v[kRows];
    HWY_UNROLL(kRows)
    for (size_t r = 0; r < kRows; ++r) v[r] = hn::Add(memory.Load(d, rows[r] + i), hn::Zero(d));
    if (beyond > 0) v[kRows - 1] = infinity;
    if (beyond > 1) v[kRows - 2] = infinity;
    if (beyond > 2) v[kRows - 3] = infinity;
    SortInRegisters(v, std::make_index_sequence<CountExchanges<kRows>()>());
    VColumns result;
    if constexpr (kMedian) {
      constexpr size_t kHalf = kRows / 2;
      result = beyond == 0   ? MeanOfTwo(v[kHalf - 1], v[kHalf])
               : beyond == 1 ? v[kHalf - 1]
               : beyond == 2 ? MeanOfTwo(v[kHalf - 2], v[kHalf - 1])
                             : v[kHalf - 2];
    } else {
      HWY_ALIGN float sorted[kRows * hn::MaxLanes(d)];
      HWY_UNROLL(kRows)
      for (size_t r = 0; r < kRows; ++r) hn::StoreU(v[r], d, sorted + N * r);
      result = OfSorted(sorted, args.row_count, args);
    }
    memory.Store(result, d, args.out + first + i);
  });
}

HWY_NOINLINE void SortMany(const ColumnArgs& args, size_t first, size_t n) {
  const DColumns d;
  const size_t N = hn::Lanes(d);
  HWY_ALIGN float sorted[kNetworkRows * hn::MaxLanes(d)];
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    for (size_t r = 0; r < args.row_count; ++r)
      hn::StoreU(LoadRow(args, r, first + i, memory), d, sorted + N * r);
    MergeExchange(args.row_count, [&](size_t a, size_t b) HWY_ATTR {
      const VColumns x = hn::LoadU(d, sorted + N * a), y = hn::LoadU(d, sorted + N * b);
      hn::StoreU(hn::Min(x, y), d, sorted + N * a);
      hn::StoreU(hn::Max(x, y), d, sorted + N * b);
    });
    memory.Store(OfSorted(sorted, args.row_count, args), d, args.out + first + i);
  });
}

inline constexpr size_t kRegisterRows = 32;
// Networks are made for every fourth number of rows: each one is some kilobytes of code.
inline constexpr size_t kRowStep = 4;

template <bool kMedian, size_t... kSteps>
void SortFewOf(const ColumnArgs& args, size_t first, size_t n, std::index_sequence<kSteps...>) {
  using Function = void (*)(const ColumnArgs&, size_t, size_t);
  static constexpr Function kFunctions[] = {&SortFew<kRowStep*(kSteps + 1), kMedian>...};
  kFunctions[(args.row_count - 1) / kRowStep](args, first, n);
}

HWY_INLINE void SortedColumns(const ColumnArgs& args, size_t first, size_t n) {
  constexpr auto kSteps = std::make_index_sequence<kRegisterRows / kRowStep>();
  if (args.row_count > kRegisterRows) return SortMany(args, first, n);
  if (args.statistic == ColumnStatistic::kMedian) return SortFewOf<true>(args, first, n, kSteps);
  SortFewOf<false>(args, first, n, kSteps);
}

// ---- Distances

// At most 512 bits: the 16 lanes of a distance are a whole number of vectors.
using DDistance = hn::CappedTag<double, 8>;
inline constexpr size_t kLanes = 16;

// lanes[p][l] += squares of a[r][i] - b[s][i], i % 16 = l, for the pairs p = kB r + s; n is a
// multiple of 16. All accumulators stay in registers.
template <size_t kA, size_t kB>
HWY_NOINLINE void DistanceTile(const float* const* a, const float* const* b, size_t n,
                               double* const* lanes) {
  const DDistance d;
  const hn::Rebind<float, DDistance> dhalf;
  constexpr size_t N = hn::MaxLanes(d);
  constexpr size_t kVectors = kLanes / N;
  hn::Vec<DDistance> sums[kA * kB][kVectors];
  for (size_t p = 0; p < kA * kB; ++p)
    for (size_t v = 0; v < kVectors; ++v) sums[p][v] = hn::LoadU(d, lanes[p] + v * N);
  for (size_t i = 0; i < n; i += kLanes) {
    for (size_t v = 0; v < kVectors; ++v) {
      for (size_t r = 0; r < kA; ++r) {
        const auto x = hn::LoadU(dhalf, a[r] + i + v * N);
        for (size_t s = 0; s < kB; ++s) {
          const auto difference = hn::PromoteTo(d, hn::Sub(x, hn::LoadU(dhalf, b[s] + i + v * N)));
          // The square of an f32 is exact in f64: fused or not, the bits are the same.
          sums[kB * r + s][v] = hn::MulAdd(difference, difference, sums[kB * r + s][v]);
        }
      }
    }
  }
  for (size_t p = 0; p < kA * kB; ++p)
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[p][v], d, lanes[p] + v * N);
}

// What fits into the registers: 32 of 8, 16 of 4, or 16 of 2 lanes.
constexpr size_t kTileA = hn::MaxLanes(DDistance()) == 8 ? 2 : 1;
constexpr size_t kTileB = hn::MaxLanes(DDistance()) == 8   ? 4
                          : hn::MaxLanes(DDistance()) == 4 ? 2
                                                           : 1;

// Rows and pairs of a tile.
struct DistanceRows {
  const float* a[kTileA];
  const float* b[kTileB];
  size_t pairs[kTileA * kTileB];
  size_t a_count, b_count;
};

// Calls body(tile) for all pairs of the rows, or for each row and `to`, at column `first`.
template <class Body>
HWY_INLINE void ForEachDistanceTile(const DistanceArgs& args, const float* to, size_t first,
                                    const Body& body) {
  const auto row = [&](size_t r) { return args.rows + r * args.stride + first; };
  const size_t n = args.row_count;
  DistanceRows tile;
  if (to != nullptr) {
    for (size_t s = 0; s < n; s += kTileB) {
      tile.a[0] = to;
      tile.a_count = 1;
      tile.b_count = HWY_MIN(kTileB, n - s);
      for (size_t j = 0; j < tile.b_count; ++j) {
        tile.b[j] = row(s + j);
        tile.pairs[j] = s + j;
      }
      body(tile);
    }
    return;
  }
  const auto pair = [&](size_t r, size_t s) { return r * (2 * n - r - 1) / 2 + (s - r - 1); };
  for (size_t r = 0; r < n; r += kTileA) {
    const size_t rows = HWY_MIN(kTileA, n - r);
    for (size_t i = 0; i < rows; ++i) {  // within the rows of the tile
      for (size_t j = i + 1; j < rows; ++j) {
        tile.a[0] = row(r + i);
        tile.b[0] = row(r + j);
        tile.pairs[0] = pair(r + i, r + j);
        tile.a_count = tile.b_count = 1;
        body(tile);
      }
    }
    for (size_t s = r + rows; s < n; s += kTileB) {
      tile.a_count = rows;
      tile.b_count = HWY_MIN(kTileB, n - s);
      for (size_t i = 0; i < rows; ++i) tile.a[i] = row(r + i);
      for (size_t j = 0; j < tile.b_count; ++j) tile.b[j] = row(s + j);
      for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < tile.b_count; ++j)
          tile.pairs[tile.b_count * i + j] = pair(r + i, s + j);
      body(tile);
    }
  }
}

template <size_t kA, size_t... kB>
HWY_INLINE void RunTileOf(const DistanceRows& tile, size_t n, double* const* lanes,
                          std::index_sequence<kB...>) {
  using Function = void (*)(const float* const*, const float* const*, size_t, double* const*);
  static constexpr Function kTiles[] = {&DistanceTile<kA, kB + 1>...};
  kTiles[tile.b_count - 1](tile.a, tile.b, n, lanes);
}
// Whole groups of 16 columns of a tile.
HWY_INLINE void RunTile(const DistanceRows& tile, size_t n, double* const* lanes) {
  constexpr auto kB = std::make_index_sequence<kTileB>();
  if (tile.a_count == 1) return RunTileOf<1>(tile, n, lanes, kB);
  RunTileOf<kTileA>(tile, n, lanes, kB);
}

HWY_INLINE double AddLanes(double* lanes) {
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_COLUMNS_INL_H_
