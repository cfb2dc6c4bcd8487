// A pen on paper: a path of points with a width becomes a grey image.
#ifndef LINNET_DATA_PEN_H_
#define LINNET_DATA_PEN_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace linnet {

inline constexpr int kImageSide = 28;

// A place of the pen; pixels, the centre of the upper left pixel at (0.5, 0.5).
struct PenPoint {
  double x = 0, y = 0;
  double radius = 1;    // half the line's width
  double darkness = 1;  // 0..1
  bool up = false;      // the pen leaves the paper after this point
};

// Draws the lines between neighbouring points onto an empty image, 28x28, 0 background, 255 full
// ink; edges fade over `softness` pixels. Where lines cross, the darker one shows.
void DrawPath(std::span<const PenPoint> path, double softness, uint8_t* out);

}  // namespace linnet

#endif  // LINNET_DATA_PEN_H_
