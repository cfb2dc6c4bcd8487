#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "gtest/gtest.h"
#include "native/raw_client.h"
#include "native/transport/client.h"
#include "native/transport/http_client.h"
#include "native/transport/loop.h"
#include "native/transport/server.h"

namespace linnet {
namespace {

constexpr size_t kLarge = 30000000;
constexpr char kProtocolHeader[] = "Sec-WebSocket-Protocol: linnet.v1\r\n";

// What handlers saw, in order, waited for by the test's thread.
class Events {
 public:
  void Add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    wake_.notify_all();
  }
  // The next event; "(nothing)" after 20 s.
  std::string Next() {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_for(lock, std::chrono::seconds(20), [this] { return !events_.empty(); })) {
      return "(nothing)";
    }
    std::string event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> events_;
};

// A loop on a thread of its own.
class LoopThread {
 public:
  ~LoopThread() { Join(); }
  void Start() {
    thread_ = std::thread([this] { loop.Run(); });
  }
  void Join() {
    loop.Stop();
    if (thread_.joinable()) thread_.join();
  }
  // Runs `task` on the loop's thread and waits for it.
  template <typename Task>
  void Do(const Task& task) {
    Events done;
    loop.Post([&] {
      task();
      done.Add("done");
    });
    ASSERT_EQ(done.Next(), "done");
  }
  Loop loop;

 private:
  std::thread thread_;
};

class ServerTest : public testing::Test {
 protected:
  void Serve(ServerOptions options = {}) {
    options.port = 0;
    options.subprotocol = "linnet.v1";
    ServerHandlers handlers;
    handlers.connected = [this](uint64_t connection) {
      last_ = connection;
      events_.Add("connected");
    };
    handlers.disconnected = [this](uint64_t) { events_.Add("disconnected"); };
    handlers.frame = [this](uint64_t, const uint8_t* data, size_t size) {
      events_.Add("frame " + std::to_string(size) + " " +
                  std::string(reinterpret_cast<const char*>(data), std::min<size_t>(size, 8)));
    };
    handlers.http = [](const HttpRequest& request) {
      HttpResponse response;
      response.headers.emplace_back("Content-Type", "text/plain");
      response.body = request.method + " " + request.target + " " + request.origin;
      if (request.target == "/large") response.body.assign(kLarge, 'L');
      return response;
    };
    std::string error;
    server_ = Server::Listen(thread_.loop, options, std::move(handlers), error);
    ASSERT_NE(server_, nullptr) << error;
    port_ = server_->port();
    thread_.Start();
  }
  void TearDown() override {
    thread_.Join();
    server_.reset();
  }
  std::string Host() const { return "127.0.0.1:" + std::to_string(port_); }
  // A connection that is welcome; its events have been seen.
  std::unique_ptr<RawClient> Open() {
    auto client = std::make_unique<RawClient>(port_);
    EXPECT_NE(client->Upgrade(kProtocolHeader, Host()).find("101"), std::string::npos);
    EXPECT_EQ(events_.Next(), "connected");
    return client;
  }

