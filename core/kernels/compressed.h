// Inference with weights that take less room than f32: int8, int4 and sparse.
//
// They are members of `Kernels` (kernels.h), which says what holds for all. Weights are packed
// once, by the table that will use them: the layout of packed weights depends on the target, lives
// in memory only and is 64-byte aligned by the caller.
#ifndef LINNET_KERNELS_COMPRESSED_H_
#define LINNET_KERNELS_COMPRESSED_H_

#include <cstddef>
#include <cstdint>

namespace linnet {

// ---- int8. Activations are whole numbers 0..127: with their eighth bit free, no target's 8-bit
// multiply-add can saturate, and all give the same integers.
inline constexpr int kMaxInt8Activation = 127;
// Bytes behind an activation tensor that kernels may read (and ignore).
inline constexpr size_t kInt8Slack = 4;
// |sum| stays below 2^31 - 2^30, so that a bias of less than 2^30 can be added.
inline constexpr size_t kMaxInt8Depth = 65536;

// What becomes of a 32-bit sum: y = clamp(sum * scale + offset, low, high), in f32 with both steps
// rounded, and for 8-bit output then rounded to the nearest whole number, ties to even.
// offset is the zero point of the output; low is raised to it by a rectifier.
struct Requantize {
  float offset = 0, low = 0, high = kMaxInt8Activation;
};

// Windows of images read in place. Window (r, c) starts at x + r * row + c * column and consists of
// `parts` parts of `run` bytes, at offsets[q] from there: one for a matrix, one for each row of a
// kernel, or for each tap where the kernel is dilated or taken by groups of channels. Padding is
// the caller's: an image with a border. Output (r, c) is the row r * columns + c of y.
struct Int8Windows {
  const uint8_t* x;
  size_t rows, columns;
  size_t row, column;  // bytes
  const uint32_t* offsets;
  size_t parts, run;
};

struct Int8Kernels {
  // y[rows * columns, n] = requantized (windows times weights + bias); rows of y are y_row elements
  // apart. y is f32 if `to_f32`, else u8. `packed` is what pack made for the same parts, run and n.
  // Reads up to kInt8Slack bytes behind the last window.
  void (*product)(const Int8Windows& windows, const uint8_t* packed, size_t n,
                  const Requantize& out, bool to_f32, void* y, size_t y_row);
  // weights[parts * run, n], bias[n] (|bias| < 2^30), scale[n] -> packed, Int8PackedBytes(...) of
  // them, 64-byte aligned. parts * run <= kMaxInt8Depth.
  void (*pack)(const int8_t* weights, const int32_t* bias, const float* scale, size_t parts,
               size_t run, size_t n, uint8_t* packed);
  // The same where each of n = run channels has weights[parts, n] of its own: y[.., j] is made of
  // byte j of each part. Dense; not packed.
  void (*depthwise)(const Int8Windows& windows, const int8_t* weights, const int32_t* bias,
                    const float* scale, const Requantize& out, uint8_t* y);
  // y[.., j] = the largest of, or the requantized sum of, byte j of each part; j < run.
  void (*max_pool)(const Int8Windows& windows, uint8_t* y);
  void (*sum_pool)(const Int8Windows& windows, float scale, const Requantize& out, uint8_t* y);
  // y[i] = round(clamp(x[i] * scale + out.offset, low, high)).
  void (*quantize)(const float* x, float scale, const Requantize& out, uint8_t* y, size_t n);
  // y[i] = round(clamp(a[i] * scale_a + b[i] * scale_b + out.offset, low, high)).
  void (*add)(const uint8_t* a, float scale_a, const uint8_t* b, float scale_b,
              const Requantize& out, uint8_t* y, size_t n);
};
// Bytes of packed weights that suffice for any target.
size_t Int8PackedBytes(size_t parts, size_t run, size_t n);

// ---- Sparse and 4-bit weights; activations and sums are f32.
// y[rows, n] = x[rows, depth] times weights, + bias[n] (unless null), then max(0, .) if relu.
struct LayerArgs {
  const float* x;
  size_t rows, depth, n;
  const float* bias;
  bool relu;
  float* y;
  float* workspace;  // LayerWorkspace(rows, depth) floats, 64-byte aligned
};
size_t LayerWorkspace(size_t rows, size_t depth);

inline constexpr size_t kSparseBlock = 16;

// Runs of entries: run i has the entries starts[i] .. starts[i + 1].
struct SparseWeights {
  const uint32_t* starts;
  const uint32_t* indices;  // of an entry: its row of the weights, below depth
  const float* values;
};

struct CompressedKernels {
  // A run for each column; an entry is one value.
  void (*sparse)(const LayerArgs& args, const SparseWeights& weights);
  // A run for each kSparseBlock columns; an entry is kSparseBlock values (zeros beyond n).
  void (*block_sparse)(const LayerArgs& args, const SparseWeights& weights);
  // depth a multiple of 4. For each kSparseBlock columns, then for each four rows: two values of
  // each column, values[2][kSparseBlock], and which of the four they are, first | second << 2,
  // positions[kSparseBlock].
  void (*two_of_four)(const LayerArgs& args, const float* values, const uint8_t* positions);
  // codes[(depth + 1) / 2, n]: weight (i, j) = (code - 8) * scale, row 2i in the low four bits;
  // scales[(depth + 31) / 32, n] in half precision, one for each 32 rows.
  void (*int4)(const LayerArgs& args, const uint8_t* codes, const uint16_t* scales);
};

}  // namespace linnet

#endif  // LINNET_KERNELS_COMPRESSED_H_
