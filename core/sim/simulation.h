// A whole federation in one process: the machines of production over an in-memory network, under a
// virtual clock, with faults from one seed.
#ifndef LINNET_SIM_SIMULATION_H_
#define LINNET_SIM_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "data/dataset.h"
#include "fed/coordinator.h"
#include "fed/participant.h"
#include "sim/adversary.h"

namespace linnet {

// What can go wrong on the way. Probabilities are per frame, drawn from the simulation's seed.
struct Faults {
  double drop = 0;          // the frame vanishes
  double duplicate = 0;     // the frame arrives twice
  double cut = 0;           // the connection breaks in place of this frame
  uint64_t delay_ms = 0;    // added to each frame, uniform in [0, delay_ms]; order is kept
  double restart = 0;       // per closed round: the coordinator dies and starts from its store
  uint64_t kill_after = 0;  // the coordinator dies once, after so many of its actions; 0 = never
  bool any() const { return drop > 0 || duplicate > 0 || cut > 0 || delay_ms > 0 || restart > 0; }
};

struct SimulationOptions {
  Federation federation;
  Model initial;
  StrategyChain strategy;
  std::vector<DataView> clients;              // one participant each, scaled already
  std::shared_ptr<const Dataset> evaluation;  // null = federated evaluation
  Seed seed{};                                // behind everything
  Faults faults;
  Hostility hostility;
  uint64_t latency_ms = 1;        // one way
  double flops = 20e9;            // of a participant, for the virtual clock
  uint64_t virtual_limit_ms = 0;  // stop after so much virtual time, 0 = 7 days
  uint32_t max_attempts = 0;      // stop when a round was given up so often, 0 = no limit
  Executor* executor = nullptr;   // default: inline
  const Kernels* kernels = nullptr;
  // Called on the simulating thread; may be empty. `false` from on_round stops the simulation.
  std::function<bool(const RoundMetrics&)> on_round;
  std::function<void(const Notice&)> on_notice;
  // Lines of the strategy, from whichever thread aggregates.
  std::function<void(uint32_t level, std::string_view line)> strategy_log;
};

struct SimulationResult {
  std::vector<RoundMetrics> history;
  SharedBytes model, best_model;
  Bytes last_partial;  // blob 1 of the last aggregation
  bool finished = false, target_reached = false;
  // Why the federation ended before its time (the strategy, max_attempts); `history` may be empty.
  std::string failure;
  uint64_t virtual_ms = 0;
  uint64_t uplink_bytes = 0, downlink_bytes = 0;
  // Invariants, for tests: what the participants believe beside what the coordinator committed.
  struct Ledger {
    PublicKey key{};
    uint64_t rounds_counted = 0, examples_counted = 0;
    // What the strategy keeps at the participant, and what waits for its verdict.
    std::map<std::string, std::vector<float>> values, staged_values;
    AssignmentId staged{};
  };
  std::vector<Ledger> participants;
  Bytes strategy_state;             // after the last round
  std::vector<ClaimRecord> claims;  // of all committed rounds, in commit order
  uint64_t buffered = 0;            // of them, in a buffer that has made no model
  std::set<AssignmentId> hostile;   // trained by hostile participants, whether counted or not
  uint64_t HostileCounted() const;  // how many of `claims` those are
  uint64_t restarts = 0, dropped = 0, cuts = 0;
  uint64_t actions = 0;  // of all coordinators
};

// The same options give the same result bit for bit, whatever the executor's number of workers. An
// error is a configuration that cannot work (kInvalid, as Coordinator::Create), or kUnavailable
// when the virtual time ran out before a round could be closed. A strategy that keeps failing ends
// the run with SimulationResult::failure.
Result<SimulationResult> Simulate(SimulationOptions options);

// The same in steps, for a caller that has other things to do in between (a tab's worker).
class StepwiseSimulation {
 public:
  static Result<std::unique_ptr<StepwiseSimulation>> Create(SimulationOptions options);
  ~StepwiseSimulation();
  StepwiseSimulation(const StepwiseSimulation&) = delete;
  StepwiseSimulation& operator=(const StepwiseSimulation&) = delete;

  // Lets up to `max_events` happen, with the computing that they wait for; false at the end.
  Result<bool> Run(size_t max_events);
  // Once, at the end or before it. Errors as Simulate's.
  Result<SimulationResult> Finish();

 private:
  class Machine;
  explicit StepwiseSimulation(std::unique_ptr<Machine> machine);
  std::unique_ptr<Machine> machine_;
};

}  // namespace linnet

#endif  // LINNET_SIM_SIMULATION_H_
