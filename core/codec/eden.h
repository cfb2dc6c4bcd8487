// EDEN (Vargaftik 2022; at 1 bit DRIVE, 2021): unbiased quantization to 1-4 bits an element.
//
// A block x of d = 2^j elements (padded with zeros) is rotated, Y = H D x, with H the unnormalised
// Walsh-Hadamard matrix and D random signs. Each Y_i becomes c_i = sign(Y_i) times the nearest
// centroid of the half-normal distribution (in units of the root mean square of Y). Decoded: f D H
// c with f = ||x||^2 / <c, Y>, so that <xhat, x> = ||x||^2, and the mean over D is x.
//
// One rotation does not randomise a block with few large elements: (2, 1, 0, ...) decodes to (2.5,
// 0,
// ...) for every D at 1 bit. Such a block gets two, Y = H D' H D x.
//
// A block is 8 bytes of header (f32 f, u32 number of rotations; both 0 for a block of zeros) and d
// codes of b bits, lowest bits first: bit 0 is the sign (set: negative, and -0 is negative), the
// others are the index of the centroid. At 1 bit these are the sign bits in order.
#ifndef LINNET_CODEC_EDEN_H_
#define LINNET_CODEC_EDEN_H_

#include <span>

#include "base/crypto.h"
#include "base/result.h"
#include "kernels/kernels.h"

namespace linnet {

inline constexpr size_t kEdenHeader = 8;

// The padded length of a block of 1 to kCodecBlock elements: a power of two, at least 64.
size_t EdenPadded(size_t count);
// Header and codes.
size_t EdenBlockBytes(size_t count, int bits);

// Centroids of the half-normal distribution that minimise the squared error, ascending; 1 <= bits
// <= 4.
std::span<const float> EdenCentroids(int bits);

// How many rotations x needs: 2 when its mass lies on few elements, sum(x^2)^2 < 256 sum(x^4).
int EdenRotations(std::span<const float> x);

// Signs are ChaCha20(seed, stream = block): d / 8 bytes for the first rotation, then for the
// second. `out` has EdenBlockBytes(x.size(), bits) bytes. kData when the scale leaves the range of
// f32.
Status EdenEncodeBlock(std::span<const float> x, int bits, int rotations, const Seed& seed,
                       uint64_t block, const Kernels& kernels, std::span<uint8_t> out);

// kData for a header that no encoder writes. Values may be huge, even infinite, when the scale is.
Status EdenDecodeBlock(std::span<const uint8_t> in, int bits, const Seed& seed, uint64_t block,
                       const Kernels& kernels, std::span<float> out);

}  // namespace linnet

#endif  // LINNET_CODEC_EDEN_H_
