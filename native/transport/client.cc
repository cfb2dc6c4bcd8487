#include "native/transport/client.h"

#include <type_traits>
#include <utility>
#include <websocketpp/client.hpp>
#include <websocketpp/concurrency/none.hpp>
#include <websocketpp/config/asio_client.hpp>

#include "native/transport/loop_impl.h"

namespace linnet {
namespace {

namespace close_code = websocketpp::close::status;
namespace opcode = websocketpp::frame::opcode;

constexpr uint64_t kSilenceTimer = 0;

// Config: websocketpp::config::asio_client or asio_tls_client.
template <typename Config>
class ClientImpl final : public Client {
  using Endpoint = websocketpp::client<Config>;
  using ConnectionPtr = typename Endpoint::connection_ptr;
  using MessagePtr = typename Config::message_type::ptr;
  using TlsContext = std::shared_ptr<asio::ssl::context>;
  static constexpr bool kSecure = std::is_same_v<Config, websocketpp::config::asio_tls_client>;

 public:
  ClientImpl(Loop& loop, ClientOptions options, ClientHandlers handlers)
      : loop_(loop), options_(std::move(options)), handlers_(std::move(handlers)) {
    endpoint_.clear_access_channels(websocketpp::log::alevel::all);
    endpoint_.clear_error_channels(websocketpp::log::elevel::all);
    endpoint_.init_asio(&loop_.impl().io);
    endpoint_.set_user_agent("linnet");
    endpoint_.set_open_handshake_timeout(long(options_.connect_ms));
    endpoint_.set_close_handshake_timeout(2000);
    endpoint_.set_max_message_size(options_.max_message_bytes);
    endpoint_.set_open_handler([this](websocketpp::connection_hdl) {
      last_seen_ms_ = Loop::NowMs();
      WatchSilence();
      handlers_.connected();
    });
    endpoint_.set_close_handler([this](websocketpp::connection_hdl) { Gone(); });
    endpoint_.set_fail_handler([this](websocketpp::connection_hdl) { Gone(); });
    endpoint_.set_ping_handler([this](websocketpp::connection_hdl, const std::string&) {
      last_seen_ms_ = Loop::NowMs();
      return true;
    });
    endpoint_.set_message_handler([this](websocketpp::connection_hdl, MessagePtr message) {
      last_seen_ms_ = Loop::NowMs();
      if (message->get_opcode() != opcode::binary) return;
      const std::string& payload = message->get_payload();
      handlers_.frame(reinterpret_cast<const uint8_t*>(payload.data()), payload.size());
    });
    if constexpr (kSecure) {
      endpoint_.set_tls_init_handler([this](websocketpp::connection_hdl) {
        auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
        SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
        context->set_default_verify_paths();
        context->set_verify_mode(asio::ssl::verify_peer);
        context->set_verify_callback(asio::ssl::host_name_verification(options_.host));
        return context;
      });
    }
  }

  ~ClientImpl() override {
    loop_.CancelTimer(this, kSilenceTimer);
    if (connection_) connection_->terminate(websocketpp::lib::error_code());
  }

  void Connect() override {
    const bool numeric_v6 = options_.host.find(':') != std::string::npos;
    const std::string host = numeric_v6 ? "[" + options_.host + "]" : options_.host;
    websocketpp::lib::error_code ec;
    const auto uri =
        std::make_shared<websocketpp::uri>(kSecure, host, options_.port, options_.path);
    connection_ = endpoint_.get_connection(uri, ec);
    if (ec) {
      connection_.reset();
      loop_.Post([this, reason = ec.message()] { handlers_.disconnected(reason); });
      return;
    }
    connection_->add_subprotocol(options_.subprotocol);
    endpoint_.connect(connection_);
  }

  void Send(const SharedFrame& bytes) override {
    if (connection_) connection_->send(bytes->data(), bytes->size(), opcode::binary);
  }

  void Close(const std::string& reason) override {
    if (!connection_) return;
    websocketpp::lib::error_code ec;
    connection_->close(close_code::normal, reason, ec);
    if (ec) connection_->terminate(ec);  // not open yet
  }

 private:
  void Gone() {
    if (!connection_) return;
    loop_.CancelTimer(this, kSilenceTimer);
    const ConnectionPtr con = std::exchange(connection_, nullptr);
    std::string reason = con->get_remote_close_reason();
    if (reason.empty()) {
      // The layer below has the telling words ("Connection refused").
      const auto below = con->get_transport_ec();
      reason = below && below.category() == std::system_category() ? below.message()
                                                                   : con->get_ec().message();
    }
    if (con->get_response_code() != 0 && con->get_response_code() != 101) {
      reason = "it answered HTTP " + std::to_string(con->get_response_code()) + ": " +
               con->get_response_msg();
      const std::string& body = con->get_response().get_body();
      if (!body.empty()) reason += ", " + body.substr(0, body.find('\n'));
    }
    handlers_.disconnected(reason);
  }

  void WatchSilence() {
    loop_.SetTimer(this, kSilenceTimer, options_.silence_ms / 4, [this] {
      if (!connection_) return;
      if (Loop::NowMs() - last_seen_ms_ > options_.silence_ms) {
        connection_->terminate(
            websocketpp::error::make_error_code(websocketpp::error::open_handshake_timeout));
      } else {
        WatchSilence();
      }
    });
  }

  Loop& loop_;
  ClientOptions options_;
  ClientHandlers handlers_;
  Endpoint endpoint_;
  ConnectionPtr connection_;
  uint64_t last_seen_ms_ = 0;
};

}  // namespace

std::unique_ptr<Client> Client::Create(Loop& loop, ClientOptions options, ClientHandlers handlers) {
  if (options.secure) {
    return std::make_unique<ClientImpl<websocketpp::config::asio_tls_client>>(
        loop, std::move(options), std::move(handlers));
  }
  return std::make_unique<ClientImpl<websocketpp::config::asio_client>>(loop, std::move(options),
                                                                        std::move(handlers));
}

}  // namespace linnet
