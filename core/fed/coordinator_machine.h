// The coordinator's machine behind coordinator.h: its parts and who handles what.
#ifndef LINNET_FED_COORDINATOR_MACHINE_H_
#define LINNET_FED_COORDINATOR_MACHINE_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fed/aggregation_work.h"
#include "fed/coordinator.h"
#include "fed/work.h"
#include "wire/messages.h"

namespace linnet {

class CoordinatorMachine final : public Coordinator {
 public:
  CoordinatorMachine(CoordinatorOptions options, std::shared_ptr<AggregationHost> host, Model model,
                     SharedBytes model_bytes, StrategyTask task);

  std::vector<Action> Start(uint64_t now_ms) override;
  std::vector<Action> Handle(const Event& event, uint64_t now_ms) override;
  CoordinatorStatus Status() const override;
  SharedBytes model() const override { return model_bytes_; }
  SharedBytes best_model() const override { return best_bytes_ ? best_bytes_ : model_bytes_; }
  bool finished() const override { return phase_ == Phase::kFinished; }
  bool target_reached() const override { return target_reached_; }
  const std::string& failure() const override { return failure_; }
  const Bytes& last_partial() const override { return last_partial_; }

 private:
  enum class Phase : uint8_t {
    kWaiting,     // for participants
    kOpening,     // AttemptOpened is being stored
    kTraining,    // invitations are out
    kClosing,     // no more updates are taken, the last ones are folded
    kCommitting,  // RoundCommitted is being stored
    kEvaluating,
    kJudging,  // the gate measures the round's model before it is committed
    kFinished,
    kFailed,
  };

  // ---- One connection.
  struct Session {
    enum class State : uint8_t { kNew, kChallenged, kWelcomed } state = State::kNew;
    TimerId handshake = 0;
    Hello hello;
    Digest hello_digest{};
    std::array<uint8_t, 32> nonce{};
    uint64_t early_bytes = 0;  // received before the welcome
  };
  // ---- One device, known since it was first welcomed.
  struct Person {
    std::string name, runtime;
    uint64_t examples = 0, counted = 0, uplink_bytes = 0, downlink_bytes = 0;
    ConnectionId connection = 0;  // 0 = away
    uint64_t declined_round = 0;  // not asked again in this round
    uint64_t rests_until_ms = 0;  // asynchronous: not asked before
  };
  // ---- One assignment of the open attempt.
  struct Assignment {
    enum class Phase : uint8_t {
      kInvited,
      kBegun,
      kAnnounced,  // update.begin came, waits for its place in the budget
      kFlowing,
      kChecking,
      kClaimed,  // part of this round's model, to be folded or folded
      kEnded,    // declined, refused, given up
    } phase = Phase::kInvited;
    PublicKey participant{};
    uint64_t ordinal = 0;
    UpdateBegin meta;
    Bytes received;
    uint64_t reserved = 0;  // of the in-flight budget
    SharedBytes encoded;
    double l2_norm = 0;
    TimerId grace = 0, stall = 0;
    Seed seed{};                // of the round, asynchronous: of its own
    uint64_t base_version = 0;  // that it trains from
    uint64_t claim_version = 0;
    bool durable = true;   // asynchronous: the journal knows it
    TimerId deadline = 0;  // asynchronous
  };
  // A model that is served.
  struct Base {
    Digest digest{};
    SharedBytes bytes;
    std::vector<SharedBytes> frames;  // made when first wanted
  };

  // ---- coordinator.cc: events, timers, out
  void OnTimer(TimerId timer);
  void OnComputed(const std::shared_ptr<Work>& work);
  void SendTo(ConnectionId connection, const Message& message);
  void SendFrame(ConnectionId connection, const SharedBytes& frame);
  void SendToPerson(const PublicKey& key, const Message& message);
  void Broadcast(const Message& message);
  TimerId Arm(uint64_t delay_ms, std::function<void()> then);
  void Disarm(TimerId& timer);
  void Tell(Notice::Kind kind, std::string text);
  void Store(std::vector<JournalRecord> records, std::function<void()> then);
  std::vector<Action> Take();

