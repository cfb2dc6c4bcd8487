#include "data/pen.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace linnet {
namespace {

using Ink = std::array<double, kImageSide * kImageSide>;

// The first and last pixel whose centre may lie within `reach` of [low, high].
struct PixelRange {
  int first, last;
};
PixelRange Touched(double low, double high, double reach) {
  return {static_cast<int>(std::max(0.0, std::floor(low - reach - 0.5))),
          static_cast<int>(std::min<double>(kImageSide - 1, std::floor(high + reach + 0.5)))};
}

void DrawSegment(const PenPoint& a, const PenPoint& b, double softness, Ink& ink) {
  const double reach = std::max(a.radius, b.radius) + softness;
  const PixelRange columns = Touched(std::min(a.x, b.x), std::max(a.x, b.x), reach);
  const PixelRange rows = Touched(std::min(a.y, b.y), std::max(a.y, b.y), reach);
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const double length2 = dx * dx + dy * dy;
  for (int row = rows.first; row <= rows.last; ++row) {
    for (int column = columns.first; column <= columns.last; ++column) {
      const double px = column + 0.5 - a.x;
      const double py = row + 0.5 - a.y;
      const double t = length2 > 0 ? std::clamp((px * dx + py * dy) / length2, 0.0, 1.0) : 0.0;
      const double ex = px - t * dx;
      const double ey = py - t * dy;
      const double distance = std::sqrt(ex * ex + ey * ey);
      const double radius = a.radius + t * (b.radius - a.radius);
      const double cover = std::clamp((radius - distance) / softness + 0.5, 0.0, 1.0);
      const double dark = cover * (a.darkness + t * (b.darkness - a.darkness));
      double& pixel = ink[static_cast<size_t>(row) * kImageSide + column];
      pixel = std::max(pixel, dark);
    }
  }
}

}  // namespace

void DrawPath(std::span<const PenPoint> path, double softness, uint8_t* out) {
  Ink ink{};
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    if (!path[i].up) DrawSegment(path[i], path[i + 1], softness, ink);
  }
  for (size_t i = 0; i < ink.size(); ++i) {
    out[i] = static_cast<uint8_t>(std::min(255.0, std::floor(ink[i] * 255 + 0.5)));
  }
}

}  // namespace linnet
