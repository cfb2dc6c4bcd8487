// Exact aggregation and the reductions whose bits are the same on every target: multiplications and
// additions stay apart where a product is rounded, orders are fixed.
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/exact.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF64 = hn::ScalableTag<double>;
using DHalf = hn::Rebind<float, DF64>;

// One term of the exact mean on a vector: w * x rounded to the grid by the magic number M. The
// product of 29 and 24 bits is exact in f64: fused or not, the bits are the same.
template <class V>
HWY_INLINE V OnGrid(V weight, V x, V magic) {
  return hn::Sub(hn::MulAdd(weight, x, magic), magic);
}

// All rows pass while four vectors of accumulators stay in registers. The rows are told apart at
// compile time: one load instruction per row is what the hardware's prefetcher follows.
template <size_t kRows>
void FoldRows(const float* rows, size_t stride, const uint32_t* weights, int grid_exp, double* acc,
              size_t n) {
  const DF64 d;
  const DHalf dhalf;
  const size_t N = hn::Lanes(d);
  const auto magic = hn::Set(d, std::ldexp(1.5, 52 + grid_exp));
  const float* x[kRows];
  double weight[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    x[r] = rows + r * stride;
    weight[r] = static_cast<double>(weights[r]);
  }

  size_t i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    auto sum0 = hn::LoadU(d, acc + i), sum1 = hn::LoadU(d, acc + i + N);
    auto sum2 = hn::LoadU(d, acc + i + 2 * N), sum3 = hn::LoadU(d, acc + i + 3 * N);
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) {
      const float* p = x[r] + i;
      const auto w = hn::Set(d, weight[r]);
      sum0 = hn::Add(sum0, OnGrid(w, hn::PromoteTo(d, hn::LoadU(dhalf, p)), magic));
      sum1 = hn::Add(sum1, OnGrid(w, hn::PromoteTo(d, hn::LoadU(dhalf, p + N)), magic));
      sum2 = hn::Add(sum2, OnGrid(w, hn::PromoteTo(d, hn::LoadU(dhalf, p + 2 * N)), magic));
      sum3 = hn::Add(sum3, OnGrid(w, hn::PromoteTo(d, hn::LoadU(dhalf, p + 3 * N)), magic));
    }
    hn::StoreU(sum0, d, acc + i);
    hn::StoreU(sum1, d, acc + i + N);
    hn::StoreU(sum2, d, acc + i + 2 * N);
    hn::StoreU(sum3, d, acc + i + 3 * N);
  }
  ForEachVector(d, n - i, [&](size_t offset, auto memory) HWY_ATTR {
    auto sum = memory.Load(d, acc + i + offset);
    for (size_t r = 0; r < kRows; ++r) {
      const auto value = hn::PromoteTo(d, memory.Load(dhalf, x[r] + i + offset));
      sum = hn::Add(sum, OnGrid(hn::Set(d, weight[r]), value, magic));
    }
    memory.Store(sum, d, acc + i + offset);
  });
}

void FoldExact(const float* rows, size_t stride, const uint32_t* weights, size_t row_count,
               int grid_exp, double* acc, size_t n) {
  // Between groups of rows a block of accumulators, 256 KiB, stays in L2.
  constexpr size_t kBlock = 32768;
  for (size_t i = 0; i < n; i += kBlock) {
    const size_t count = HWY_MIN(kBlock, n - i);
    const float* x = rows + i;
    size_t r = 0;
    for (; r + 4 <= row_count; r += 4) {
      FoldRows<4>(x + r * stride, stride, weights + r, grid_exp, acc + i, count);
    }
    for (; r < row_count; ++r)
      FoldRows<1>(x + r * stride, stride, weights + r, grid_exp, acc + i, count);
  }
}

void MeanExact(const double* acc, double total, const float* base, float* out, size_t n) {
  const DF64 d;
  const DHalf dhalf;
  const auto divisor = hn::Set(d, total);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto mean = hn::DemoteTo(dhalf, hn::Div(memory.Load(d, acc + i), divisor));
    const auto start = base == nullptr ? hn::Zero(dhalf) : memory.Load(dhalf, base + i);
    memory.Store(hn::Add(start, mean), dhalf, out + i);
  });
}

constexpr size_t kVirtualLanes = 16;

double LeafSumOfSquares(const float* x, size_t n) {
  // At most 512 bits: 16 lanes are a whole number of vectors.
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<float, decltype(d)> dhalf;
  constexpr size_t N = hn::MaxLanes(d);
  constexpr size_t kVectors = kVirtualLanes / N;
  hn::Vec<decltype(d)> sums[kVectors];
  for (size_t v = 0; v < kVectors; ++v) sums[v] = hn::Zero(d);

  const auto add_block = [&](const float* block) HWY_ATTR {
    for (size_t v = 0; v < kVectors; ++v) {
      const auto value = hn::PromoteTo(d, hn::LoadU(dhalf, block + v * N));
      sums[v] = hn::Add(sums[v], hn::Mul(value, value));
    }
  };
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) add_block(x + i);
  if (i < n) {
    // Zeros add nothing: the sums are not negative.
    std::array<float, kVirtualLanes> block{};
    std::memcpy(block.data(), x + i, (n - i) * sizeof(float));
    add_block(block.data());
  }

  double lanes[kVirtualLanes];
  for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[v], d, lanes + v * N);
  for (size_t half = kVirtualLanes / 2; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

double SumSquares(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i += kReductionLeaf) {
    sum += LeafSumOfSquares(x + i, HWY_MIN(kReductionLeaf, n - i));
  }
  return sum;
}

// The bits of |x| are ordered as integers, and infinity and NaN are the largest.
bool MaxAbs(const float* x, size_t n, float* out) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto magnitude = hn::Set(di, 0x7fffffff);
  auto largest = hn::Zero(di);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto bits = hn::BitCast(di, memory.Load(d, x + i));
    largest = hn::Max(largest, hn::And(bits, magnitude));
  });
  const int32_t bits = hn::ReduceMax(di, largest);
  std::memcpy(out, &bits, sizeof(bits));
  return bits < 0x7f800000;
}

}  // namespace

void FillExact(Kernels& table) {
  table.fold_exact = FoldExact;
  table.mean_exact = MeanExact;
  table.sum_squares = SumSquares;
  table.max_abs = MaxAbs;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillExact(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillExact, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
