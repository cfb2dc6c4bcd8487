// Images, and the windows that convolutions and pools move over them.
#ifndef LINNET_NATIVE_ONNX_WINDOW_H_
#define LINNET_NATIVE_ONNX_WINDOW_H_

#include <array>
#include <cstdint>

#include "base/result.h"
#include "native/onnx/importer.h"

namespace linnet::onnx {

// A value that ONNX sees as [n, c, h, w] or [n, c, length], stored as [h, w, c]; a length is a
// width, its height is 1.
struct Image {
  View view;
  size_t spatial = 2;
};
Result<Image> OpenImage(Call& call, const View& x);
// What an operator made of an image, seen as ONNX does.
View CloseImage(View y, size_t spatial);

struct Window {
  std::array<uint32_t, 2> stride, dilation;
  std::array<uint32_t, 4> pads;  // top, left, bottom, right
};
// From strides, pads, auto_pad and dilations of a node whose kernel is `size`.
Result<Window> ReadWindow(Call& call, const Image& image, std::array<int64_t, 2> size,
                          bool dilations);

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_WINDOW_H_
