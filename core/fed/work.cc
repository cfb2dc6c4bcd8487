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

// The strategy's pull towards the round's model, beside one of the federation's own.
float Proximal(const TrainSettings& settings, const ClientTask& task) {
  switch (task.algorithm) {
    case ClientAlgorithm::kProx:
      return settings.proximal + task.mu;
    case ClientAlgorithm::kDyn:
      return settings.proximal + task.alpha;
    default:
      return settings.proximal;
  }
}

bool IsPersonal(const UpdateLayout& layout, const ParamInfo& param) {
  const auto travels = [&](const UpdateLayout::Tensor& t) {
    return t.model_offset == param.offset && t.count == param.count;
  };
  return std::ranges::none_of(layout.weights, travels) &&
         std::ranges::none_of(layout.buffers, travels);
}

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

Result<TrainOptions> TrainWork::Options(const TrainSettings& settings, const ClientTask& task) {
  LINNET_TRY(TrainOptions options, MakeTrainOptions(settings));
  options.proximal = Proximal(settings, task);
  return options;
}

TrainWork::TrainWork() = default;
TrainWork::~TrainWork() = default;

Status TrainWork::Begin() {
  if (train.size() == 0) return Fail(Code::kState, "this participant holds no training examples");
  LINNET_TRY_STATUS(CheckFit(base->graph, *train.data));
  LINNET_TRY_STATUS(Prepare());
  rows_ = train;
  if (max_examples > 0 && rows_.size() > max_examples) {
    RandomStream(shuffle_seed, ~0ull).Shuffle(std::span(rows_.rows));
    rows_.rows.resize(max_examples);
  }
  examples = rows_.size();
  if (task.loss_before) {
    before_ = std::make_unique<EvaluateWork>();
    before_->model = std::make_shared<Model>(Model{base->graph, start_});
    before_->data = rows_;
    before_->kernels = kernels;
    before_->executor = executor;
  }
  begun_ = true;
  return BeginStage(own.head_epochs > 0 ? Stage::kHead : Stage::kShared);
}

Status TrainWork::BeginStage(Stage stage) {
  stage_ = stage;
  LocalTraining::Task t;
  t.graph = base->graph;
  t.start = start_;
  t.rows = rows_;
  t.batch_size = settings.batch_size;
  t.epochs = stage == Stage::kHead ? own.head_epochs : settings.epochs;
  t.max_steps = settings.max_steps;
  t.kernels = kernels;
  t.executor = executor;
  if (stage == Stage::kShared) {
    LINNET_TRY(t.options, Options(settings, task));
    t.terms = terms_;
    t.shuffle = shuffle_seed;
  } else {
    LINNET_TRY(t.options, MakeTrainOptions(settings));
    t.options.proximal = 0;
    t.shuffle = DeriveSeed(shuffle_seed, stage == Stage::kHead ? "head" : "own");
  }
  if (own.head_epochs > 0) {
    for (ParamInfo& param : t.graph.params)
      param.frozen |= IsPersonal(*layout, param) == (stage == Stage::kShared);
  }
  if (stage == Stage::kOwn) {
    if (personal.size() == base->parameters.size()) t.start = personal;
    t.options.proximal = own.ditto;
    t.terms.anchor = base->parameters;
  }
  LINNET_TRY(training_, LocalTraining::Create(std::move(t)));
  return {};
}

Status TrainWork::EndStage() {
  const std::span<const float> trained = training_->parameters();
  passes_done_ += training_->passes();
  // NaN until the first stage has ended.
  if (std::isnan(loss_at_start_)) loss_at_start_ = training_->first_loss();
  switch (stage_) {
    case Stage::kHead:
      std::ranges::copy(trained, start_.begin());
      return BeginStage(Stage::kShared);
    case Stage::kShared:
      steps = training_->steps();
      loss_before = loss_at_start_;
      loss_after = training_->last_loss();
      parameters.assign(trained.begin(), trained.end());
      if (own.ditto > 0) return BeginStage(Stage::kOwn);
      break;
    case Stage::kOwn:
      next_personal.assign(trained.begin(), trained.end());
      break;
  }
  training_.reset();
  return {};
}

bool TrainWork::Run(size_t max_steps) {
  if (!begun_) {
    status = Begin();
    if (!status) return false;
  }
  if (before_) {
    if (before_->Run(max_steps)) return true;
    status = before_->status;
    if (!status) return false;
    loss_at_start_ = before_->metrics.loss();
    before_.reset();
    return true;
  }
  if (training_->Run(max_steps)) return true;
  status = EndStage();
  if (status && training_) return true;
  if (status && !hold) Finish();
  return false;
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
  if (!layout) layout = MakeUpdateLayout(base->graph.params, task.uplink);
  std::vector<float> weights(layout->weight_count), values(layout->weight_count);
  UpdateLayout::Gather(layout->weights, base->parameters, weights);
  UpdateLayout::Gather(layout->weights, parameters, values);
  k.subtract(values.data(), weights.data(), values.data(), values.size());
  float largest = 0;
  if (!k.max_abs(values.data(), values.size(), &largest)) {
    status = Fail(Code::kData, "training diverged: a parameter is not finite (a lower ",
                  "train.learningRate may help)");
    return;
  }
  if (largest > max_abs) {
    status = Fail(Code::kLimit, "the update has an element of ", largest, ", limits.maxAbs is ",
                  max_abs);
    return;
  }
  status = Encode(codec, codec_seed, values, k, encoded);
  if (status) status = FinishExtras(values);
  if (layout->weight_count + layout->buffer_count < layout->model_count)
    next_personal = std::move(parameters);
  std::vector<float>().swap(parameters);
}

