#include <algorithm>
#include <utility>

#include "fed/participant_machine.h"

// The notices' details, by kind:
//   connecting    delayMs (0 = now)
//   welcomed      federation, model, round, public (the federation's public part)
//   disconnected  reason
//   invited       round, attempt
//   model-ready   digest, round
//   training      round, examples
//   uploading     round, bytes, codec
//   verdict       round, verdict, message, roundsCounted, examplesCounted, sentBytes, receivedBytes
//   round-closed  round, accuracy, loss, trainLoss, counted, invited, connected, seconds,
//   uplinkBytes,
//                 downlinkBytes, targetReached, last
//   evaluated     round, examples, accuracy
//   error         code
//   finished      reason
namespace linnet {
namespace {

constexpr uint64_t kHandshakeMs = 10000;
constexpr std::string_view kChallengeLabel = "linnet.v1 challenge";

}  // namespace

std::unique_ptr<Participant> Participant::Create(ParticipantOptions options) {
  return std::make_unique<ParticipantMachine>(std::move(options));
}

ParticipantMachine::ParticipantMachine(ParticipantOptions options)
    : options_(std::move(options)),
      kernels_(options_.kernels ? *options_.kernels : BestKernels()),
      jitter_(options_.jitter, 0) {
  // What was staged when the process died was trained by a process that is gone.
  options_.state.Discard(options_.state.staged_assignment);
}

std::vector<Participant::Action> ParticipantMachine::Start(uint64_t) {
  if (auto valid = CheckHello(MakeHello()); !valid) {
    ended_ = valid.error().message;
    Tell(ParticipantNotice::Kind::kError, ended_);
    return Take();
  }
  Store();
  session_ = Session::kConnecting;
  Tell(ParticipantNotice::Kind::kConnecting, "connecting", Json::Object{{"delayMs", 0}});
  actions_.push_back(Connect{});
  return Take();
}

std::vector<Participant::Action> ParticipantMachine::Handle(const Event& event, uint64_t) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    OnConnected(connected->connection);
  } else if (const auto* gone = std::get_if<Disconnected>(&event)) {
    if (gone->connection == connection_ || connection_ == 0) OnDisconnected();
  } else if (const auto* frame = std::get_if<FrameReceived>(&event)) {
    if (frame->connection == connection_ && session_ != Session::kAway) OnFrame(frame->frame);
  } else if (const auto* timer = std::get_if<TimerFired>(&event)) {
    OnTimer(timer->timer);
  } else if (const auto* stored = std::get_if<Stored>(&event)) {
    if (!stored->status)
      Tell(ParticipantNotice::Kind::kError,
           StrCat("the participant's state could not be kept: ", stored->status.error().message),
           Json::Object{{"code", CodeName(stored->status.error().code)}});
    // Not durable costs the participant its own record at worst; the update itself is still good.
    if (stored->ticket == staging_ticket_ && assignment_ &&
        assignment_->phase == Assignment::Phase::kStaging) {
      assignment_->phase = Assignment::Phase::kUpload;
      OfferUpload();
    }
  } else if (const auto* computed = std::get_if<Computed>(&event)) {
    if (auto train = std::dynamic_pointer_cast<TrainWork>(computed->work)) {
      OnTrained(train);
    } else if (auto evaluated = std::dynamic_pointer_cast<EvaluateWork>(computed->work)) {
      const Metrics& found = evaluated->metrics;
      // From a host's own callback anything may come.
      const bool sound = found.examples > 0 && found.correct <= found.examples;
      if (!evaluated->status || !sound || session_ != Session::kWelcomed) {
        if (evaluated->status && !sound)
          Tell(ParticipantNotice::Kind::kError,
               StrCat("evaluation found ", found.correct, " of ", found.examples,
                      " examples correct: not reported"));
        return Take();
      }
      EvaluateReport report;
      report.round = evaluated->round;
      report.model = held_.digest;
      report.examples = evaluated->metrics.examples;
      report.correct = evaluated->metrics.correct;
      report.loss_sum = evaluated->metrics.loss_sum;
      SendMessage(report);
      Tell(ParticipantNotice::Kind::kEvaluated,
           StrCat("round ", report.round, ": accuracy ", evaluated->metrics.accuracy(),
                  " on own held-out data"),
           Json::Object{{"round", report.round},
                        {"examples", report.examples},
                        {"accuracy", evaluated->metrics.accuracy()}});
    }
  }
  return Take();
}

