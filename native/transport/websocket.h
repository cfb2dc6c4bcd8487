// WebSocket++ as this folder configures it: silent, single-threaded, no compression, and able to
// say since when a message has been coming in.
#ifndef LINNET_NATIVE_TRANSPORT_WEBSOCKET_H_
#define LINNET_NATIVE_TRANSPORT_WEBSOCKET_H_

#include <cstdint>
#include <memory>
#include <websocketpp/concurrency/none.hpp>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

#include "native/transport/loop.h"

namespace linnet {

// What every connection carries. WebSocket++ makes the message manager inside the connection's
// constructor, after this base: so the base can leave its address for the manager to find. All of
// it happens on the loop's thread.
struct ConnectionBase {
  uint64_t id = 0;  // 0 = not open yet
  uint64_t last_seen_ms = 0;
  uint64_t message_since_ms = 0;  // 0 = no message has begun
  size_t last_buffered = 0;
  uint64_t second = 0;  // of the clock, in which `messages` came
  uint32_t messages = 0;
  bool pinged = false;
  std::shared_ptr<size_t> open_sockets;  // one counter for the server

  ConnectionBase() { Newest() = this; }
  ~ConnectionBase() {
    if (open_sockets) --*open_sockets;
  }
  ConnectionBase(const ConnectionBase&) = delete;
  ConnectionBase& operator=(const ConnectionBase&) = delete;

  static ConnectionBase*& Newest() {
    thread_local ConnectionBase* newest = nullptr;
    return newest;
  }
};

// Allocates messages; incoming ones are announced to the connection.
template <typename Message>
class MessageManager : public std::enable_shared_from_this<MessageManager<Message>> {
 public:
  using type = MessageManager<Message>;
  using ptr = std::shared_ptr<MessageManager>;
  using weak_ptr = std::weak_ptr<MessageManager>;
  using message_ptr = typename Message::ptr;

  MessageManager() : connection_(ConnectionBase::Newest()) { ConnectionBase::Newest() = nullptr; }

  message_ptr get_message() { return std::make_shared<Message>(this->shared_from_this()); }
  message_ptr get_message(websocketpp::frame::opcode::value op, size_t size) {
    if (connection_ != nullptr) connection_->message_since_ms = Loop::NowMs();
    return std::make_shared<Message>(this->shared_from_this(), op, size);
  }
  bool recycle(Message*) { return false; }

 private:
  ConnectionBase* connection_;  // owns this; null for the server's own manager
};

struct ServerConfig : public websocketpp::config::asio {
  using type = ServerConfig;
  using base = websocketpp::config::asio;

  using concurrency_type = websocketpp::concurrency::none;
  using request_type = base::request_type;
  using response_type = base::response_type;
  using message_type = websocketpp::message_buffer::message<MessageManager>;
  using con_msg_manager_type = MessageManager<message_type>;
  using endpoint_msg_manager_type =
      websocketpp::message_buffer::alloc::endpoint_msg_manager<con_msg_manager_type>;
  using alog_type = websocketpp::log::basic<concurrency_type, websocketpp::log::alevel>;
  using elog_type = websocketpp::log::basic<concurrency_type, websocketpp::log::elevel>;
  using rng_type = base::rng_type;
  using connection_base = ConnectionBase;

  static constexpr bool enable_multithreading = false;
  struct transport_config : public base::transport_config {
    using concurrency_type = type::concurrency_type;
    using alog_type = type::alog_type;
    using elog_type = type::elog_type;
    using request_type = type::request_type;
    using response_type = type::response_type;
    using socket_type = websocketpp::transport::asio::basic_socket::endpoint;
    static constexpr bool enable_multithreading = false;
  };
  using transport_type = websocketpp::transport::asio::endpoint<transport_config>;

  static const websocketpp::log::level elog_level = websocketpp::log::elevel::none;
  static const websocketpp::log::level alog_level = websocketpp::log::alevel::none;
  // Each open connection holds one; 16 KiB would be a few per cent quicker.
  static const size_t connection_read_buffer_size = 4096;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_WEBSOCKET_H_
