// The participant's machine behind participant.h: its parts and who handles what.
#ifndef LINNET_FED_PARTICIPANT_MACHINE_H_
#define LINNET_FED_PARTICIPANT_MACHINE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "fed/federation.h"
#include "fed/participant.h"

namespace linnet {

class ParticipantMachine final : public Participant {
 public:
  explicit ParticipantMachine(ParticipantOptions options);

  std::vector<Action> Start(uint64_t now_ms) override;
  std::vector<Action> Handle(const Event& event, uint64_t now_ms) override;
  std::vector<Action> Leave(std::string reason) override;
  void set_paused(bool paused) override { paused_ = paused; }
  void set_data(DataView train, DataView holdout) override;
  std::shared_ptr<const Model> model() const override {
    return held_.model ? WithPersonal(held_.model) : nullptr;
  }
  const ParticipantState& state() const override { return options_.state; }
  const std::string& ended() const override { return ended_; }

 private:
  enum Timer : TimerId { kReconnect = 1, kHandshake, kPing, kStall };
  enum class Session : uint8_t { kAway, kConnecting, kGreeting, kWelcomed };

  // A model and the digest that names it.
  struct Held {
    Digest digest{};
    std::shared_ptr<const Model> model;
  };
  // The one download under way.
  struct Download {
    Digest digest{};
    uint64_t bytes = 0;  // 0 = the offer has not come yet
    uint64_t asked = 0;  // the offset of the last model.want
    Bytes data;
  };
  // The one live assignment.
  struct Assignment {
    enum class Phase : uint8_t { kAccepted, kModel, kTraining, kStaging, kUpload } phase;
    Invite invite;
    bool begun = false;
    std::shared_ptr<TrainWork> work;
    ClientTask task;
  };
  // An update that was never counted nor refused: good again for the same base, seed and settings
  // (a coordinator that restarted opens the round anew).
  struct Kept {
    Invite invite;
    std::shared_ptr<TrainWork> work;
  };

  // ---- participant.cc: the session
  Hello MakeHello() const;
  void OnConnected(ConnectionId connection);
  void OnDisconnected();
  void OnFrame(ByteSpan frame);
  void OnTimer(TimerId timer);
  void OnChallenge(const Challenge& challenge);
  void OnWelcome(const Welcome& welcome);
  void OnRoundClosed(const RoundClosed& closed);
  void OnEvaluateRequest(const EvaluateRequest& request);
  void End(std::string reason);
  void Scale();

  // ---- participant_model.cc: models by digest
  void Want(const Digest& digest, uint64_t bytes);
  void OnOffer(const ModelOffer& offer);
  void OnChunk(ModelChunk& chunk);
  void OnModelReady();
  // Whether the base and the values of the assignment are here.
  bool Ready() const;
  std::shared_ptr<const Model> WithPersonal(const std::shared_ptr<const Model>& model) const;
  std::string ValueName(std::string_view what) const { return StrCat(told_.name, "/", what); }
  // A value of the participant's state, empty when there is none.
  std::vector<float> StateValue(std::string_view what) const;
  void NextDownload();

  // ---- participant_assignment.cc: invitations to verdicts
  void OnInvite(const Invite& invite);
  void OnBegin(const AssignmentId& assignment);
  void OnTrained(const std::shared_ptr<TrainWork>& work);
  void OnGo(const UpdateGo& go);
  void OnVerdict(const UpdateVerdict& verdict);
  void OnAbort(const Abort& abort);
  void MaybeTrain();
  void OfferUpload();
  void DropAssignment();
  std::string WhyNot(const Invite& invite) const;  // empty = the invitation is acceptable
  bool Live(const AssignmentId& id) const {
    return assignment_ && assignment_->invite.assignment == id;
  }

  // ---- out
  void SendMessage(const Message& message);
  void Arm(TimerId timer, uint64_t delay_ms) { actions_.push_back(SetTimer{timer, delay_ms}); }
  void Disarm(TimerId timer) { actions_.push_back(CancelTimer{timer}); }
  void Store();
  void Tell(ParticipantNotice::Kind kind, std::string text, Json detail = {});
  std::vector<Action> Take() { return std::exchange(actions_, {}); }

  ParticipantOptions options_;
  const Kernels& kernels_;
  RandomStream jitter_;
  std::vector<Action> actions_;

  Session session_ = Session::kAway;
  ConnectionId connection_ = 0;
  Digest hello_digest_{};
  uint32_t failures_ = 0;  // connections in a row that were not welcomed
  uint32_t ping_interval_ms_ = 20000;
  bool heard_ = false;  // a frame came since the last ping
  bool paused_ = false;
  bool leaving_ = false;
  std::string ended_;
  Federation told_;  // the federation's public part
  bool scaled_ = false;

  Held held_;  // the newest model that arrived whole
  // The newest values that came with an invitation (ClientTask::values).
  struct {
    Digest digest{};
    std::vector<float> values;
  } held_values_;
  std::optional<Download> download_;
  Digest follow_{};  // the newest global model, wanted when follow_model
  uint64_t follow_bytes_ = 0;
  std::optional<EvaluateRequest> evaluate_;  // waits for its model
  std::optional<Assignment> assignment_;
  std::optional<Kept> kept_;
  uint64_t ticket_ = 0;          // of the last Persist
  uint64_t staging_ticket_ = 0;  // the one the assignment waits for
  uint64_t sent_bytes_ = 0, received_bytes_ = 0;
};

}  // namespace linnet

#endif  // LINNET_FED_PARTICIPANT_MACHINE_H_