  // ---- coordinator_session.cc
  void OnConnected(ConnectionId connection);
  void OnDisconnected(ConnectionId connection);
  void OnFrame(ConnectionId connection, ByteSpan frame);
  void OnHello(ConnectionId connection, Session& session, Hello hello, ByteSpan frame);
  void OnProof(ConnectionId connection, Session& session, const Proof& proof);
  void OnModelWant(ConnectionId connection, const ModelWant& want);
  void Refuse(ConnectionId connection, Code code, std::string message);

  // ---- coordinator_round.cc: opening and closing an attempt
  void MaybeOpen();
  void OpenAttempt(std::vector<PublicKey> pool);
  void SendInvitations();
  Invite MakeInvite(const AssignmentId& id) const;
  void Gone(const AssignmentId& id, std::string_view why);
  void MaybeClose();
  void VoidAttempt(std::string why);
  void EndOpenAssignments(Verdict verdict, const std::string& message);
  void Stop(std::string why);

  // ---- coordinator_commit.cc: from updates to the committed model
  void PumpAggregation();
  std::shared_ptr<AggregationWork> MakeWork();
  AggregationWork::Update UpdateOf(const AssignmentId& id) const;
  void OnAggregated(const AggregationWork& work);
  void TakeResult(const AggregationWork& work);
  void CommitRound();
  void OnCommitted();
  void AddLoss(const UpdateBegin& meta);
  void Counted(const ClaimRecord& claim);
  void StrategyFailed(const std::string& why);

  // ---- coordinator_gate.cc: the held-out score of a round's model
  void Judge();
  void OnJudged(const EvaluateWork& work);

  // ---- coordinator_async.cc: assignments that come and go one by one
  bool Asynchronous() const { return options_.federation.round.asynchronous(); }
  uint64_t Age(const Assignment& assignment) const { return committed_ - assignment.base_version; }
  // Whether the model that it begins from can still be had.
  bool Served(const Assignment& assignment) const {
    return Age(assignment) == 0 || (Age(assignment) == 1 && previous_.bytes != nullptr);
  }
  void Restore(const std::vector<AssignmentRecord>& open, Recovered::Buffer buffer);
  void StartAsynchronous();
  void Refill();
  void Watch(const AssignmentId& id);
  void Invited(const std::vector<AssignmentId>& ids);
  void SendInvite(const AssignmentId& id);
  void Returned(const PublicKey& key);
  void Rest(const PublicKey& key, uint64_t ms);
  void GiveUp(const AssignmentId& id, std::string why, bool tell, bool rest);
  void TooOld(const AssignmentId& id);
  void Ended(const AssignmentId& id, bool rest);
  void Claim(const AssignmentId& id, Assignment& assignment);
  void EndAsynchronous();

  // ---- coordinator_buffer.cc: the open buffer
  void OpenBuffer();
  void PumpBuffer();
  void OnBufferAggregated(const AggregationWork& work);
  void CommitBatch(Bytes partial);
  void OnBatchCommitted(const std::vector<ClaimRecord>& claims);
  void OnFlushed();
  void VoidBuffer(const std::string& why);
  std::vector<ClaimRecord> FoldedClaims() const;

  // ---- coordinator_update.cc: uploads
  void OnAccept(const PublicKey& key, const AssignmentId& id);
  void OnDecline(const PublicKey& key, const Decline& decline);
  void OnQuery(const PublicKey& key, const AssignmentId& id);
  void OnUpdateBegin(const PublicKey& key, const UpdateBegin& begin);
  void OnUpdateChunk(const PublicKey& key, const UpdateChunk& chunk);
  void OnUpdateEnd(const PublicKey& key, const UpdateEnd& end);
  void OnChecked(const CheckWork& work);
  void RefuseUpdate(const AssignmentId& id, Code code, std::string message);
  void AnswerPast(const PublicKey& key, const AssignmentId& id, std::string why = {});
  void GrantBudget();
  void Release(Assignment& assignment);
  void Drop(Assignment& assignment);
  Assignment* Find(const PublicKey& key, const AssignmentId& id);

  // ---- coordinator_evaluate.cc
  void Evaluate();
  void OnEvaluated(const EvaluateWork& work);
  void OnReport(const PublicKey& key, const EvaluateReport& report);
  void FinishFederatedEvaluation();
  void CloseRound();
  bool ReachesTarget(const RoundMetrics& metrics) const;
  double Value(const RoundMetrics& metrics) const;
  bool BetterThanBest(const RoundMetrics& metrics) const;

