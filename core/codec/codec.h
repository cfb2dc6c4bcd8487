// Update compression. A codec works on the flat f32 vector of the PARAM role in layout order,
// across tensors, in blocks of kCodecBlock elements, so that any block can be decoded by itself.
#ifndef LINNET_CODEC_CODEC_H_
#define LINNET_CODEC_CODEC_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "kernels/kernels.h"

namespace linnet {

inline constexpr size_t kCodecBlock = 4096;

enum class CodecKind : uint8_t { kF32 = 0, kBf16 = 1, kInt8 = 2, kEden = 3 };

// What a federation chose: {"codec": "eden", "bits": 1}.
struct CodecSpec {
  CodecKind kind = CodecKind::kF32;
  uint8_t bits = 32;  // eden: 1 to 4; the others: 32, 16, 8
  friend bool operator==(const CodecSpec&, const CodecSpec&) = default;
};
// Table of names and admitted bits; kInvalid names what was found and what is known.
Result<CodecSpec> ParseCodec(std::string_view name, int bits);
std::string CodecName(const CodecSpec& spec);  // "eden/1", "f32"

// Exact bytes of an encoded vector of n elements (n >= 1): a hostile size is refused before
// anything is allocated.
size_t EncodedBytes(const CodecSpec& spec, size_t n);

// The randomness of one upload: signs and stochastic rounding come from
// ChaCha20(DeriveSeed(round_seed, participant), stream = block).
struct CodecSeed {
  Seed seed;
};
CodecSeed MakeCodecSeed(const Seed& round_seed, ByteSpan participant);

// `out` becomes exactly EncodedBytes(spec, x.size()) bytes. kData when a value is not finite.
Status Encode(const CodecSpec& spec, const CodecSeed& seed, std::span<const float> x,
              const Kernels& kernels, Bytes& out);

// Decodes elements [first, first + out.size()) of a vector of n; first is a multiple of kCodecBlock
// and the window ends at a multiple of it or at n. Same bits on every target. kData when `encoded`
// has another size than EncodedBytes or holds a scale that is not finite.
Status DecodeWindow(const CodecSpec& spec, const CodecSeed& seed, ByteSpan encoded, size_t n,
                    size_t first, std::span<float> out, const Kernels& kernels);

// The same for whoever holds the bytes of the window alone: what `first` has to be a multiple of (1
// or kCodecBlock), where element `first` of a vector of n begins (or n: the end), and the decoder,
// which is given exactly the bytes of `out.size()` elements.
size_t CodecStep(const CodecSpec& spec);
size_t EncodedOffset(const CodecSpec& spec, size_t n, size_t first);
Status DecodeBlocks(const CodecSpec& spec, const CodecSeed& seed, ByteSpan blocks, size_t first,
                    std::span<float> out, const Kernels& kernels);

}  // namespace linnet

#endif  // LINNET_CODEC_CODEC_H_
