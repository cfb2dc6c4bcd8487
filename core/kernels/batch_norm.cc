// Batch norm: statistics of each channel over blocks of rows, merged in the order of the blocks.
#include <cmath>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/batch_norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/norm-inl.h"

#ifndef LINNET_KERNELS_BATCH_NORM_BLOCKS
#define LINNET_KERNELS_BATCH_NORM_BLOCKS
namespace linnet {
namespace {

// Rows of a block: 128 KiB, so that a second pass over it reads L2.
inline size_t NormBlockRows(size_t channels) {
  return HWY_MAX(size_t{8}, HWY_MIN(size_t{256}, 32768 / HWY_MAX(channels, size_t{1})));
}
inline size_t NormBlocks(size_t rows, size_t channels) {
  const size_t block = NormBlockRows(channels);
  return (rows + block - 1) / block;
}

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// body(block, first element, rows) for each block of rows.
template <class Body>
void ForEachBlock(Executor* executor, size_t rows, size_t channels, const Body& body) {
  const size_t block_rows = NormBlockRows(channels);
  const Tasks tasks(NormBlocks(rows, channels), block_rows * channels * kNormFlops);
  RunTasks(executor, tasks, [&](size_t begin, size_t end) {
    for (size_t block = begin; block < end; ++block) {
      const size_t first = block * block_rows;
      body(block, first * channels, HWY_MIN(block_rows, rows - first));
    }
  });
}

// Adds the moments of a block to those of the `before` rows before it (Chan, Golub and LeVeque
// 1983, equation 2.1).
void MergeMoments(const float* block_mean, const float* block_squares, size_t rows, size_t before,
                  size_t channels, float* mean, float* squares) {
  const DNorm d;
  const float share = static_cast<float>(rows) / static_cast<float>(before + rows);
  const VNorm vshare = hn::Set(d, share);
  const VNorm weight = hn::Set(d, share * static_cast<float>(before));
  ForEachVector(d, channels, [&](size_t j, auto memory) HWY_ATTR {
    const VNorm old = memory.Load(d, mean + j);
    const VNorm delta = hn::Sub(memory.Load(d, block_mean + j), old);
    const VNorm sum = hn::Add(memory.Load(d, squares + j), memory.Load(d, block_squares + j));
    memory.Store(FastMulAdd(delta, vshare, old), d, mean + j);
    memory.Store(FastMulAdd(hn::Mul(delta, delta), weight, sum), d, squares + j);
  });
}

void BatchNorm(const float* x, size_t rows, size_t channels, float epsilon, const float* scale,
               const float* shift, float* y, float* mean, float* variance, float* workspace,
               Executor* executor) {
  ForEachBlock(executor, rows, channels, [&](size_t block, size_t first, size_t block_rows) {
    float* moments = workspace + 2 * block * channels;
    ColumnMoments(x + first, block_rows, channels, moments, moments + channels);
  });
  for (size_t j = 0; j < channels; ++j) {
    mean[j] = workspace[j];
    variance[j] = workspace[channels + j];
  }
  const size_t blocks = NormBlocks(rows, channels), block_rows = NormBlockRows(channels);
  for (size_t block = 1; block < blocks; ++block) {
    const float* moments = workspace + 2 * block * channels;
    const size_t before = block * block_rows;
    MergeMoments(moments, moments + channels, HWY_MIN(block_rows, rows - before), before, channels,
                 mean, variance);
  }
  float* multiplier = workspace;
  for (size_t j = 0; j < channels; ++j) {
    variance[j] /= static_cast<float>(rows);
    multiplier[j] = scale[j] / std::sqrt(variance[j] + epsilon);
  }
  ForEachBlock(executor, rows, channels, [&](size_t, size_t first, size_t count) {
    NormalizeColumns(x + first, count, channels, mean, multiplier, shift, y + first);
  });
}

// With z = (x - mean) inverse: dx = scale inverse (dy - mean of dy - z mean of (dy z)).
void BatchNormGrad(const float* x, size_t rows, size_t channels, float epsilon, const float* scale,
                   const float* mean, const float* variance, const float* dy, float* dx,
                   bool accumulate, float* dscale, float* dshift, float* workspace,
                   Executor* executor) {
  ForEachBlock(executor, rows, channels, [&](size_t block, size_t first, size_t block_rows) {
    float* sums = workspace + 2 * block * channels;
    ColumnGradientSums(x + first, dy + first, block_rows, channels, mean, sums, sums + channels);
  });
  const size_t blocks = NormBlocks(rows, channels);
  for (size_t block = 1; block < blocks; ++block) {
    const float* sums = workspace + 2 * block * channels;
    Lift(workspace, sums, workspace, 2 * channels,
         [](VNorm a, VNorm b) HWY_ATTR { return hn::Add(a, b); });
  }
  float* offset = workspace;
  float* slope = workspace + channels;
  float* multiplier = workspace + 2 * channels;
  const float share = 1.0f / static_cast<float>(rows);
  for (size_t j = 0; j < channels; ++j) {
    const float inverse = 1.0f / std::sqrt(variance[j] + epsilon);
    const float sum_dy = offset[j], sum_dy_z = slope[j] * inverse;
    dshift[j] = sum_dy + (accumulate ? dshift[j] : 0.0f);
    dscale[j] = sum_dy_z + (accumulate ? dscale[j] : 0.0f);
    multiplier[j] = scale[j] * inverse;
    offset[j] = multiplier[j] * sum_dy * share;
    slope[j] = multiplier[j] * sum_dy_z * inverse * share;
  }
  if (dx == nullptr) return;
  ForEachBlock(executor, rows, channels, [&](size_t, size_t first, size_t count) {
    ColumnGradients(x + first, dy + first, count, channels, mean, multiplier, offset, slope,
                    dx + first);
  });
}

void BatchNormUpdate(const float* mean, const float* variance, size_t rows, size_t channels,
                     float momentum, float* running_mean, float* running_variance) {
  const float unbias = rows > 1 ? static_cast<float>(rows) / static_cast<float>(rows - 1) : 1.0f;
  for (size_t j = 0; j < channels; ++j) {
    running_mean[j] += momentum * (mean[j] - running_mean[j]);
    running_variance[j] += momentum * (variance[j] * unbias - running_variance[j]);
  }
}

void BatchNormFold(const float* mean, const float* variance, size_t channels, float epsilon,
                   const float* scale, const float* shift, float* multiplier, float* offset) {
  for (size_t j = 0; j < channels; ++j) {
    multiplier[j] = scale[j] / std::sqrt(variance[j] + epsilon);
    offset[j] = shift[j] - mean[j] * multiplier[j];
  }
}

}  // namespace

void FillBatchNorm(Kernels& table) {
  table.norm.batch_norm = BatchNorm;
  table.norm.batch_norm_grad = BatchNormGrad;
  table.norm.batch_norm_update = BatchNormUpdate;
  table.norm.batch_norm_fold = BatchNormFold;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t BatchNormWorkspace(size_t rows, size_t channels) {
  // The moments of each block; later three values for each channel.
  return HWY_MAX(2 * NormBlocks(rows, channels), size_t{3}) * channels;
}

void FillBatchNorm(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillBatchNorm, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
