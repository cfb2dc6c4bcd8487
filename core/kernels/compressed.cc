// Products with sparse and with 4-bit weights.
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/compressed.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::CappedTag<float, kMaxTileLanes>;
using DI32 = hn::Rebind<int32_t, DF>;
using DU8 = hn::Rebind<uint8_t, DF>;
using VF = hn::Vec<DF>;

// Vectors of a block of columns, and the most rows whose sums of a block fit the registers.
constexpr size_t kVectors = kSparseBlock / hn::MaxLanes(DF());
constexpr size_t kMaxRows = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;

HWY_INLINE VF Finish(VF sum, const LayerArgs& args, VF bias) {
  const DF d;
  sum = hn::Add(sum, bias);
  return args.relu ? hn::Max(sum, hn::Zero(d)) : sum;
}

// Calls body.Run<rows>(first row) for rows cut into kMaxRows and then ones.
template <class Body>
HWY_INLINE void ForEachRows(size_t rows, const Body& body) {
  size_t row = 0;
  for (; row + kMaxRows <= rows; row += kMaxRows) body.template Run<kMaxRows>(row);
  for (; row < rows; ++row) body.template Run<1>(row);
}

// Writes the sums of a block of columns, of which `columns` are real.
template <size_t kRows>
HWY_INLINE void StoreBlock(const LayerArgs& args, size_t row, size_t column,
                           VF (&sum)[kRows][kVectors]) {
  const DF d;
  const size_t N = hn::Lanes(d);
  for (size_t v = 0; v < kVectors && column + v * N < args.n; ++v) {
    const size_t at = column + v * N, count = HWY_MIN(N, args.n - at);
    const VF bias = args.bias == nullptr ? hn::Zero(d) : hn::LoadN(d, args.bias + at, count);
    for (size_t r = 0; r < kRows; ++r) {
      hn::StoreN(Finish(sum[r][v], args, bias), d, args.y + (row + r) * args.n + at, count);
    }
  }
}

// ---- Blocks

struct BlockRows {
  const LayerArgs& args;
  const SparseWeights& w;
  size_t column;

  template <size_t kRows>
  HWY_INLINE void Run(size_t row) const {
    const DF d;
    const size_t N = hn::Lanes(d);
    // A single row has sums enough for the latency of an addition only in several parts.
    constexpr size_t kParts = kRows == 1 ? 4 : 1;
    VF sum[kParts][kRows][kVectors];
    for (auto& part : sum) {
      for (auto& of_row : part) {
        for (VF& value : of_row) value = hn::Zero(d);
      }
    }
    const float* x = args.x + row * args.depth;
    const auto add = [&](size_t entry, VF(&to)[kRows][kVectors]) HWY_ATTR {
      const float* values = w.values + entry * kSparseBlock;
      const float* at = x + w.indices[entry];
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        const VF left = hn::Set(d, at[r * args.depth]);
        HWY_UNROLL(4)
        for (size_t v = 0; v < kVectors; ++v) {
          to[r][v] = FastMulAdd(left, hn::LoadU(d, values + v * N), to[r][v]);
        }
      }
    };
    size_t entry = w.starts[column / kSparseBlock];
    const size_t end = w.starts[column / kSparseBlock + 1];
    for (; entry + kParts <= end; entry += kParts) {
      HWY_UNROLL(4)
      for (size_t part = 0; part < kParts; ++part) add(entry + part, sum[part]);
    }
    for (; entry < end; ++entry) add(entry, sum[0]);
    for (size_t part = 1; part < kParts; ++part) {
      for (size_t v = 0; v < kVectors; ++v) {
        sum[0][0][v] = hn::Add(sum[0][0][v], sum[part][0][v]);
      }
    }
    StoreBlock(args, row, column, sum[0]);
  }
};

void BlockSparse(const LayerArgs& args, const SparseWeights& weights) {
  for (size_t column = 0; column < args.n; column += kSparseBlock) {
    ForEachRows(args.rows, BlockRows{args, weights, column});
  }
}

// ---- Two of four

struct TwoOfFourRows {
  const LayerArgs& args;
  const float* values;
  const uint8_t* positions;
  size_t column;

