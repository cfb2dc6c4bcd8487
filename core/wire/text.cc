#include "wire/text.h"

#include <cstdint>

namespace linnet {
namespace {

// Bytes of the character at the start of `text`, 0 when it is not well-formed UTF-8 (Unicode 15,
// table 3-7: no overlong forms, no surrogates, nothing beyond U+10FFFF).
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const auto trails = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return trails(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
    return trails(1) && trails(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && byte(1) < 0x90;
    const bool beyond = lead == 0xF4 && byte(1) >= 0x90;
    return trails(1) && trails(2) && trails(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

bool IsAllowed(char c, TextKind kind) {
  if (static_cast<uint8_t>(c) >= 0x20) return true;
  return kind == TextKind::kText && (c == '\n' || c == '\t');
}

}  // namespace

bool IsClean(std::string_view text, TextKind kind) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0 || !IsAllowed(text[0], kind)) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string MakeClean(std::string_view text, size_t max_bytes, TextKind kind) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const bool good = bytes != 0 && IsAllowed(text[0], kind);
    const std::string_view character = good ? text.substr(0, bytes) : std::string_view("?");
    if (out.size() + character.size() > max_bytes) break;
    out += character;
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

}  // namespace linnet
