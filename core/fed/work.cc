#include "fed/work.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "fed/learning.h"

namespace linnet {
namespace {

constexpr size_t kEvaluateBatch = 128;
// Forward, gradient of inputs, gradient of weights: two operations per parameter each. Convolutions
// cost more per parameter; the estimate only moves the simulator's clock.
double FlopPerExample(const Graph& graph) { return 2.0 * double(graph.ParamCount()); }

}  // namespace

Result<TrainOptions> MakeTrainOptions(const TrainSettings& settings) {
  TrainOptions options;
  using Optimizer = TrainOptions::Optimizer;
  constexpr std::pair<std::string_view, Optimizer> kOptimizers[] = {
      {"sgd", Optimizer::kSgd},           {"momentum", Optimizer::kMomentum},
      {"nesterov", Optimizer::kNesterov}, {"adam", Optimizer::kAdam},
      {"adamw", Optimizer::kAdamW},
  };
  const auto found = std::ranges::find(kOptimizers, settings.optimizer,
                                       &std::pair<std::string_view, Optimizer>::first);
  if (found == std::end(kOptimizers)) {
    return Fail(Code::kUnsupported, "train.optimizer: found \"", settings.optimizer,
                "\", wanted sgd, momentum, nesterov, adam or adamw");
  }
  options.optimizer = found->second;
  if (settings.client != "sgd")
    return Fail(Code::kUnsupported, "the strategy asks for client \"", settings.client,
                "\"; this participant offers sgd");
  if (settings.batch_size == 0 || settings.batch_size > 65536)
    return Fail(Code::kInvalid, "train.batchSize: found ", settings.batch_size,
                ", wanted 1 to 65536");
  options.learning_rate = settings.learning_rate;
  options.momentum = settings.momentum;
  options.weight_decay = settings.weight_decay;
  options.clip_norm = settings.clip_norm;
  options.clip_value = settings.clip_value;
  options.proximal = settings.proximal;
  options.beta1 = settings.beta1;
  options.beta2 = settings.beta2;
  options.epsilon = settings.epsilon;
  options.decay_weights_only = settings.decay_weights_only;
  if (!settings.schedule.empty()) {
    const auto schedule = ParseSchedule(settings.schedule);
    if (!schedule) return Annotate(schedule.error(), "train.schedule");
    options.schedule = *schedule;
  }
  return options;
}

TrainSettings TrainOfRound(const TrainSettings& settings, uint64_t round) {
  TrainSettings told = settings;
  if (told.schedule.empty()) return told;
  const Result<Schedule> schedule = ParseSchedule(told.schedule);
  LINNET_CHECK_MSG(schedule.has_value(), "a federation's schedule is checked when it is read");
  if (!schedule->by_round) return told;
  told.learning_rate *= schedule->At(round - 1);
  told.schedule.clear();
  return told;
}

void SplitHoldout(const DataView& all, const Seed& seed, DataView& train, DataView& holdout) {
  std::vector<uint32_t> rows = all.rows;
  RandomStream random(DeriveSeed(seed, "holdout"), 0);
  random.Shuffle(std::span(rows));
  const size_t held = rows.size() < 2 ? 0 : std::max<size_t>(1, rows.size() / 10);
  holdout = {all.data, {rows.begin(), rows.begin() + ptrdiff_t(held)}};
  train = {all.data, {rows.begin() + ptrdiff_t(held), rows.end()}};
  std::sort(train.rows.begin(), train.rows.end());
  std::sort(holdout.rows.begin(), holdout.rows.end());
}

Status TrainWork::Begin() {
  if (train.size() == 0) return Fail(Code::kState, "this participant holds no training examples");
  LINNET_TRY_STATUS(CheckFit(base->graph, *train.data));
  LINNET_TRY(const TrainOptions options, MakeTrainOptions(settings));
  DataView rows = train;
  if (max_examples > 0 && rows.size() > max_examples) {
    RandomStream(shuffle_seed, ~0ull).Shuffle(std::span(rows.rows));
    rows.rows.resize(max_examples);
  }
  examples = rows.size();
  batches_.emplace(std::move(rows), settings.batch_size, shuffle_seed);
  LINNET_TRY(trainer_, Trainer::Create(base->graph, options, batches_->batch(),
                                       kernels ? *kernels : BestKernels(), executor));
  std::ranges::copy(base->parameters, trainer_->parameters().begin());
  if (options.proximal > 0) trainer_->SetTerms({.anchor = base->parameters, .constant = {}});
  return {};
}

bool TrainWork::Run(size_t max_steps) {
  if (!trainer_) {
    status = Begin();
    if (!status) return false;
  }
  for (size_t step = 0; step < max_steps; ++step) {
    const bool first_pass = batches_->pass() == 0;
    const Batch batch = batches_->Next();
    last_loss_ = StepOn(*trainer_, base->graph.loss, batch);
    if (first_pass) loss_sum_ += last_loss_ * double(batch.size);
    ++steps;
    const bool limited = settings.max_steps > 0 && steps >= settings.max_steps;
    if (batches_->pass() < settings.epochs && !limited) continue;
    // The first pass's mean: the model was still changing, but every example counted once.
    const size_t seen = batches_->pass() > 0 ? batches_->rows() : batches_->position();
    loss_before = seen ? loss_sum_ / double(seen) : std::numeric_limits<double>::quiet_NaN();
    loss_after = last_loss_;
    parameters.assign(trainer_->parameters().begin(), trainer_->parameters().end());
    trainer_.reset();
    Finish();
    return false;
  }
  return true;
}

void TrainWork::Finish() {
  const Kernels& k = kernels ? *kernels : BestKernels();
  if (parameters.size() != base->parameters.size()) {
    status = Fail(Code::kInvalid, "training gave ", parameters.size(), " parameters, wanted ",
                  base->parameters.size());
    return;
  }
  if (examples == 0) {
    status = Fail(Code::kInvalid, "training used no examples");
    return;
  }
  k.subtract(parameters.data(), base->parameters.data(), parameters.data(), parameters.size());
  float largest = 0;
  if (!k.max_abs(parameters.data(), parameters.size(), &largest)) {
    status = Fail(Code::kData, "training diverged: a parameter is not finite (a lower ",
                  "train.learningRate may help)");
    return;
  }
  if (largest > max_abs) {
    status = Fail(Code::kLimit, "the update has an element of ", largest, ", limits.maxAbs is ",
                  max_abs);
    return;
  }
  status = Encode(codec, codec_seed, parameters, k, encoded);
  std::vector<float>().swap(parameters);
}

double TrainWork::progress() const {
  if (!batches_ || settings.epochs == 0) return 0;
  const double pass = double(batches_->position()) / double(batches_->rows());
  return (double(batches_->pass()) + pass) / double(settings.epochs);
}

double TrainWork::Cost() const {
  const double passes = double(settings.epochs) * double(train.size());
  return 3 * FlopPerExample(base->graph) * passes;
}

Status EvaluateWork::Begin() {
  if (const Status fits = CheckFit(model->graph, *data.data); !fits)
    return Annotate(fits.error(), "evaluation");
  batches_.emplace(data, kEvaluateBatch, std::nullopt);
  LINNET_TRY(predictor_, Predictor::Create(model->graph, batches_->batch(),
                                           kernels ? *kernels : BestKernels(), executor));
  predictor_->SetParameters(model->parameters);
  outputs_.resize(batches_->batch() * OutputCount(model->graph));
  return {};
}

bool EvaluateWork::Run(size_t max_steps) {
  if (data.size() == 0) return false;
  if (!predictor_) {
    status = Begin();
    if (!status) return false;
  }
  const size_t labels = data.data->LabelsPerRow();
  for (size_t step = 0; step < max_steps && batches_->pass() == 0; ++step) {
    const Batch batch = batches_->Next();
    predictor_->Run(batch.x, batch.size, outputs_.data());
    ScoreBatch(kernels ? *kernels : BestKernels(), model->graph, outputs_.data(), batch, labels,
               metrics);
  }
  return batches_->pass() == 0;
}

double EvaluateWork::Cost() const { return FlopPerExample(model->graph) * double(data.size()); }

}  // namespace linnet
