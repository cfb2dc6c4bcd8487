// The coordinator's door: WebSocket and HTTP on one port. A plain header; WebSocket++ and Asio stay
// in this folder's .cc files.
#ifndef LINNET_NATIVE_TRANSPORT_SERVER_H_
#define LINNET_NATIVE_TRANSPORT_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/transport/http_message.h"
#include "native/transport/loop.h"

namespace linnet {

// The same type as SharedBytes of base/bytes.h (which wants C++23).
using SharedFrame = std::shared_ptr<const std::vector<uint8_t>>;

struct ServerOptions {
  std::string host = "127.0.0.1";  // a numeric address or a name
  uint16_t port = 8787;            // 0 = any free one
  std::string subprotocol;         // a connection that does not offer it is refused
  // Origins of pages that may connect besides the page of this very host and port. A request
  // without an Origin (a daemon, a command line) is welcome.
  std::vector<std::string> allowed_origins;
  size_t first_message_bytes = 4096;      // the longest message until SetMessageLimit
  size_t max_connections = 20000;         // beyond: closed at once
  size_t max_buffered_bytes = 32u << 20;  // waiting to be sent to one connection; beyond: closed
  uint32_t messages_per_second = 2000;    // of one connection, lasting; beyond: closed
  uint32_t handshake_ms = 5000;
  uint32_t message_ms = 30000;  // from a message's first byte to its last
  uint32_t ping_ms = 20000;     // silence before a ping
  uint32_t pong_ms = 20000;     // and before the connection is given up
};

// Called on the loop's thread. Connection ids are never used twice.
struct ServerHandlers {
  std::function<void(uint64_t connection)> connected;
  std::function<void(uint64_t connection)> disconnected;  // once for each connected
  std::function<void(uint64_t connection, const uint8_t* data, size_t size)> frame;
  std::function<HttpResponse(const HttpRequest&)> http;
};

class Server {
 public:
  // Starts listening. Null on error, `error` has the words ("127.0.0.1:8787 is in use ...").
  static std::unique_ptr<Server> Listen(Loop& loop, const ServerOptions& options,
                                        ServerHandlers handlers, std::string& error);
  virtual ~Server() = default;

  virtual uint16_t port() const = 0;
  virtual size_t connections() const = 0;

  // One binary message; nothing happens when the connection is gone. The same pointer sent to many
  // connections is framed once.
  virtual void Send(uint64_t connection, const SharedFrame& bytes) = 0;
  // Closes after what was sent before; `disconnected` follows.
  virtual void Close(uint64_t connection, const std::string& reason) = 0;
  virtual void SetMessageLimit(uint64_t connection, size_t bytes) = 0;
  // No new connections; closes all, ends stragglers after `grace_ms`, then calls `done`.
  virtual void Shutdown(uint32_t grace_ms, std::function<void()> done) = 0;
};

// Raises the number of open files to what the system admits; returns the limit in force.
size_t RaiseFileLimit();

// True for an address that only this machine can reach: localhost, 127.0.0.0/8, ::1.
bool IsLoopback(const std::string& host);

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_SERVER_H_
