// From an invitation to its verdict.
#include <algorithm>

#include "fed/participant_machine.h"

namespace linnet {
namespace {

constexpr uint64_t kStallMs = 10000;

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kCounted:
      return "counted";
    case Verdict::kAlreadyCounted:
      return "already counted";
    case Verdict::kRefused:
      return "refused";
    case Verdict::kLate:
      return "late";
    case Verdict::kVoid:
      return "void";
  }
  return "unknown";
}

// Whether an update made for `a` is also the answer to `b`.
bool SameTask(const Invite& a, const Invite& b) {
  return a.round == b.round && a.base == b.base && a.round_seed == b.round_seed &&
         a.codec.kind == b.codec.kind && a.codec.bits == b.codec.bits && a.max_abs == b.max_abs &&
         a.max_examples == b.max_examples && a.train == b.train;
}

}  // namespace

std::string ParticipantMachine::WhyNot(const Invite& invite) const {
  if (assignment_) return "busy with another assignment";
  if (paused_) return "paused";
  if (leaving_) return "leaving";
  if (invite.base_bytes > options_.max_model_bytes)
    return StrCat("the model has ", invite.base_bytes, " bytes, the limit here is ",
                  options_.max_model_bytes);
  if (!options_.own_training) {
    if (options_.train.size() == 0) return "no training examples";
    if (auto possible = MakeTrainOptions(invite.train); !possible) return possible.error().message;
  }
  auto task = ParseClientTask(invite.train.client, invite.train.client_config);
  if (!task) return task.error().message;
  if (options_.own_training && task->algorithm != ClientAlgorithm::kSgd)
    return StrCat("the strategy asks for client \"", invite.train.client,
                  "\", the training here is the program's own, which is sgd to it");
  if (task->value_bytes > options_.max_model_bytes)
    return StrCat("the strategy's values have ", task->value_bytes, " bytes, the limit here is ",
                  options_.max_model_bytes);
  if (!options_.own_training) {
    const uint64_t per_epoch =
        (options_.train.size() + invite.train.batch_size - 1) / invite.train.batch_size;
    const auto at_most = [&](uint64_t epochs) {
      const uint64_t limit = invite.train.max_steps > 0 ? invite.train.max_steps : UINT64_MAX;
      return std::min(per_epoch * epochs, limit);
    };
    uint64_t steps = at_most(told_.personal_epochs) + at_most(invite.train.epochs);
    if (told_.ditto > 0) steps += at_most(invite.train.epochs);
    if (steps > options_.max_steps_per_round)
      return StrCat("the round asks for ", steps, " steps, the limit here is ",
                    options_.max_steps_per_round);
  }
  return {};
}

void ParticipantMachine::OnInvite(const Invite& invite) {
  if (Live(invite.assignment)) return;  // a repeated frame
  if (std::string why = WhyNot(invite); !why.empty()) {
    SendMessage(Decline{invite.assignment, std::move(why)});
    return;
  }
  assignment_ = Assignment{Assignment::Phase::kAccepted, invite, false, nullptr,
                           *ParseClientTask(invite.train.client, invite.train.client_config)};
  Tell(ParticipantNotice::Kind::kInvited, StrCat("invited to round ", invite.round),
       Json::Object{{"round", invite.round}, {"attempt", invite.attempt}});
  SendMessage(Accept{invite.assignment});
  Arm(kStall, kStallMs);
  if (kept_ && SameTask(kept_->invite, invite)) {
    assignment_->work = std::move(kept_->work);
  } else {
    // The base can travel while the answer does.
    assignment_->phase = Assignment::Phase::kModel;
    NextDownload();
  }
  kept_.reset();
}

void ParticipantMachine::OnBegin(const AssignmentId& id) {
  if (!Live(id)) return;
  assignment_->begun = true;
  switch (assignment_->phase) {
    case Assignment::Phase::kAccepted:  // trained for an earlier attempt
      assignment_->phase = Assignment::Phase::kStaging;
      OnTrained(assignment_->work);
      return;
    case Assignment::Phase::kModel:
      if (Ready()) return MaybeTrain();
      return NextDownload();
    case Assignment::Phase::kUpload:
      return OfferUpload();
    case Assignment::Phase::kTraining:
    case Assignment::Phase::kStaging:
      return;
  }
}

void ParticipantMachine::MaybeTrain() {
  if (!assignment_->begun) return;
  const Invite& invite = assignment_->invite;
  const PublicKey& key = options_.state.device.public_key;
  auto work = std::make_shared<TrainWork>();
  work->base = held_.model;
  work->settings = invite.train;
  work->codec = {CodecKind(invite.codec.kind), invite.codec.bits};
  work->codec_seed = MakeCodecSeed(invite.round_seed, key);
  work->shuffle_seed = DeriveSeed(DeriveSeed(invite.round_seed, "shuffle"), key);
  work->max_abs = invite.max_abs;
  work->max_examples = invite.max_examples;
  work->train = options_.train;
  work->round = invite.round;
  work->assignment = invite.assignment;
  work->kernels = &kernels_;
  work->task = assignment_->task;
  if (work->task.value_bytes > 0) work->downlink = held_values_.values;
  work->control = StateValue("control");
  work->personal = StateValue("personal");
  work->own = {told_.personal_epochs, told_.ditto};
  auto layout = MakeUpdateLayout(held_.model->graph, work->task.uplink, told_.personal);
  if (!layout) {
    SendMessage(Decline{invite.assignment, layout.error().message.substr(0, 512)});
    return DropAssignment();
  }
  work->layout = std::move(*layout);
  assignment_->work = work;
  assignment_->phase = Assignment::Phase::kTraining;
  Disarm(kStall);
  Tell(ParticipantNotice::Kind::kTraining, StrCat("round ", invite.round, ": training"),
       Json::Object{{"round", invite.round}, {"examples", uint64_t(work->train.size())}});
  actions_.push_back(Compute{std::move(work)});
}

