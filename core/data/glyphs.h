// The skeletons of the digits: where a pen goes, before a writer's hand changes it.
#ifndef LINNET_DATA_GLYPHS_H_
#define LINNET_DATA_GLYPHS_H_

#include <cstdint>
#include <span>

namespace linnet {

// What the pen does at a point: goes smoothly through it, turns sharply, or leaves the paper after
// it.
enum class Pen : uint8_t { kSmooth, kCorner, kUp };

// x to the right and y down, both about 0..100.
struct GlyphPoint {
  int16_t x, y;
  Pen pen = Pen::kSmooth;
};

// One way of drawing a digit. `weight`: how many writers of 100 have the habit.
struct Glyph {
  std::span<const GlyphPoint> points;  // the last one is kUp
  int weight;
};

inline constexpr int kDigits = 10;
inline constexpr int kMaxGlyphPoints = 24;

// The ways of drawing `digit` (0..9); the weights sum to 100.
std::span<const Glyph> GlyphsOf(int digit);

}  // namespace linnet

#endif  // LINNET_DATA_GLYPHS_H_
