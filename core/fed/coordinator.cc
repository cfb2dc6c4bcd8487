#include "fed/coordinator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

constexpr uint64_t kStoreRetryMs = 5000;

// A buffered strategy has settings of its own for what the federation says: they follow it, and may
// not contradict it.
Status MatchBuffer(const Federation& federation, StrategyChain& chain) {
  if (!federation.round.asynchronous()) return {};
  const Json* schema = chain.reducer.description.Find("config");
  const Json* properties = schema != nullptr ? schema->Find("properties") : nullptr;
  if (properties == nullptr) return {};
  const auto match = [&](const char* setting, const char* key, uint64_t value) -> Status {
    if (properties->Find(setting) == nullptr) return {};
    const Json* given = chain.reducer_config.Find(setting);
    if (given != nullptr && !(given->is_number() && given->as_double() == double(value)))
      return Fail(Code::kInvalid, "strategy.config.", setting, ": found ", given->Dump(),
                  ", wanted what ", key, " says, ", value, "; leave it away");
    chain.reducer_config.Set(setting, Json(value));
    return {};
  };
  LINNET_TRY_STATUS(match("bufferSize", "round.buffer", federation.round.buffer));
  return match("maxAge", "round.maxStaleness", federation.round.max_staleness);
}

Status CheckMode(const Federation& federation, const AggregationHost& host) {
  const std::string& id = host.plugin().id;
  const bool buffers = (host.caps() & LNT_CAP_ASYNC) != 0;
  if (buffers && !federation.round.asynchronous())
    return Fail(Code::kInvalid,
                "round.mode: found synchronous, wanted asynchronous, which is what ", id,
                " is for");
  if (!buffers && federation.round.asynchronous())
    return Fail(Code::kInvalid, "strategy.id: found ", id,
                ", wanted one for asynchronous rounds, such as fedbuff");
  if (buffers && (host.caps() & LNT_CAP_MERGE) == 0)
    return Fail(Code::kUnsupported, "strategy ", id,
                " has no partials that merge, which asynchronous rounds store");
  return {};
}

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::Create(CoordinatorOptions options) {
  const Kernels& kernels = options.kernels ? *options.kernels : BestKernels();
  const Federation& federation = options.federation;
  Model model = std::move(options.initial);
  SharedBytes bytes;
  if (options.recovered.model) {
    bytes = options.recovered.model;
    auto loaded = LoadModel(*bytes);
    if (!loaded) return Annotate(loaded.error(), "the stored checkpoint");
    model = std::move(*loaded);
  } else {
    bytes = std::make_shared<const Bytes>(SaveModel(model));
  }
  LINNET_TRY_STATUS(ValidateGraph(model.graph));
  LINNET_TRY_STATUS(MakeTrainOptions(federation.train));
  LINNET_TRY([[maybe_unused]] const int grid,
             GridExponent(federation.limits.max_abs, federation.limits.max_examples,
                          federation.round.Invited()));
  if (federation.gate.on() && !options.evaluation)
    return Fail(Code::kInvalid, federation.gate.max_drop ? "gate.maxDrop" : "gate.maxRise",
                ": given, but nothing measures it: give evaluate.data");
  if (options.evaluation) {
    const Dataset& data = *options.evaluation;
    if (data.features() != model.graph.InputCount() || data.classes > model.graph.classes)
      return Fail(Code::kInvalid, "evaluate.data has ", data.features(), " features and ",
                  data.classes, " classes, the model wants ", model.graph.InputCount(),
                  " and at most ", model.graph.classes);
  }
  StrategyChain chain = options.strategy;
  if (federation.strategy.chain.is_null()) chain.reducer_config = federation.strategy.config;
  LINNET_TRY_STATUS(MatchBuffer(federation, chain));
  LINNET_TRY(const StrategyLinks links, LinksOf(chain.reducer));
  LINNET_TRY(UpdateLayout layout, MakeUpdateLayout(model.graph, links.uplink, federation.personal));
  AggregationOptions aggregation;
  aggregation.services.executor = aggregation.executor = options.executor;
  aggregation.services.log = options.strategy_log;
  aggregation.block_memory = options.block_memory;
  aggregation.spool = options.spool;
  aggregation.max_step_norm = federation.strategy.max_step_norm;
  LINNET_TRY(std::unique_ptr<AggregationHost> host,
             AggregationHost::Create(chain, std::move(layout), kernels, std::move(aggregation)));
  if (auto enough = host->Rehearse(federation.round.minimum); !enough)
    return Annotate(enough.error(), StrCat("round.minimum ", federation.round.minimum));
  LINNET_TRY_STATUS(CheckMode(federation, *host));
  LINNET_TRY_STATUS(host->RestoreState(options.recovered.strategy_state));
  LINNET_TRY(StrategyTask task, ReadStrategyTask(*host));
  return std::make_unique<CoordinatorMachine>(std::move(options), std::move(host), std::move(model),
                                              std::move(bytes), std::move(task));
}

