// Any bytes as a frame: refused with a reason, or a message that can be sent again and reads the
// same.
#include <cstdint>

#include "wire/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  auto message = DecodeMessage({data, size});
  if (!message) {
    LINNET_CHECK(!message.error().message.empty());
    return 0;
  }
  const Bytes frame = EncodeMessage(*message);
  auto again = DecodeMessage(frame);
  LINNET_CHECK_MSG(again.has_value(), again ? "" : again.error().message);
  // NaN is unequal to itself, so the encodings are compared.
  LINNET_CHECK(again->index() == message->index() && EncodeMessage(*again) == frame);
  return 0;
}
