#include "codec/codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/nearest.h"
#include "codec/eden.h"

namespace linnet {
namespace {

struct CodecRow {
  std::string_view name;
  CodecKind kind;
  int min_bits, max_bits;
};
constexpr CodecRow kCodecs[] = {
    {"f32", CodecKind::kF32, 32, 32},
    {"bf16", CodecKind::kBf16, 16, 16},
    {"int8", CodecKind::kInt8, 8, 8},
    {"eden", CodecKind::kEden, 1, 4},
};
const CodecRow& RowOf(CodecKind kind) { return kCodecs[static_cast<size_t>(kind)]; }

constexpr size_t kInt8Header = 4;
// Larger values round to infinity in bf16.
constexpr float kMaxBf16 = 0x1.ffp127f;

// Bytes of a block of `count` elements; all but the last of a vector have kCodecBlock.
size_t BlockBytes(const CodecSpec& spec, size_t count) {
  switch (spec.kind) {
    case CodecKind::kF32:
      return 4 * count;
    case CodecKind::kBf16:
      return 2 * count;
    case CodecKind::kInt8:
      return kInt8Header + count;
    case CodecKind::kEden:
      return EdenBlockBytes(count, spec.bits);
  }
  LINNET_CHECK(false);
}

// Each x / scale goes to one of its two whole neighbours, up with the probability of its fraction.
void EncodeInt8(std::span<const float> x, float largest, const Seed& seed, uint64_t block,
                uint8_t* out) {
  const float scale = largest / 127.0f;
  StoreLE(out, scale);
  int8_t* codes = reinterpret_cast<int8_t*>(out + kInt8Header);
  if (scale == 0) {
    std::fill_n(codes, x.size(), int8_t{0});
    return;
  }
  std::array<uint32_t, kCodecBlock> random;
  ChaCha20Stream(seed, block, 0, {reinterpret_cast<uint8_t*>(random.data()), 4 * x.size()});
  for (size_t i = 0; i < x.size(); ++i) {
    const float scaled = x[i] / scale;
    const float below = std::floor(scaled);
    const float uniform = static_cast<float>(random[i] >> 8) * 0x1p-24f;
    const float rounded = below + (uniform < scaled - below ? 1.0f : 0.0f);
    // scale was rounded, so the largest may come out a little above 127.
    codes[i] = static_cast<int8_t>(std::clamp(rounded, -127.0f, 127.0f));
  }
}

Status EncodeBlock(const CodecSpec& spec, const Seed& seed, uint64_t block,
                   std::span<const float> x, const Kernels& kernels, std::span<uint8_t> out) {
  float largest = 0;
  if (!kernels.max_abs(x.data(), x.size(), &largest)) {
    const size_t at = static_cast<size_t>(
        std::find_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); }) - x.begin());
    return Fail(Code::kData, "element ", block * kCodecBlock + at, " is ", x[at],
                ", wanted a finite number");
  }
  switch (spec.kind) {
    case CodecKind::kF32:
      std::memcpy(out.data(), x.data(), 4 * x.size());
      return {};
    case CodecKind::kBf16: {
      if (largest >= kMaxBf16)
        return Fail(Code::kData, "found a value of ", largest, ", too large for bf16");
      std::array<uint16_t, kCodecBlock> halves;
      kernels.to_bf16(x.data(), halves.data(), x.size());
      std::memcpy(out.data(), halves.data(), 2 * x.size());
      return {};
    }
    case CodecKind::kInt8:
      EncodeInt8(x, largest, seed, block, out.data());
      return {};
    case CodecKind::kEden:
      return EdenEncodeBlock(x, spec.bits, EdenRotations(x), seed, block, kernels, out);
  }
  LINNET_CHECK(false);
}

Status DecodeBlock(const CodecSpec& spec, const Seed& seed, uint64_t block, ByteSpan in,
                   const Kernels& kernels, std::span<float> out) {
  switch (spec.kind) {
    case CodecKind::kF32:
      std::memcpy(out.data(), in.data(), in.size());
      return {};
    case CodecKind::kBf16: {
      if (reinterpret_cast<uintptr_t>(in.data()) % alignof(uint16_t) == 0) {
        kernels.from_bf16(reinterpret_cast<const uint16_t*>(in.data()), out.data(), out.size());
        return {};
      }
      std::array<uint16_t, kCodecBlock> halves;
      std::memcpy(halves.data(), in.data(), in.size());
      kernels.from_bf16(halves.data(), out.data(), out.size());
      return {};
    }
    case CodecKind::kInt8: {
      const float scale = LoadLE<float>(in.data());
      if (!std::isfinite(scale) || std::signbit(scale)) {
        return Fail(Code::kData, "block ", block, " has scale ", scale,
                    ", wanted a finite one, not negative");
      }
      kernels.from_i8(reinterpret_cast<const int8_t*>(in.data() + kInt8Header), scale, out.data(),
                      out.size());
      return {};
    }
    case CodecKind::kEden:
      return EdenDecodeBlock(in, spec.bits, seed, block, kernels, out);
  }
  LINNET_CHECK(false);
}

}  // namespace