  template <size_t kRows>
  HWY_INLINE void Run(size_t row) const {
    const DF d;
    const DI32 di;
    const size_t N = hn::Lanes(d);
    VF sum[kRows][kVectors], second[kRows][kVectors];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = second[r][v] = hn::Zero(d);
    }
    const float* value = values + column * args.depth / 2;
    const uint8_t* position = positions + column * args.depth / 4;
    const float* x = args.x + row * args.depth;
    for (size_t i = 0; i < args.depth; i += 4) {
      HWY_UNROLL(4)
      for (size_t v = 0; v < kVectors; ++v) {
        const auto both = hn::PromoteTo(di, hn::LoadU(DU8(), position + v * N));
        const auto at0 = hn::IndicesFromVec(d, hn::And(both, hn::Set(di, 3)));
        const auto at1 = hn::IndicesFromVec(d, hn::ShiftRight<2>(both));
        const VF value0 = hn::LoadU(d, value + v * N);
        const VF value1 = hn::LoadU(d, value + kSparseBlock + v * N);
        HWY_UNROLL(8)
        for (size_t r = 0; r < kRows; ++r) {
          const VF four = hn::LoadDup128(d, x + r * args.depth + i);
          sum[r][v] = FastMulAdd(hn::TableLookupLanes(four, at0), value0, sum[r][v]);
          second[r][v] = FastMulAdd(hn::TableLookupLanes(four, at1), value1, second[r][v]);
        }
      }
      value += 2 * kSparseBlock;
      position += kSparseBlock;
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = hn::Add(sum[r][v], second[r][v]);
    }
    StoreBlock(args, row, column, sum);
  }
};

void TwoOfFour(const LayerArgs& args, const float* values, const uint8_t* positions) {
  for (size_t column = 0; column < args.n; column += kSparseBlock) {
    ForEachRows(args.rows, TwoOfFourRows{args, values, positions, column});
  }
}

// ---- Single weights

// One row: gathers x, several entries at once.
void SparseRow(const LayerArgs& args, const SparseWeights& w, const float* x, float* y) {
  const DF d;
  const DI32 di;
  const size_t N = hn::Lanes(d);
  for (size_t j = 0; j < args.n; ++j) {
    VF sum = hn::Zero(d);
    uint32_t entry = w.starts[j];
    const uint32_t end = w.starts[j + 1];
    for (; entry + N <= end; entry += static_cast<uint32_t>(N)) {
      const auto at = hn::LoadU(di, reinterpret_cast<const int32_t*>(w.indices + entry));
      sum = FastMulAdd(hn::GatherIndex(d, x, at), hn::LoadU(d, w.values + entry), sum);
    }
    float total = hn::ReduceSum(d, sum);
    for (; entry < end; ++entry) total += x[w.indices[entry]] * w.values[entry];
    if (args.bias != nullptr) total += args.bias[j];
    y[j] = args.relu ? HWY_MAX(total, 0.0f) : total;
  }
}

void Sparse(const LayerArgs& args, const SparseWeights& w) {
  const DF d;
  const size_t N = hn::Lanes(d);
  if (args.rows < 4) {
    for (size_t row = 0; row < args.rows; ++row) {
      SparseRow(args, w, args.x + row * args.depth, args.y + row * args.n);
    }
    return;
  }
  // Rows become lanes: one weight serves a whole vector of them.
  constexpr size_t kLanes = 2 * hn::MaxLanes(DF());
  for (size_t row = 0; row < args.rows; row += kLanes) {
    const size_t rows = HWY_MIN(kLanes, args.rows - row);
    PackColumns(args.x + row * args.depth, args.depth, args.depth, rows, kLanes, args.workspace);
    for (size_t j = 0; j < args.n; ++j) {
      VF sum[2][2] = {{hn::Zero(d), hn::Zero(d)}, {hn::Zero(d), hn::Zero(d)}};
      const auto add = [&](uint32_t entry, VF(&to)[2]) HWY_ATTR {
        const float* x = args.workspace + w.indices[entry] * kLanes;
        const VF value = hn::Set(d, w.values[entry]);
        to[0] = FastMulAdd(value, hn::LoadU(d, x), to[0]);
        to[1] = FastMulAdd(value, hn::LoadU(d, x + N), to[1]);
      };
      uint32_t entry = w.starts[j];
      const uint32_t end = w.starts[j + 1];
      for (; entry + 2 <= end; entry += 2) {
        add(entry, sum[0]);
        add(entry + 1, sum[1]);
      }
      if (entry < end) add(entry, sum[0]);
      const VF bias = args.bias == nullptr ? hn::Zero(d) : hn::Set(d, args.bias[j]);
      HWY_ALIGN float column[kLanes];
      hn::Store(Finish(hn::Add(sum[0][0], sum[1][0]), args, bias), d, column);
      hn::Store(Finish(hn::Add(sum[0][1], sum[1][1]), args, bias), d, column + N);
      for (size_t r = 0; r < rows; ++r) args.y[(row + r) * args.n + j] = column[r];
    }
  }
}

