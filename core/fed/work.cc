#include "fed/work.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"

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

bool TrainWork::Run(size_t max_steps) {
  const Kernels& k = kernels ? *kernels : BestKernels();
  if (!trainer_) {
    auto fail = [&](Error error) {
      status = std::unexpected(std::move(error));
      return false;
    };
    if (train.size() == 0)
      return fail({Code::kState, "this participant holds no training examples"});
    if (train.data->features() != base->graph.InputCount() ||
        train.data->classes > base->graph.classes)
      return fail(
          {Code::kInvalid, StrCat("the data has ", train.data->features(), " features and ",
                                  train.data->classes, " classes, the model wants ",
                                  base->graph.InputCount(), " and at most ", base->graph.classes)});
    auto options = MakeTrainOptions(settings);
    if (!options) return fail(options.error());
    const size_t batch = std::min<size_t>(settings.batch_size, train.size());
    auto trainer = Trainer::Create(base->graph, *options, batch, k);
    if (!trainer) return fail(trainer.error());
    trainer_ = std::move(*trainer);
    std::ranges::copy(base->parameters, trainer_->parameters().begin());
    if (options->proximal > 0) trainer_->SetTerms({.anchor = base->parameters, .constant = {}});
    order_ = train.rows;
    if (max_examples > 0 && order_.size() > max_examples) {
      RandomStream(shuffle_seed, ~0ull).Shuffle(std::span(order_));
      order_.resize(max_examples);
    }
    examples = order_.size();
    x_.resize(batch * train.data->features());
    y_.resize(batch);
  }
  const size_t batch_size = y_.size();
  for (size_t step = 0; step < max_steps; ++step) {
    if (position_ == 0) RandomStream(shuffle_seed, epoch_).Shuffle(std::span(order_));
    const size_t batch = std::min(batch_size, order_.size() - position_);
    train.data->Gather(std::span(order_).subspan(position_, batch), x_.data(), y_.data());
    const double loss = trainer_->Step(x_.data(), y_.data(), batch);
    if (epoch_ == 0) loss_sum_ += loss * double(batch);
    last_loss_ = loss;
    ++steps;
    position_ += batch;
    if (position_ == order_.size()) {
      position_ = 0;
      ++epoch_;
    }
    const bool limited = settings.max_steps > 0 && steps >= settings.max_steps;
    if (epoch_ >= settings.epochs || limited) {
      // The first pass's mean: the model was still changing, but every example counted once.
      const size_t seen = epoch_ > 0 ? order_.size() : position_;
      loss_before = seen ? loss_sum_ / double(seen) : std::numeric_limits<double>::quiet_NaN();
      loss_after = last_loss_;
      parameters.assign(trainer_->parameters().begin(), trainer_->parameters().end());
      trainer_.reset();
      Finish();
      return false;
    }
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
  if (order_.empty() || settings.epochs == 0) return 0;
  return (double(epoch_) + double(position_) / double(order_.size())) / double(settings.epochs);
}

double TrainWork::Cost() const {
  const double passes = double(settings.epochs) * double(train.size());
  return 3 * FlopPerExample(base->graph) * passes;
}

bool EvaluateWork::Run(size_t max_steps) {
  const Kernels& k = kernels ? *kernels : BestKernels();
  if (!predictor_) {
    if (data.size() == 0) return false;
    if (data.data->features() != model->graph.InputCount() ||
        data.data->classes > model->graph.classes) {
      status = Fail(Code::kInvalid, "the evaluation data has ", data.data->features(),
                    " features and ", data.data->classes, " classes, the model wants ",
                    model->graph.InputCount(), " and at most ", model->graph.classes);
      return false;
    }
    auto predictor = Predictor::Create(model->graph, kEvaluateBatch, k);
    if (!predictor) {
      status = std::unexpected(predictor.error());
      return false;
    }
    predictor_ = std::move(*predictor);
    x_.resize(kEvaluateBatch * data.data->features());
    y_.resize(kEvaluateBatch);
    logits_.resize(kEvaluateBatch * model->graph.classes);
  }
  for (size_t step = 0; step < max_steps && position_ < data.size(); ++step) {
    const size_t batch = std::min(kEvaluateBatch, data.size() - position_);
    data.data->Gather(std::span(data.rows).subspan(position_, batch), x_.data(), y_.data());
    predictor_->Run(model->parameters, x_.data(), batch, logits_.data());
    Score(k, logits_.data(), y_.data(), batch, model->graph.classes, metrics);
    position_ += batch;
  }
  return position_ < data.size();
}

double EvaluateWork::Cost() const { return FlopPerExample(model->graph) * double(data.size()); }

}  // namespace linnet
