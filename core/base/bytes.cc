#include "base/bytes.h"

namespace linnet {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

// The value of a hexadecimal digit, or -1.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Hex(ByteSpan bytes) {
  std::string out(bytes.size() * 2, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = kHexDigits[bytes[i] >> 4];
    out[2 * i + 1] = kHexDigits[bytes[i] & 15];
  }
  return out;
}

Result<Bytes> FromHex(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (HexValue(text[i]) >= 0) continue;
    const auto found = static_cast<uint8_t>(text[i]);
    if (found > ' ' && found < 0x7f) {
      return Fail(Code::kInvalid, "'", text[i], "' at position ", i, " is no hexadecimal digit");
    }
    return Fail(Code::kInvalid, "the byte ", found, " at position ", i, " is no hexadecimal digit");
  }
  if (text.size() % 2 != 0) {
    return Fail(Code::kInvalid, text.size(), " hexadecimal digits: an even number is wanted");
  }
  Bytes out(text.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(HexValue(text[2 * i]) << 4 | HexValue(text[2 * i + 1]));
  }
  return out;
}

Result<Digest> DigestFromHex(std::string_view text) {
  Digest digest;
  if (text.size() != 2 * digest.size()) {
    return Fail(Code::kInvalid, "a digest has ", 2 * digest.size(), " hexadecimal digits, found ",
                text.size());
  }
  LINNET_TRY(const Bytes bytes, FromHex(text));
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

}  // namespace linnet
