#include "native/driver/participant_driver.h"

#include <utility>

#include "native/store/state_folder.h"
#include "wire/messages.h"

namespace linnet {
namespace {

// Between slices the worker looks whether the process is to end.
constexpr size_t kStepsPerSlice = 64;
constexpr uint64_t kLeaveTimer = ~uint64_t{3};
constexpr uint32_t kLeaveMs = 1500;

}  // namespace

ParticipantDriver::ParticipantDriver(Loop& loop, ParticipantDriverOptions options)
    : loop_(loop), options_(std::move(options)) {
  participant_ = Participant::Create(options_.participant);
  options_.client.subprotocol = kSubprotocol;
  options_.client.max_message_bytes = kMaxFrame;
  ClientHandlers handlers;
  handlers.connected = [this] { Happen(Connected{connection_}); };
  handlers.disconnected = [this](const std::string& reason) {
    last_reason_ = reason;
    connecting_ = false;
    Happen(Disconnected{std::exchange(connection_, connection_ + 1)});
    if (left_) Finish();
  };
  handlers.frame = [this](const uint8_t* data, size_t size) {
    Happen(FrameReceived{connection_, {data, size}});
  };
  connection_ = 1;
  client_ = Client::Create(loop_, options_.client, std::move(handlers));
}

ParticipantDriver::~ParticipantDriver() {
  cancelled_ = true;
  worker_.Clear();
  loop_.CancelTimers(this);
}

void ParticipantDriver::Start() { Perform(participant_->Start(Loop::NowMs())); }

void ParticipantDriver::Happen(const Event& event) {
  Perform(participant_->Handle(event, Loop::NowMs()));
}

void ParticipantDriver::Perform(std::vector<Participant::Action> actions) {
  for (auto& action : actions) std::visit([this](auto& value) { Do(value); }, action);
  if (!participant_->ended().empty() && !ended_told_) {
    ended_told_ = true;
    if (options_.on_end) loop_.Post(options_.on_end);
  }
}

void ParticipantDriver::Do(Send& action) { client_->Send(action.frame); }

void ParticipantDriver::Do(SetTimer& action) {
  loop_.SetTimer(this, action.timer, action.delay_ms,
                 [this, timer = action.timer] { Happen(TimerFired{timer}); });
}

void ParticipantDriver::Do(CancelTimer& action) { loop_.CancelTimer(this, action.timer); }

void ParticipantDriver::Do(Participant::Persist& action) {
  storer_.Add([this, action = std::move(action)] {
    const Status status = ReplaceFile(options_.state_file, action.state);
    loop_.Post([this, ticket = action.ticket, status] { Happen(Stored{ticket, status}); });
  });
}

void ParticipantDriver::Do(Compute& action) {
  const bool train = action.work->kind() == Work::Kind::kTrain;
  if (train) training_ = action.work.get();
  worker_.Add([this, train, work = std::move(action.work)] {
    const auto wanted = [&] { return !cancelled_ && (!train || training_ == work.get()); };
    while (wanted() && work->Run(kStepsPerSlice)) {
    }
    if (!wanted()) return;
    loop_.Post([this, work] { Happen(Computed{work}); });
  });
}

void ParticipantDriver::Do(Close& action) { client_->Close(action.reason); }

void ParticipantDriver::Do(Connect&) {
  if (left_) return;
  connecting_ = true;
  client_->Connect();
}

void ParticipantDriver::Do(ParticipantNotice& action) {
  if (options_.on_notice) options_.on_notice(action);
}

void ParticipantDriver::Leave(std::string reason, std::function<void()> done) {
  if (left_) return;
  left_ = std::move(done);
  cancelled_ = true;
  worker_.Clear();
  Perform(participant_->Leave(std::move(reason)));
  if (!connecting_) return Finish();
  loop_.SetTimer(this, kLeaveTimer, kLeaveMs, [this] { Finish(); });
}

void ParticipantDriver::Finish() {
  loop_.CancelTimer(this, kLeaveTimer);
  // Behind what is being stored.
  if (left_) storer_.Add([this, done = std::exchange(left_, [] {})] { loop_.Post(done); });
}

}  // namespace linnet
