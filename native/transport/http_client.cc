#include "native/transport/http_client.h"

#include <asio.hpp>
#include <chrono>
#include <sstream>

namespace linnet {

HttpResponse HttpGet(const std::string& host, uint16_t port, const std::string& target,
                     uint32_t timeout_ms, size_t max_bytes) {
  HttpResponse response;
  response.status = 0;
  asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::milliseconds(timeout_ms));
  stream.connect(host, std::to_string(port));
  if (!stream) {
    response.body = stream.error().message();
    return response;
  }
  const bool v6 = host.find(':') != std::string::npos;
  stream << "GET " << target << " HTTP/1.1\r\nHost: " << (v6 ? "[" : "") << host << (v6 ? "]" : "")
         << ":" << port << "\r\nConnection: close\r\n\r\n"
         << std::flush;
  std::string version, line;
  int status = 0;
  stream >> version >> status;
  std::getline(stream, line);
  if (!stream || version.rfind("HTTP/", 0) != 0) {
    response.body = stream.error() ? stream.error().message() : "it does not speak HTTP";
    return response;
  }
  bool told = false;
  size_t length = 0;
  while (std::getline(stream, line) && line != "\r" && !line.empty()) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
    size_t from = line.find_first_not_of(' ', colon + 1);
    if (from == std::string::npos) continue;
    std::string value = line.substr(from, line.find_last_not_of("\r ") + 1 - from);
    if (name == "content-length") {
      told = true;
      length = size_t(std::strtoull(value.c_str(), nullptr, 10));
    }
    response.headers.emplace_back(std::move(name), std::move(value));
  }
  if (!told || length > max_bytes) {
    response.body = "its answer has no acceptable length";
    return response;
  }
  response.body.resize(length);
  stream.read(response.body.data(), std::streamsize(length));
  if (size_t(stream.gcount()) != length) {
    response.body = "its answer was cut short";
    return response;
  }
  response.status = status;
  return response;
}

}  // namespace linnet
