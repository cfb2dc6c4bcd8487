// Sums over rows or any axis, and what undoes them in the gradient.
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// For each vector of columns j: end(j, memory, sum) with sum = begin(j, memory), then
// add(r * cols + j, memory, sum) for each row r.
template <class Begin, class Add, class End>
HWY_INLINE void ForEachColumn(size_t rows, size_t cols, const Begin& begin, const Add& add,
                              const End& end) {
  const DF d;
  const size_t N = hn::Lanes(d);
  size_t j = 0;
  // Four columns of vectors: a cache line or more of each row, and four chains of additions.
  for (; j + 4 * N <= cols; j += 4 * N) {
    const WholeVector whole;
    VF sum0 = begin(j, whole), sum1 = begin(j + N, whole);
    VF sum2 = begin(j + 2 * N, whole), sum3 = begin(j + 3 * N, whole);
    size_t i = j;
    for (size_t r = 0; r < rows; ++r, i += cols) {
      sum0 = add(i, whole, sum0);
      sum1 = add(i + N, whole, sum1);
      sum2 = add(i + 2 * N, whole, sum2);
      sum3 = add(i + 3 * N, whole, sum3);
    }
    end(j, whole, sum0);
    end(j + N, whole, sum1);
    end(j + 2 * N, whole, sum2);
    end(j + 3 * N, whole, sum3);
  }
  ForEachVector(d, cols - j, [&](size_t k, auto memory) HWY_ATTR {
    VF sum = begin(j + k, memory);
    for (size_t r = 0; r < rows; ++r) sum = add(r * cols + j + k, memory, sum);
    end(j + k, memory, sum);
  });
}

void ColumnSums(const float* x, size_t rows, size_t cols, bool accumulate, float* out) {
  const DF d;
  ForEachColumn(
      rows, cols,
      [&](size_t j, auto memory)
          HWY_ATTR { return accumulate ? memory.Load(d, out + j) : hn::Zero(d); },
      [&](size_t i, auto memory, VF sum) HWY_ATTR { return hn::Add(sum, memory.Load(d, x + i)); },
      [&](size_t j, auto memory, VF sum) HWY_ATTR { memory.Store(sum, d, out + j); });
}

void ColumnDots(const float* a, const float* b, size_t rows, size_t cols, bool accumulate,
                float* out) {
  const DF d;
  ForEachColumn(
      rows, cols,
      [&](size_t j, auto memory)
          HWY_ATTR { return accumulate ? memory.Load(d, out + j) : hn::Zero(d); },
      [&](size_t i, auto memory, VF sum)
          HWY_ATTR { return FastMulAdd(memory.Load(d, a + i), memory.Load(d, b + i), sum); },
      [&](size_t j, auto memory, VF sum) HWY_ATTR { memory.Store(sum, d, out + j); });
}

float SumOfRow(const float* x, size_t n) {
  const DF d;
  const size_t N = hn::Lanes(d);
  VF sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    sum0 = hn::Add(sum0, hn::LoadU(d, x + i));
    sum1 = hn::Add(sum1, hn::LoadU(d, x + i + N));
    sum2 = hn::Add(sum2, hn::LoadU(d, x + i + 2 * N));
    sum3 = hn::Add(sum3, hn::LoadU(d, x + i + 3 * N));
  }
  ForEachVector(d, n - i, [&](size_t k, auto memory) HWY_ATTR {
    sum0 = hn::Add(sum0, memory.Load(d, x + i + k));
  });
  return hn::ReduceSum(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
}

void Sum(const float* x, size_t outer, size_t axis, size_t inner, float factor, float* y) {
  const DF d;
  const VF vfactor = hn::Set(d, factor);
  for (size_t o = 0; o < outer; ++o, x += axis * inner, y += inner) {
    if (inner == 1) {
      *y = factor * SumOfRow(x, axis);
      continue;
    }
    ForEachColumn(
        axis, inner, [&](size_t, auto) HWY_ATTR { return hn::Zero(d); },
        [&](size_t i, auto memory, VF sum) HWY_ATTR { return hn::Add(sum, memory.Load(d, x + i)); },
        [&](size_t j, auto memory, VF sum)
            HWY_ATTR { memory.Store(hn::Mul(sum, vfactor), d, y + j); });
  }
}

void Spread(const float* y, size_t outer, size_t axis, size_t inner, float factor, float* x) {
  const DF d;
  const VF vfactor = hn::Set(d, factor);
  for (size_t o = 0; o < outer; ++o, y += inner) {
    if (inner == 1) {
      const VF value = hn::Set(d, factor * *y);
      ForEachVector(d, axis,
                    [&](size_t i, auto memory) HWY_ATTR { memory.Store(value, d, x + i); });
      x += axis;
      continue;
    }
    for (size_t a = 0; a < axis; ++a, x += inner) {
      Lift(y, x, inner, [&](VF value) HWY_ATTR { return hn::Mul(value, vfactor); });
    }
  }
}

}  // namespace

void FillReduce(Kernels& table) {
  table.column_sums = ColumnSums;
  table.reduce = {.column_dots = ColumnDots, .sum = Sum, .spread = Spread};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillReduce(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillReduce, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