  uint64_t RoundNumber() const { return committed_ + 1; }
  Seed AssignmentSeed(uint64_t ordinal) const {
    return DeriveSeed(options_.secret, "asynchronous round", ordinal);
  }
  Seed RoundSeed() const { return DeriveSeed(options_.secret, "round", RoundNumber()); }

  CoordinatorOptions options_;
  const Kernels& kernels_;
  std::shared_ptr<AggregationHost> host_;
  const UpdateLayout layout_;
  std::vector<Action> actions_;
  uint64_t now_ms_ = 0;
  Phase phase_ = Phase::kWaiting;
  std::string failure_;

  std::map<ConnectionId, Session> sessions_;
  std::map<PublicKey, Person> people_;
  std::map<TimerId, std::function<void()>> timers_;
  TimerId next_timer_ = 1;
  std::map<uint64_t, std::function<void()>> tickets_;
  std::map<uint64_t, std::vector<JournalRecord>> unstored_;  // by ticket, until durable
  uint64_t next_ticket_ = 1;

  // The committed model.
  uint64_t committed_ = 0;
  std::shared_ptr<const Model> model_;
  SharedBytes model_bytes_, best_bytes_;
  Digest digest_{};
  std::vector<SharedBytes> chunk_frames_;  // of model_bytes_, made when first wanted
  Base previous_;                          // asynchronous: may still be on its way to somebody
  StrategyTask task_;                      // of the committed state
  std::vector<SharedBytes> value_frames_;  // of task_.values
  Bytes strategy_state_;
  std::vector<RoundMetrics> history_;
  std::optional<double> best_value_;
  bool target_reached_ = false;

  // The open attempt.
  uint32_t attempt_ = 0;
  std::map<AssignmentId, Assignment> open_;
  std::deque<AssignmentId> budget_queue_;
  uint64_t inflight_ = 0;
  uint32_t claimed_ = 0, wanted_ = 0, refused_ = 0, late_ = 0, checking_ = 0;
  std::vector<AssignmentId> to_fold_;
  bool begin_due_ = false;      // the host has not begun this attempt
  bool host_dirty_ = false;     // the host's state is ahead of the committed one
  bool aggregating_ = false;    // an AggregationWork is out
  uint64_t attempt_token_ = 0;  // names the attempt in works
  uint32_t voids_ = 0;          // attempts given up in a row
  uint32_t failures_ = 0;       // of the strategy, in a row
  TimerId deadline_ = 0, gather_ = 0;
  bool gathered_ = false;
  size_t last_pool_ = 0;
  uint64_t opened_ms_ = 0, uplink_at_open_ = 0, downlink_at_open_ = 0;
  RoundMetrics metrics_;  // of the round that is committing or evaluating
  std::vector<ClaimRecord> claims_;
  SharedBytes next_bytes_;
  std::shared_ptr<const Model> next_model_;
  Bytes next_state_;
  StrategyTask next_task_;
  Bytes last_partial_;

  // The gate: the round's model, and the score of the one that stands.
  std::shared_ptr<EvaluateWork> judging_;
  std::optional<Metrics> standing_, candidate_;

  // Asynchronous rounds. `claimed_` counts what is in the open buffer or waits for it, `to_fold_`
  // what waits.
  uint64_t next_ordinal_ = 0;
  std::vector<AssignmentId> ended_;         // not counted, since the last record that says so
  std::vector<AssignmentId> folded_;        // into the open buffer, not committed
  std::vector<ClaimRecord> buffer_claims_;  // committed to the open buffer
  Bytes restored_partial_;                  // that holds them, after a restart
  TimerId batch_ = 0;
  bool batch_due_ = false, batch_storing_ = false, full_ = false, refill_due_ = false;
  uint32_t invited_ = 0;  // since the last commit
  double loss_sum_ = 0, loss_examples_ = 0;

  // Answers to resends: assignments of committed and given-up attempts.
  std::map<AssignmentId, Verdict> past_;
  std::deque<AssignmentId> past_order_;
  void Remember(const AssignmentId& id, Verdict verdict);

  // Federated evaluation of the committed round.
  std::set<PublicKey> asked_;
  std::vector<EvaluateReport> reports_;
  TimerId evaluation_deadline_ = 0;

  uint64_t uplink_ = 0, downlink_ = 0;
};

}  // namespace linnet

#endif  // LINNET_FED_COORDINATOR_MACHINE_H_
