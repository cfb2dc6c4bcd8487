#include "native/http/address.h"

#include <charconv>

namespace linnet {

std::string Address::HostPort() const {
  const bool v6 = host.find(':') != std::string::npos;
  return StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

Result<Address> ParseAddress(std::string_view text, uint16_t default_port) {
  const std::string_view whole = text;
  const auto wrong = [whole](std::string_view why) {
    return Fail(Code::kInvalid, "\"", whole, "\" is no address: ", why,
                "; wanted: HOST:PORT, e.g. 127.0.0.1:8787");
  };
  Address out;
  if (const size_t scheme = text.find("://"); scheme != text.npos) {
    out.scheme = text.substr(0, scheme);
    text.remove_prefix(scheme + 3);
  }
  if (const size_t path = text.find('/'); path != text.npos) {
    out.path = text.substr(path);
    text = text.substr(0, path);
  }
  std::string_view port;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == text.npos) return wrong("the closing ] is missing");
    out.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text[0] != ':') return wrong("after ] comes :PORT");
    if (!text.empty()) port = text.substr(1);
  } else {
    const size_t colon = text.rfind(':');
    out.host = text.substr(0, colon);
    if (colon != text.npos) port = text.substr(colon + 1);
    if (out.host.find(':') != std::string::npos) {
      return wrong("an IPv6 address stands in brackets: [::1]:8787");
    }
  }
  if (out.host.empty()) return wrong("the host is missing");
  if (port.empty()) {
    if (default_port == 0) return wrong("the port is missing");
    out.port = default_port;
    return out;
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535) {
    return wrong(StrCat("port \"", port, "\" is not a number up to 65535"));
  }
  out.port = uint16_t(number);
  return out;
}

}  // namespace linnet
