// linnet train: a model on this machine's data.
#include "model/train.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <utility>

#include "data/batches.h"
#include "fed/learning.h"
#include "fed/work.h"
#include "kernels/pool.h"
#include "native/cli/command_line.h"
#include "native/cli/learn.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/store/mapped_file.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr size_t kMaxStateBytes = size_t{1} << 32;

volatile std::sig_atomic_t interrupted = 0;

// The first Ctrl-C ends the training after its step, a second one the program.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = 0;
    struct sigaction action{};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &old_int_);
    sigaction(SIGTERM, &action, &old_term_);
  }
  ~InterruptGuard() {
    sigaction(SIGINT, &old_int_, nullptr);
    sigaction(SIGTERM, &old_term_, nullptr);
  }

 private:
  struct sigaction old_int_{}, old_term_{};
};

struct Clock {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
};

TrainSettings Settings(const TrainCommand& c) {
  TrainSettings settings{.optimizer = c.optimizer,
                         .momentum = c.momentum,
                         .weight_decay = c.weight_decay,
                         .clip_norm = c.clip_norm,
                         .batch_size = c.batch,
                         .clip_value = c.clip_value,
                         .beta1 = c.beta1,
                         .beta2 = c.beta2,
                         .decay_weights_only = true,
                         .schedule = c.schedule};
  const float usual = c.optimizer.starts_with("adam") ? 0.001f
                      : c.optimizer == "sgd"          ? 0.1f
                                                      : 0.01f;
  settings.learning_rate = c.learning_rate.value_or(usual);
  return settings;
}

// The rows to train on and the rows to validate on.
struct Parts {
  DataView train, validation;
};
Result<Parts> OpenParts(const TrainCommand& c) {
  Federation as;  // the scaling as a federation would tell it
  as.scale = ParseScaling(c.scale);
  LINNET_TRY(const TrainTest source, OpenScaled(c.data, as));
  if (source.train->size() == 0) return Fail(Code::kData, c.data, " holds no example");
  Parts parts;
  if (!c.validate.empty()) {
    LINNET_TRY(const TrainTest other, OpenSource(c.validate));
    const auto data = other.test ? other.test : other.train;
    if (data->features() != source.train->features()) {
      return Fail(Code::kInvalid, "--validate ", c.validate, " has ", data->features(),
                  " features, the training data has ", source.train->features());
    }
    CopyScaling(*source.train, *data);
    parts = {WholeView(source.train), WholeView(data)};
  } else if (source.test) {
    parts = {WholeView(source.train), WholeView(source.test)};
  } else {
    SplitHoldout(WholeView(source.train), SeedFromInt(c.seed), parts.train, parts.validation);
  }
  if (parts.validation.size() == 0)
    return Fail(Code::kData, c.data, ": one example only; --validate SOURCE is wanted");
  return parts;
}

Result<Model> StartingModel(const TrainCommand& c, const Dataset& data) {
  if (c.resume && c.save.empty())
    return Fail(Code::kInvalid, "--resume wants --save, the file to go on from");
  if (c.resume && std::filesystem::exists(c.save)) return LoadModelFile(c.save);
  if (c.model.ends_with(".linnet")) return LoadModelFile(c.model);
  // A regression has as many outputs as a row has target values.
  const size_t values = data.TargetsPerRow();
  return BuiltinModel(c.model, SeedFromInt(c.seed), data.shape,
                      values > 0 ? static_cast<uint32_t>(values) : data.classes);
}

// 0.001f is written 0.001.
std::string Short(float value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

std::string Bar(double part, size_t width) {
  const size_t full = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * double(width) + 0.5);
  std::string bar;
  for (size_t i = 0; i < width; ++i) bar += i < full ? "█" : "░";
  return bar;
}

class Training {
 public:
  Training(const TrainCommand& command, Model model, Parts parts)
      : command_(command),
        model_(std::make_shared<Model>(std::move(model))),
        pool_(MakePool(command.threads)),
        parts_(std::move(parts)),
        output_(command.json),
        by_loss_(OutputCount(model_->graph) != model_->graph.classes || !HasAccuracy()) {}

  Result<int> Run();

 private:
  // What --resume goes on from, if there is such a file.
  Status Resume(Trainer& trainer, Batches& batches);
  Status KeepState(const Trainer& trainer) const;
  std::string StatePath() const { return command_.save + ".state"; }
  // What a state must have in common with the training that goes on from it.
  Json::Object Setting() const {
    return {{"model", model_->graph.name},
            {"optimizer", command_.optimizer},
            {"batch", command_.batch},
            {"seed", command_.seed},
            {"rows", parts_.train.size()}};
  }
  Status Validate(Trainer& trainer, uint64_t steps);
  void ShowProgress(const Batches& batches, uint64_t steps);
  bool HasAccuracy() const { return model_->graph.loss != Loss::kMse; }
  bool ReachesTarget() const {
    return (command_.target && HasAccuracy() && metrics_.accuracy() >= *command_.target) ||
           (command_.target_loss && metrics_.loss() <= *command_.target_loss);
  }
  uint64_t StepsInAll(const Batches& batches) const {
    if (command_.steps > 0) return command_.steps;
    return command_.epochs * ((batches.rows() + batches.batch() - 1) / batches.batch());
  }