Hello ParticipantMachine::MakeHello() const {
  Hello hello;
  hello.federation = options_.federation;
  hello.device_key = options_.state.device.public_key;
  hello.token = options_.token;
  hello.name = options_.name;
  hello.runtime = options_.runtime;
  hello.examples = options_.examples ? options_.examples : options_.train.size();
  hello.properties = options_.properties;
  return hello;
}

void ParticipantMachine::OnConnected(ConnectionId connection) {
  connection_ = connection;
  session_ = Session::kGreeting;
  const auto frame = std::make_shared<const Bytes>(EncodeMessage(MakeHello()));
  hello_digest_ = Blake2b(*frame);
  sent_bytes_ += frame->size();
  actions_.push_back(Send{connection_, frame});
  Arm(kHandshake, kHandshakeMs);
}

void ParticipantMachine::OnDisconnected() {
  if (session_ == Session::kAway) return;
  if (session_ != Session::kWelcomed) ++failures_;
  session_ = Session::kAway;
  connection_ = 0;
  evaluate_.reset();
  for (Timer timer : {kHandshake, kPing, kStall}) Disarm(timer);
  if (leaving_ || !ended_.empty()) return;
  // Exponential back-off with jitter, so that a fleet does not return all at once.
  const uint64_t grown = uint64_t{options_.backoff_min_ms} << std::min<uint32_t>(failures_, 16);
  const uint64_t limit = std::min<uint64_t>(grown, options_.backoff_max_ms);
  const uint64_t delay_ms = limit / 2 + jitter_.Below(limit / 2 + 1);
  Tell(ParticipantNotice::Kind::kConnecting,
       StrCat("no connection to the coordinator; trying again in ", delay_ms, " ms"),
       Json::Object{{"delayMs", delay_ms}});
  Arm(kReconnect, delay_ms);
}

void ParticipantMachine::OnTimer(TimerId timer) {
  switch (timer) {
    case kReconnect:
      if (session_ != Session::kAway || leaving_) return;
      session_ = Session::kConnecting;
      actions_.push_back(Connect{});
      return;
    case kHandshake:
      if (session_ != Session::kGreeting) return;
      Tell(ParticipantNotice::Kind::kError, "the coordinator did not answer the hello");
      actions_.push_back(Close{connection_, "no answer to hello"});
      return;
    case kPing:
      if (session_ != Session::kWelcomed) return;
      if (!heard_) {
        Tell(ParticipantNotice::Kind::kDisconnected, "the coordinator fell silent",
             Json::Object{{"reason", "silent"}});
        actions_.push_back(Close{connection_, "no answer to ping"});
        return;
      }
      heard_ = false;
      SendMessage(Ping{sent_bytes_});
      Arm(kPing, ping_interval_ms_);
      return;
    case kStall:
      // Something that was sent was never answered: ask again, it may have been lost with a
      // connection.
      if (session_ != Session::kWelcomed) return;
      if (download_) {
        SendMessage(ModelWant{download_->digest, download_->data.size()});
        Arm(kStall, kHandshakeMs);
      } else if (assignment_) {
        SendMessage(AssignmentQuery{assignment_->invite.assignment});
        Arm(kStall, kHandshakeMs);
      }
      return;
    default:
      return;
  }
}

