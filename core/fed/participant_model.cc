// Models by digest: one download at a time, resumed where it stopped.
#include <algorithm>
#include <cstring>

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
    if (Ready()) return OnModelReady();
    if (assignment_->invite.base != held_.digest)
      return Want(assignment_->invite.base, assignment_->invite.base_bytes);
    return Want(assignment_->task.values, assignment_->task.value_bytes);
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
  if (assignment_ && assignment_->task.value_bytes > 0 && done.digest == assignment_->task.values &&
      done.digest != assignment_->invite.base) {
    held_values_.digest = done.digest;
    held_values_.values.resize(done.data.size() / sizeof(float));
    std::memcpy(held_values_.values.data(), done.data.data(),
                held_values_.values.size() * sizeof(float));
    return OnModelReady();
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

bool ParticipantMachine::Ready() const {
  return assignment_->invite.base == held_.digest &&
         (assignment_->task.value_bytes == 0 || assignment_->task.values == held_values_.digest);
}

std::vector<float> ParticipantMachine::StateValue(std::string_view what) const {
  const auto found = options_.state.values.find(ValueName(what));
  return found != options_.state.values.end() ? found->second : std::vector<float>();
}

// The model as it serves this participant: with its own values where tensors do not travel, or its
// own altogether (Ditto).
std::shared_ptr<const Model> ParticipantMachine::WithPersonal(
    const std::shared_ptr<const Model>& model) const {
  if (told_.personal.empty() && told_.ditto == 0) return model;
  const std::vector<float> own = StateValue("personal");
  if (told_.ditto > 0 && own.size() == model->parameters.size())
    return std::make_shared<Model>(Model{model->graph, own});
  const auto layout = MakeUpdateLayout(model->graph, {}, told_.personal);
  if (!layout || own.size() != model->parameters.size()) return model;
  auto mine = std::make_shared<Model>(Model{model->graph, own});
  for (const auto* tensors : {&layout->weights, &layout->buffers})
    for (const UpdateLayout::Tensor& t : *tensors)
      std::copy_n(model->parameters.begin() + ptrdiff_t(t.model_offset), t.count,
                  mine->parameters.begin() + ptrdiff_t(t.model_offset));
  return mine;
}

void ParticipantMachine::OnModelReady() {
  if (assignment_ && assignment_->phase == Assignment::Phase::kModel && Ready()) MaybeTrain();
  if (evaluate_ && evaluate_->model == held_.digest) {
    auto work = std::make_shared<EvaluateWork>();
    work->model = WithPersonal(held_.model);
    work->data = options_.holdout;
    work->round = evaluate_->round;
    work->kernels = &kernels_;
    evaluate_.reset();
    actions_.push_back(Compute{std::move(work)});
  }
  if (!(assignment_ && assignment_->phase == Assignment::Phase::kModel) ||
      (assignment_ && !Ready()))
    NextDownload();
}

}  // namespace linnet