CoordinatorMachine::CoordinatorMachine(CoordinatorOptions options,
                                       std::shared_ptr<AggregationHost> host, Model model,
                                       SharedBytes model_bytes, StrategyTask task)
    : options_(std::move(options)),
      kernels_(options_.kernels ? *options_.kernels : BestKernels()),
      host_(std::move(host)),
      layout_(host_->layout()),
      model_(std::make_shared<const Model>(std::move(model))),
      model_bytes_(std::move(model_bytes)),
      digest_(Blake2b(*model_bytes_)),
      task_(std::move(task)) {
  Recovered& recovered = options_.recovered;
  committed_ = recovered.round;
  best_bytes_ = std::move(recovered.best_model);
  strategy_state_ = std::move(recovered.strategy_state);
  history_ = std::move(recovered.history);
  for (const ClaimRecord& claim : recovered.claims) {
    Remember(claim.id, Verdict::kAlreadyCounted);
    ++people_[claim.participant].counted;
  }
  if (Asynchronous() && recovered.open_round == 0) {
    Restore(recovered.open_assignments, std::move(recovered.buffer));
    recovered.open_assignments.clear();
  } else if (Asynchronous()) {
    Restore({}, {});
  }
  // What was open when the process died is given up: nothing of it was folded into a committed
  // model.
  if (recovered.open_round == RoundNumber()) attempt_ = recovered.open_attempt + 1;
  for (const AssignmentRecord& open : recovered.open_assignments) Remember(open.id, Verdict::kVoid);
  for (const RoundMetrics& metrics : history_) {
    if (BetterThanBest(metrics)) best_value_ = Value(metrics);
    if (ReachesTarget(metrics)) target_reached_ = true;
  }
}

std::vector<Coordinator::Action> CoordinatorMachine::Start(uint64_t now_ms) {
  now_ms_ = now_ms;
  const bool done = target_reached_ || committed_ >= options_.federation.round.max_rounds;
  if (done) {
    phase_ = Phase::kFinished;
    Tell(Notice::Kind::kFinished,
         StrCat("round ", committed_, " was the last",
                target_reached_ ? ": the target is reached" : ": round.maxRounds are done"));
    return Take();
  }
  // A crash between commit and evaluation: the metrics are still owed.
  if (!history_.empty() && std::isnan(history_.back().accuracy) && options_.evaluation) {
    metrics_ = history_.back();
    phase_ = Phase::kEvaluating;
    if (Asynchronous()) StartAsynchronous();
    Evaluate();
  } else if (Asynchronous()) {
    StartAsynchronous();
  } else {
    MaybeOpen();
  }
  if (std::exchange(refill_due_, false)) Refill();
  return Take();
}

std::vector<Coordinator::Action> CoordinatorMachine::Handle(const Event& event, uint64_t now_ms) {
  now_ms_ = std::max(now_ms_, now_ms);
  if (const auto* connected = std::get_if<Connected>(&event)) {
    OnConnected(connected->connection);
  } else if (const auto* gone = std::get_if<Disconnected>(&event)) {
    OnDisconnected(gone->connection);
  } else if (const auto* frame = std::get_if<FrameReceived>(&event)) {
    OnFrame(frame->connection, frame->frame);
  } else if (const auto* timer = std::get_if<TimerFired>(&event)) {
    OnTimer(timer->timer);
  } else if (const auto* computed = std::get_if<Computed>(&event)) {
    OnComputed(computed->work);
  } else if (const auto* stored = std::get_if<Stored>(&event)) {
    const uint64_t ticket = stored->ticket;
    if (!stored->status) {
      // Nothing is lost: the records are kept here and offered again.
      Tell(Notice::Kind::kFailed,
           StrCat("the state could not be stored, trying again in ", kStoreRetryMs / 1000,
                  " s: ", stored->status.error().message));
      Arm(kStoreRetryMs, [this, ticket] {
        if (auto it = unstored_.find(ticket); it != unstored_.end())
          actions_.push_back(Persist{ticket, it->second});
      });
    } else {
      unstored_.erase(ticket);
      if (auto then = tickets_.extract(ticket); !then.empty()) then.mapped()();
    }
  }
  if (std::exchange(refill_due_, false)) Refill();
  return Take();
}

void CoordinatorMachine::OnTimer(TimerId timer) {
  if (auto then = timers_.extract(timer); !then.empty()) then.mapped()();
}