  LoopThread thread_;
  Events events_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  uint64_t last_ = 0;
};

// ---- Who gets in

struct Knock {
  const char* name;
  std::string headers;
  std::string host = "127.0.0.1:%";
  int status = 101;
};

class KnockTest : public ServerTest, public testing::WithParamInterface<Knock> {};

TEST_P(KnockTest, IsAnsweredAsTheTableSays) {
  ServerOptions options;
  options.allowed_origins = {"https://friend.example"};
  Serve(options);
  const auto fill = [this](std::string text) {
    if (const size_t at = text.find('%'); at != text.npos)
      text.replace(at, 1, std::to_string(port_));
    return text;
  };
  RawClient client(port_);
  const std::string head = client.Upgrade(fill(GetParam().headers), fill(GetParam().host));
  EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 " + std::to_string(GetParam().status)) << head;
  if (GetParam().status == 101) {
    EXPECT_NE(head.find("Sec-WebSocket-Protocol: linnet.v1"), std::string::npos) << head;
    EXPECT_EQ(events_.Next(), "connected");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Transport, KnockTest,
    testing::Values(
        Knock{.name = "NoOriginIsADaemon", .headers = kProtocolHeader},
        Knock{.name = "OwnPage",
              .headers = std::string(kProtocolHeader) + "Origin: http://127.0.0.1:%\r\n"},
        Knock{.name = "OwnPageAsLocalhost",
              .headers = std::string(kProtocolHeader) + "Origin: http://localhost:%\r\n",
              .host = "localhost:%"},
        Knock{.name = "AllowedPage",
              .headers = std::string(kProtocolHeader) + "Origin: https://friend.example\r\n"},
        Knock{.name = "AllowedHostBehindAProxy",
              .headers = std::string(kProtocolHeader) + "Origin: https://friend.example\r\n",
              .host = "friend.example"},
        Knock{.name = "StrangersPage",
              .headers = std::string(kProtocolHeader) + "Origin: https://stranger.example\r\n",
              .status = 403},
        Knock{.name = "OtherPort",
              .headers = std::string(kProtocolHeader) + "Origin: http://127.0.0.1:1\r\n",
              .status = 403},
        Knock{.name = "NullOrigin",
              .headers = std::string(kProtocolHeader) + "Origin: null\r\n",
              .status = 403},
        Knock{.name = "StrangersNameForThisAddress",
              .headers = std::string(kProtocolHeader) + "Origin: http://rebound.example:%\r\n",
              .host = "rebound.example:%",
              .status = 403},
        Knock{.name = "NoSubprotocol", .headers = "", .status = 400},
        Knock{.name = "WrongSubprotocol",
              .headers = "Sec-WebSocket-Protocol: linnet.v0, chat\r\n",
              .status = 400},
        Knock{.name = "OneOfSeveralSubprotocols",
              .headers = "Sec-WebSocket-Protocol: linnet.v9, linnet.v1\r\n"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(ServerTest, CompressionIsNotAccepted) {
  Serve();
  RawClient client(port_);
  const std::string head = client.Upgrade(
      std::string(kProtocolHeader) + "Sec-WebSocket-Extensions: permessage-deflate\r\n", Host());
  EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 101");
  EXPECT_EQ(head.find("Sec-WebSocket-Extensions"), std::string::npos) << head;
}

TEST_F(ServerTest, MoreConnectionsThanAdmittedAreClosedAtOnce) {
  ServerOptions options;
  options.max_connections = 3;
  Serve(options);
  auto a = Open(), b = Open();
  // WebSocket++ keeps one socket ready for the next caller: it counts from the moment it is
  // accepted.
  auto c = Open();
  RawClient d(port_);
  EXPECT_EQ(d.Upgrade(kProtocolHeader, Host()), "");
  c->Close();
  EXPECT_EQ(events_.Next(), "disconnected");
  Open();
}

TEST_F(ServerTest, APortInUseIsSaidInWords) {
  Serve();
  Loop loop;
  ServerOptions options;
  options.port = port_;
  std::string error;
  EXPECT_EQ(Server::Listen(loop, options, {}, error), nullptr);
  EXPECT_EQ(error, Host() + " is in use by another program: stop it, or choose another port");
}

TEST_F(ServerTest, AnAddressThatIsNotOursIsSaidInWords) {
  Loop loop;
  ServerOptions options;
  options.host = "192.0.2.1";
  std::string error;
  EXPECT_EQ(Server::Listen(loop, options, {}, error), nullptr);
  EXPECT_NE(error.find("cannot listen on 192.0.2.1:8787: "), std::string::npos) << error;
}

// ---- Messages

TEST_F(ServerTest, AMessageArrivesWhole) {
  Serve();
  auto client = Open();
  client->Send(RawClient::Frame("hello"));
  EXPECT_EQ(events_.Next(), "frame 5 hello");
}

TEST_F(ServerTest, AStrangersMessageBeyondTheLimitEndsTheConnection) {
  Serve();
  auto client = Open();
  client->Send(RawClient::Frame(std::string(4096, 'a')));
  EXPECT_EQ(events_.Next(), "frame 4096 aaaaaaaa");
  client->Send(RawClient::FrameHeader(4097));
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, FragmentsCountTogether) {
  Serve();
  auto client = Open();
  client->Send(RawClient::FrameHeader(4000, 2, false) + std::string(4000, 'a'));
  client->Send(RawClient::FrameHeader(4000, 0, true) + std::string(4000, 'b'));
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, ARaisedLimitHoldsForThatConnectionAlone) {
  Serve();
  auto stranger = Open();
  auto client = Open();
  thread_.Do([this] { server_->SetMessageLimit(last_, 1 << 20); });
  client->Send(RawClient::Frame(std::string(1 << 20, 'b')));
  EXPECT_EQ(events_.Next(), "frame 1048576 bbbbbbbb");
  client->Send(RawClient::FrameHeader((1 << 20) + 1));
  EXPECT_EQ(events_.Next(), "disconnected");
  stranger->Send(RawClient::FrameHeader(5000));
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, AHugeAnnouncedLengthEndsTheConnectionBeforeItCosts) {
  Serve();
  auto client = Open();
  client->Send(RawClient::FrameHeader(uint64_t{1} << 62));
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, AFloodOfMessagesEndsTheConnection) {
  ServerOptions options;
  options.messages_per_second = 10;
  Serve(options);
  auto client = Open();
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += RawClient::Frame("x");
  client->Send(flood);
  int frames = 0;
  std::string event;
  while ((event = events_.Next()) == "frame 1 x") ++frames;
  EXPECT_EQ(event, "disconnected");
  EXPECT_LE(frames, 20);  // ten in each of two seconds, should the clock turn just then
}

TEST_F(ServerTest, TextIsRefused) {
  Serve();
  auto client = Open();
  client->Send(RawClient::Frame("hello", 1));
  const std::string answer = client->Read(4);
  EXPECT_EQ(answer.substr(0, 1), "\x88");                   // a close frame
  EXPECT_EQ(answer.substr(2, 2), std::string("\x03\xeb"));  // 1003
}

TEST_F(ServerTest, AnUnmaskedFrameEndsTheConnection) {
  Serve();
  auto client = Open();
  client->Send(std::string("\x82\x05hello", 7));
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, ABodyThatTricklesIsCutOffThoughItsSenderAnswersPings) {
  ServerOptions options;
  options.message_ms = 100;
  options.ping_ms = 60000;
  Serve(options);
  auto client = Open();
  client->Send(RawClient::FrameHeader(1000, 2, false) + std::string(1000, 'a'));
  client->Send(RawClient::Frame("", 10));  // a pong: alive and well
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, WhoIsSilentIsPingedAndThenGivenUp) {
  ServerOptions options;
  options.ping_ms = 100;
  options.pong_ms = 100;
  Serve(options);
  auto client = Open();
  EXPECT_EQ(client->Read(2), std::string("\x89\x00", 2));  // a ping
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, AHandshakeThatNeverEndsIsCutOff) {
  ServerOptions options;
  options.handshake_ms = 100;
  Serve(options);
  RawClient client(port_);
  client.Send("GET / HTTP/1.1\r\nHost: ");
  EXPECT_EQ(client.Read(), "");
}

TEST_F(ServerTest, OneFrameForManyIsTheSameForAll) {
  Serve();
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<uint64_t> connections;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(Open());
    connections.push_back(last_);
  }
  const auto bytes = std::make_shared<const std::vector<uint8_t>>(300000, uint8_t{7});
  const auto small = std::make_shared<const std::vector<uint8_t>>(200, uint8_t{8});
  thread_.Do([&] {
    for (const uint64_t connection : connections) {
      server_->Send(connection, bytes);
      server_->Send(connection, small);
    }
  });
  std::string wanted("\x82\x7f\x00\x00\x00\x00\x00\x04\x93\xe0", 10);
  wanted +=
      std::string(300000, '\7') + std::string("\x82\x7e\x00\xc8", 4) + std::string(200, '\10');
  for (auto& client : clients) EXPECT_TRUE(client->Read(wanted.size()) == wanted);
}

TEST_F(ServerTest, OtherBytesAtTheSameAddressAreNotMistaken) {
  Serve();
  auto client = Open();
  for (int round = 0; round < 50; ++round) {
    thread_.Do([&] {
      auto bytes = std::make_shared<const std::vector<uint8_t>>(64, uint8_t(round));
      const auto second = bytes;  // shared: a candidate for the cache
      server_->Send(last_, bytes);
    });
    EXPECT_EQ(client->Read(66).substr(2), std::string(64, char(round)));
  }
}

TEST_F(ServerTest, AReaderThatDoesNotReadIsClosedBeforeItFillsTheMemory) {
  ServerOptions options;
  options.max_buffered_bytes = 4 << 20;
  Serve(options);
  auto client = Open();
  const auto bytes = std::make_shared<const std::vector<uint8_t>>(1 << 20, uint8_t{1});
  thread_.Do([&] {
    for (int i = 0; i < 20; ++i) server_->Send(last_, bytes);
  });
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ServerTest, CloseSaysWhyAfterWhatWasSent) {
  Serve();
  auto client = Open();
  thread_.Do([this] {
    server_->Send(last_, std::make_shared<const std::vector<uint8_t>>(3, uint8_t{'x'}));
    server_->Close(last_, "enough");
  });
  EXPECT_EQ(client->Read(5 + 10), std::string("\x82\x03xxx\x88\x08\x03\xe8"
                                              "enough",
                                              15));
}

TEST_F(ServerTest, ShutdownClosesAllAndReportsOnce) {
  Serve();
  auto a = Open(), b = Open();
  thread_.Do([this] { server_->Shutdown(200, [this] { events_.Add("done"); }); });
  // They never answer the closing handshake.
  EXPECT_EQ(events_.Next(), "disconnected");
  EXPECT_EQ(events_.Next(), "disconnected");
  EXPECT_EQ(events_.Next(), "done");
  RawClient late(port_);
  EXPECT_EQ(late.Upgrade(kProtocolHeader, Host()), "");
}

// ---- HTTP

TEST_F(ServerTest, HttpIsAnsweredOncePerConnection) {
  Serve();
  RawClient client(port_);
  client.Send("GET /v1/status?x=1 HTTP/1.1\r\nHost: " + Host() + "\r\nOrigin: http://a\r\n\r\n");
  const std::string answer = client.Read();
  EXPECT_EQ(answer.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(answer.find("\r\n\r\nGET /v1/status?x=1 http://a"), std::string::npos) << answer;
}

TEST_F(ServerTest, ALargeAnswerMayTakeLongerThanAHandshake) {
  ServerOptions options;
  options.handshake_ms = 50;
  Serve(options);
  RawClient client(port_);
  client.Send("GET /large HTTP/1.1\r\nHost: " + Host() + "\r\n\r\n");
  EXPECT_EQ(client.ReadHead().substr(0, 15), "HTTP/1.1 200 OK");
  thread_.Do([this] { thread_.loop.SetTimer(this, 1, 300, [this] { events_.Add("later"); }); });
  EXPECT_EQ(events_.Next(), "later");
  EXPECT_EQ(client.Read().size(), kLarge);
}

TEST_F(ServerTest, HeadTellsTheLengthAndSendsNoBody) {
  Serve();
  RawClient client(port_);
  client.Send("HEAD /abc HTTP/1.1\r\nHost: " + Host() + "\r\n\r\n");
  const std::string answer = client.Read();
  EXPECT_NE(answer.find("Content-Length: 10\r\n"), std::string::npos) << answer;
  EXPECT_EQ(answer.substr(answer.size() - 4), "\r\n\r\n");
}

TEST_F(ServerTest, HttpForAStrangersNameIsRefused) {
  Serve();
  RawClient client(port_);
  client.Send("GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
  EXPECT_EQ(client.Read().substr(0, 12), "HTTP/1.1 403");
}

TEST_F(ServerTest, ALargeBodyIsRefused) {
  Serve();
  RawClient client(port_);
  client.Send("POST / HTTP/1.1\r\nHost: " + Host() + "\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_EQ(client.Read().substr(0, 12), "HTTP/1.1 413");
}

TEST_F(ServerTest, HttpGetFetchesAndSaysWhatWentWrong) {
  Serve();
  const HttpResponse answer = HttpGet("127.0.0.1", port_, "/x");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET /x ");
  const HttpResponse nobody = HttpGet("127.0.0.1", 1, "/");
  EXPECT_EQ(nobody.status, 0);
  EXPECT_EQ(nobody.body, "Connection refused");
}

// ---- The client

class ClientTest : public ServerTest {
 protected:
  void Connect(std::string subprotocol, uint16_t port) {
    ClientOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.subprotocol = std::move(subprotocol);
    ClientHandlers handlers;
    handlers.connected = [this] { seen_.Add("connected"); };
    handlers.disconnected = [this](const std::string& reason) {
      seen_.Add("disconnected: " + reason);
    };
    handlers.frame = [this](const uint8_t*, size_t size) {
      seen_.Add("frame " + std::to_string(size));
    };
    thread_.Do([&] {
      client_ = Client::Create(thread_.loop, options, handlers);
      client_->Connect();
    });
  }
  void TearDown() override {
    thread_.Join();
    client_.reset();
    ServerTest::TearDown();
  }
  Events seen_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, TalksToTheServerBothWays) {
  Serve();
  Connect("linnet.v1", port_);
  EXPECT_EQ(seen_.Next(), "connected");
  EXPECT_EQ(events_.Next(), "connected");
  thread_.Do([this] {
    client_->Send(std::make_shared<const std::vector<uint8_t>>(4096, uint8_t{'c'}));
    server_->Send(last_, std::make_shared<const std::vector<uint8_t>>(1 << 20, uint8_t{1}));
  });
  EXPECT_EQ(events_.Next(), "frame 4096 cccccccc");
  EXPECT_EQ(seen_.Next(), "frame 1048576");
  thread_.Do([this] { server_->Close(last_, "that is all"); });
  EXPECT_EQ(seen_.Next(), "disconnected: that is all");
  EXPECT_EQ(events_.Next(), "disconnected");
}

TEST_F(ClientTest, ConnectsAgainAfterItsConnectionEnded) {
  Serve();
  Connect("linnet.v1", port_);
  EXPECT_EQ(seen_.Next(), "connected");
  thread_.Do([this] { client_->Close("bye"); });
  EXPECT_EQ(seen_.Next().substr(0, 12), "disconnected");
  thread_.Do([this] { client_->Connect(); });
  EXPECT_EQ(seen_.Next(), "connected");
}

TEST_F(ClientTest, SaysThatNobodyListens) {
  thread_.Start();
  Connect("linnet.v1", 1);
  EXPECT_EQ(seen_.Next(), "disconnected: Connection refused");
}

TEST_F(ClientTest, SaysWhyItWasTurnedAway) {
  Serve();
  Connect("linnet.v9", port_);
  const std::string event = seen_.Next();
  EXPECT_NE(event.find("400"), std::string::npos) << event;
  EXPECT_NE(event.find("the WebSocket subprotocol must be linnet.v1"), std::string::npos) << event;
}

TEST(LoopTest, AMovedTimerFiresOnceAtItsNewTime) {
  LoopThread thread;
  Events events;
  thread.Start();
  thread.Do([&] {
    thread.loop.SetTimer(this, 1, 0, [&] { events.Add("first"); });
    thread.loop.SetTimer(this, 1, 10, [&] { events.Add("second"); });
    thread.loop.SetTimer(this, 2, 0, [&] { events.Add("cancelled"); });
    thread.loop.CancelTimer(this, 2);
    int other = 0;
    thread.loop.SetTimer(&other, 3, 0, [&] { events.Add("of one that is gone"); });
    thread.loop.CancelTimers(&other);
    thread.loop.SetTimer(this, 3, 30, [&] { events.Add("last"); });
  });
  EXPECT_EQ(events.Next(), "second");
  EXPECT_EQ(events.Next(), "last");
}

TEST(LoopTest, GoesOnAfterAnException) {
  Loop loop;
  std::string failed;
  loop.Post([] { throw std::runtime_error("a bug"); });
  loop.Post([&] { loop.Stop(); });
  loop.Run([&](const std::string& error) { failed = error; });
  EXPECT_EQ(failed, "a bug");
}

TEST(LoopbackTest, KnowsWhoCanReachAnAddress) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "localhost"})
    EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host :
       {"0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org", ""})
    EXPECT_FALSE(IsLoopback(host)) << host;
}

}  // namespace
}  // namespace linnet
