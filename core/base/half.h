// 16-bit floating-point numbers of files, as floats.
#ifndef LINNET_BASE_HALF_H_
#define LINNET_BASE_HALF_H_

#include <bit>
#include <cstdint>

namespace linnet {

// IEEE 754 binary16; exact, subnormals and NaN included.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t{half} >> 15 << 31, exponent = half >> 10 & 31, rest = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | rest << 13);
  if (exponent == 0) {
    return std::bit_cast<float>(sign |
                                std::bit_cast<uint32_t>(static_cast<float>(rest) * 0x1p-24f));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | rest << 13);
}

// To nearest, ties to even; what is too large becomes infinity. `value` is no NaN.
inline uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffff);
  if (magnitude >= 65520.0f) return sign | 0x7c00;
  if (magnitude < 0x1p-14f) {
    // Adding 1/2 leaves multiples of 2^-24 in the mantissa, rounded.
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(magnitude + 0.5f) - 0x3f000000));
  }
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded >> 13) - (112 << 10));
}

inline float Bfloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// To the nearest, ties to even. `value` is finite; beyond the range it becomes an infinity.
inline uint16_t FloatToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace linnet

#endif  // LINNET_BASE_HALF_H_
