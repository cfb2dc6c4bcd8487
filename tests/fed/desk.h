// A participant on a table: a scripted coordinator on the other side.
#ifndef LINNET_TESTS_FED_DESK_H_
#define LINNET_TESTS_FED_DESK_H_

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "fed/participant.h"
#include "support/federation.h"

namespace linnet::testing {

class Desk {
 public:
  explicit Desk(ParticipantState state = MakeState()) {
    model = Must(BuiltinModel("softmax-regression", SeedFromInt(1)));
    model_bytes = SaveModel(model);
    digest = Blake2b(model_bytes);
    ParticipantOptions options;
    options.name = "desk";
    options.state = state;
    options.train = WholeView(std::make_shared<Dataset>(
        MakeStrokes({.seed = 1, .first_writer = 1, .last_writer = 1, .per_writer = 30})));
    options.jitter = SeedFromInt(5);
    key = state.device.public_key;
    machine = Participant::Create(std::move(options));
    Do(machine->Start(0));
  }
  static ParticipantState MakeState() {
    ParticipantState state;
    state.device = SigningKey::FromSeed(SeedFromInt(77));
    return state;
  }

  void Handle(const Event& event) { Do(machine->Handle(event, 0)); }
  void Connect() { Handle(Connected{++connection}); }
  void Disconnect() { Handle(Disconnected{connection}); }
  void Send(const Message& message) {
    const Bytes frame = EncodeMessage(message);
    Handle(FrameReceived{connection, frame});
  }
  void Greet() {
    Connect();
    Send(Challenge{});
    Welcome welcome;
    welcome.federation = "f";
    welcome.model = digest;
    welcome.model_bytes = model_bytes.size();
    welcome.federation_json = R"({"data": {"scale": "unit"}})";
    Send(welcome);
  }
  Invite MakeInvite(uint8_t id, uint64_t round = 1) const {
    Invite invite;
    invite.assignment.fill(id);
    invite.round = round;
    invite.base = digest;
    invite.base_bytes = model_bytes.size();
    invite.round_seed = SeedFromInt(round);
    invite.codec = {uint8_t(CodecKind::kF32), 32};
    return invite;
  }
  void SendModel() {
    Send(ModelOffer{digest, model_bytes.size()});
    Send(ModelChunk{digest, 0, model_bytes});
  }
  // From the invitation to update.begin.
  std::optional<UpdateBegin> Train(const Invite& invite) {
    Send(invite);
    if (Take<ModelWant>()) SendModel();
    Send(Begin{invite.assignment});
    return Take<UpdateBegin>();
  }
  // Lets the announced upload flow and returns it.
  Bytes Receive(const AssignmentId& id, uint64_t offset = 0) {
    Send(UpdateGo{id, offset});
    Bytes encoded;
    while (auto chunk = Take<UpdateChunk>())
      encoded.insert(encoded.end(), chunk->data.begin(), chunk->data.end());
    return encoded;
  }
  void Answer(const AssignmentId& id, Verdict verdict) {
    UpdateVerdict answer;
    answer.assignment = id;
    answer.verdict = verdict;
    Send(answer);
  }

  // The first message of this type; others stay.
  template <typename T>
  std::optional<T> Take() {
    for (auto it = sent.begin(); it != sent.end(); ++it) {
      if (auto* found = std::get_if<T>(&*it)) {
        T out = std::move(*found);
        sent.erase(it);
        return out;
      }
    }
    return std::nullopt;
  }
  ParticipantState Persisted() const { return Must(ParticipantState::Load(persisted)); }

  std::unique_ptr<Participant> machine;
  Model model;
  Bytes model_bytes;
  Digest digest{};
  PublicKey key{};
  ConnectionId connection = 0;
  std::deque<Message> sent;
  Bytes persisted;
  std::map<TimerId, uint64_t> timers;
  std::vector<ParticipantNotice> notices;
  std::vector<std::shared_ptr<Work>> held_work;
  bool hold_work = false;
  int connects = 0;
  std::string closed;

 private:
  void Do(std::vector<Participant::Action> actions) {
    for (Participant::Action& action : actions) {
      if (auto* send = std::get_if<::linnet::Send>(&action)) {
        sent.push_back(Must(DecodeMessage(*send->frame)));
      } else if (auto* set = std::get_if<SetTimer>(&action)) {
        timers[set->timer] = set->delay_ms;
      } else if (auto* cancel = std::get_if<CancelTimer>(&action)) {
        timers.erase(cancel->timer);
      } else if (auto* persist = std::get_if<Participant::Persist>(&action)) {
        persisted = persist->state;
        Handle(Stored{persist->ticket, {}});
      } else if (auto* compute = std::get_if<Compute>(&action)) {
        if (hold_work) {
          held_work.push_back(compute->work);
          continue;
        }
        while (compute->work->Run(3)) {
        }
        Handle(Computed{compute->work});
      } else if (auto* close = std::get_if<Close>(&action)) {
        closed = close->reason;
      } else if (std::get_if<::linnet::Connect>(&action)) {
        ++connects;
      } else if (auto* notice = std::get_if<ParticipantNotice>(&action)) {
        notices.push_back(std::move(*notice));
      }
    }
  }
};

}  // namespace linnet::testing

#endif  // LINNET_TESTS_FED_DESK_H_