void ParticipantMachine::OnFrame(ByteSpan frame) {
  heard_ = true;
  received_bytes_ += frame.size();
  auto message = DecodeMessage(frame);
  if (!message) {
    if (message.error().code == Code::kUnsupported) return;  // of a newer version: ignored forward
    Tell(ParticipantNotice::Kind::kError,
         StrCat("from the coordinator: ", message.error().message));
    actions_.push_back(Close{connection_, message.error().message});
    return;
  }
  if (const auto* error = std::get_if<WireError>(&*message)) {
    Tell(ParticipantNotice::Kind::kError, error->message,
         Json::Object{{"code", CodeName(error->code)}});
    // What waiting cannot mend ends the participation.
    if (error->code != Code::kUnavailable && error->code != Code::kLimit) End(error->message);
    return;
  }
  if (const auto* challenge = std::get_if<Challenge>(&*message)) return OnChallenge(*challenge);
  if (const auto* welcome = std::get_if<Welcome>(&*message)) return OnWelcome(*welcome);
  if (const auto* bye = std::get_if<Bye>(&*message)) {
    if (bye->finished) {
      Tell(ParticipantNotice::Kind::kFinished, bye->reason, Json::Object{{"reason", bye->reason}});
      End(bye->reason);
    }
    return;
  }
  if (session_ != Session::kWelcomed) return;
  if (const auto* ping = std::get_if<Ping>(&*message)) {
    SendMessage(Pong{ping->nonce});
  } else if (const auto* invite = std::get_if<Invite>(&*message)) {
    OnInvite(*invite);
  } else if (const auto* begin = std::get_if<Begin>(&*message)) {
    OnBegin(begin->assignment);
  } else if (const auto* open = std::get_if<AssignmentOpen>(&*message)) {
    OnBegin(open->assignment);
  } else if (const auto* abort = std::get_if<Abort>(&*message)) {
    OnAbort(*abort);
  } else if (const auto* offer = std::get_if<ModelOffer>(&*message)) {
    OnOffer(*offer);
  } else if (auto* chunk = std::get_if<ModelChunk>(&*message)) {
    OnChunk(*chunk);
  } else if (const auto* go = std::get_if<UpdateGo>(&*message)) {
    OnGo(*go);
  } else if (const auto* verdict = std::get_if<UpdateVerdict>(&*message)) {
    OnVerdict(*verdict);
  } else if (const auto* closed = std::get_if<RoundClosed>(&*message)) {
    OnRoundClosed(*closed);
  } else if (const auto* request = std::get_if<EvaluateRequest>(&*message)) {
    OnEvaluateRequest(*request);
  }
}

void ParticipantMachine::OnChallenge(const Challenge& challenge) {
  if (session_ != Session::kGreeting) return;
  Bytes signed_bytes(kChallengeLabel.begin(), kChallengeLabel.end());
  signed_bytes.insert(signed_bytes.end(), challenge.nonce.begin(), challenge.nonce.end());
  signed_bytes.insert(signed_bytes.end(), hello_digest_.begin(), hello_digest_.end());
  SendMessage(Proof{options_.state.device.Sign(signed_bytes)});
}

void ParticipantMachine::OnWelcome(const Welcome& welcome) {
  if (session_ != Session::kGreeting) return;
  session_ = Session::kWelcomed;
  failures_ = 0;
  Disarm(kHandshake);
  ping_interval_ms_ = std::max<uint32_t>(welcome.ping_interval_ms, 1000);
  heard_ = true;
  Arm(kPing, ping_interval_ms_);
  auto about = Json::Parse(welcome.federation_json.empty() ? "{}" : welcome.federation_json);
  const Json empty;
  const Json& federation = about ? *about : empty;
  if (auto told = ParseFederation(federation.Dump())) told_ = std::move(*told);
  Scale();
  Tell(ParticipantNotice::Kind::kWelcomed,
       StrCat("taken by \"", welcome.federation, "\", model ", welcome.model_name, ", round ",
              welcome.round),
       Json::Object{{"federation", welcome.federation},
                    {"model", welcome.model_name},
                    {"round", welcome.round},
                    {"public", federation}});
  follow_ = welcome.model;
  follow_bytes_ = welcome.model_bytes;
  if (assignment_) {
    SendMessage(AssignmentQuery{assignment_->invite.assignment});
    Arm(kStall, kHandshakeMs);
  }
  if (download_) {  // goes on where the old connection stopped
    download_->asked = download_->data.size();
    SendMessage(ModelWant{download_->digest, download_->data.size()});
    Arm(kStall, kHandshakeMs);
  } else {
    NextDownload();
  }
}

