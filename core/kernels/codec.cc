// What update codecs are made of: sign bits, bf16, the Hadamard transform. The same bits on every
// target.
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/codec.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/hadamard-inl.h"
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// At most 16 lanes, so that the bits of one vector are at most two bytes.
using DF = hn::CappedTag<float, 16>;
using DU = hn::RebindToUnsigned<DF>;

// The sign bit in each lane whose bit is set: bits i and up of `bits`, of which `count` exist.
HWY_INLINE hn::Vec<DU> SignsAt(const uint8_t* bits, size_t i, size_t count) {
  const DU du;
  uint32_t word = bits[i / 8];
  if (count > 8) word |= static_cast<uint32_t>(bits[i / 8 + 1]) << 8;
  word >>= i % 8;
  const auto lane_bit = hn::Shl(hn::Set(du, 1), hn::Iota(du, 0));
  const auto is_set = hn::Eq(hn::And(hn::Set(du, word), lane_bit), lane_bit);
  return hn::IfThenElseZero(is_set, hn::Set(du, 0x80000000u));
}

void FlipSigns(const uint8_t* signs, float* x, size_t n) {
  const DF d;
  const size_t N = hn::Lanes(d);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto flips = hn::BitCast(d, SignsAt(signs, i, HWY_MIN(N, n - i)));
    memory.Store(hn::Xor(memory.Load(d, x + i), flips), d, x + i);
  });
}

void UnpackSigns(const uint8_t* bits, float magnitude, float* out, size_t n) {
  const DF d;
  const size_t N = hn::Lanes(d);
  const auto vmagnitude = hn::Set(d, magnitude);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto flips = hn::BitCast(d, SignsAt(bits, i, HWY_MIN(N, n - i)));
    memory.Store(hn::Xor(vmagnitude, flips), d, out + i);
  });
}

// The sign bits of 8 floats.
HWY_INLINE uint8_t SignByte(const float* x) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToSigned<decltype(d)> di;
  constexpr size_t N = hn::MaxLanes(d);
  uint32_t byte = 0;
  for (size_t i = 0; i < 8; i += N) {
    uint8_t part[8] = {};
    const auto negative = hn::Lt(hn::BitCast(di, hn::LoadU(d, x + i)), hn::Zero(di));
    hn::StoreMaskBits(di, negative, part);
    byte |= static_cast<uint32_t>(part[0]) << i;
  }
  return static_cast<uint8_t>(byte);
}

void PackSigns(const float* x, uint8_t* bits, size_t n) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  constexpr size_t N = hn::MaxLanes(d);
  size_t i = 0;
  if constexpr (N == 16) {
    for (; i + N <= n; i += N) {
      const auto negative = hn::Lt(hn::BitCast(di, hn::LoadU(d, x + i)), hn::Zero(di));
      hn::StoreMaskBits(di, negative, bits + i / 8);
    }
  }
  for (; i < n; i += 8) bits[i / 8] = SignByte(x + i);
}

void ToBf16(const float* x, uint16_t* out, size_t n) {
  const DF d;
  const DU du;
  const hn::Rebind<uint16_t, DF> d16;
  const auto one = hn::Set(du, 1);
  const auto almost_half = hn::Set(du, 0x7fff);
  const auto quiet = hn::Set(du, 0x40);
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto value = memory.Load(d, x + i);
    const auto bits = hn::BitCast(du, value);
    const auto truncated = hn::ShiftRight<16>(bits);
    const auto half_even = hn::Add(almost_half, hn::And(truncated, one));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, half_even));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(value));
    const auto result = hn::IfThenElse(is_nan, hn::Or(truncated, quiet), rounded);
    memory.Store(hn::TruncateTo(d16, result), d16, out + i);
  });
}

void FromBf16(const uint16_t* x, float* out, size_t n) {
  const DF d;
  const DU du;
  const hn::Rebind<uint16_t, DF> d16;
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(du, memory.Load(d16, x + i)));
    memory.Store(hn::BitCast(d, bits), d, out + i);
  });
}

}  // namespace

void FillCodec(Kernels& table) {
  table.hadamard = Hadamard;
  table.flip_signs = FlipSigns;
  table.pack_signs = PackSigns;
  table.unpack_signs = UnpackSigns;
  table.to_bf16 = ToBf16;
  table.from_bf16 = FromBf16;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillCodec(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillCodec, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
