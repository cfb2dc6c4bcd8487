#include "native/transport/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "native/transport/loop_impl.h"
#include "native/transport/websocket.h"

namespace linnet {
namespace {

using Endpoint = websocketpp::server<ServerConfig>;
using ConnectionPtr = Endpoint::connection_ptr;
using MessagePtr = Endpoint::message_ptr;
namespace close_code = websocketpp::close::status;
namespace opcode = websocketpp::frame::opcode;

constexpr uint64_t kSweepTimer = 0, kShutdownTimer = 1;
constexpr uint64_t kMinHttpBytesPerMs = 8;
constexpr uint32_t kMinSweepMs = 20, kMaxSweepMs = 1000;

std::string HostOf(const std::string& host_and_port) {
  if (!host_and_port.empty() && host_and_port[0] == '[') {
    const size_t end = host_and_port.find(']');
    return end == std::string::npos ? std::string() : host_and_port.substr(1, end - 1);
  }
  return host_and_port.substr(0, host_and_port.rfind(':'));
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Loop& loop, ServerOptions options, ServerHandlers handlers)
      : loop_(loop), options_(std::move(options)), handlers_(std::move(handlers)) {
    endpoint_.clear_access_channels(websocketpp::log::alevel::all);
    endpoint_.clear_error_channels(websocketpp::log::elevel::all);
  }

  ~ServerImpl() override { loop_.CancelTimers(this); }

  bool Start(std::string& error) {
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    asio::error_code failure;
    asio::ip::tcp::resolver resolver(loop_.impl().io);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        asio::ip::resolver_base::passive, failure);
    if (failure || found.empty()) {
      error = "no address for \"" + options_.host + "\" (" + failure.message() + ")";
      return false;
    }
    // WebSocket++ passes some of listen's errors on as its own; bind first to have the system's
    // words.
    {
      asio::ip::tcp::acceptor probe(loop_.impl().io);
      const asio::ip::tcp::endpoint endpoint = *found.begin();
      probe.open(endpoint.protocol(), failure);
      if (!failure) probe.set_option(asio::socket_base::reuse_address(true), failure);
      if (!failure) probe.bind(endpoint, failure);
      if (!failure) probe.listen(1, failure);
      if (failure == asio::error::address_in_use) {
        error = where + " is in use by another program: stop it, or choose another port";
        return false;
      }
      if (failure) {
        error = "cannot listen on " + where + ": " + failure.message();
        return false;
      }
    }
    websocketpp::lib::error_code ec;
    endpoint_.init_asio(&loop_.impl().io, ec);
    endpoint_.set_reuse_addr(true);
    endpoint_.set_user_agent("linnet");
    endpoint_.set_open_handshake_timeout(long(options_.handshake_ms));
    endpoint_.set_close_handshake_timeout(2000);
    endpoint_.set_max_message_size(options_.first_message_bytes);
    endpoint_.set_max_http_body_size(4096);
    SetHandlers();
    const uint32_t shortest = std::min({options_.ping_ms, options_.pong_ms, options_.message_ms});
    sweep_ms_ = std::clamp(shortest / 4, kMinSweepMs, kMaxSweepMs);
    if (!ec) endpoint_.listen(*found.begin(), ec);
    if (!ec) endpoint_.start_accept(ec);
    if (ec) {
      error = "cannot listen on " + where + ": " + ec.message();
      return false;
    }
    websocketpp::lib::asio::error_code local;
    port_ = endpoint_.get_local_endpoint(local).port();
    Sweep();
    return true;
  }

  uint16_t port() const override { return port_; }
  size_t connections() const override { return connections_.size(); }

  void Send(uint64_t connection, const SharedFrame& bytes) override {
    const auto found = connections_.find(connection);
    if (found == connections_.end()) return;
    const ConnectionPtr con = found->second;
    if (con->get_buffered_amount() + bytes->size() > options_.max_buffered_bytes) {
      Terminate(con);
      return;
    }
    con->send(Prepare(bytes));
  }

  void Close(uint64_t connection, const std::string& reason) override {
    const auto found = connections_.find(connection);
    if (found == connections_.end()) return;
    websocketpp::lib::error_code ec;
    found->second->close(close_code::normal, reason, ec);
  }

  void SetMessageLimit(uint64_t connection, size_t bytes) override {
    const auto found = connections_.find(connection);
    if (found != connections_.end()) found->second->set_max_message_size(bytes);
  }

  void Shutdown(uint32_t grace_ms, std::function<void()> done) override {
    websocketpp::lib::error_code ec;
    if (endpoint_.is_listening()) endpoint_.stop_listening(ec);
    shut_down_ = std::move(done);
    for (const auto& entry : Snapshot()) {
      entry->close(close_code::going_away, "the coordinator stops", ec);
    }
    loop_.SetTimer(this, kShutdownTimer, grace_ms, [this] {
      for (const auto& entry : Snapshot()) Terminate(entry);
      ReportShutdown();
    });
    ReportShutdown();
  }

