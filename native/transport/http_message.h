// One HTTP request and its answer, as values.
#ifndef LINNET_NATIVE_TRANSPORT_HTTP_MESSAGE_H_
#define LINNET_NATIVE_TRANSPORT_HTTP_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

namespace linnet {

struct HttpRequest {
  std::string method;        // "GET"
  std::string target;        // as it came: "/v1/status?x=1"
  std::string host, origin;  // headers, "" = absent
  std::string if_none_match;
};

struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_HTTP_MESSAGE_H_