  const TrainCommand& command_;
  std::shared_ptr<Model> model_;
  std::unique_ptr<Executor> pool_;
  Parts parts_;
  Output output_;
  // Sequences are judged by their loss: the likeliest symbol alone says little.
  bool by_loss_;
  Clock clock_;
  uint64_t examples_ = 0, steps_in_all_ = 0;  // since the last validation; to come
  uint64_t steps_ = 0;
  double seconds_ = 0, loss_sum_ = 0, shown_ = 0;
  Metrics metrics_;  // of the last validation
  double best_ = -std::numeric_limits<double>::infinity();
  uint64_t best_step_ = 0;
};

void Training::ShowProgress(const Batches& batches, uint64_t steps) {
  const double now = clock_.Seconds();
  if (!output_.terminal() || now - shown_ < 0.1) return;
  shown_ = now;
  const double part = double(steps) / double(steps_in_all_);
  const double left = now / part - now;
  output_.Live(StrCat("epoch ", batches.pass() + 1, "  ", Bar(part, 24), " ", Fixed(100 * part, 0),
                      " %  loss ", Fixed(loss_sum_ / double(std::max<uint64_t>(1, examples_)), 4),
                      "  ", Fixed(double(examples_) / (now - seconds_), 0), " examples/s  ",
                      HumanSeconds(left), " left"));
}

Status Training::Validate(Trainer& trainer, uint64_t steps) {
  const double trained = clock_.Seconds() - seconds_;
  std::ranges::copy(trainer.parameters(), model_->parameters.begin());
  EvaluateWork work;
  work.model = model_;
  work.data = parts_.validation;
  work.executor = pool_.get();
  while (work.Run(64)) {
  }
  LINNET_TRY_STATUS(work.status);
  metrics_ = work.metrics;
  const double value = by_loss_ ? -metrics_.loss() : metrics_.accuracy();
  const bool best = value > best_;
  if (best) {
    best_ = value;
    best_step_ = steps;
    if (!command_.save.empty()) LINNET_TRY_STATUS(ReplaceFile(command_.save, SaveModel(*model_)));
  }
  const double train_loss = loss_sum_ / double(std::max<uint64_t>(1, examples_));
  const double speed = double(examples_) / std::max(trained, 1e-9);
  Json line = Json::Object{{"step", steps},
                           {"trainLoss", train_loss},
                           {"loss", metrics_.loss()},
                           {"examplesPerSecond", speed},
                           {"seconds", clock_.Seconds()},
                           {"best", best}};
  if (HasAccuracy()) line.Set("accuracy", metrics_.accuracy());
  output_.Object(line);
  output_.Line(StrCat("step ", PadLeft(std::to_string(steps), 7), "  loss ", Fixed(train_loss, 4),
                      "  validation ", Fixed(metrics_.loss(), 4),
                      HasAccuracy() ? "  accuracy " + Percent(metrics_.accuracy()) : "", "  ",
                      PadLeft(Fixed(speed, 0), 8), " examples/s  ", HumanSeconds(clock_.Seconds()),
                      best ? output_.Green("  best") : ""));
  examples_ = 0;
  loss_sum_ = 0;
  seconds_ = clock_.Seconds();
  return {};
}

Status Training::KeepState(const Trainer& trainer) const {
  TrainState state = trainer.State();
  Json::Object note = Setting();
  note.emplace_back("best", best_);
  note.emplace_back("bestStep", best_step_);
  state.note = Json(std::move(note)).Dump();
  return ReplaceFile(StatePath(), SaveTrainState(state));
}

Status Training::Resume(Trainer& trainer, Batches& batches) {
  if (!command_.resume || !std::filesystem::exists(command_.save) ||
      !std::filesystem::exists(StatePath())) {
    return {};
  }
  LINNET_TRY(const MappedFile file, MappedFile::Open(StatePath(), kMaxStateBytes));
  const auto state = LoadTrainState(file.bytes());
  if (!state) return Annotate(state.error(), StatePath());
  const auto note = Json::Parse(state->note);
  if (!note) return Annotate(note.error(), StatePath());
  for (const auto& [key, here] : Setting()) {
    const Json* there = note->Find(key);
    if (there != nullptr && there->Dump() == here.Dump()) continue;
    return Fail(Code::kInvalid, StatePath(), " is of a training with ", key, " ",
                there == nullptr ? "unknown" : there->Dump(), ", this one has ", here.Dump(),
                "; without that file --resume begins anew with the model in ", command_.save);
  }
  if (state->steps >= steps_in_all_) {
    return Fail(Code::kInvalid, StatePath(), " has made ", state->steps,
                " steps, wanted fewer than the ", steps_in_all_, " of --steps or --epochs");
  }
  if (const Status set = trainer.SetState(*state); !set) return Annotate(set.error(), StatePath());
  const Json *best = note->Find("best"), *step = note->Find("bestStep");
  if (best != nullptr && best->is_number() && step != nullptr && step->is_number()) {
    best_ = best->as_double();
    best_step_ = static_cast<uint64_t>(step->as_double());
  }
  batches.Skip(state->steps);
  steps_ = state->steps;
  return {};
}

