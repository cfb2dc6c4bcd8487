// The coordinator as a machine: sessions, synchronous rounds, aggregation, evaluation.
#ifndef LINNET_FED_COORDINATOR_H_
#define LINNET_FED_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/dataset.h"
#include "fed/aggregation_host.h"
#include "fed/federation.h"
#include "fed/journal.h"
#include "fed/machine.h"
#include "kernels/kernels.h"
#include "model/model.h"

namespace linnet {

// Something people want to see: one line in a log, one event on a page.
struct Notice {
  enum class Kind : uint8_t {
    kJoined,       // a participant was welcomed
    kLeft,         // a participant's connection ended
    kRoundOpened,  // invitations went out
    kUpdateCounted,
    kUpdateRefused,
    kAttemptVoid,  // too few updates: the round is tried again
    kRoundClosed,  // committed and evaluated; `metrics` is set
    kWaiting,      // not enough participants
    kFinished,     // target reached or last round done
    kFailed,  // the federation cannot go on (store or strategy failed); the previous model stands
  } kind = Kind::kJoined;
  std::string text;      // one line for people
  RoundMetrics metrics;  // kRoundClosed, kRoundOpened (round, attempt, invited)
};

struct CoordinatorOptions {
  Federation federation;
  Model initial;  // ignored where `recovered` has a model
  Recovered recovered;
  // FindStrategy() in the host's plugin table; a chain of one takes federation.strategy.config.
  StrategyChain strategy;
  Executor* executor = nullptr;          // for aggregation, one round at a time; null: no workers
  uint64_t block_memory = 256ull << 20;  // see AggregationOptions
  // Lines of the strategy (PluginServices::log), from whichever thread aggregates.
  std::function<void(uint32_t level, std::string_view line)> strategy_log;
  std::shared_ptr<Spool> spool;
  std::shared_ptr<const Dataset>
      evaluation;                   // central test data, scaled; null = federated evaluation
  Seed secret{};                    // behind selection, assignment ids and round seeds; kept by the
                                    // store in `serve`, the user's seed in `simulate`
  std::vector<std::string> tokens;  // admission.mode token: a hello must carry one of these
  uint64_t inflight_budget = 64ull << 20;  // bytes of announced uploads that may flow at once
  uint32_t handshake_ms = 5000;            // from Connected to Proof
  uint32_t return_grace_ms = 5000;  // how long a round waits for an invited one that disconnected
  uint32_t gather_ms = 1000;        // how long to wait for more than `minimum` before a round
  uint32_t expect = 0;              // participants to wait for before the first round
  uint32_t max_participants = 10000;
  const Kernels* kernels = nullptr;  // default BestKernels()
};

// What /v1/status shows.
struct CoordinatorStatus {
  std::string phase;   // "waiting", "pausing" (round.intervalMs), "training", "committing",
                       // "evaluating", "finished", "failed"
  uint64_t round = 0;  // last committed
  uint32_t attempt = 0, connected = 0, invited = 0, received = 0;
  Digest model{};
  uint64_t model_bytes = 0;
  uint64_t uplink_bytes = 0, downlink_bytes = 0;  // message frames since start
  uint64_t inflight_bytes = 0;
  std::vector<RoundMetrics> history;
  struct Person {
    PublicKey key{};
    std::string name, runtime;
    uint64_t counted = 0, uplink_bytes = 0, downlink_bytes = 0, examples = 0;
    bool connected = false;
  };
  std::vector<Person> participants;  // at most 1000, connected first
};

class Coordinator {
 public:
  using Action = std::variant<Send, SetTimer, CancelTimer, Persist, Compute, Close, Notice>;

  // kInvalid for a configuration that cannot work (strategy settings, model, caps).
  static Result<std::unique_ptr<Coordinator>> Create(CoordinatorOptions options);
  virtual ~Coordinator() = default;

  // To be called once, before any event.
  virtual std::vector<Action> Start(uint64_t now_ms) = 0;
  virtual std::vector<Action> Handle(const Event& event, uint64_t now_ms) = 0;

  virtual CoordinatorStatus Status() const = 0;
  // Canonical bytes of the last committed model (the initial one before round 1), and of the best
  // by the target metric.
  virtual SharedBytes model() const = 0;
  virtual SharedBytes best_model() const = 0;
  // Target reached or maxRounds done; sessions are still served.
  virtual bool finished() const = 0;
  virtual bool target_reached() const = 0;
  // Why the federation cannot go on (phase "failed"); empty while it can.
  virtual const std::string& failure() const = 0;
  // Blob 1 of the last finished aggregation, for exactness tests.
  virtual const Bytes& last_partial() const = 0;
};

}  // namespace linnet

#endif  // LINNET_FED_COORDINATOR_H_