// ---- 4 bits

// The sums of one vector of columns and up to kRows rows.
template <size_t kRows, class Memory>
HWY_INLINE void Int4Columns(const LayerArgs& args, const uint8_t* codes, const uint16_t* scales,
                            size_t row, size_t column, const Memory& memory) {
  const DF d;
  const DI32 di;
  const hn::Rebind<hwy::float16_t, DF> dh;
  VF total[kRows];
  for (VF& value : total) value = hn::Zero(d);
  const float* x = args.x + row * args.depth;
  for (size_t first = 0; first < args.depth; first += 32) {
    const size_t end = HWY_MIN(first + 32, args.depth);
    VF sum[kRows][2];
    for (auto& of_row : sum) of_row[0] = of_row[1] = hn::Zero(d);
    for (size_t i = first; i < end; i += 2) {
      const auto both = hn::PromoteTo(di, memory.Load(DU8(), codes + i / 2 * args.n + column));
      const auto eight = hn::Set(di, 8);
      const VF low = hn::ConvertTo(d, hn::Sub(hn::And(both, hn::Set(di, 15)), eight));
      const VF high = hn::ConvertTo(d, hn::Sub(hn::ShiftRight<4>(both), eight));
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        const float* at = x + r * args.depth + i;
        sum[r][0] = FastMulAdd(hn::Set(d, at[0]), low, sum[r][0]);
        if (i + 1 < end) sum[r][1] = FastMulAdd(hn::Set(d, at[1]), high, sum[r][1]);
      }
    }
    const VF scale = hn::PromoteTo(d, memory.Load(dh, reinterpret_cast<const hwy::float16_t*>(
                                                          scales + first / 32 * args.n + column)));
    for (size_t r = 0; r < kRows; ++r) {
      total[r] = FastMulAdd(hn::Add(sum[r][0], sum[r][1]), scale, total[r]);
    }
  }
  const VF bias = args.bias == nullptr ? hn::Zero(d) : memory.Load(d, args.bias + column);
  for (size_t r = 0; r < kRows; ++r) {
    memory.Store(Finish(total[r], args, bias), d, args.y + (row + r) * args.n + column);
  }
}

struct Int4Rows {
  const LayerArgs& args;
  const uint8_t* codes;
  const uint16_t* scales;

  template <size_t kRows>
  HWY_INLINE void Run(size_t row) const {
    ForEachVector(DF(), args.n, [&](size_t column, auto memory) HWY_ATTR {
      Int4Columns<kRows>(args, codes, scales, row, column, memory);
    });
  }
};

void Int4(const LayerArgs& args, const uint8_t* codes, const uint16_t* scales) {
  ForEachRows(args.rows, Int4Rows{args, codes, scales});
}

}  // namespace

void FillCompressed(Kernels& table) {
  table.compressed = {
      .sparse = Sparse, .block_sparse = BlockSparse, .two_of_four = TwoOfFour, .int4 = Int4};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t LayerWorkspace(size_t rows, size_t depth) { return rows < 4 ? 0 : 32 * depth; }

void FillCompressed(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillCompressed, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
