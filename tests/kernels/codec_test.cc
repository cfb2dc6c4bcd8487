#include <cmath>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using CodecKernelsTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(CodecKernelsTest);

void Stage(std::vector<float>& x, size_t h) {
  for (size_t i = 0; i < x.size(); ++i) {
    if (i & h) continue;
    const float a = x[i], b = x[i + h];
    x[i] = a + b;
    x[i + h] = a - b;
  }
}

TEST_P(CodecKernelsTest, HadamardHasTheBitsOfStagesInAscendingOrderForEverySize) {
  size_t descending_differs = 0;
  for (size_t n = 1; n <= 65536; n *= 2) {
    Guarded<float> x(n, 3, [&](size_t) { return Spread(random, -10, 10); });
    std::vector<float> expected = x.Values(), descending = x.Values();
    for (size_t h = 1; h < n; h *= 2) Stage(expected, h);
    for (size_t h = n / 2; h > 0; h /= 2) Stage(descending, h);
    k.hadamard(x.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(Bits(x[i]), Bits(expected[i])) << i << " of " << n;
      descending_differs += Bits(descending[i]) != Bits(expected[i]);
    }
  }
  EXPECT_GT(descending_differs, 0u) << "these inputs do not depend on the order of stages";
}

TEST_P(CodecKernelsTest, HadamardTwiceIsTheInputTimesItsSize) {
  for (size_t n = 1; n <= 65536; n *= 2) {
    Guarded<float> x(n, 0, [&](size_t) { return Whole(random, 3); });
    std::vector<float> expected = x.Values();
    for (float& value : expected) value *= static_cast<float>(n);
    k.hadamard(x.data(), n);
    k.hadamard(x.data(), n);
    ASSERT_EQ(x.Values(), expected);
  }
}

TEST_P(CodecKernelsTest, SignsFlipPackAndUnpackForEveryLength) {
  for (const size_t n : Lengths()) {
    Guarded<uint8_t> bits((n + 7) / 8, n % 3, [&](size_t) { return random(); });
    Guarded<float> x(n, n % 5, [&](size_t i) { return i % 7 == 0 ? -0.0f : Whole(random); });
    const std::vector<float> before = x.Values();
    const auto bit = [&](size_t i) { return (bits[i / 8] >> (i % 8) & 1) != 0; };
    k.flip_signs(bits.data(), x.data(), n);
    for (size_t i = 0; i < n; ++i)
      ASSERT_EQ(Bits(x[i]), Bits(bit(i) ? -before[i] : before[i])) << i << " of " << n;

    const size_t whole = n / 8 * 8;
    Guarded<float> out(whole, n % 7);
    k.unpack_signs(bits.data(), 0.125f, out.data(), whole);
    for (size_t i = 0; i < whole; ++i) ASSERT_EQ(out[i], bit(i) ? -0.125f : 0.125f);
    Guarded<uint8_t> packed(whole / 8, 1);
    k.pack_signs(x.data(), packed.data(), whole);
    for (size_t i = 0; i < whole; ++i) {
      ASSERT_EQ((packed[i / 8] >> (i % 8) & 1) != 0, std::signbit(x[i])) << i << " of " << n;
    }
  }
}

uint16_t ToBf16Twin(uint32_t bits) {
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  const uint32_t low = bits & 0xffff, odd = bits >> 16 & 1;
  const uint32_t up = low > 0x8000 || (low == 0x8000 && odd) ? 1 : 0;
  return static_cast<uint16_t>((bits >> 16) + up);
}

TEST_P(CodecKernelsTest, Bf16RoundsToNearestEvenForEveryUpperHalf) {
  for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
    const size_t n = 65536;
    Guarded<float> x(
        n, 1, [&](size_t i) { return std::bit_cast<float>(static_cast<uint32_t>(i) << 16 | low); });
    Guarded<uint16_t> out(n, 3);
    Guarded<float> back(n, 2);
    k.to_bf16(x.data(), out.data(), n);
    k.from_bf16(out.data(), back.data(), n);
    for (uint32_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[i], ToBf16Twin(i << 16 | low)) << i;
      ASSERT_EQ(std::isnan(x[i]), std::isnan(back[i]));
      ASSERT_EQ(Bits(back[i]), static_cast<uint32_t>(out[i]) << 16);
    }
  }
}

TEST_P(CodecKernelsTest, Bf16ConvertsEveryLength) {
  for (const size_t n : Lengths()) {
    Guarded<float> x(n, n % 3, [&](size_t) { return Spread(random, -20, 20); });
    Guarded<uint16_t> out(n, n % 5);
    Guarded<float> back(n, n % 7);
    k.to_bf16(x.data(), out.data(), n);
    k.from_bf16(out.data(), back.data(), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[i], ToBf16Twin(Bits(x[i])));
      ASSERT_EQ(Bits(back[i]), static_cast<uint32_t>(out[i]) << 16);
    }
  }
}

}  // namespace
}  // namespace linnet