void ParticipantMachine::OnRoundClosed(const RoundClosed& closed) {
  follow_ = closed.model;
  follow_bytes_ = closed.model_bytes;
  Tell(
      ParticipantNotice::Kind::kRoundClosed,
      StrCat("round ", closed.round, " closed: accuracy ", closed.accuracy, ", loss ", closed.loss),
      Json::Object{{"round", closed.round},
                   {"accuracy", closed.accuracy},
                   {"loss", closed.loss},
                   {"trainLoss", closed.train_loss},
                   {"counted", closed.counted},
                   {"invited", closed.invited},
                   {"connected", closed.connected},
                   {"seconds", closed.seconds},
                   {"uplinkBytes", closed.uplink_bytes},
                   {"downlinkBytes", closed.downlink_bytes},
                   {"targetReached", closed.target_reached},
                   {"last", closed.last}});
  if (closed.last)
    Tell(ParticipantNotice::Kind::kFinished,
         closed.target_reached ? "the federation has reached its target"
                               : "the federation has done its rounds",
         Json::Object{{"reason", closed.target_reached ? "target" : "rounds"}});
  NextDownload();
}

void ParticipantMachine::OnEvaluateRequest(const EvaluateRequest& request) {
  if (options_.holdout.size() == 0 || request.model_bytes > options_.max_model_bytes) return;
  evaluate_ = request;
  NextDownload();
}

void ParticipantMachine::End(std::string reason) {
  ended_ = std::move(reason);
  if (session_ != Session::kAway) actions_.push_back(Close{connection_, ended_});
}

std::vector<Participant::Action> ParticipantMachine::Leave(std::string reason) {
  leaving_ = true;
  if (session_ == Session::kWelcomed) SendMessage(Bye{reason, false});
  if (session_ != Session::kAway) actions_.push_back(Close{connection_, std::move(reason)});
  for (Timer timer : {kReconnect, kHandshake, kPing, kStall}) Disarm(timer);
  return Take();
}

void ParticipantMachine::set_data(DataView train, DataView holdout) {
  options_.train = std::move(train);
  options_.holdout = std::move(holdout);
  scaled_ = false;
  if (session_ == Session::kWelcomed) Scale();
}

// Gives the data the federation's scaling, on a copy when it is another than the data has.
void ParticipantMachine::Scale() {
  if (std::exchange(scaled_, true) || options_.data_is_scaled || !options_.train.data) return;
  auto scaled = std::make_shared<Dataset>(*options_.train.data);
  if (auto possible = ScaleAsTold(told_, *scaled); !possible) {
    // Its training would be of another task than everybody else's.
    Tell(ParticipantNotice::Kind::kError, possible.error().message);
    return End(possible.error().message);
  }
  if (options_.holdout.data == options_.train.data) options_.holdout.data = scaled;
  options_.train.data = std::move(scaled);
}

void ParticipantMachine::SendMessage(const Message& message) {
  auto frame = std::make_shared<const Bytes>(EncodeMessage(message));
  sent_bytes_ += frame->size();
  actions_.push_back(Send{connection_, std::move(frame)});
}

void ParticipantMachine::Store() { actions_.push_back(Persist{++ticket_, options_.state.Save()}); }

void ParticipantMachine::Tell(ParticipantNotice::Kind kind, std::string text, Json detail) {
  actions_.push_back(ParticipantNotice{kind, std::move(text), std::move(detail)});
}

}  // namespace linnet