 private:
  std::vector<ConnectionPtr> Snapshot() const {
    std::vector<ConnectionPtr> all;
    all.reserve(connections_.size());
    for (const auto& entry : connections_) all.push_back(entry.second);
    return all;
  }

  void SetHandlers() {
    endpoint_.set_tcp_pre_init_handler([this](websocketpp::connection_hdl handle) {
      const ConnectionPtr con = endpoint_.get_con_from_hdl(handle);
      con->open_sockets = open_sockets_;
      asio::error_code ignored;
      if (++*open_sockets_ > options_.max_connections) {
        con->get_raw_socket().close(ignored);
        return;
      }
      con->get_raw_socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    });
    endpoint_.set_validate_handler([this](websocketpp::connection_hdl handle) {
      return Validate(endpoint_.get_con_from_hdl(handle));
    });
    endpoint_.set_open_handler([this](websocketpp::connection_hdl handle) {
      const ConnectionPtr con = endpoint_.get_con_from_hdl(handle);
      con->id = ++last_id_;
      con->last_seen_ms = Loop::NowMs();
      connections_.emplace(con->id, con);
      handlers_.connected(con->id);
    });
    endpoint_.set_close_handler(
        [this](websocketpp::connection_hdl handle) { Gone(endpoint_.get_con_from_hdl(handle)); });
    endpoint_.set_fail_handler(
        [this](websocketpp::connection_hdl handle) { Gone(endpoint_.get_con_from_hdl(handle)); });
    endpoint_.set_message_handler([this](websocketpp::connection_hdl handle, MessagePtr message) {
      Received(endpoint_.get_con_from_hdl(handle), message);
    });
    endpoint_.set_pong_handler([this](websocketpp::connection_hdl handle, const std::string&) {
      Seen(*endpoint_.get_con_from_hdl(handle));
    });
    endpoint_.set_ping_handler([this](websocketpp::connection_hdl handle, const std::string&) {
      Seen(*endpoint_.get_con_from_hdl(handle));
      return true;
    });
    endpoint_.set_http_handler(
        [this](websocketpp::connection_hdl handle) { Answer(endpoint_.get_con_from_hdl(handle)); });
  }

  // A page of a stranger must not reach a coordinator on its visitor's machine: neither as another
  // origin, nor under a name of the stranger's that leads to the loopback address.
  bool KnownHost(const std::string& host_header) const {
    if (!IsLoopback(options_.host)) return true;
    const std::string host = HostOf(host_header);
    if (IsLoopback(host)) return true;
    for (const std::string& allowed : options_.allowed_origins) {
      const size_t scheme = allowed.find("://");
      if (scheme != std::string::npos && HostOf(allowed.substr(scheme + 3)) == host) return true;
    }
    return false;
  }

  bool Validate(const ConnectionPtr& con) {
    const std::string origin = con->get_request_header("Origin");
    const std::string host = con->get_request_header("Host");
    const auto& allowed = options_.allowed_origins;
    if (!KnownHost(host)) {
      Refuse(con, websocketpp::http::status_code::forbidden, "unknown host name");
      return false;
    }
    if (!origin.empty() && origin != "http://" + host && origin != "https://" + host &&
        std::find(allowed.begin(), allowed.end(), origin) == allowed.end()) {
      Refuse(con, websocketpp::http::status_code::forbidden, "this origin is not allowed");
      return false;
    }
    const auto& offered = con->get_requested_subprotocols();
    if (std::find(offered.begin(), offered.end(), options_.subprotocol) == offered.end()) {
      Refuse(con, websocketpp::http::status_code::bad_request,
             "the WebSocket subprotocol must be " + options_.subprotocol);
      return false;
    }
    con->select_subprotocol(options_.subprotocol);
    return true;
  }

  static void Refuse(const ConnectionPtr& con, websocketpp::http::status_code::value status,
                     const std::string& reason) {
    con->set_status(status);
    con->append_header("Connection", "close");
    con->append_header("Content-Type", "text/plain; charset=utf-8");
    con->set_body(reason + "\n");
  }

  void Received(const ConnectionPtr& con, const MessagePtr& message) {
    if (con->id == 0) return;
    Seen(*con);
    con->message_since_ms = 0;
    const uint64_t second = con->last_seen_ms / 1000;
    if (second != con->second) con->messages = 0;
    con->second = second;
    if (++con->messages > options_.messages_per_second) return Terminate(con);
    if (message->get_opcode() != opcode::binary) {
      websocketpp::lib::error_code ec;
      con->close(close_code::unsupported_data, "binary messages only", ec);
      return;
    }
    const std::string& payload = message->get_payload();
    handlers_.frame(con->id, reinterpret_cast<const uint8_t*>(payload.data()), payload.size());
  }

