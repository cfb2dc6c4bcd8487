// What batch and group norm are made of: passes over x[rows, cols] with one value for each column.
#if defined(LINNET_KERNELS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_NORM_INL_H_
#undef LINNET_KERNELS_NORM_INL_H_
#else
#define LINNET_KERNELS_NORM_INL_H_
#endif

#include "kernels/ops-inl.h"
#include "kernels/tasks.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DNorm = hn::ScalableTag<float>;
using VNorm = hn::Vec<DNorm>;

// Of each element, with what reading it from memory costs.
constexpr size_t kNormFlops = 16;

// Calls body(j, memory) for the vectors of columns, two at a time where there are two: body takes
// the number of vectors as a constant.
template <class Body>
HWY_INLINE void ForEachColumnPair(size_t cols, const Body& body) {
  const DNorm d;
  const size_t N = hn::Lanes(d);
  size_t j = 0;
  for (; j + 2 * N <= cols; j += 2 * N) body(j, j + N, WholeVector{});
  for (; j + N <= cols; j += N) body(j, j, WholeVector{});
  if (j < cols) body(j, j, PartOfVector{cols - j});
}

// mean[j] and squares[j] = sum of (x - mean)^2, in two passes.
inline void ColumnMoments(const float* x, size_t rows, size_t cols, float* mean, float* squares) {
  const DNorm d;
  const VNorm share = hn::Set(d, 1.0f / static_cast<float>(rows));
  ForEachColumnPair(cols, [&](size_t j, size_t k, auto memory) HWY_ATTR {
    VNorm sum0 = hn::Zero(d), sum1 = hn::Zero(d);
    for (size_t i = 0; i < rows * cols; i += cols) {
      sum0 = hn::Add(sum0, memory.Load(d, x + i + j));
      sum1 = hn::Add(sum1, memory.Load(d, x + i + k));
    }
    const VNorm mean0 = hn::Mul(sum0, share), mean1 = hn::Mul(sum1, share);
    VNorm squares0 = hn::Zero(d), squares1 = hn::Zero(d);
    for (size_t i = 0; i < rows * cols; i += cols) {
      const VNorm from0 = hn::Sub(memory.Load(d, x + i + j), mean0);
      const VNorm from1 = hn::Sub(memory.Load(d, x + i + k), mean1);
      squares0 = FastMulAdd(from0, from0, squares0);
      squares1 = FastMulAdd(from1, from1, squares1);
    }
    memory.Store(mean0, d, mean + j);
    memory.Store(mean1, d, mean + k);
    memory.Store(squares0, d, squares + j);
    memory.Store(squares1, d, squares + k);
  });
}

// y = (x - mean) * multiplier + shift.
inline void NormalizeColumns(const float* x, size_t rows, size_t cols, const float* mean,
                             const float* multiplier, const float* shift, float* y) {
  const DNorm d;
  for (size_t r = 0; r < rows; ++r, x += cols, y += cols) {
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      const VNorm from = hn::Sub(memory.Load(d, x + j), memory.Load(d, mean + j));
      memory.Store(FastMulAdd(from, memory.Load(d, multiplier + j), memory.Load(d, shift + j)), d,
                   y + j);
    });
  }
}

// sum_dy[j] = sum of dy, sum_dot[j] = sum of dy (x - mean).
inline void ColumnGradientSums(const float* x, const float* dy, size_t rows, size_t cols,
                               const float* mean, float* sum_dy, float* sum_dot) {
  const DNorm d;
  ForEachColumnPair(cols, [&](size_t j, size_t k, auto memory) HWY_ATTR {
    const VNorm mean0 = memory.Load(d, mean + j), mean1 = memory.Load(d, mean + k);
    VNorm sum0 = hn::Zero(d), sum1 = sum0, dot0 = sum0, dot1 = sum0;
    for (size_t i = 0; i < rows * cols; i += cols) {
      const VNorm dy0 = memory.Load(d, dy + i + j), dy1 = memory.Load(d, dy + i + k);
      sum0 = hn::Add(sum0, dy0);
      sum1 = hn::Add(sum1, dy1);
      dot0 = FastMulAdd(dy0, hn::Sub(memory.Load(d, x + i + j), mean0), dot0);
      dot1 = FastMulAdd(dy1, hn::Sub(memory.Load(d, x + i + k), mean1), dot1);
    }
    memory.Store(sum0, d, sum_dy + j);
    memory.Store(sum1, d, sum_dy + k);
    memory.Store(dot0, d, sum_dot + j);
    memory.Store(dot1, d, sum_dot + k);
  });
}

// dx = dy * multiplier - offset - (x - mean) * slope.
inline void ColumnGradients(const float* x, const float* dy, size_t rows, size_t cols,
                            const float* mean, const float* multiplier, const float* offset,
                            const float* slope, float* dx) {
  const DNorm d;
  for (size_t r = 0; r < rows; ++r, x += cols, dy += cols, dx += cols) {
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      const VNorm from = hn::Sub(memory.Load(d, x + j), memory.Load(d, mean + j));
      const VNorm rest = FastMulAdd(from, memory.Load(d, slope + j), memory.Load(d, offset + j));
      const VNorm direct = hn::Mul(memory.Load(d, dy + j), memory.Load(d, multiplier + j));
      memory.Store(hn::Sub(direct, rest), d, dx + j);
    });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // LINNET_KERNELS_NORM_INL_H_
