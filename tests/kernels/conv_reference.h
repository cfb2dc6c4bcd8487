// Convolutions term by term, for the tests of their kernels.
#ifndef LINNET_TESTS_KERNELS_CONV_REFERENCE_H_
#define LINNET_TESTS_KERNELS_CONV_REFERENCE_H_

#include <string>
#include <vector>

#include "kernels/guarded.h"

namespace linnet {

inline std::string Name(const Conv2dShape& s) {
  return testing::PrintToString(
      std::vector<size_t>{s.batch, s.height, s.width, s.in_channels, s.kernel_h, s.kernel_w,
                          s.out_channels, s.stride_h, s.stride_w, s.pad_top, s.pad_left,
                          s.pad_bottom, s.pad_right, s.dilation_h, s.dilation_w, s.groups});
}

// Calls body(x index, w index, y index) for every product of the convolution.
template <typename Body>
void ForEachTerm(const Conv2dShape& s, const Body& body) {
  const size_t in = s.in_channels / s.groups, out = s.out_channels / s.groups;
  for (size_t b = 0; b < s.batch; ++b)
    for (size_t oh = 0; oh < s.OutHeight(); ++oh)
      for (size_t ow = 0; ow < s.OutWidth(); ++ow)
        for (size_t kh = 0; kh < s.kernel_h; ++kh)
          for (size_t kw = 0; kw < s.kernel_w; ++kw) {
            const size_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
            const size_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
            if (ih >= s.height || iw >= s.width) continue;  // padding; negative wraps round
            for (size_t ic = 0; ic < in; ++ic)
              for (size_t oc = 0; oc < s.out_channels; ++oc)
                body(((b * s.height + ih) * s.width + iw) * s.in_channels + oc / out * in + ic,
                     ((kh * s.kernel_w + kw) * in + ic) * s.out_channels + oc,
                     ((b * s.OutHeight() + oh) * s.OutWidth() + ow) * s.out_channels + oc);
          }
}

// Operands of a convolution, and a workspace that held something before.
struct Arrays {
  template <typename Fill>
  Arrays(const Conv2dShape& s, const Fill& fill, size_t workers = 1)
      : x(s.batch * s.height * s.width * s.in_channels, 1, fill),
        w(s.WindowSize() * s.out_channels, 2, fill),
        y(s.batch * s.OutHeight() * s.OutWidth() * s.out_channels, 3, fill),
        workspace(Conv2dWorkspace(s, workers), 0, [](size_t) { return 1e30f; }) {}
  Guarded<float> x, w, y, workspace;
};

}  // namespace linnet

#endif  // LINNET_TESTS_KERNELS_CONV_REFERENCE_H_
