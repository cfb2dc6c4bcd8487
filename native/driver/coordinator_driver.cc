#include "native/driver/coordinator_driver.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "wire/messages.h"

namespace linnet {
namespace {

// Between slices a worker looks whether the process is to end.
constexpr size_t kStepsPerSlice = 64;
constexpr uint32_t kShutdownMs = 1000;

size_t Threads(size_t wanted) {
  return wanted != 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

Result<std::unique_ptr<CoordinatorDriver>> CoordinatorDriver::Create(
    Loop& loop, RoundStore& store, CoordinatorDriverOptions options) {
  LINNET_TRY(options.coordinator.recovered, store.Load());
  options.coordinator.secret = store.secret();
  LINNET_TRY(auto coordinator, Coordinator::Create(options.coordinator));
  ServerOptions server = options.server;
  std::unique_ptr<CoordinatorDriver> driver(
      new CoordinatorDriver(loop, store, std::move(options), std::move(coordinator)));
  LINNET_TRY_STATUS(driver->Listen(std::move(server)));
  return driver;
}

CoordinatorDriver::CoordinatorDriver(Loop& loop, RoundStore& store,
                                     CoordinatorDriverOptions options,
                                     std::unique_ptr<Coordinator> coordinator)
    : loop_(loop),
      store_(store),
      on_notice_(std::move(options.on_notice)),
      coordinator_(std::move(coordinator)),
      routes_(*coordinator_, options.coordinator.federation, std::move(options.page_folder),
              options.server.allowed_origins),
      workers_(Threads(options.threads)) {}

CoordinatorDriver::~CoordinatorDriver() {
  cancelled_ = true;
  workers_.Clear();
  loop_.CancelTimers(this);
}

Status CoordinatorDriver::Listen(ServerOptions options) {
  options.subprotocol = kSubprotocol;
  options.first_message_bytes = kMaxFrameBeforeWelcome;
  const uint64_t model_bytes = coordinator_->model()->size();
  options.max_buffered_bytes = std::max(options.max_buffered_bytes, (16u << 20) + model_bytes);
  ServerHandlers handlers;
  handlers.connected = [this](uint64_t connection) {
    welcomed_.emplace(connection, false);
    Happen(Connected{connection});
  };
  handlers.disconnected = [this](uint64_t connection) {
    welcomed_.erase(connection);
    Happen(Disconnected{connection});
  };
  handlers.frame = [this](uint64_t connection, const uint8_t* data, size_t size) {
    Happen(FrameReceived{connection, {data, size}});
  };
  handlers.http = [this](const HttpRequest& request) { return routes_.Answer(request); };
  std::string error;
  server_ = Server::Listen(loop_, options, std::move(handlers), error);
  if (!server_) return Fail(Code::kIo, error);
  return {};
}

void CoordinatorDriver::Start() { Perform(coordinator_->Start(Loop::NowMs())); }

void CoordinatorDriver::Happen(const Event& event) {
  if (stopping_) return;
  Perform(coordinator_->Handle(event, Loop::NowMs()));
}

void CoordinatorDriver::Perform(std::vector<Coordinator::Action> actions) {
  for (auto& action : actions) std::visit([this](auto& value) { Do(value); }, action);
}

void CoordinatorDriver::Do(Send& action) {
  // A stranger may send 4 KiB; who was welcomed may send frames.
  const auto found = welcomed_.find(action.connection);
  if (found != welcomed_.end() && !found->second) {
    const auto message = DecodeMessage(*action.frame);
    if (message && std::holds_alternative<Welcome>(*message)) {
      found->second = true;
      server_->SetMessageLimit(action.connection, kMaxFrame);
    }
  }
  server_->Send(action.connection, action.frame);
}

void CoordinatorDriver::Do(SetTimer& action) {
  loop_.SetTimer(this, action.timer, action.delay_ms,
                 [this, timer = action.timer] { Happen(TimerFired{timer}); });
}

void CoordinatorDriver::Do(CancelTimer& action) { loop_.CancelTimer(this, action.timer); }

void CoordinatorDriver::Do(Persist& action) {
  storer_.Add([this, action = std::move(action)] {
    const Status status = store_.Write(action.records);
    loop_.Post([this, ticket = action.ticket, status] { Happen(Stored{ticket, status}); });
    tidier_.Add([this] { store_.Tidy(); });
  });
}

void CoordinatorDriver::Do(Compute& action) {
  workers_.Add([this, work = std::move(action.work)] {
    while (!cancelled_ && work->Run(kStepsPerSlice)) {
    }
    loop_.Post([this, work] { Happen(Computed{work}); });
  });
}

void CoordinatorDriver::Do(Close& action) { server_->Close(action.connection, action.reason); }

void CoordinatorDriver::Do(Notice& action) {
  if (on_notice_) on_notice_(action);
}

void CoordinatorDriver::Shutdown(bool finished, std::function<void()> done) {
  if (stopping_) return;
  stopping_ = true;
  cancelled_ = true;
  workers_.Clear();
  Bye bye;
  bye.reason = finished ? "the federation has reached its end" : "the coordinator stops";
  bye.finished = finished;
  const auto frame = std::make_shared<const Bytes>(EncodeMessage(bye));
  for (const auto& [connection, welcomed] : welcomed_) server_->Send(connection, frame);
  server_->Shutdown(kShutdownMs, [this, done = std::move(done)]() mutable {
    // Behind what is being stored.
    storer_.Add([this, done = std::move(done)] { loop_.Post(done); });
  });
}

}  // namespace linnet
