// Group norm: the statistics of an image's channels, joined to those of its groups.
#include <cmath>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// body(image) for each.
template <class Body>
void ForEachImage(Executor* executor, size_t batch, size_t elements, const Body& body) {
  RunTasks(executor, Tasks(batch, elements * kNormFlops), [&](size_t begin, size_t end) {
    for (size_t image = begin; image < end; ++image) body(image);
  });
}

void GroupNorm(const float* x, size_t batch, size_t pixels, size_t channels, size_t groups,
               float epsilon, const float* scale, const float* shift, float* y, float* mean,
               float* variance, float* workspace, Executor* executor) {
  const size_t width = channels / groups;
  ForEachImage(executor, batch, pixels * channels, [&](size_t image) {
    float* means = workspace + 2 * image * channels;
    float* multiplier = means + channels;
    const float* in = x + image * pixels * channels;
    ColumnMoments(in, pixels, channels, means, multiplier);
    for (size_t g = 0; g < groups; ++g) {
      // Of equal counts: the mean of means, and squares about it (Chan et al. 1983).
      float center = 0, squares = 0;
      for (size_t j = g * width; j < (g + 1) * width; ++j) center += means[j];
      center /= static_cast<float>(width);
      for (size_t j = g * width; j < (g + 1) * width; ++j) {
        const float from = means[j] - center;
        squares += multiplier[j] + static_cast<float>(pixels) * from * from;
      }
      const float spread = squares / static_cast<float>(pixels * width);
      const float inverse = 1.0f / std::sqrt(spread + epsilon);
      for (size_t j = g * width; j < (g + 1) * width; ++j) {
        means[j] = center;
        multiplier[j] = scale[j] * inverse;
      }
      if (mean != nullptr) mean[image * groups + g] = center;
      if (variance != nullptr) variance[image * groups + g] = spread;
    }
    NormalizeColumns(in, pixels, channels, means, multiplier, shift, y + image * pixels * channels);
  });
}

// As batch norm's, with the means over the group: dx = inverse (dy scale - mean of (dy scale) -
// z mean of (dy scale z)), z = (x - mean) inverse.
void GroupNormGrad(const float* x, size_t batch, size_t pixels, size_t channels, size_t groups,
                   float epsilon, const float* scale, const float* mean, const float* variance,
                   const float* dy, float* dx, bool accumulate, float* dscale, float* dshift,
                   float* workspace, Executor* executor) {
  const size_t width = channels / groups;
  const float share = 1.0f / static_cast<float>(pixels * width);
  ForEachImage(executor, batch, pixels * channels, [&](size_t image) {
    // What the parameters' gradients are summed from stays in the first two.
    float* sum_dy = workspace + 6 * image * channels;
    float* sum_dy_z = sum_dy + channels;
    float* means = sum_dy + 2 * channels;
    float* multiplier = sum_dy + 3 * channels;
    float* offset = sum_dy + 4 * channels;
    float* slope = sum_dy + 5 * channels;
    for (size_t j = 0; j < channels; ++j) means[j] = mean[image * groups + j / width];
    const size_t first = image * pixels * channels;
    ColumnGradientSums(x + first, dy + first, pixels, channels, means, sum_dy, sum_dy_z);
    for (size_t g = 0; g < groups; ++g) {
      const float inverse = 1.0f / std::sqrt(variance[image * groups + g] + epsilon);
      float direct = 0, along = 0;
      for (size_t j = g * width; j < (g + 1) * width; ++j) {
        sum_dy_z[j] *= inverse;
        direct += scale[j] * sum_dy[j];
        along += scale[j] * sum_dy_z[j];
      }
      for (size_t j = g * width; j < (g + 1) * width; ++j) {
        multiplier[j] = scale[j] * inverse;
        offset[j] = inverse * direct * share;
        slope[j] = inverse * inverse * along * share;
      }
    }
    if (dx == nullptr) return;
    ColumnGradients(x + first, dy + first, pixels, channels, means, multiplier, offset, slope,
                    dx + first);
  });
  for (size_t j = 0; j < channels; ++j) {
    float sum_scale = accumulate ? dscale[j] : 0, sum_shift = accumulate ? dshift[j] : 0;
    for (size_t image = 0; image < batch; ++image) {
      const float* sums = workspace + 6 * image * channels;
      sum_shift += sums[j];
      sum_scale += sums[channels + j];
    }
    dscale[j] = sum_scale;
    dshift[j] = sum_shift;
  }
}

}  // namespace

void FillGroupNorm(Kernels& table) {
  table.norm.group_norm = GroupNorm;
  table.norm.group_norm_grad = GroupNormGrad;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t GroupNormWorkspace(size_t batch, size_t channels) { return 6 * batch * channels; }

void FillGroupNorm(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillGroupNorm, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