Result<CodecSpec> ParseCodec(std::string_view name, int bits) {
  std::array<std::string_view, std::size(kCodecs)> names;
  for (size_t i = 0; i < names.size(); ++i) {
    const CodecRow& row = kCodecs[i];
    names[i] = row.name;
    if (row.name != name) continue;
    if (bits < row.min_bits || bits > row.max_bits) {
      return Fail(Code::kInvalid, "codec \"", name, "\" has ", bits, " bits, wanted ", row.min_bits,
                  row.min_bits == row.max_bits ? "" : StrCat(" to ", row.max_bits));
    }
    return CodecSpec{row.kind, static_cast<uint8_t>(bits)};
  }
  return Fail(Code::kInvalid, "codec \"", name, "\" is not known, did you mean \"",
              NearestName(name, names), "\"? Known: f32, bf16, int8, eden (1 to 4 bits)");
}

std::string CodecName(const CodecSpec& spec) {
  const CodecRow& row = RowOf(spec.kind);
  return row.min_bits == row.max_bits ? std::string(row.name)
                                      : StrCat(row.name, "/", int{spec.bits});
}

size_t EncodedBytes(const CodecSpec& spec, size_t n) {
  LINNET_CHECK(n >= 1);
  const size_t whole = (n - 1) / kCodecBlock;
  return whole * BlockBytes(spec, kCodecBlock) + BlockBytes(spec, n - whole * kCodecBlock);
}

CodecSeed MakeCodecSeed(const Seed& round_seed, ByteSpan participant) {
  return {DeriveSeed(round_seed, participant)};
}

Status Encode(const CodecSpec& spec, const CodecSeed& seed, std::span<const float> x,
              const Kernels& kernels, Bytes& out) {
  out.resize(EncodedBytes(spec, x.size()));
  const std::span<uint8_t> bytes(out);
  const size_t block_bytes = BlockBytes(spec, kCodecBlock);
  for (size_t block = 0; block * kCodecBlock < x.size(); ++block) {
    const size_t count = std::min(kCodecBlock, x.size() - block * kCodecBlock);
    LINNET_TRY_STATUS(EncodeBlock(spec, seed.seed, block, x.subspan(block * kCodecBlock, count),
                                  kernels,
                                  bytes.subspan(block * block_bytes, BlockBytes(spec, count))));
  }
  return {};
}

Status DecodeWindow(const CodecSpec& spec, const CodecSeed& seed, ByteSpan encoded, size_t n,
                    size_t first, std::span<float> out, const Kernels& kernels) {
  if (encoded.size() != EncodedBytes(spec, n)) {
    return Fail(Code::kData, "found ", encoded.size(), " bytes of ", CodecName(spec), ", wanted ",
                EncodedBytes(spec, n), " for ", n, " parameters");
  }
  LINNET_CHECK(first % kCodecBlock == 0 && first + out.size() <= n &&
               (out.size() % kCodecBlock == 0 || first + out.size() == n));
  const size_t begin = EncodedOffset(spec, n, first);
  const size_t end = EncodedOffset(spec, n, first + out.size());
  return DecodeBlocks(spec, seed, encoded.subspan(begin, end - begin), first, out, kernels);
}

size_t CodecStep(const CodecSpec& spec) {
  const bool single = spec.kind == CodecKind::kF32 || spec.kind == CodecKind::kBf16;
  return single ? 1 : kCodecBlock;
}

size_t EncodedOffset(const CodecSpec& spec, size_t n, size_t first) {
  if (first == n) return EncodedBytes(spec, n);
  const size_t step = CodecStep(spec);
  return first / step * BlockBytes(spec, step);
}

Status DecodeBlocks(const CodecSpec& spec, const CodecSeed& seed, ByteSpan blocks, size_t first,
                    std::span<float> out, const Kernels& kernels) {
  LINNET_CHECK(out.empty() || blocks.size() == EncodedBytes(spec, out.size()));
  const size_t block_bytes = BlockBytes(spec, kCodecBlock);
  for (size_t at = 0; at < out.size(); at += kCodecBlock) {
    const size_t count = std::min(kCodecBlock, out.size() - at);
    LINNET_TRY_STATUS(
        DecodeBlock(spec, seed.seed, (first + at) / kCodecBlock,
                    blocks.subspan(at / kCodecBlock * block_bytes, BlockBytes(spec, count)),
                    kernels, out.subspan(at, count)));
  }
  return {};
}

}  // namespace linnet
