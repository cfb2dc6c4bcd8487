// The participant's way to its coordinator: one WebSocket connection at a time, plain or TLS.
#ifndef LINNET_NATIVE_TRANSPORT_CLIENT_H_
#define LINNET_NATIVE_TRANSPORT_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/transport/loop.h"

namespace linnet {

using SharedFrame = std::shared_ptr<const std::vector<uint8_t>>;

struct ClientOptions {
  bool secure = false;  // TLS 1.2 or newer; certificate and host name are verified
  std::string host;
  uint16_t port = 0;
  std::string path = "/";
  std::string subprotocol;
  size_t max_message_bytes = 1u << 20;
  uint32_t connect_ms = 5000;   // for each of name lookup, TCP, TLS and handshake
  uint32_t silence_ms = 60000;  // without a byte from the other side: given up
};

// Called on the loop's thread.
struct ClientHandlers {
  std::function<void()> connected;
  // After Connect, exactly once: it failed, or the connection ended. The reason is for people.
  std::function<void(const std::string& reason)> disconnected;
  std::function<void(const uint8_t* data, size_t size)> frame;
};

class Client {
 public:
  static std::unique_ptr<Client> Create(Loop& loop, ClientOptions options, ClientHandlers handlers);
  virtual ~Client() = default;
  // Not while a connection is open or being made.
  virtual void Connect() = 0;
  virtual void Send(const SharedFrame& bytes) = 0;
  // Closes after what was sent before; `disconnected` follows.
  virtual void Close(const std::string& reason) = 0;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_CLIENT_H_
