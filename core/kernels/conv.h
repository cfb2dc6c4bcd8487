// What the files of the convolution share beside its geometry (axis.h).
#ifndef LINNET_KERNELS_CONV_H_
#define LINNET_KERNELS_CONV_H_

#include <algorithm>
#include <cstddef>

#include "kernels/axis.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

namespace linnet {

// A product of the matrix of pixels with the weights.
inline bool IsPointwise(const Conv2dShape& s) {
  return s.kernel_h * s.kernel_w * s.groups * s.stride_h * s.stride_w == 1 &&
         s.pad_top + s.pad_left + s.pad_bottom + s.pad_right == 0;
}

// The product's operands and sizes but for a, b and c.
inline GemmArgs PointwiseArgs(const Conv2dShape& s, float* workspace, Executor* executor) {
  GemmArgs args{};
  args.m = s.batch * s.height * s.width;
  args.n = s.out_channels;
  args.k = s.in_channels;
  args.lda = s.in_channels;
  args.ldb = s.out_channels;
  args.ldc = s.out_channels;
  args.workspace = workspace;
  args.executor = executor;
  return args;
}

// Rows of the output whose windows pass the weights' gradient together: some hundred positions,
// so that both operands stay in L1.
inline size_t RowsAtOnce(const Conv2dShape& s) {
  return std::min(s.OutHeight(), std::max(size_t{1}, 96 / s.OutWidth()));
}

// The end of dy, as the gradient of the weights copies it: beyond it there is nothing, but tiles
// read whole vectors.
struct Tail {
  size_t image, row;  // where it starts
  explicit Tail(const Conv2dShape& s) : image(s.batch - 1), row(0) {
    if (OutSize(s) < kMaxTileLanes) {
      image = 0;
    } else {
      row = (OutSize(s) - kMaxTileLanes) / (s.OutWidth() * s.out_channels);
      row -= row % RowsAtOnce(s);
    }
  }
  bool Holds(size_t i, size_t r) const { return i > image || (i == image && r >= row); }
  size_t Offset(const Conv2dShape& s) const {
    return image * OutSize(s) + row * s.OutWidth() * s.out_channels;
  }
  size_t Size(const Conv2dShape& s) const { return s.batch * OutSize(s) - Offset(s); }
};

}  // namespace linnet

#endif  // LINNET_KERNELS_CONV_H_