Result<int> Training::Run() {
  LINNET_TRY_STATUS(CheckFit(model_->graph, *parts_.train.data));
  LINNET_TRY_STATUS(CheckFit(model_->graph, *parts_.validation.data));
  if (command_.target && !HasAccuracy())
    return Fail(Code::kInvalid, "--target is an accuracy, ", model_->graph.name,
                " has none; --target-loss is wanted");
  const TrainSettings settings = Settings(command_);
  if (const auto schedule = ParseSchedule(command_.schedule); !schedule)
    return Annotate(schedule.error(), "--schedule");
  LINNET_TRY(const TrainOptions options, MakeTrainOptions(settings));
  Batches batches(parts_.train, command_.batch, DeriveSeed(SeedFromInt(command_.seed), "shuffle"));
  LINNET_TRY(const auto trainer,
             Trainer::Create(model_->graph, options, batches.batch(), BestKernels(), pool_.get()));
  std::ranges::copy(model_->parameters, trainer->parameters().begin());
  steps_in_all_ = StepsInAll(batches);
  LINNET_TRY_STATUS(Resume(*trainer, batches));
  output_.Line(StrCat(output_.Bold(DescribeModel(model_->graph)), ": ", batches.rows(),
                      " examples, validated on ", parts_.validation.size(), ", ",
                      settings.optimizer, ", rate ", Short(settings.learning_rate), ", batch ",
                      batches.batch(), ", ", steps_in_all_, " steps, seed ", command_.seed,
                      steps_ > 0 ? StrCat(", from step ", steps_) : ""));

  const InterruptGuard guard;
  uint64_t steps = steps_;
  bool reached = false;
  clock_ = Clock();
  while (steps < steps_in_all_ && !reached && !interrupted) {
    const uint64_t pass = batches.pass();
    const Batch batch = batches.Next();
    const double loss = StepOn(*trainer, model_->graph.loss, batch);
    if (!std::isfinite(loss)) {
      return Fail(Code::kData, "the loss of step ", steps + 1,
                  " is not finite: a lower --lr or --clip 1 may help");
    }
    ++steps;
    examples_ += batch.size;
    loss_sum_ += loss * double(batch.size);
    ShowProgress(batches, steps);
    const bool due = command_.every > 0 ? steps % command_.every == 0 : batches.pass() > pass;
    if (!due && steps < steps_in_all_) continue;
    LINNET_TRY_STATUS(Validate(*trainer, steps));
    if (!command_.save.empty()) LINNET_TRY_STATUS(KeepState(*trainer));
    reached = ReachesTarget();
  }
  if (interrupted && examples_ > 0) {
    LINNET_TRY_STATUS(Validate(*trainer, steps));
    if (!command_.save.empty()) LINNET_TRY_STATUS(KeepState(*trainer));
  }

  const bool wanted = command_.target || command_.target_loss;
  Json done = Json::Object{{"done", true},
                           {"steps", steps},
                           {"bestStep", best_step_},
                           {by_loss_ ? "bestLoss" : "bestAccuracy", by_loss_ ? -best_ : best_},
                           {"targetReached", reached},
                           {"interrupted", interrupted != 0},
                           {"seconds", clock_.Seconds()}};
  output_.Object(done);
  output_.Line(
      StrCat(output_.Bold(model_->graph.name), ": ",
             interrupted ? output_.Red("interrupted")
             : !wanted   ? output_.Green("done")
             : reached   ? output_.Green("the target is reached")
                         : output_.Red("the target was missed"),
             ": best ", by_loss_ ? "loss " + Fixed(-best_, 4) : "accuracy " + Percent(best_),
             " at step ", best_step_, ", ", HumanSeconds(clock_.Seconds()),
             command_.save.empty() ? "" : StrCat("; the best model is in ", command_.save)));
  return wanted && !reached ? kExitMissed : kExitGood;
}

}  // namespace

Result<int> Run(const TrainCommand& command) {
  LINNET_TRY(Parts parts, OpenParts(command));
  LINNET_TRY(Model model, StartingModel(command, *parts.train.data));
  return Training(command, std::move(model), std::move(parts)).Run();
}

}  // namespace linnet
