// A socket that says exactly what a test wants said: well-behaved clients cannot test a server.
#ifndef LINNET_TESTS_NATIVE_RAW_CLIENT_H_
#define LINNET_TESTS_NATIVE_RAW_CLIENT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace linnet {

class RawClient {
 public:
  explicit RawClient(uint16_t port) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) Close();
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(size_t(n));
    }
    return true;
  }
  // Everything until the other side closes, or until `enough` has been read. At most 20 s.
  std::string Read(size_t enough = ~size_t{0}) {
    if (fd_ < 0) return {};
    std::string out;
    char buffer[65536];
    while (out.size() < enough) {
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, 20000) <= 0) return out + "(timeout)";
      const ssize_t n = recv(fd_, buffer, std::min(sizeof(buffer), enough - out.size()), 0);
      if (n <= 0) break;
      out.append(buffer, size_t(n));
    }
    return out;
  }
  // Up to the blank line after the headers.
  std::string ReadHead() {
    std::string out;
    while (out.find("\r\n\r\n") == std::string::npos) {
      const std::string more = Read(1);
      if (more.size() != 1) break;
      out += more;
    }
    return out;
  }

  // A handshake with the given extra header lines; returns the answer's head.
  std::string Upgrade(std::string_view headers, std::string_view host = "127.0.0.1") {
    std::string request = "GET / HTTP/1.1\r\nHost: ";
    request += host;
    request +=
        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    request += headers;
    request += "\r\n";
    Send(request);
    return ReadHead();
  }

  // The header of a masked frame with mask 0 (so that the payload stands as it is).
  static std::string FrameHeader(uint64_t size, int opcode = 2, bool fin = true) {
    std::string out;
    out += char((fin ? 0x80 : 0) | opcode);
    if (size < 126) {
      out += char(0x80 | size);
    } else if (size < 65536) {
      out += char(0x80 | 126);
      out += char(size >> 8);
      out += char(size);
    } else {
      out += char(0x80 | 127);
      for (int shift = 56; shift >= 0; shift -= 8) out += char(size >> shift);
    }
    return out + std::string(4, '\0');
  }
  static std::string Frame(std::string_view payload, int opcode = 2) {
    return FrameHeader(payload.size(), opcode) + std::string(payload);
  }

 private:
  int fd_ = -1;
};

}  // namespace linnet

#endif  // LINNET_TESTS_NATIVE_RAW_CLIENT_H_
