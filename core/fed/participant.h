// The participant as a machine: the same code in a daemon, a browser tab and the simulator.
#ifndef LINNET_FED_PARTICIPANT_H_
#define LINNET_FED_PARTICIPANT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "fed/machine.h"
#include "fed/participant_state.h"
#include "fed/work.h"

namespace linnet {

// Something the participant's owner wants to see. The fields of `detail` by kind:
// web/src/shared/types.ts.
struct ParticipantNotice {
  enum class Kind : uint8_t {
    kConnecting,
    kWelcomed,
    kDisconnected,
    kInvited,
    kModelReady,
    kTraining,
    kUploading,
    kVerdict,
    kRoundClosed,
    kEvaluated,
    kError,
    kFinished,
  } kind = Kind::kConnecting;
  std::string text;  // one line for people
  Json detail;       // the same for machines
};

// As events are named for machines: "round-closed".
std::string_view KindName(ParticipantNotice::Kind kind);

struct ParticipantOptions {
  std::string federation, token, name, runtime;
  std::vector<std::pair<std::string, std::string>> properties;
  ParticipantState state;
  DataView train, holdout;      // holdout empty = takes no part in federated evaluation
  bool data_is_scaled = false;  // the data's scaling stands, whatever the federation says
  uint64_t examples = 0;        // told in hello; default train.size()
  bool own_training = false;    // the driver fills TrainWork's outputs itself (callbacks)
  bool follow_model = false;    // fetch each new global model (a page that infers with it)
  // The participant's own caps: an invitation beyond is declined, naming it.
  uint64_t max_model_bytes = 256ull << 20;
  uint64_t max_steps_per_round = 1000000;
  uint32_t backoff_min_ms = 500, backoff_max_ms = 30000;
  Seed jitter{};                     // for back-off; tests fix it
  const Kernels* kernels = nullptr;  // default BestKernels()
};

class Participant {
 public:
  // Persist: the state's bytes, then Stored{ticket}.
  struct Persist {
    uint64_t ticket = 0;
    Bytes state;
  };
  using Action = std::variant<Send, SetTimer, CancelTimer, Persist, Compute, Close, Connect,
                              ParticipantNotice>;

  static std::unique_ptr<Participant> Create(ParticipantOptions options);
  virtual ~Participant() = default;

  virtual std::vector<Action> Start(uint64_t now_ms) = 0;  // the first Connect
  virtual std::vector<Action> Handle(const Event& event, uint64_t now_ms) = 0;
  // Says bye and closes; no reconnect.
  virtual std::vector<Action> Leave(std::string reason) = 0;
  // A paused participant declines invitations (hidden tab, low battery).
  virtual void set_paused(bool paused) = 0;
  // Replaces the data (a page's visitor drew something).
  virtual void set_data(DataView train, DataView holdout) = 0;

  // The newest global model held here, or null.
  virtual std::shared_ptr<const Model> model() const = 0;
  virtual const ParticipantState& state() const = 0;
  // The coordinator ended the session for good (finished, refused): no reconnect. Empty = not so.
  virtual const std::string& ended() const = 0;
};

}  // namespace linnet

#endif  // LINNET_FED_PARTICIPANT_H_
