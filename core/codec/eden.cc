#include "codec/eden.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "codec/codec.h"

namespace linnet {
namespace {

constexpr size_t kLanes = 8;

// Centroids from amitport/EDEN-Distributed-Mean-Estimation, torch/quantization_constants.py.
constexpr std::array<float, 1> kCentroids1 = {0.7978845608028654f};
constexpr std::array<float, 2> kCentroids2 = {0.4527800398860679f, 1.5104176087114887f};
constexpr std::array<float, 4> kCentroids3 = {0.24509416307340598f, 0.7560052489539643f,
                                              1.3439092613750225f, 2.151945669890335f};
constexpr std::array<float, 8> kCentroids4 = {
    0.12839501671105813f, 0.38804823445328507f, 0.6567589957631145f, 0.9423402689122875f,
    1.2562309480263467f,  1.6180460517130526f,  2.069016730231837f,  2.732588804065177f};

// Every code of every bit width, as the decoder needs it.
std::array<float, 16> CodeValues(int bits) {
  std::array<float, 16> values{};
  const std::span<const float> centroids = EdenCentroids(bits);
  for (size_t code = 0; code < size_t{1} << bits; ++code) {
    values[code] = (code & 1) != 0 ? -centroids[code >> 1] : centroids[code >> 1];
  }
  return values;
}

// Sum of f(x_i) in f64, in a fixed order: lane i % 8, then the lanes in order.
template <typename F>
double FixedSum(std::span<const float> x, const F& f) {
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) lanes[l] += f(x[i + l]);
  }
  for (; i < x.size(); ++i) lanes[i % kLanes] += f(x[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// Codes of `y` into a bit string, lowest bits first; returns <c, Y>.
double Quantize(std::span<const float> y, float inverse_rms, int bits, uint8_t* out) {
  const std::span<const float> centroids = EdenCentroids(bits);
  std::array<float, 7> thresholds;
  thresholds.fill(std::numeric_limits<float>::infinity());
  for (size_t i = 0; i + 1 < centroids.size(); ++i) {
    thresholds[i] = 0.5f * (centroids[i] + centroids[i + 1]);
  }
  std::array<uint8_t, kCodecBlock> codes;
  for (size_t i = 0; i < y.size(); ++i) {
    const float z = std::fabs(y[i]) * inverse_rms;
    uint32_t index = 0;
    for (size_t t = 0; t + 1 < centroids.size(); ++t) index += z >= thresholds[t] ? 1 : 0;
    codes[i] = static_cast<uint8_t>((index << 1) | (std::bit_cast<uint32_t>(y[i]) >> 31));
  }
  std::array<double, kLanes> lanes{};
  for (size_t i = 0; i < y.size(); ++i) {
    lanes[i % kLanes] += static_cast<double>(centroids[codes[i] >> 1]) * std::fabs(y[i]);
  }
  for (size_t i = 0; i < y.size(); i += 8) {
    uint32_t word = 0;
    for (size_t j = 0; j < 8; ++j)
      word |= uint32_t{codes[i + j]} << (j * static_cast<size_t>(bits));
    for (int byte = 0; byte < bits; ++byte) *out++ = static_cast<uint8_t>(word >> (8 * byte));
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// The values of d codes.
void Expand(const uint8_t* codes, int bits, size_t d, float* out) {
  const std::array<float, 16> values = CodeValues(bits);
  const uint32_t mask = (1u << bits) - 1;
  for (size_t i = 0; i < d; i += 8) {
    uint32_t word = 0;
    for (int byte = 0; byte < bits; ++byte) word |= uint32_t{*codes++} << (8 * byte);
    for (size_t j = 0; j < 8; ++j)
      out[i + j] = values[(word >> (j * static_cast<size_t>(bits))) & mask];
  }
}

struct Signs {
  std::array<uint8_t, 2 * kCodecBlock / 8> bytes;
  const uint8_t* rotation(int r, size_t d) const {
    return bytes.data() + static_cast<size_t>(r) * (d / 8);
  }
};

void DrawSigns(const Seed& seed, uint64_t block, size_t d, int rotations, Signs& signs) {
  ChaCha20Stream(seed, block, 0, {signs.bytes.data(), static_cast<size_t>(rotations) * (d / 8)});
}

}  // namespace

size_t EdenPadded(size_t count) { return std::max<size_t>(64, std::bit_ceil(count)); }

size_t EdenBlockBytes(size_t count, int bits) {
  return kEdenHeader + EdenPadded(count) / 8 * static_cast<size_t>(bits);
}

std::span<const float> EdenCentroids(int bits) {
  switch (bits) {
    case 1:
      return kCentroids1;
    case 2:
      return kCentroids2;
    case 3:
      return kCentroids3;
    default:
      LINNET_CHECK(bits == 4);
      return kCentroids4;
  }
}

int EdenRotations(std::span<const float> x) {
  const double squares = FixedSum(x, [](float v) { return static_cast<double>(v) * v; });
  const double fourths = FixedSum(x, [](float v) {
    const double square = static_cast<double>(v) * v;
    return square * square;
  });
  return squares * squares < 256 * fourths ? 2 : 1;
}

Status EdenEncodeBlock(std::span<const float> x, int bits, int rotations, const Seed& seed,
                       uint64_t block, const Kernels& kernels, std::span<uint8_t> out) {
  const size_t d = EdenPadded(x.size());
  LINNET_CHECK(x.size() <= kCodecBlock && out.size() == EdenBlockBytes(x.size(), bits));
  alignas(64) std::array<float, kCodecBlock> y;
  std::copy(x.begin(), x.end(), y.begin());
  std::fill(y.begin() + static_cast<ptrdiff_t>(x.size()), y.begin() + static_cast<ptrdiff_t>(d),
            0.0f);
  const double squares = kernels.sum_squares(x.data(), x.size());
  if (squares == 0) {
    std::fill(out.begin(), out.end(), uint8_t{0});
    return {};
  }
  Signs signs;
  DrawSigns(seed, block, d, rotations, signs);
  double energy = squares;  // of Y: each rotation multiplies it by d
  for (int r = 0; r < rotations; ++r) {
    kernels.flip_signs(signs.rotation(r, d), y.data(), d);
    kernels.hadamard(y.data(), d);
    energy *= static_cast<double>(d);
  }
  const double rms = std::sqrt(energy / static_cast<double>(d));
  double product;  // <c, Y>
  if (bits == 1) {
    kernels.pack_signs(y.data(), out.data() + kEdenHeader, d);
    product = static_cast<double>(kCentroids1[0]) *
              FixedSum({y.data(), d}, [](float v) { return std::fabs(static_cast<double>(v)); });
  } else {
    product = Quantize({y.data(), d}, static_cast<float>(1 / rms), bits, out.data() + kEdenHeader);
  }
  const float scale = static_cast<float>(squares / product);
  if (!std::isfinite(scale) || !(scale >= std::numeric_limits<float>::min())) {
    // Too small for f32: the block counts as zeros. Too large: the sums of the rotation overflowed.
    if (std::isfinite(product) && squares < 1) {
      std::fill(out.begin(), out.end(), uint8_t{0});
      return {};
    }
    return Fail(Code::kData, "block ", block, " has norm ", std::sqrt(squares),
                ", too large to be rotated in f32");
  }
  StoreLE(out.data(), scale);
  StoreLE(out.data() + 4, static_cast<uint32_t>(rotations));
  return {};
}

Status EdenDecodeBlock(std::span<const uint8_t> in, int bits, const Seed& seed, uint64_t block,
                       const Kernels& kernels, std::span<float> out) {
  const size_t d = EdenPadded(out.size());
  LINNET_CHECK(out.size() <= kCodecBlock && in.size() == EdenBlockBytes(out.size(), bits));
  const float scale = LoadLE<float>(in.data());
  const uint32_t rotations = LoadLE<uint32_t>(in.data() + 4);
  if (!std::isfinite(scale) || std::signbit(scale) || rotations > 2 ||
      (rotations == 0) != (scale == 0)) {
    return Fail(Code::kData, "block ", block, " has scale ", scale, " and ", rotations,
                " rotations, wanted a finite positive scale and 1 or 2, or both 0");
  }
  if (rotations == 0) {
    std::fill(out.begin(), out.end(), 0.0f);
    return {};
  }
  Signs signs;
  DrawSigns(seed, block, d, static_cast<int>(rotations), signs);
  alignas(64) std::array<float, kCodecBlock> padded;
  float* y = d == out.size() ? out.data() : padded.data();
  // At 1 bit the transform of the signs alone is exact: whole numbers up to d, or d^2 with two
  // rotations.
  float factor = scale;
  if (bits == 1) {
    kernels.unpack_signs(in.data() + kEdenHeader, 1.0f, y, d);
    factor = scale * kCentroids1[0];
  } else {
    Expand(in.data() + kEdenHeader, bits, d, y);
  }
  for (int r = static_cast<int>(rotations) - 1; r >= 0; --r) {
    kernels.hadamard(y, d);
    kernels.flip_signs(signs.rotation(r, d), y, d);
  }
  kernels.scale(factor, y, d);
  if (y != out.data()) std::copy_n(y, out.size(), out.data());
  return {};
}

}  // namespace linnet