void CoordinatorMachine::OnComputed(const std::shared_ptr<Work>& work) {
  if (auto check = std::dynamic_pointer_cast<CheckWork>(work)) {
    if (check->attempt_token == attempt_token_) OnChecked(*check);
  } else if (auto aggregation = std::dynamic_pointer_cast<AggregationWork>(work)) {
    aggregating_ = false;
    if (aggregation->attempt_token == attempt_token_) OnAggregated(*aggregation);
    PumpAggregation();
  } else if (auto evaluation = std::dynamic_pointer_cast<EvaluateWork>(work)) {
    OnEvaluated(*evaluation);
  }
}

void CoordinatorMachine::SendFrame(ConnectionId connection, const SharedBytes& frame) {
  auto it = sessions_.find(connection);
  if (it == sessions_.end()) return;
  downlink_ += frame->size();
  if (it->second.state == Session::State::kWelcomed)
    people_[it->second.hello.device_key].downlink_bytes += frame->size();
  actions_.push_back(Send{connection, frame});
}

void CoordinatorMachine::SendTo(ConnectionId connection, const Message& message) {
  SendFrame(connection, std::make_shared<const Bytes>(EncodeMessage(message)));
}

void CoordinatorMachine::SendToPerson(const PublicKey& key, const Message& message) {
  if (auto it = people_.find(key); it != people_.end() && it->second.connection != 0)
    SendTo(it->second.connection, message);
}

void CoordinatorMachine::Broadcast(const Message& message) {
  const auto frame = std::make_shared<const Bytes>(EncodeMessage(message));
  for (const auto& [connection, session] : sessions_)
    if (session.state == Session::State::kWelcomed) SendFrame(connection, frame);
}

TimerId CoordinatorMachine::Arm(uint64_t delay_ms, std::function<void()> then) {
  const TimerId timer = next_timer_++;
  timers_.emplace(timer, std::move(then));
  actions_.push_back(SetTimer{timer, delay_ms});
  return timer;
}

void CoordinatorMachine::Disarm(TimerId& timer) {
  if (timer != 0 && timers_.erase(timer) > 0) actions_.push_back(CancelTimer{timer});
  timer = 0;
}

void CoordinatorMachine::Tell(Notice::Kind kind, std::string text) {
  Notice notice{kind, std::move(text), {}};
  if (kind == Notice::Kind::kRoundClosed) {
    notice.metrics = metrics_;
  } else if (kind == Notice::Kind::kRoundOpened || kind == Notice::Kind::kAttemptVoid) {
    notice.metrics.round = RoundNumber();
    notice.metrics.attempt = attempt_;
    notice.metrics.invited = Asynchronous() ? wanted_ : uint32_t(open_.size());
  }
  actions_.push_back(std::move(notice));
}

void CoordinatorMachine::Store(std::vector<JournalRecord> records, std::function<void()> then) {
  const uint64_t ticket = next_ticket_++;
  unstored_.emplace(ticket, records);
  tickets_.emplace(ticket, std::move(then));
  actions_.push_back(Persist{ticket, std::move(records)});
}

std::vector<Coordinator::Action> CoordinatorMachine::Take() { return std::exchange(actions_, {}); }

void CoordinatorMachine::Remember(const AssignmentId& id, Verdict verdict) {
  constexpr size_t kRemembered = 65536;
  if (!past_.insert_or_assign(id, verdict).second) return;
  past_order_.push_back(id);
  if (past_order_.size() > kRemembered) {
    past_.erase(past_order_.front());
    past_order_.pop_front();
  }
}

void CoordinatorMachine::Stop(std::string why) {
  phase_ = Phase::kFailed;
  failure_ = why;
  Tell(Notice::Kind::kFailed, std::move(why));
}

CoordinatorStatus CoordinatorMachine::Status() const {
  static constexpr const char* kNames[] = {"waiting", "opening",    "training",
                                           "closing", "committing", "evaluating",
                                           "judging", "finished",   "failed"};
  CoordinatorStatus status;
  status.phase = kNames[size_t(phase_)];
  const uint64_t next_ms = opened_ms_ + options_.federation.round.interval_ms;
  if (phase_ == Phase::kWaiting && opened_ms_ > 0 && now_ms_ < next_ms) status.phase = "pausing";
  status.round = committed_;
  status.attempt = attempt_;
  status.invited = uint32_t(open_.size());
  status.received = claimed_;
  status.model = digest_;
  status.model_bytes = model_bytes_->size();
  status.uplink_bytes = uplink_;
  status.downlink_bytes = downlink_;
  status.inflight_bytes = inflight_;
  status.history = history_;
  constexpr size_t kShown = 1000;
  for (const bool connected : {true, false}) {
    for (const auto& [key, person] : people_) {
      if ((person.connection != 0) != connected) continue;
      if (connected) ++status.connected;
      if (status.participants.size() < kShown)
        status.participants.push_back({key, person.name, person.runtime, person.counted,
                                       person.uplink_bytes, person.downlink_bytes, person.examples,
                                       connected});
    }
  }
  return status;
}

}  // namespace linnet
