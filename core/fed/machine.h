// What goes into and comes out of the machines (Coordinator, Participant).
//
// A machine has one owner, takes events and returns actions. It never waits, never reads a clock,
// opens nothing. The driver (native daemon, browser worker, simulator) carries actions out and
// reports back; `now_ms` comes with every event and only ever grows.
#ifndef LINNET_FED_MACHINE_H_
#define LINNET_FED_MACHINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/result.h"

namespace linnet {

// Made by the driver, unique for the life of the machine. A participant has one connection at a
// time.
using ConnectionId = uint64_t;
using TimerId = uint64_t;

// Computation as a value: training, folding, evaluating. The machine hands it out in a Compute
// action and forgets the time it takes; the driver runs it on any one thread, to the end or in
// slices, and hands the same pointer back in Computed. Different works may run at the same time;
// one work never runs twice at once. Results lie in the work, for its machine alone.
class Work {
 public:
  enum class Kind : uint8_t { kTrain, kFold, kEvaluate };
  virtual ~Work() = default;
  virtual Kind kind() const = 0;
  // Goes on for about `max_steps` steps (minibatches, windows); true = there is more to do.
  virtual bool Run(size_t max_steps) = 0;
  // An estimate of the whole effort in floating-point operations, for the simulator's clock.
  virtual double Cost() const { return 0; }
};

// ---- Events

struct Connected {
  ConnectionId connection = 0;
};
struct Disconnected {
  ConnectionId connection = 0;
};
struct FrameReceived {
  ConnectionId connection = 0;
  ByteSpan frame;  // valid during the call
};
struct TimerFired {
  TimerId timer = 0;
};
// The answer to Persist: durable now, or the reason why not.
struct Stored {
  uint64_t ticket = 0;
  Status status;
};
struct Computed {
  std::shared_ptr<Work> work;
};
using Event = std::variant<Connected, Disconnected, FrameReceived, TimerFired, Stored, Computed>;

// ---- Actions, carried out in order

struct Send {
  ConnectionId connection = 0;
  SharedBytes frame;  // the same pointer for the same bytes: a transport may prepare it once
};
struct SetTimer {  // setting a timer that is set moves it
  TimerId timer = 0;
  uint64_t delay_ms = 0;
};
struct CancelTimer {
  TimerId timer = 0;
};
struct Compute {
  std::shared_ptr<Work> work;
};
struct Close {  // Disconnected follows
  ConnectionId connection = 0;
  std::string reason;
};
// Participant only: open a connection to the coordinator; Connected or Disconnected follows.
struct Connect {};

}  // namespace linnet

#endif  // LINNET_FED_MACHINE_H_
