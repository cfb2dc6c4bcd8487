// Models by digest: one download at a time, resumed where it stopped.
#include <algorithm>

#include "fed/participant_machine.h"

namespace linnet {
namespace {

constexpr uint64_t kStallMs = 10000;
// The coordinator sends at most this much per model.want.
constexpr uint64_t kWindow = 16 * kMaxChunk;

}  // namespace

// What is wanted first: the assignment's base, then the model to evaluate, then the newest.
void ParticipantMachine::NextDownload() {
  if (download_ || session_ != Session::kWelcomed) return;
  if (assignment_ && assignment_->phase == Assignment::Phase::kModel) {
    if (assignment_->invite.base == held_.digest) return OnModelReady();
    return Want(assignment_->invite.base, assignment_->invite.base_bytes);
  }
  if (evaluate_) {
    if (evaluate_->model == held_.digest) return OnModelReady();
    return Want(evaluate_->model, evaluate_->model_bytes);
  }
  if (options_.follow_model && follow_ != held_.digest && follow_bytes_ > 0)
    Want(follow_, follow_bytes_);
}

void ParticipantMachine::Want(const Digest& digest, uint64_t bytes) {
  if (bytes == 0 || bytes > options_.max_model_bytes) {
    Tell(ParticipantNotice::Kind::kError,
         StrCat("a model of ", bytes, " bytes is offered, this participant takes 1 to ",
                options_.max_model_bytes));
    return;
  }
  download_ = Download{digest, 0, 0, {}};
  SendMessage(ModelWant{digest, 0});
  Arm(kStall, kStallMs);
}

void ParticipantMachine::OnOffer(const ModelOffer& offer) {
  if (!download_ || offer.digest != download_->digest) return;
  if (offer.bytes == 0 || offer.bytes > options_.max_model_bytes ||
      offer.bytes < download_->data.size()) {
    // Gone meanwhile (0), or more than this participant takes: a newer message will say what is
    // next, and an assignment asks for it.
    download_.reset();
    if (assignment_)
      Arm(kStall, kStallMs);
    else
      Disarm(kStall);
    return;
  }
  download_->bytes = offer.bytes;
}

void ParticipantMachine::OnChunk(ModelChunk& chunk) {
  if (!download_ || chunk.digest != download_->digest || download_->bytes == 0) return;
  Bytes& data = download_->data;
  // A resend overlaps, a gap means a lost chunk: only what continues is taken.
  if (chunk.offset != data.size() || chunk.data.size() > download_->bytes - data.size()) return;
  // Grows with what really came, not with what was announced.
  data.insert(data.end(), chunk.data.begin(), chunk.data.end());
  Arm(kStall, kStallMs);
  if (data.size() < download_->bytes) {
    if (data.size() - download_->asked >= kWindow) {
      download_->asked = data.size();
      SendMessage(ModelWant{download_->digest, data.size()});
    }
    return;
  }
  const Download done = std::move(*download_);
  download_.reset();
  Disarm(kStall);
  if (Blake2b(done.data) != done.digest) {
    Tell(ParticipantNotice::Kind::kError, "a model arrived whose digest is not the one announced");
    actions_.push_back(Close{connection_, "the model's digest does not fit"});
    return;
  }
  auto model = LoadModel(done.data);
  if (!model) {
    Tell(ParticipantNotice::Kind::kError, StrCat("the model: ", model.error().message));
    if (assignment_) {
      SendMessage(Decline{assignment_->invite.assignment, model.error().message.substr(0, 512)});
      DropAssignment();
    }
    return;
  }
  held_ = {done.digest, std::make_shared<const Model>(std::move(*model))};
  Tell(ParticipantNotice::Kind::kModelReady,
       StrCat("model ", Hex(held_.digest).substr(0, 12), " is here"),
       Json::Object{{"digest", Hex(held_.digest)}, {"bytes", done.bytes}});
  OnModelReady();
}

void ParticipantMachine::OnModelReady() {
  if (assignment_ && assignment_->phase == Assignment::Phase::kModel &&
      assignment_->invite.base == held_.digest)
    MaybeTrain();
  if (evaluate_ && evaluate_->model == held_.digest) {
    auto work = std::make_shared<EvaluateWork>();
    work->model = held_.model;
    work->data = options_.holdout;
    work->round = evaluate_->round;
    work->kernels = &kernels_;
    evaluate_.reset();
    actions_.push_back(Compute{std::move(work)});
  }
  if (!(assignment_ && assignment_->phase == Assignment::Phase::kModel)) NextDownload();
}

}  // namespace linnet
