// A writer's hand: everything that makes one person's digits look alike and differ from another's.
#ifndef LINNET_DATA_HAND_H_
#define LINNET_DATA_HAND_H_

#include <array>
#include <cstdint>

#include "base/random.h"
#include "data/glyphs.h"

namespace linnet {

struct Point {
  double x = 0, y = 0;
};

struct Hand {
  Seed seed{};              // of the writer; stream 0 makes the hand, stream 1 + index an image
  double slant = 0;         // how far the top leans to the right, per unit of height
  double rotation = 0;      // radians, clockwise
  double width = 1;         // of all digits, against their height
  double radius = 1;        // half the line's width, pixels of a 20 pixel high digit
  double softness = 1;      // width of the line's grey edge, pixels
  double pressure = 0;      // how much the line's width and darkness vary along a stroke, 0..1
  double taper = 0;         // how much thinner a stroke begins and ends, 0..1
  double tremor = 0;        // amplitude of the wobble, glyph units (1/100 of the height)
  double carelessness = 1;  // factor of everything that changes from image to image
  Point proportion;         // how far the middle of a digit is moved, as a part of its size
  std::array<uint8_t, kDigits> habit{};     // which way of drawing each digit
  std::array<double, kDigits> own_width{};  // of each digit
  // Where this writer puts each point of a skeleton, against the table.
  std::array<std::array<Point, kMaxGlyphPoints>, kDigits> offsets{};
};

// The hand of `writer`: the same bits on every target.
Hand MakeHand(uint64_t seed, uint32_t writer);

// A way of drawing `digit`, by how common each is.
int ChooseGlyph(int digit, RandomStream& random);

}  // namespace linnet

#endif  // LINNET_DATA_HAND_H_
