// Repeatable random numbers: the ChaCha20 stream of (seed, stream), the same bits on every target.
#ifndef LINNET_BASE_RANDOM_H_
#define LINNET_BASE_RANDOM_H_

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/crypto.h"

namespace linnet {

// A position in the keystream of (seed, stream). Copyable; cheap to make.
class RandomStream {
 public:
  RandomStream(const Seed& seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint32_t NextU32();
  uint64_t NextU64();
  // Uniform in [0, n), unbiased (rejection); n > 0.
  uint64_t Below(uint64_t n);
  // Uniform multiples of 2^-24 in [0, 1).
  float Uniform();
  // Uniform multiples of 2^-53 in [0, 1).
  double UniformDouble();
  // About normal: the centred sum of 12 uniforms, exact in f64 on every target (no libm).
  double Normal();
  // Fisher-Yates.
  template <typename T>
  void Shuffle(std::span<T> values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  // The next bytes of the keystream, little-endian; none is skipped.
  template <typename T>
  T Take();
  void Refill();
  Seed seed_;
  uint64_t stream_;
  uint64_t offset_ = 0;
  size_t used_ = kBlock;
  static constexpr size_t kBlock = 256;
  std::array<uint8_t, kBlock> block_{};
};

}  // namespace linnet

#endif  // LINNET_BASE_RANDOM_H_