void ParticipantMachine::OnTrained(const std::shared_ptr<TrainWork>& work) {
  if (!assignment_ || assignment_->work != work) return;  // its round is over
  if (!work->status) {
    const std::string& why = work->status.error().message;
    Tell(ParticipantNotice::Kind::kError, StrCat("round ", work->round, ": ", why),
         Json::Object{{"code", CodeName(work->status.error().code)}});
    if (session_ == Session::kWelcomed)
      SendMessage(Decline{assignment_->invite.assignment, why.substr(0, 512)});
    return DropAssignment();
  }
  // Staged before it is sent: after a crash nothing here says "counted" that was not.
  assignment_->phase = Assignment::Phase::kStaging;
  std::map<std::string, std::vector<float>> values;
  if (!work->next_control.empty()) values[ValueName("control")] = work->next_control;
  if (!work->next_personal.empty()) values[ValueName("personal")] = work->next_personal;
  options_.state.Stage(assignment_->invite.assignment, work->examples, std::move(values));
  Store();
  staging_ticket_ = ticket_;
}

// Announces the upload; after a reconnect again, the coordinator says from where.
void ParticipantMachine::OfferUpload() {
  if (session_ != Session::kWelcomed) return;
  const TrainWork& work = *assignment_->work;
  UpdateBegin begin;
  begin.assignment = assignment_->invite.assignment;
  begin.bytes = work.encoded.size();
  begin.codec = assignment_->invite.codec;
  begin.elements = work.layout ? work.layout->weight_count : work.base->parameters.size();
  begin.examples = work.examples;
  begin.steps = work.steps;
  begin.loss_before = work.loss_before;
  begin.loss_after = work.loss_after;
  begin.train_seconds = work.train_seconds;
  SendMessage(begin);
  Arm(kStall, kStallMs);
}

void ParticipantMachine::OnGo(const UpdateGo& go) {
  if (!Live(go.assignment) || assignment_->phase != Assignment::Phase::kUpload) return;
  const Bytes& encoded = assignment_->work->encoded;
  if (go.offset > encoded.size()) return;
  Tell(ParticipantNotice::Kind::kUploading,
       StrCat("round ", assignment_->invite.round, ": sending ", encoded.size(), " bytes"),
       Json::Object{{"round", assignment_->invite.round},
                    {"bytes", uint64_t(encoded.size())},
                    {"codec", CodecName({CodecKind(assignment_->invite.codec.kind),
                                         assignment_->invite.codec.bits})}});
  for (size_t at = go.offset; at < encoded.size(); at += kMaxChunk) {
    UpdateChunk chunk;
    chunk.assignment = go.assignment;
    chunk.offset = at;
    const size_t size = std::min(kMaxChunk, encoded.size() - at);
    chunk.data.assign(encoded.begin() + ptrdiff_t(at), encoded.begin() + ptrdiff_t(at + size));
    SendMessage(chunk);
  }
  SendMessage(UpdateEnd{go.assignment, Blake2b(encoded)});
  Arm(kStall, kStallMs);
}

void ParticipantMachine::OnVerdict(const UpdateVerdict& verdict) {
  const bool counted =
      verdict.verdict == Verdict::kCounted || verdict.verdict == Verdict::kAlreadyCounted;
  if (counted) {
    if (options_.state.Commit(verdict.assignment)) Store();
  } else if (options_.state.staged_examples > 0 &&
             options_.state.staged_assignment == verdict.assignment) {
    options_.state.Discard(verdict.assignment);
    Store();
  }
  if (!Live(verdict.assignment)) return;
  Tell(ParticipantNotice::Kind::kVerdict,
       StrCat("round ", assignment_->invite.round, ": ", VerdictName(verdict.verdict),
              verdict.message.empty() ? "" : ": ", verdict.message),
       Json::Object{{"round", assignment_->invite.round},
                    {"verdict", VerdictName(verdict.verdict)},
                    {"message", verdict.message},
                    {"roundsCounted", options_.state.rounds_counted},
                    {"examplesCounted", options_.state.examples_counted},
                    {"sentBytes", sent_bytes_},
                    {"receivedBytes", received_bytes_}});
  // A void attempt may be opened again: what is already trained is then good as it is.
  if (verdict.verdict == Verdict::kVoid && assignment_->work &&
      assignment_->phase != Assignment::Phase::kTraining)
    kept_ = Kept{assignment_->invite, assignment_->work};
  DropAssignment();
}

void ParticipantMachine::OnAbort(const Abort& abort) {
  if (!Live(abort.assignment)) return;
  options_.state.Discard(abort.assignment);
  DropAssignment();
}

void ParticipantMachine::DropAssignment() {
  options_.state.Discard(assignment_->invite.assignment);
  assignment_.reset();
  if (!download_) Disarm(kStall);
  NextDownload();
}

}  // namespace linnet
