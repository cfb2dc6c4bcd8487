// Convolutions by fast filtering: where they take fewer multiplications, and their memory.
#ifndef LINNET_KERNELS_WINOGRAD_H_
#define LINNET_KERNELS_WINOGRAD_H_

#include <algorithm>
#include <cstddef>

#include "kernels/axis.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

namespace linnet {

// Tiles of 4 x 4 outputs see patches of 6 x 6 inputs, and take 36 products of channels instead of
// 144.
inline constexpr size_t kWinogradTile = 4, kWinogradPatch = 6, kWinogradProducts = 36;

// How a convolution is cut up; of its shape alone.
class WinogradPlan {
 public:
  explicit WinogradPlan(const Conv2dShape& s)
      : in(RoundUp(s.in_channels, kMaxTileLanes)),
        out(RoundUp(s.out_channels, kMaxTileLanes)),
        rows(DivideUp(s.OutHeight(), kWinogradTile)),
        columns(DivideUp(s.OutWidth(), kWinogradTile)),
        tiles(s.batch * rows * columns),
        block(BlockOf(in + out, tiles)),
        blocks(DivideUp(tiles, block)),
        parts(std::clamp<size_t>(blocks / 8, 1, 8)),
        part_blocks(DivideUp(blocks, parts)) {}

  // Floats.
  size_t WeightsSize() const { return kWinogradProducts * in * out; }
  size_t WorkerSize() const { return InSize() + OutSize() + kWinogradProducts * std::max(in, out); }
  // The transformed patches and products of a block. A cache line more between products: they
  // would fall into few sets of a cache.
  size_t InStride() const { return block * in + kMaxTileLanes; }
  size_t OutStride() const { return block * out + kMaxTileLanes; }
  size_t InSize() const { return kWinogradProducts * InStride(); }
  size_t OutSize() const { return kWinogradProducts * OutStride(); }

  size_t in, out;        // channels, rounded up to the widest vector
  size_t rows, columns;  // of tiles in an image
  size_t tiles;          // in all images
  size_t block, blocks;  // tiles that are in the cache together
  // The gradient of the weights is summed up in so many parts, each of so many blocks.
  size_t parts, part_blocks;

 private:
  // Half a MiB for a block; a multiple of every target's rows of a tile; some blocks even for one
  // image, so that they can be shared out.
  static size_t BlockOf(size_t channels, size_t tiles) {
    const size_t fit = (size_t{1} << 17) / (kWinogradProducts * channels);
    return std::clamp<size_t>(std::min(fit, tiles / 2) / 12 * 12, 12, 36);
  }
};

// Whether forward and weights' gradient of this shape go by Winograd's algorithm.
inline bool IsWinograd(const Conv2dShape& s) {
  constexpr size_t kLeastChannels = 16;
  if (s.kernel_h != 3 || s.kernel_w != 3 || s.groups != 1 ||
      s.stride_h * s.stride_w * s.dilation_h * s.dilation_w != 1 ||
      std::min(s.in_channels, s.out_channels) < kLeastChannels) {
    return false;
  }
  // Tiles stand out over small images.
  const size_t height = s.OutHeight(), width = s.OutWidth();
  return 2 * height * width >= RoundUp(height, kWinogradTile) * RoundUp(width, kWinogradTile);
}

// The gradient of the input as a convolution of dy with the weights turned around; pads <= 2.
inline bool HasTransposed(const Conv2dShape& s) {
  return std::max({s.pad_top, s.pad_left, s.pad_bottom, s.pad_right}) <= 2;
}
inline Conv2dShape Transposed(const Conv2dShape& s) {
  return {.batch = s.batch,
          .height = s.OutHeight(),
          .width = s.OutWidth(),
          .in_channels = s.out_channels,
          .kernel_h = 3,
          .kernel_w = 3,
          .out_channels = s.in_channels,
          .pad_top = 2 - s.pad_top,
          .pad_left = 2 - s.pad_left,
          .pad_bottom = 2 - s.pad_bottom,
          .pad_right = 2 - s.pad_right};
}

}  // namespace linnet

#endif  // LINNET_KERNELS_WINOGRAD_H_
