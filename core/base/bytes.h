// Byte strings, little-endian loads and stores, hexadecimal.
#ifndef LINNET_BASE_BYTES_H_
#define LINNET_BASE_BYTES_H_

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace linnet {

static_assert(std::endian::native == std::endian::little,
              "the formats are little-endian and are read in place");

using Bytes = std::vector<uint8_t>;
using ByteSpan = std::span<const uint8_t>;
// Immutable bytes with several owners (frames that go to many connections, models in caches).
using SharedBytes = std::shared_ptr<const Bytes>;

// A 256-bit digest (BLAKE2b-256 unless a name says SHA-256).
using Digest = std::array<uint8_t, 32>;
// An assignment: 128 random bits.
using AssignmentId = std::array<uint8_t, 16>;

template <typename T>
T LoadLE(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <typename T>
void StoreLE(void* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}
template <typename T>
void AppendLE(Bytes& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof(T));
  StoreLE(out.data() + at, value);
}

inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Lower-case, two characters a byte.
std::string Hex(ByteSpan bytes);
// Either case; an odd length or another character is kInvalid, naming it.
Result<Bytes> FromHex(std::string_view text);
// Exactly 64 hexadecimal characters.
Result<Digest> DigestFromHex(std::string_view text);

}  // namespace linnet

#endif  // LINNET_BASE_BYTES_H_
