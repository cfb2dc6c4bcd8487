// Any text as a federation file: refused in one line, or a federation whose canonical file is the
// same federation, and whose public part is a federation that fits a frame.
#include <cstdint>

#include "fed/federation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  auto federation = ParseFederation(AsText({data, size}));
  if (!federation) {
    LINNET_CHECK(!federation.error().message.empty());
    LINNET_CHECK(federation.error().message.find('\n') == std::string::npos);
    return 0;
  }
  const std::string canonical = FederationToJson(*federation).Dump();
  auto again = ParseFederation(canonical);
  LINNET_CHECK_MSG(again.has_value(), again ? "" : again.error().message);
  LINNET_CHECK(FederationToJson(*again).Dump() == canonical);

  const std::string shown = PublicFederation(*federation).Dump();
  LINNET_CHECK(shown.size() <= kMaxText);
  auto public_part = ParseFederation(shown);
  LINNET_CHECK_MSG(public_part.has_value(), public_part ? "" : public_part.error().message);
  LINNET_CHECK(PublicFederation(*public_part).Dump() == shown);
  return 0;
}