// The parameters to start from, and the terms of the strategy's algorithm.
Status TrainWork::Prepare() {
  if (!layout) layout = MakeUpdateLayout(base->graph.params, task.uplink);
  const size_t weights = layout->weight_count;
  start_ = base->parameters;
  if (personal.size() == start_.size()) {
    // Everything that does not travel is the participant's own.
    start_ = personal;
    for (const auto* tensors : {&layout->weights, &layout->buffers})
      for (const UpdateLayout::Tensor& t : *tensors)
        std::copy_n(base->parameters.begin() + ptrdiff_t(t.model_offset), t.count,
                    start_.begin() + ptrdiff_t(t.model_offset));
  }
  if (control.size() != weights) control.assign(weights, 0.0f);
  terms_ = {};
  if (Proximal(settings, task) > 0) terms_.anchor = start_;
  const bool scaffold = task.algorithm == ClientAlgorithm::kScaffold;
  if (!scaffold && task.algorithm != ClientAlgorithm::kDyn) return {};
  if (scaffold && downlink.size() != weights)
    return Fail(Code::kInvalid, "scaffold's c has ", downlink.size(), " values, the model has ",
                weights);
  std::vector<float> constant(weights);
  for (size_t i = 0; i < weights; ++i) constant[i] = (scaffold ? downlink[i] : 0.0f) - control[i];
  constant_.assign(start_.size(), 0.0f);
  UpdateLayout::Scatter(layout->weights, constant, constant_);
  terms_.constant = constant_;
  return {};
}

// What stands behind the encoded weights (update_layout.h), and the participant's next state, which
// advances by what the coordinator will decode.
Status TrainWork::FinishExtras(std::span<const float> delta) {
  const Kernels& k = kernels ? *kernels : BestKernels();
  std::vector<float> extras;
  extras.reserve(layout->ExtraCount());
  const bool has_momentum = settings.optimizer == "momentum" || settings.optimizer == "nesterov";
  const double momentum = has_momentum ? settings.momentum : 0.0;
  for (const LinkedValue& value : task.uplink) {
    if (value.like_parameters) continue;
    extras.push_back(static_cast<float>(
        NormalizedSteps(steps, momentum, settings.learning_rate, Proximal(settings, task))));
  }
  for (const UpdateLayout::Tensor& t : layout->buffers)
    for (size_t i = t.model_offset; i < t.model_offset + t.count; ++i)
      extras.push_back(parameters[i] - base->parameters[i]);
  if (task.algorithm == ClientAlgorithm::kScaffold) {
    // c_k' = c_k - c + (w - y) / (a_k lr), a_k = tau without momentum. With it each of the
    // gradients counts up to 1 / (1 - momentum) times in y, and so do c and c_k, which are part of
    // them: a_k is that sum, so that c_k stays a mean of gradients.
    const double rate =
        NormalizedSteps(steps, momentum, settings.learning_rate, 0) * settings.learning_rate;
    if (!(rate > 0) || downlink.size() != delta.size() || control.size() != delta.size())
      return Fail(Code::kInvalid, "scaffold wants c, at least one step and a learning rate");
    next_control.resize(delta.size());
    for (size_t i = 0; i < delta.size(); ++i) {
      const float change = static_cast<float>(-double{downlink[i]} - double{delta[i]} / rate);
      extras.push_back(change);
      next_control[i] = control[i] + change;
    }
  } else if (task.algorithm == ClientAlgorithm::kDyn) {
    // h_k' = h_k - alpha (y - w)
    next_control.resize(delta.size());
    LINNET_TRY_STATUS(DecodeWindow(codec, codec_seed, encoded, delta.size(), 0, next_control, k));
    if (control.size() != delta.size()) control.assign(delta.size(), 0.0f);
    for (size_t i = 0; i < delta.size(); ++i)
      next_control[i] = control[i] - task.alpha * next_control[i];
  }
  for (const float v : extras)
    if (!std::isfinite(v))
      return Fail(Code::kData, "training diverged: a value of the update is not finite");
  const auto* bytes = reinterpret_cast<const uint8_t*>(extras.data());
  encoded.insert(encoded.end(), bytes, bytes + extras.size() * sizeof(float));
  return {};
}

double TrainWork::Passes() const {
  return double(own.head_epochs) + double(settings.epochs) * (own.ditto > 0 ? 2 : 1);
}

double TrainWork::progress() const {
  if (Passes() == 0) return 0;
  return (passes_done_ + (training_ ? training_->passes() : 0)) / Passes();
}

double TrainWork::Cost() const {
  return 3 * FlopPerExample(base->graph) * Passes() * double(train.size());
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
