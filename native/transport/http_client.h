// A blocking HTTP GET for the command line.
#ifndef LINNET_NATIVE_TRANSPORT_HTTP_CLIENT_H_
#define LINNET_NATIVE_TRANSPORT_HTTP_CLIENT_H_

#include <cstdint>
#include <string>

#include "native/transport/http_message.h"

namespace linnet {

// status 0 = no answer; the body has the reason. Answers beyond `max_bytes` count as none.
HttpResponse HttpGet(const std::string& host, uint16_t port, const std::string& target,
                     uint32_t timeout_ms = 5000, size_t max_bytes = size_t{1} << 30);

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_HTTP_CLIENT_H_
