#include "sim/simulation.h"

#include <algorithm>
#include <map>
#include <queue>
#include <utility>

#include "base/random.h"
#include "fed/aggregation_work.h"
#include "sim/memory_spool.h"
#include "sim/memory_store.h"

namespace linnet {
namespace {

constexpr uint64_t kWeekMs = 7ull * 24 * 3600 * 1000;
constexpr size_t kCoordinator = ~size_t{0};
constexpr size_t kAllSteps = ~size_t{0};

// Something that happens at a moment of the virtual clock. Ties go by the order of scheduling.
struct Happening {
  uint64_t at_ms;
  uint64_t sequence;
  size_t to;          // a participant's index, or kCoordinator
  uint64_t life = 0;  // the coordinator's: what was meant for one that died is lost
  enum class What : uint8_t { kConnect, kConnected, kGone, kFrame, kTimer, kStored, kWork } what;
  uint64_t id = 0;  // connection, timer (with `generation`), ticket
  uint64_t generation = 0;
  SharedBytes frame;
  std::shared_ptr<Work> work;
};
struct Later {
  bool operator()(const Happening& a, const Happening& b) const {
    return a.at_ms != b.at_ms ? a.at_ms > b.at_ms : a.sequence > b.sequence;
  }
};

class Simulation {
 public:
  explicit Simulation(SimulationOptions options)
      : options_(std::move(options)),
        faults_(DeriveSeed(options_.seed, "faults"), 0),
        adversary_(options_.hostility, options_.clients.size(), options_.federation.round.Invited(),
                   DeriveSeed(options_.seed, "hostile")) {
    if (!options_.executor) options_.executor = &inline_;
  }

  Status Start();
  // False when nothing is left to happen.
  Result<bool> Step(size_t max_events);
  Result<SimulationResult> Finish();

 private:
  // One participant and its place in the network. A connection's id is unique for the whole run.
  struct Site {
    std::unique_ptr<Participant> machine;
    ConnectionId connection = 0;
    uint64_t up_free_ms = 0, down_free_ms = 0;  // order on the wire is kept
    std::map<TimerId, uint64_t> timers;         // generation of each that is set
  };
  using What = Happening::What;

  Status StartCoordinator();
  void Schedule(Happening happening) {
    happening.sequence = ++sequence_;
    queue_.push(std::move(happening));
  }
  void Transmit(size_t to, size_t site, ConnectionId connection, const SharedBytes& frame);
  void Cut(size_t site);
  void SetTimerAt(std::map<TimerId, uint64_t>& timers, size_t to, const SetTimer& timer);
  void StartWork(size_t to, std::shared_ptr<Work> work);
  void RunPendingWork();
  void Deliver(const Happening& happening);
  void DoCoordinator(std::vector<Coordinator::Action> actions);
  void DoParticipant(size_t site, std::vector<Participant::Action> actions);

