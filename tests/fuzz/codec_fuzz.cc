// Any bytes as an encoded update, and any floats through every codec. Input: one byte of codec, two
// of the number of elements (below 20,000), then the bytes.
#include <cmath>
#include <cstdint>
#include <vector>

#include "codec/codec.h"
#include "fed/aggregation_host.h"

namespace {

using namespace linnet;

constexpr CodecSpec kCodecs[] = {
    {CodecKind::kF32, 32}, {CodecKind::kBf16, 16}, {CodecKind::kInt8, 8}, {CodecKind::kEden, 1},
    {CodecKind::kEden, 2}, {CodecKind::kEden, 3},  {CodecKind::kEden, 4},
};
const CodecSeed kSeed = {SeedFromInt(1)};

// Windows of any size decode the same bits, or fail at the same block; what passes the check is
// finite.
void Decode(const CodecSpec& spec, ByteSpan encoded, size_t n) {
  const Kernels& kernels = BestKernels();
  std::vector<float> whole(n), parts(n);
  const Status status = DecodeWindow(spec, kSeed, encoded, n, 0, whole, kernels);
  Status windows;
  for (size_t first = 0; first < n && windows; first += kCodecBlock) {
    windows = DecodeWindow(spec, kSeed, encoded, n, first,
                           {parts.data() + first, std::min(kCodecBlock, n - first)}, kernels);
  }
  LINNET_CHECK(status.has_value() == windows.has_value());
  const auto stats = CheckUpdate(spec, kSeed, encoded, n, 1e30, kernels);
  if (!status) {
    LINNET_CHECK(!stats.has_value() && !status.error().message.empty());
    return;
  }
  LINNET_CHECK(std::memcmp(whole.data(), parts.data(), n * sizeof(float)) == 0);
  if (!stats) return;
  for (const float v : whole)
    LINNET_CHECK(std::fabs(v) <= stats->max_abs && stats->max_abs <= 1e30f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const CodecSpec spec = kCodecs[data[0] % std::size(kCodecs)];
  const size_t n = 1 + LoadLE<uint16_t>(data + 1) % 20000;
  ByteSpan bytes(data + 3, size - 3);
  Decode(spec, bytes, n);
  // The same bytes, repeated to the size that the codec wants, so that blocks are reached.
  Bytes padded(EncodedBytes(spec, n));
  for (size_t i = 0; i < padded.size(); ++i)
    padded[i] = bytes.empty() ? 0 : bytes[i % bytes.size()];
  Decode(spec, padded, n);

  // As values: refused, or encoded to exactly the declared size and decoded again.
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) {
    uint32_t bits = 0;
    for (size_t b = 0; b < 4; ++b) bits |= uint32_t{padded[(4 * i + b) % padded.size()]} << (8 * b);
    x[i] = std::bit_cast<float>(bits);
  }
  Bytes encoded;
  if (Encode(spec, kSeed, x, BestKernels(), encoded)) {
    LINNET_CHECK(encoded.size() == EncodedBytes(spec, n));
    std::vector<float> decoded(n);
    LINNET_CHECK(DecodeWindow(spec, kSeed, encoded, n, 0, decoded, BestKernels()).has_value());
  }
  return 0;
}
