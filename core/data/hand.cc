#include "data/hand.h"

#include <algorithm>

#include "data/fixed_math.h"

namespace linnet {
namespace {

// Where writers' points lie around the tables', in glyph units.
constexpr double kOffsetDeviation = 1.7;

// Bounded, so that no writer is illegible.
double Around(RandomStream& random, double mean, double deviation, double low, double high) {
  return std::clamp(mean + deviation * random.Normal(), low, high);
}

}  // namespace

int ChooseGlyph(int digit, RandomStream& random) {
  const auto ways = GlyphsOf(digit);
  int draw = static_cast<int>(random.Below(100));
  for (size_t i = 0; i + 1 < ways.size(); ++i) {
    draw -= ways[i].weight;
    if (draw < 0) return static_cast<int>(i);
  }
  return static_cast<int>(ways.size()) - 1;
}

Hand MakeHand(uint64_t seed, uint32_t writer) {
  Hand hand;
  hand.seed = DeriveSeed(SeedFromInt(seed), "strokes", writer);
  RandomStream random(hand.seed, 0);
  hand.slant = Around(random, 0.16, 0.24, -0.4, 0.75);
  hand.rotation = Around(random, 0.0, 0.07, -0.2, 0.2);
  hand.width = FixedExp(Around(random, 0.05, 0.18, -0.45, 0.4));
  hand.radius = FixedExp(Around(random, 0.22, 0.24, -0.3, 0.75));
  hand.softness = Around(random, 1.3, 0.2, 0.9, 1.9);
  hand.pressure = Around(random, 0.25, 0.12, 0.0, 0.6);
  hand.taper = Around(random, 0.2, 0.15, 0.0, 0.6);
  hand.tremor = Around(random, 1.2, 0.7, 0.2, 3.0);
  hand.carelessness = FixedExp(Around(random, 0.0, 0.3, -0.6, 0.6));
  hand.proportion = {Around(random, 0.0, 0.05, -0.12, 0.12),
                     Around(random, 0.0, 0.06, -0.14, 0.14)};
  for (int digit = 0; digit < kDigits; ++digit) {
    hand.habit[digit] = static_cast<uint8_t>(ChooseGlyph(digit, random));
    hand.own_width[digit] = FixedExp(Around(random, 0.0, 0.12, -0.3, 0.3));
    for (Point& offset : hand.offsets[digit]) {
      offset = {kOffsetDeviation * random.Normal(), kOffsetDeviation * random.Normal()};
    }
  }
  return hand;
}

}  // namespace linnet
