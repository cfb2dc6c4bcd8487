// Arrays for testing kernels: at any offset from alignment, with guards that show a write outside.
#ifndef LINNET_TESTS_KERNELS_GUARDED_H_
#define LINNET_TESTS_KERNELS_GUARDED_H_

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "gtest/gtest.h"
#include "kernels/kernels.h"

namespace linnet {

// n zeroed elements that start `offset` elements after 64-byte alignment.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t n, size_t offset = 0)
      : n_(n), start_(kGuard + offset * sizeof(T)), bytes_(start_ + n * sizeof(T) + kGuard) {
    for (uint8_t& byte : bytes_) byte = kPattern;
    for (size_t i = 0; i < n; ++i) data()[i] = T{};
  }
  template <typename Fill>
  Guarded(size_t n, size_t offset, const Fill& fill) : Guarded(n, offset) {
    for (size_t i = 0; i < n; ++i) data()[i] = static_cast<T>(fill(i));
  }
  Guarded(const Guarded&) = delete;
  ~Guarded() {
    size_t broken = 0;
    for (size_t i = 0; i < start_; ++i) broken += bytes_[i] != kPattern;
    for (size_t i = start_ + n_ * sizeof(T); i < bytes_.size(); ++i)
      broken += bytes_[i] != kPattern;
    EXPECT_EQ(broken, 0u) << "a kernel wrote outside of its " << n_ << " elements";
  }

  T* data() { return reinterpret_cast<T*>(bytes_.data() + start_); }
  T& operator[](size_t i) { return data()[i]; }
  std::vector<T> Values() { return {data(), data() + n_}; }

 private:
  static constexpr size_t kGuard = 128;
  static constexpr uint8_t kPattern = 0xa5;
  size_t n_, start_;
  AlignedBuffer<uint8_t> bytes_;
};

// The lengths that meet every remainder of every vector, and some beyond unrolled loops.
inline std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = 0; n <= 70; ++n) lengths.push_back(n);
  for (size_t n : {127, 128, 129, 255, 257, 1000, 1023, 4096, 4097, 10007}) lengths.push_back(n);
  return lengths;
}

using Random = std::mt19937;
// Whole numbers in [-range, range]: their small sums of products are exact in f32.
inline float Whole(Random& random, int range = 8) {
  return static_cast<float>(static_cast<int>(random() % (2 * static_cast<unsigned>(range) + 1)) -
                            range);
}
// Any finite f32 with an exponent in [lowest, highest].
inline float Spread(Random& random, int lowest, int highest) {
  const uint32_t exponent = static_cast<uint32_t>(
      127 + lowest + static_cast<int>(random() % static_cast<unsigned>(highest - lowest + 1)));
  return std::bit_cast<float>((static_cast<uint32_t>(random()) & 0x807fffffu) | exponent << 23);
}
inline uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }
inline uint64_t Bits(double x) { return std::bit_cast<uint64_t>(x); }

// One test per table that this machine can run.
class KernelsTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k = *GetParam();
  Random random{1234};
};
inline std::string TargetName(const testing::TestParamInfo<const Kernels*>& info) {
  return info.param->target;
}
#define LINNET_TEST_ALL_TARGETS(SUITE) \
  INSTANTIATE_TEST_SUITE_P(            \
      Targets, SUITE, testing::ValuesIn(AllKernels().begin(), AllKernels().end()), TargetName)

}  // namespace linnet

#endif  // LINNET_TESTS_KERNELS_GUARDED_H_