  SimulationOptions options_;
  InlineExecutor inline_;
  RandomStream faults_;
  Adversary adversary_;
  std::priority_queue<Happening, std::vector<Happening>, Later> queue_;
  uint64_t now_ms_ = 0, sequence_ = 0, next_connection_ = 1, next_generation_ = 1;
  std::vector<Site> sites_;
  std::map<ConnectionId, size_t> site_of_;
  std::unique_ptr<Coordinator> coordinator_;
  std::map<TimerId, uint64_t> coordinator_timers_;
  uint64_t life_ = 0;
  MemoryStore store_;
  std::vector<std::shared_ptr<Work>> pending_;
  SimulationResult result_;
  uint64_t finished_at_ = 0;  // after it only the verdicts on their way still matter
  bool stop_ = false, restart_ = false;
};

Status Simulation::StartCoordinator() {
  ++life_;
  CoordinatorOptions options;
  options.federation = options_.federation;
  options.initial = options_.initial;
  options.recovered = store_.Load();
  options.strategy = options_.strategy;
  options.executor = options_.executor;
  options.spool = std::make_shared<MemorySpool>();
  options.evaluation = options_.evaluation;
  options.secret = DeriveSeed(options_.seed, "coordinator");
  options.kernels = options_.kernels;
  options.strategy_log = options_.strategy_log;
  options.expect = uint32_t(std::min<size_t>(sites_.size(), options_.federation.round.Invited()));
  LINNET_TRY(coordinator_, Coordinator::Create(std::move(options)));
  coordinator_timers_.clear();
  DoCoordinator(coordinator_->Start(now_ms_));
  return {};
}

void Simulation::Transmit(size_t to, size_t site, ConnectionId connection,
                          const SharedBytes& frame) {
  Site& s = sites_[site];
  if (s.connection != connection) return;  // sent into a connection that is gone
  const Faults& faults = options_.faults;
  uint64_t delay_ms = options_.latency_ms;
  int copies = 1;
  if (faults.any()) {
    const double draw = faults_.UniformDouble();
    if (draw < faults.cut) return Cut(site);
    if (draw < faults.cut + faults.drop) {
      ++result_.dropped;
      return;
    }
    if (draw < faults.cut + faults.drop + faults.duplicate) copies = 2;
    if (faults.delay_ms > 0) delay_ms += faults_.Below(faults.delay_ms + 1);
  }
  uint64_t& free_ms = to == kCoordinator ? s.up_free_ms : s.down_free_ms;
  free_ms = std::max(free_ms, now_ms_ + delay_ms);
  for (int copy = 0; copy < copies; ++copy)
    Schedule({free_ms, 0, to, life_, What::kFrame, connection, 0, frame, nullptr});
}

void Simulation::Cut(size_t site) {
  Site& s = sites_[site];
  if (s.connection == 0) return;
  ++result_.cuts;
  const ConnectionId connection = std::exchange(s.connection, 0);
  Schedule({now_ms_ + options_.latency_ms, 0, kCoordinator, life_, What::kGone, connection, 0,
            nullptr, nullptr});
  Schedule({now_ms_ + options_.latency_ms, 0, site, life_, What::kGone, connection, 0, nullptr,
            nullptr});
}

void Simulation::SetTimerAt(std::map<TimerId, uint64_t>& timers, size_t to, const SetTimer& timer) {
  const uint64_t generation = next_generation_++;
  timers[timer.timer] = generation;
  Schedule({now_ms_ + timer.delay_ms, 0, to, life_, What::kTimer, timer.timer, generation, nullptr,
            nullptr});
}

// How long a work takes on the virtual clock is known before it runs, so it runs only when its
// result is due, together with all others that wait: in parallel, and yet in an order that depends
// on nothing.
void Simulation::StartWork(size_t to, std::shared_ptr<Work> work) {
  if (options_.hostility.count > 0)
    if (auto* train = dynamic_cast<TrainWork*>(work.get())) adversary_.Enlist(to, *train);
  const uint64_t ms = 1 + uint64_t(work->Cost() / options_.flops * 1000.0);
  pending_.push_back(work);
  Schedule({now_ms_ + ms, 0, to, life_, What::kWork, 0, 0, nullptr, std::move(work)});
}

void Simulation::RunPendingWork() {
  const std::vector<std::shared_ptr<Work>> works = std::exchange(pending_, {});
  const auto aggregates = [&](size_t task) {
    return dynamic_cast<const AggregationWork*>(works[task].get()) != nullptr;
  };
  const auto run = [&](size_t task) {
    while (works[task]->Run(kAllSteps)) {
    }
  };
  options_.executor->Run(works.size(), [&](size_t task, size_t) {
    if (!aggregates(task)) run(task);
  });
  std::vector<TrainWork*> held;
  for (const std::shared_ptr<Work>& work : works)
    if (auto* train = dynamic_cast<TrainWork*>(work.get()); train != nullptr && train->hold)
      held.push_back(train);
  adversary_.Corrupt(held);
  options_.executor->Run(held.size(), [&](size_t task, size_t) {
    if (held[task]->status) held[task]->Finish();
  });
  // It has the executor to itself.
  for (size_t task = 0; task < works.size(); ++task)
    if (aggregates(task)) run(task);
}

void Simulation::DoCoordinator(std::vector<Coordinator::Action> actions) {
  for (Coordinator::Action& action : actions) {
    if (restart_) return;
    if (++result_.actions == options_.faults.kill_after) restart_ = true;
    if (auto* send = std::get_if<Send>(&action)) {
      if (auto it = site_of_.find(send->connection); it != site_of_.end())
        Transmit(it->second, it->second, send->connection, send->frame);
    } else if (auto* set = std::get_if<SetTimer>(&action)) {
      SetTimerAt(coordinator_timers_, kCoordinator, *set);
    } else if (auto* cancel = std::get_if<CancelTimer>(&action)) {
      coordinator_timers_.erase(cancel->timer);
    } else if (auto* persist = std::get_if<Persist>(&action)) {
      store_.Apply(persist->records);
      Schedule({now_ms_ + 1, 0, kCoordinator, life_, What::kStored, persist->ticket, 0, nullptr,
                nullptr});
    } else if (auto* compute = std::get_if<Compute>(&action)) {
      StartWork(kCoordinator, std::move(compute->work));
    } else if (auto* close = std::get_if<Close>(&action)) {
      if (auto it = site_of_.find(close->connection); it != site_of_.end())
        if (sites_[it->second].connection == close->connection) Cut(it->second);
    } else if (auto* notice = std::get_if<Notice>(&action)) {
      if (options_.on_notice) options_.on_notice(*notice);
      if (notice->kind == Notice::Kind::kRoundClosed) {
        if (options_.on_round && !options_.on_round(notice->metrics)) stop_ = true;
        const double p = options_.faults.restart;
        if (p > 0 && faults_.UniformDouble() < p) restart_ = true;
      } else if (notice->kind == Notice::Kind::kAttemptVoid && options_.max_attempts > 0 &&
                 notice->metrics.attempt + 1 >= options_.max_attempts) {
        result_.failure = notice->text;
        stop_ = true;
      } else if (notice->kind == Notice::Kind::kRoundOpened && options_.faults.restart > 0) {
        if (faults_.UniformDouble() < options_.faults.restart) restart_ = true;
      }
    }
  }
}

void Simulation::DoParticipant(size_t site, std::vector<Participant::Action> actions) {
  Site& s = sites_[site];
  for (Participant::Action& action : actions) {
    if (auto* send = std::get_if<Send>(&action)) {
      Transmit(kCoordinator, site, send->connection, send->frame);
    } else if (auto* set = std::get_if<SetTimer>(&action)) {
      SetTimerAt(s.timers, site, *set);
    } else if (auto* cancel = std::get_if<CancelTimer>(&action)) {
      s.timers.erase(cancel->timer);
    } else if (auto* persist = std::get_if<Participant::Persist>(&action)) {
      Schedule({now_ms_, 0, site, life_, What::kStored, persist->ticket, 0, nullptr, nullptr});
    } else if (auto* compute = std::get_if<Compute>(&action)) {
      StartWork(site, std::move(compute->work));
    } else if (std::get_if<Close>(&action)) {
      Cut(site);
    } else if (std::get_if<Connect>(&action)) {
      Schedule(
          {now_ms_ + options_.latency_ms, 0, site, life_, What::kConnect, 0, 0, nullptr, nullptr});
    }
  }
}

void Simulation::Deliver(const Happening& h) {
  const bool to_coordinator = h.to == kCoordinator;
  if (to_coordinator && h.life != life_) return;
  if (h.what == What::kConnect) {
    Site& s = sites_[h.to];
    const ConnectionId connection = next_connection_++;
    s.connection = connection;
    s.up_free_ms = s.down_free_ms = now_ms_;
    site_of_[connection] = h.to;
    DoCoordinator(coordinator_->Handle(Connected{connection}, now_ms_));
    DoParticipant(h.to, s.machine->Handle(Connected{connection}, now_ms_));
    return;
  }
  Event event;
  switch (h.what) {
    case What::kGone:
      event = Disconnected{h.id};
      if (to_coordinator) site_of_.erase(h.id);
      break;
    case What::kFrame:
      event = FrameReceived{h.id, *h.frame};
      break;
    case What::kTimer: {
      auto& timers = to_coordinator ? coordinator_timers_ : sites_[h.to].timers;
      auto it = timers.find(h.id);
      if (it == timers.end() || it->second != h.generation) return;
      timers.erase(it);
      event = TimerFired{h.id};
      break;
    }
    case What::kStored:
      event = Stored{h.id, {}};
      break;
    case What::kWork:
      if (std::find(pending_.begin(), pending_.end(), h.work) != pending_.end()) RunPendingWork();
      event = Computed{h.work};
      break;
    default:
      return;
  }
  if (to_coordinator)
    DoCoordinator(coordinator_->Handle(event, now_ms_));
  else
    DoParticipant(h.to, sites_[h.to].machine->Handle(event, now_ms_));
}

Status Simulation::Start() {
  for (size_t i = 0; i < options_.clients.size(); ++i) {
    ParticipantOptions options;
    options.name = StrCat("client-", i);
    options.runtime = "simulated";
    options.state.device = SigningKey::FromSeed(DeriveSeed(options_.seed, "device", i));
    options.jitter = DeriveSeed(options_.seed, "jitter", i);
    options.data_is_scaled = true;
    options.kernels = options_.kernels;
    if (options_.evaluation) {
      options.train = options_.clients[i];
    } else {
      SplitHoldout(options_.clients[i], options.state.device.seed, options.train, options.holdout);
    }
    sites_.emplace_back().machine = Participant::Create(std::move(options));
  }
  LINNET_TRY_STATUS(StartCoordinator());
  for (size_t i = 0; i < sites_.size(); ++i) DoParticipant(i, sites_[i].machine->Start(now_ms_));
  return {};
}

Result<bool> Simulation::Step(size_t max_events) {
  const uint64_t limit = options_.virtual_limit_ms > 0 ? options_.virtual_limit_ms : kWeekMs;
  constexpr uint64_t kLingerMs = 30000;
  for (size_t event = 0; event < max_events; ++event) {
    if (queue_.empty() || stop_) return false;
    const Happening next = queue_.top();
    queue_.pop();
    now_ms_ = std::max(now_ms_, next.at_ms);
    if (coordinator_->finished()) {
      if (finished_at_ == 0) finished_at_ = now_ms_ + 1;
      if (!options_.faults.any() && next.at_ms > finished_at_ + 10 * options_.latency_ms)
        return false;
      if (now_ms_ > finished_at_ + kLingerMs) return false;
    }
    if (now_ms_ > limit || !coordinator_->failure().empty()) return false;
    Deliver(next);
    if (restart_) {  // everything that was not stored is lost
      restart_ = false;
      ++result_.restarts;
      result_.uplink_bytes += coordinator_->Status().uplink_bytes;
      result_.downlink_bytes += coordinator_->Status().downlink_bytes;
      for (size_t i = 0; i < sites_.size(); ++i) Cut(i);
      site_of_.clear();
      LINNET_TRY_STATUS(StartCoordinator());
    }
  }
  return true;
}

Result<SimulationResult> Simulation::Finish() {
  const CoordinatorStatus status = coordinator_->Status();
  if (!coordinator_->failure().empty()) result_.failure = coordinator_->failure();
  if (status.history.empty() && result_.failure.empty())
    return Fail(Code::kUnavailable, "no round could be closed within ", now_ms_,
                " ms of virtual time");
  result_.history = status.history;
  result_.uplink_bytes += status.uplink_bytes;
  result_.downlink_bytes += status.downlink_bytes;
  result_.model = coordinator_->model();
  result_.best_model = store_.best_model() ? store_.best_model() : result_.model;
  result_.last_partial = coordinator_->last_partial();
  result_.finished = coordinator_->finished();
  result_.target_reached = coordinator_->target_reached();
  result_.virtual_ms = now_ms_;
  result_.claims = store_.claims();
  result_.hostile = adversary_.assignments();
  result_.buffered = store_.Load().buffer.claims.size();
  result_.strategy_state = store_.Load().strategy_state;
  for (const Site& site : sites_) {
    const ParticipantState& state = site.machine->state();
    result_.participants.push_back({state.device.public_key, state.rounds_counted,
                                    state.examples_counted, state.values, state.staged_values,
                                    state.staged_assignment});
  }
  return std::move(result_);
}

}  // namespace

uint64_t SimulationResult::HostileCounted() const {
  return uint64_t(std::ranges::count_if(
      claims, [&](const ClaimRecord& claim) { return hostile.contains(claim.id); }));
}

Result<SimulationResult> Simulate(SimulationOptions options) {
  LINNET_TRY(const auto simulation, StepwiseSimulation::Create(std::move(options)));
  LINNET_TRY([[maybe_unused]] const bool more, simulation->Run(kAllSteps));
  return simulation->Finish();
}

class StepwiseSimulation::Machine : public Simulation {
 public:
  using Simulation::Simulation;
};

StepwiseSimulation::StepwiseSimulation(std::unique_ptr<Machine> machine)
    : machine_(std::move(machine)) {}
StepwiseSimulation::~StepwiseSimulation() = default;

Result<std::unique_ptr<StepwiseSimulation>> StepwiseSimulation::Create(SimulationOptions options) {
  LINNET_TRY_STATUS(
      CheckHostility(options.hostility, options.clients, options.federation.round.Invited()));
  auto machine = std::make_unique<Machine>(std::move(options));
  LINNET_TRY_STATUS(machine->Start());
  return std::unique_ptr<StepwiseSimulation>(new StepwiseSimulation(std::move(machine)));
}

Result<bool> StepwiseSimulation::Run(size_t max_events) { return machine_->Step(max_events); }
Result<SimulationResult> StepwiseSimulation::Finish() { return machine_->Finish(); }

}  // namespace linnet
