// Any text as JSON: refused with a place, or a value that is written and read back as itself.
#include <cstdint>

#include "base/bytes.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  const auto json = Json::Parse(AsText({data, size}));
  if (!json) {
    LINNET_CHECK(json.error().message.starts_with("line "));
    return 0;
  }
  const std::string text = json->Dump();
  // Escaped text may be beyond the limit that the first text was under.
  if (text.size() > size_t{1} << 20) return 0;
  const auto again = Json::Parse(text);
  LINNET_CHECK_MSG(again.has_value(), again ? "" : again.error().message);
  LINNET_CHECK(*again == *json && again->Dump() == text);
  return 0;
}