  void Answer(const ConnectionPtr& con) {
    HttpRequest request;
    request.method = con->get_request().get_method();
    request.target = con->get_resource();
    request.host = con->get_request_header("Host");
    request.origin = con->get_request_header("Origin");
    request.if_none_match = con->get_request_header("If-None-Match");
    HttpResponse response;
    if (KnownHost(request.host)) {
      response = handlers_.http(request);
    } else {
      response.status = 403;
      response.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
      response.body = "unknown host name\n";
    }
    con->set_status(websocketpp::http::status_code::value(response.status));
    for (const auto& header : response.headers) con->append_header(header.first, header.second);
    con->append_header("Connection", "close");
    const size_t length = response.body.size();
    con->set_body(request.method == "HEAD" ? std::string() : std::move(response.body));
    con->replace_header("Content-Length", std::to_string(length));
    // WebSocket++ would end an answer that takes longer than a handshake may: a slow line has more
    // time.
    con->defer_http_response();
    answers_.emplace_back(con, Loop::NowMs() + options_.handshake_ms + length / kMinHttpBytesPerMs);
    loop_.Post([con] {
      websocketpp::lib::error_code ignored;
      con->send_http_response(ignored);
    });
  }

  static void Seen(ConnectionBase& con) {
    con.last_seen_ms = Loop::NowMs();
    con.pinged = false;
  }

  void Gone(const ConnectionPtr& con) {
    if (con->id == 0 || connections_.erase(con->id) == 0) return;
    handlers_.disconnected(con->id);
    ReportShutdown();
  }

  void Terminate(const ConnectionPtr& con) { con->terminate(websocketpp::lib::error_code()); }

  void ReportShutdown() {
    if (!shut_down_ || !connections_.empty()) return;
    loop_.CancelTimer(this, kShutdownTimer);
    loop_.Post(std::exchange(shut_down_, {}));
  }

  // The framed message of these bytes. Bytes that somebody else holds too will likely be sent
  // again.
  MessagePtr Prepare(const SharedFrame& bytes) {
    const bool shared = bytes.use_count() > 1;
    if (shared) {
      const auto found = prepared_.find(bytes.get());
      if (found != prepared_.end()) {
        if (found->second.first.lock() == bytes) return found->second.second;
        prepared_.erase(found);
      }
      for (auto it = prepared_.begin(); it != prepared_.end();) {
        it = it->second.first.expired() ? prepared_.erase(it) : std::next(it);
      }
    }
    using websocketpp::frame::basic_header;
    using websocketpp::frame::extended_header;
    MessagePtr message = manager_->get_message();
    message->set_opcode(opcode::binary);
    message->set_header(websocketpp::frame::prepare_header(
        basic_header(opcode::binary, bytes->size(), true, false), extended_header(bytes->size())));
    message->set_payload(bytes->data(), bytes->size());
    message->set_prepared(true);
    if (shared) prepared_.emplace(bytes.get(), std::make_pair(std::weak_ptr(bytes), message));
    return message;
  }

  void Sweep() {
    const uint64_t now = Loop::NowMs();
    for (const ConnectionPtr& con : Snapshot()) {
      // Who takes what we send is alive, though its pong waits behind a large download.
      const size_t buffered = con->get_buffered_amount();
      if (buffered != con->last_buffered) Seen(*con);
      con->last_buffered = buffered;
      const uint64_t silent = now - std::min(now, con->last_seen_ms);
      const bool slow =
          con->message_since_ms != 0 && now - con->message_since_ms > options_.message_ms;
      if (slow || silent > options_.ping_ms + options_.pong_ms) {
        Terminate(con);
      } else if (silent > options_.ping_ms && !con->pinged) {
        con->pinged = true;
        websocketpp::lib::error_code ec;
        con->ping("", ec);
      }
    }
    for (auto it = answers_.begin(); it != answers_.end();) {
      const ConnectionPtr con = it->first.lock();
      const bool late = con && now > it->second;
      if (late) Terminate(con);
      it = !con || late ? answers_.erase(it) : std::next(it);
    }
    loop_.SetTimer(this, kSweepTimer, sweep_ms_, [this] { Sweep(); });
  }

  Loop& loop_;
  ServerOptions options_;
  ServerHandlers handlers_;
  Endpoint endpoint_;
  uint16_t port_ = 0;
  uint32_t sweep_ms_ = kMaxSweepMs;
  uint64_t last_id_ = 0;
  std::shared_ptr<size_t> open_sockets_ = std::make_shared<size_t>(0);
  std::unordered_map<uint64_t, ConnectionPtr> connections_;
  std::shared_ptr<ServerConfig::con_msg_manager_type> manager_ =
      std::make_shared<ServerConfig::con_msg_manager_type>();
  std::unordered_map<const void*, std::pair<std::weak_ptr<const std::vector<uint8_t>>, MessagePtr>>
      prepared_;
  std::vector<std::pair<std::weak_ptr<ConnectionPtr::element_type>, uint64_t>>
      answers_;  // being sent over HTTP, until when
  std::function<void()> shut_down_;
};

}  // namespace

std::unique_ptr<Server> Server::Listen(Loop& loop, const ServerOptions& options,
                                       ServerHandlers handlers, std::string& error) {
  auto server = std::make_unique<ServerImpl>(loop, options, std::move(handlers));
  if (!server->Start(error)) return nullptr;
  return server;
}

size_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return size_t(limit.rlim_cur);
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  asio::error_code error;
  const auto address = asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace linnet
