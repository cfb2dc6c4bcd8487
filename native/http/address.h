// Addresses as people write them.
#ifndef LINNET_NATIVE_HTTP_ADDRESS_H_
#define LINNET_NATIVE_HTTP_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace linnet {

struct Address {
  std::string scheme;  // "ws", "wss", "http", or "" when none was written
  std::string host;    // without brackets
  uint16_t port = 0;
  std::string path = "/";
  // "127.0.0.1:8787", "[::1]:8787"
  std::string HostPort() const;
};

// [SCHEME://]HOST[:PORT][/PATH]; an IPv6 host stands in brackets. `default_port` 0 = a port must be
// written. kInvalid says what was found and wanted.
Result<Address> ParseAddress(std::string_view text, uint16_t default_port = 0);

}  // namespace linnet

#endif  // LINNET_NATIVE_HTTP_ADDRESS_H_
