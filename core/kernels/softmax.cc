// Softmax, its cross-entropy and the arg max: kernels over the rows of logits.
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;

float RowMax(const float* x, size_t cols) {
  const DF d;
  const size_t N = hn::Lanes(d);
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto largest = lowest;
  size_t j = 0;
  for (; j + N <= cols; j += N) largest = hn::Max(largest, hn::LoadU(d, x + j));
  if (j < cols) largest = hn::Max(largest, hn::LoadNOr(lowest, d, x + j, cols - j));
  return hn::ReduceMax(d, largest);
}

// The sum of exp(x - largest); also writes the terms to `terms` unless it is null (terms may be x).
float ExpSum(const float* x, size_t cols, float largest, float* terms) {
  const DF d;
  const size_t N = hn::Lanes(d);
  const auto vlargest = hn::Set(d, largest);
  auto sum = hn::Zero(d);
  size_t j = 0;
  for (; j + N <= cols; j += N) {
    const auto term = Exp(d, hn::Sub(hn::LoadU(d, x + j), vlargest));
    if (terms != nullptr) hn::StoreU(term, d, terms + j);
    sum = hn::Add(sum, term);
  }
  if (j < cols) {
    const auto term = Exp(d, hn::Sub(hn::LoadN(d, x + j, cols - j), vlargest));
    if (terms != nullptr) hn::StoreN(term, d, terms + j, cols - j);
    sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(d, cols - j), term));
  }
  return hn::ReduceSum(d, sum);
}

void ScaleRow(float a, float* x, size_t cols) {
  const DF d;
  const auto va = hn::Set(d, a);
  ForEachVector(d, cols, [&](size_t i, auto memory) HWY_ATTR {
    memory.Store(hn::Mul(va, memory.Load(d, x + i)), d, x + i);
  });
}

void Softmax(const float* logits, size_t rows, size_t cols, float* probabilities) {
  for (size_t r = 0; r < rows; ++r, logits += cols, probabilities += cols) {
    const float sum = ExpSum(logits, cols, RowMax(logits, cols), probabilities);
    ScaleRow(1.0f / sum, probabilities, cols);
  }
}

double SoftmaxCrossEntropy(const float* logits, const int32_t* labels, size_t rows, size_t cols,
                           float grad_scale, float* grad) {
  double loss = 0;
  for (size_t r = 0; r < rows; ++r, logits += cols) {
    const float largest = RowMax(logits, cols);
    const size_t label = static_cast<size_t>(labels[r]);
    const float margin = logits[label] - largest;  // read before grad, which may be the logits
    const float sum = ExpSum(logits, cols, largest, grad);
    loss += std::log(static_cast<double>(sum)) - static_cast<double>(margin);
    if (grad != nullptr) {
      ScaleRow(grad_scale / sum, grad, cols);
      grad[label] -= grad_scale;
      grad += cols;
    }
  }
  return loss;
}

void SoftmaxGrad(const float* y, const float* dy, size_t rows, size_t cols, float* dx) {
  const DF d;
  for (size_t r = 0; r < rows; ++r, y += cols, dy += cols, dx += cols) {
    auto sum = hn::Zero(d);
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      sum = FastMulAdd(memory.Load(d, y + j), memory.Load(d, dy + j), sum);
    });
    const auto dot = hn::Set(d, hn::ReduceSum(d, sum));
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      const auto from = hn::Sub(memory.Load(d, dy + j), dot);
      memory.Store(hn::Mul(memory.Load(d, y + j), from), d, dx + j);
    });
  }
}

double SquaredError(const float* x, const float* target, size_t n, float grad_scale, float* grad) {
  const DF d;
  const auto factor = hn::Set(d, 2 * grad_scale);
  double loss = 0;
  // Sums of so few are as good in f32.
  constexpr size_t kBlock = 1024;
  for (size_t first = 0; first < n; first += kBlock) {
    auto sum = hn::Zero(d);
    ForEachVector(d, HWY_MIN(kBlock, n - first), [&](size_t j, auto memory) HWY_ATTR {
      const size_t i = first + j;
      const auto from = hn::Sub(memory.Load(d, x + i), memory.Load(d, target + i));
      sum = FastMulAdd(from, from, sum);
      if (grad != nullptr) memory.Store(hn::Mul(from, factor), d, grad + i);
    });
    loss += static_cast<double>(hn::ReduceSum(d, sum));
  }
  return loss;
}

int32_t ArgMax(const float* x, size_t cols) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const size_t N = hn::Lanes(d);
  size_t best = 0;
  size_t j = 0;
  if (cols >= 2 * N) {
    auto largest = hn::LoadU(d, x);
    auto position = hn::Iota(di, 0);
    auto where = position;
    const auto step = hn::Set(di, static_cast<int32_t>(N));
    for (j = N; j + N <= cols; j += N) {
      position = hn::Add(position, step);
      const auto value = hn::LoadU(d, x + j);
      const auto larger = hn::Gt(value, largest);
      largest = hn::IfThenElse(larger, value, largest);
      where = hn::IfThenElse(hn::RebindMask(di, larger), position, where);
    }
    HWY_ALIGN int32_t lanes[hn::MaxLanes(di)];
    hn::Store(where, di, lanes);
    best = static_cast<size_t>(lanes[0]);
    for (size_t lane = 1; lane < N; ++lane) {
      const size_t other = static_cast<size_t>(lanes[lane]);
      if (x[other] > x[best] || (x[other] == x[best] && other < best)) best = other;
    }
  }
  for (; j < cols; ++j) {
    if (x[j] > x[best]) best = j;
  }
  return static_cast<int32_t>(best);
}

void ArgmaxRows(const float* x, size_t rows, size_t cols, int32_t* out) {
  for (size_t r = 0; r < rows; ++r) out[r] = ArgMax(x + r * cols, cols);
}

}  // namespace

void FillSoftmax(Kernels& table) {
  table.softmax = Softmax;
  table.softmax_cross_entropy = SoftmaxCrossEntropy;
  table.argmax_rows = ArgmaxRows;
  table.loss = {.softmax_grad = SoftmaxGrad, .squared_error = SquaredError};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillSoftmax(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillSoftmax, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
