// What a Text of the protocol may hold, for both directions.
#ifndef LINNET_WIRE_TEXT_H_
#define LINNET_WIRE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace linnet {

inline constexpr size_t kMaxLabel = 64;           // bytes
inline constexpr size_t kMaxPropertyValue = 256;  // bytes

// A text may have line feeds and tabs, a label has no control character at all; both are UTF-8.
enum class TextKind { kText, kLabel };

bool IsClean(std::string_view text, TextKind kind);

// Text for people, made fit to travel: cut at a character to at most `max_bytes`, what is not
// allowed replaced by '?'. So no file name or foreign message can make a frame that the other side
// refuses.
std::string MakeClean(std::string_view text, size_t max_bytes, TextKind kind);

}  // namespace linnet

#endif  // LINNET_WIRE_TEXT_H_
