// Data made here.
#include <vector>

#include "capi/handles.h"
#include "data/pen.h"
#include "data/strokes.h"

linnet_status linnet_draw_strokes(uint64_t seed, uint32_t writer, uint32_t first_index,
                                  uint32_t count, float* x, int32_t* y) {
  constexpr size_t kPixels = size_t{linnet::kImageSide} * linnet::kImageSide;
  std::vector<uint8_t> image(kPixels);
  for (uint32_t i = 0; i < count; ++i) {
    y[i] = linnet::DrawStroke(seed, writer, first_index + i, image.data());
    for (size_t j = 0; j < kPixels; ++j) x[i * kPixels + j] = float(image[j]) * (1.0f / 255);
  }
  return LINNET_OK;
}
