// A graph in 8 bits as a list of steps over codes in one arena.
#ifndef LINNET_MODEL_INT8_PROGRAM_H_
#define LINNET_MODEL_INT8_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "kernels/kernels.h"
#include "model/quantize.h"

namespace linnet {

// An image with its border, and the windows over it.
struct Int8Image {
  size_t height = 0, width = 0, channels = 0;
  size_t top = 0, left = 0, bottom = 0, right = 0;
  size_t out_height = 1, out_width = 1, stride_h = 1, stride_w = 1;
  bool IsPadded() const { return top + left + bottom + right > 0; }
  size_t row() const { return (width + left + right) * channels; }
  size_t bytes() const { return (height + top + bottom) * row(); }
};

struct Int8Step {
  enum class Kind : uint8_t { kProduct, kDepthwise, kMaxPool, kSumPool, kAdd } kind = Kind::kAdd;
  uint32_t x = 0, x2 = 0, y = 0;  // values
  bool is_image = false;
  Int8Image image{};  // is_image
  uint8_t border = 0;
  // One window of an image, or one row of a matrix: rows of an example, bytes of a row.
  std::vector<uint32_t> offsets;
  size_t run = 0, rows = 1;
  // kProduct: for each group of channels its offset in the input and its packed weights
  // (kDepthwise: the codes as they are, at group_bytes bias, behind it scale, each 64-byte
  // aligned).
  size_t groups = 1, outputs = 0;
  size_t group_bytes = 0;
  AlignedBuffer<uint8_t> weights;
  Requantize out{};
  bool to_f32 = false;
  float scale = 0, scale2 = 0;
};

struct Int8Program {
  std::vector<uint64_t> counts;  // elements of each value, of one example
  std::vector<size_t> places;    // of each value's codes in the arena
  std::vector<Int8Step> steps;
  size_t codes_bytes = 0;   // of all values; behind them come the bordered images
  size_t border_bytes = 0;  // of the largest image with its border
  bool ends_in_f32 =
      false;  // the last step writes the output; else the codes of the last value are
};

constexpr size_t RoundUpToLine(size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Of a valid model whose operators CheckInt8Operators admits, for batches up to `max_batch`.
Int8Program MakeInt8Program(const QuantizedModel& model, size_t max_batch, const Kernels& kernels);

}  // namespace linnet

#endif  // LINNET_MODEL_INT8_PROGRAM_H_
