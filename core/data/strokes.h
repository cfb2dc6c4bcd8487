// Digits drawn by simulated pens: a task that needs no download and has natural participants.
#ifndef LINNET_DATA_STROKES_H_
#define LINNET_DATA_STROKES_H_

#include <cstdint>

#include "base/crypto.h"
#include "data/dataset.h"

namespace linnet {

// Each writer has their own slant, width, thickness, jitter, proportions and habits (which variant
// of a digit they draw); each (seed, writer, index) is one 28x28 grey anti-aliased image, the same
// bits on every target. 0 is background. The label of index i is drawn too, nearly uniform over the
// digits.
struct StrokesOptions {
  uint64_t seed = 1;
  uint32_t first_writer = 0, last_writer = 0;  // inclusive; last >= first, last < 2^20
  uint32_t per_writer = 100;                   // images of each writer, 1..10000
  uint32_t first_index = 0;
};

// One image into out[784]; returns its label.
int32_t DrawStroke(uint64_t seed, uint32_t writer, uint32_t index, uint8_t* out);
// The same with a chosen digit: equal to DrawStroke's image where `digit` is its label.
void DrawDigit(uint64_t seed, uint32_t writer, uint32_t index, int digit, uint8_t* out);
// Rows by writer, then index; shape {28, 28, 1}, 10 classes, scaling kUnit.
Dataset MakeStrokes(const StrokesOptions& options);
// Parses "strokes" or "strokes?writers=0-99&per=100&seed=1&first=0" (these are the defaults,
// `first` is first_index; writers=7 is one). kInvalid names an unknown key with the nearest known
// one; kLimit beyond 2^20 images. ones).
Result<StrokesOptions> ParseStrokes(std::string_view source);

}  // namespace linnet

#endif  // LINNET_DATA_STROKES_H_
