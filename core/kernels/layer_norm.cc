// Layer norm: each row by itself; the gradient of the parameters by blocks of rows, whose sums are
// added in the order of the blocks.
#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/norm-inl.h"

#ifndef LINNET_KERNELS_LAYER_NORM_BLOCKS
#define LINNET_KERNELS_LAYER_NORM_BLOCKS
namespace linnet {
namespace {

constexpr size_t kLayerNormRows = 64;

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

void LayerNorm(const float* x, size_t rows, size_t cols, float epsilon, const float* scale,
               const float* shift, float* y, float* mean, float* variance) {
  const DNorm d;
  const float share = 1.0f / static_cast<float>(cols);
  for (size_t r = 0; r < rows; ++r, x += cols, y += cols) {
    VNorm sum = hn::Zero(d);
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      sum = hn::Add(sum, memory.Load(d, x + j));
    });
    const float center = hn::ReduceSum(d, sum) * share;
    const VNorm vcenter = hn::Set(d, center);
    VNorm squares = hn::Zero(d);
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      // The lanes beyond the row repeat the mean: they add nothing.
      const VNorm from = hn::Sub(memory.LoadOr(vcenter, d, x + j), vcenter);
      squares = FastMulAdd(from, from, squares);
    });
    const float spread = hn::ReduceSum(d, squares) * share;
    const VNorm inverse = hn::Set(d, 1.0f / std::sqrt(spread + epsilon));
    ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
      const VNorm z = hn::Mul(hn::Sub(memory.Load(d, x + j), vcenter), inverse);
      memory.Store(FastMulAdd(z, memory.Load(d, scale + j), memory.Load(d, shift + j)), d, y + j);
    });
    if (mean != nullptr) mean[r] = center;
    if (variance != nullptr) variance[r] = spread;
  }
}

// One row: adds to dscale and dshift; with z = (x - mean) inverse and g = dy scale,
// dx = inverse (g - mean of g - z mean of (g z)).
void LayerNormRowGrad(const float* x, const float* dy, size_t cols, const float* scale, float mean,
                      float inverse, float* dx, float* dscale, float* dshift) {
  const DNorm d;
  const VNorm vmean = hn::Set(d, mean), vinverse = hn::Set(d, inverse);
  VNorm sum = hn::Zero(d), dot = hn::Zero(d);
  ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
    const VNorm z = hn::Mul(hn::Sub(memory.Load(d, x + j), vmean), vinverse);
    const VNorm part = memory.Load(d, dy + j);
    const VNorm g = hn::Mul(part, memory.Load(d, scale + j));
    sum = hn::Add(sum, g);
    dot = FastMulAdd(g, z, dot);
    memory.Store(FastMulAdd(part, z, memory.Load(d, dscale + j)), d, dscale + j);
    memory.Store(hn::Add(part, memory.Load(d, dshift + j)), d, dshift + j);
  });
  if (dx == nullptr) return;
  const float share = 1.0f / static_cast<float>(cols);
  const VNorm direct = hn::Set(d, hn::ReduceSum(d, sum) * share);
  const VNorm along = hn::Set(d, hn::ReduceSum(d, dot) * share);
  ForEachVector(d, cols, [&](size_t j, auto memory) HWY_ATTR {
    const VNorm z = hn::Mul(hn::Sub(memory.Load(d, x + j), vmean), vinverse);
    const VNorm g = hn::Mul(memory.Load(d, dy + j), memory.Load(d, scale + j));
    const VNorm rest = FastMulAdd(z, along, direct);
    memory.Store(hn::Mul(vinverse, hn::Sub(g, rest)), d, dx + j);
  });
}

void LayerNormGrad(const float* x, size_t rows, size_t cols, float epsilon, const float* scale,
                   const float* mean, const float* variance, const float* dy, float* dx,
                   bool accumulate, float* dscale, float* dshift, float* workspace,
                   Executor* executor) {
  const size_t blocks = (rows + kLayerNormRows - 1) / kLayerNormRows;
  const auto block_gradient = [&](size_t block) {
    float* sums = workspace + 2 * block * cols;
    std::memset(sums, 0, 2 * cols * sizeof(float));
    const size_t end = HWY_MIN((block + 1) * kLayerNormRows, rows);
    for (size_t r = block * kLayerNormRows; r < end; ++r) {
      const float inverse = 1.0f / std::sqrt(variance[r] + epsilon);
      LayerNormRowGrad(x + r * cols, dy + r * cols, cols, scale, mean[r], inverse,
                       dx == nullptr ? nullptr : dx + r * cols, sums, sums + cols);
    }
  };
  RunTasks(executor, Tasks(blocks, kLayerNormRows * cols * kNormFlops),
           [&](size_t begin, size_t end) {
             for (size_t block = begin; block < end; ++block) block_gradient(block);
           });
  const auto add = [](VNorm a, VNorm b) HWY_ATTR { return hn::Add(a, b); };
  if (!accumulate) {
    std::memset(dscale, 0, cols * sizeof(float));
    std::memset(dshift, 0, cols * sizeof(float));
  }
  for (size_t block = 0; block < blocks; ++block) {
    const float* sums = workspace + 2 * block * cols;
    Lift(dscale, sums, dscale, cols, add);
    Lift(dshift, sums + cols, dshift, cols, add);
  }
}

}  // namespace

void FillLayerNorm(Kernels& table) {
  table.norm.layer_norm = LayerNorm;
  table.norm.layer_norm_grad = LayerNormGrad;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t LayerNormWorkspace(size_t rows, size_t cols) {
  return (rows + kLayerNormRows - 1) / kLayerNormRows * 2 * cols;
}

void FillLayerNorm(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillLayerNorm, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
