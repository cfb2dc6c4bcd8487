// The register tile under every matrix product: plain structs shared by micro.cc, which computes
// tiles, and the loops that cut products and convolutions into them.
#ifndef LINNET_KERNELS_TILE_H_
#define LINNET_KERNELS_TILE_H_

#include <cstddef>

namespace linnet {

// A tile of C: kRows rows by kVectors vectors of columns,
//   c[r, j] = (accumulate ? c[r, j] : 0) + sum over o < blocks, q < segments, p < steps of
//             a[r * a_row + o * a_block + q * a_segment + p * a_step] *
//             b[o * b_block + q * b_segment + p * b_row + j]
// then + bias[j] unless null, then max(0, .) if relu. Rows of b and c need no alignment.
// A is read element by element: any strides do, so transposed operands and the windows of a
// convolution (o = the kernel's row, q = its column, p = the channel) need no copy.
struct Tile {
  const float* a;
  size_t a_row, a_step;
  const float* b;
  size_t b_row;
  size_t steps;
  size_t segments = 1, a_segment = 0, b_segment = 0;
  size_t blocks = 1, a_block = 0, b_block = 0;
  float* c;
  size_t c_row;
  const float* bias;
  bool accumulate, relu;
  // So many tiles one below the other: each starts kRows rows of a and c after the one before.
  size_t tiles = 1;
  // Lanes of the last vector that c and bias have; 0: all. Where `stores_parts` only.
  size_t last_lanes = 0;
};

using MicroKernel = void (*)(const Tile& tile);

inline constexpr size_t kMaxTileRows = 14;
inline constexpr size_t kMaxTileVectors = 8;
// Lanes of the widest target.
inline constexpr size_t kMaxTileLanes = 16;

// The micro-kernels of one target.
struct MicroKernels {
  size_t lanes;     // floats in a vector
  size_t max_rows;  // of a tile
  bool stores_parts;
  // Vectors of columns of the widest tile with so many rows: a power of two.
  size_t vectors[kMaxTileRows + 1];
  // kernels[rows][log2 of vectors], for 1 <= rows <= max_rows, vectors <= vectors[rows].
  MicroKernel kernels[kMaxTileRows + 1][4];
};

constexpr size_t RoundUp(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
constexpr size_t DivideUp(size_t n, size_t divisor) { return (n + divisor - 1) / divisor; }

}  // namespace linnet

#endif  // LINNET_KERNELS_TILE_H_
