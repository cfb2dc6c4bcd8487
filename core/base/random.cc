#include "base/random.h"

#include <algorithm>
#include <cstring>

namespace linnet {

void RandomStream::Refill() {
  ChaCha20Stream(seed_, stream_, offset_, block_);
  offset_ += kBlock;
  used_ = 0;
}

uint32_t RandomStream::NextU32() { return Take<uint32_t>(); }

uint64_t RandomStream::NextU64() { return Take<uint64_t>(); }

template <typename T>
T RandomStream::Take() {
  uint8_t bytes[sizeof(T)];
  for (size_t have = 0; have < sizeof(T);) {
    if (used_ == kBlock) Refill();
    const size_t count = std::min(sizeof(T) - have, kBlock - used_);
    std::memcpy(bytes + have, block_.data() + used_, count);
    used_ += count;
    have += count;
  }
  return LoadLE<T>(bytes);
}

uint64_t RandomStream::Below(uint64_t n) {
  LINNET_CHECK(n > 0);
  // 2^64 mod n values at the bottom are refused; what is left is a whole number of times n.
  const uint64_t refused = (0 - n) % n;
  uint64_t value = NextU64();
  while (value < refused) value = NextU64();
  return value % n;
}

float RandomStream::Uniform() { return static_cast<float>(NextU32() >> 8) * 0x1p-24f; }

double RandomStream::UniformDouble() { return static_cast<double>(NextU64() >> 11) * 0x1p-53; }

double RandomStream::Normal() {
  // The mean of a 32-bit draw is (2^32 - 1) / 2, so this integer has mean zero.
  int64_t sum = -6 * ((int64_t{1} << 32) - 1);
  for (int i = 0; i < 12; ++i) sum += NextU32();
  return static_cast<double>(sum) * 0x1p-32;
}

}  // namespace linnet
