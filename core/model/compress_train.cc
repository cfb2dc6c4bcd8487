#include "model/compress_train.h"

#include <algorithm>
#include <limits>

#include "model/quantize_parts.h"

namespace linnet {

namespace {

constexpr size_t kCalibrationExamples = 256;
constexpr uint64_t kCalibrationSteps = 100;

}  // namespace

Result<std::unique_ptr<QuantizedTrainer>> QuantizedTrainer::Create(const Model& original,
                                                                   const TrainOptions& options,
                                                                   size_t max_batch,
                                                                   const Kernels& kernels,
                                                                   WeightFormat format) {
  LINNET_CHECK(format != WeightFormat::kF32);
  LINNET_TRY_STATUS(ValidateGraph(original.graph));
  LINNET_TRY_STATUS(ValidateOptions(options));
  if (original.graph.loss != Loss::kCrossEntropy) {
    return Fail(Code::kUnsupported, original.graph.name, " gives values, wanted classes");
  }
  if (max_batch == 0) return Fail(Code::kInvalid, "the largest batch is 0, wanted 1 or more");
  const bool int8 = format == WeightFormat::kInt8;
  Model model = int8 ? FoldBatchNorm(original) : original;
  if (int8) LINNET_TRY_STATUS(CheckInt8Operators(model.graph));
  LINNET_TRY(Plan plan,
             MakePlan(int8 ? QuantizedTrainingProgram(model.graph) : TrainingProgram(model.graph),
                      max_batch));
  return std::unique_ptr<QuantizedTrainer>(
      new QuantizedTrainer(std::move(model), std::move(plan), options, kernels, format));
}

QuantizedTrainer::QuantizedTrainer(Model model, Plan plan, const TrainOptions& options,
                                   const Kernels& kernels, WeightFormat format)
    : kernels_(kernels),
      format_(format),
      model_(std::move(model)),
      plan_(std::move(plan)),
      optimizer_(options, model_.graph.params, kernels),
      rounded_(model_.parameters.size()),
      gradient_(model_.parameters.size()),
      arena_(plan_.arena_bytes) {}

bool QuantizedTrainer::Calibrate(const float* x, size_t batch) {
  const size_t features = model_.graph.InputCount();
  for (size_t i = 0; i < batch; ++i) {
    const std::span example(x + i * features, features);
    if (examples_.size() < kCalibrationExamples * features) {
      examples_.insert(examples_.end(), example.begin(), example.end());
      continue;
    }
    std::ranges::copy(example,
                      examples_.begin() + static_cast<ptrdiff_t>(next_example_ * features));
    next_example_ = (next_example_ + 1) % kCalibrationExamples;
  }
  if (steps_ % kCalibrationSteps != 0) return true;
  auto quantized = QuantizeInt8(model_, examples_, Calibration::kMinError, kernels_);
  if (quantized) codes_ = std::move(quantized->activations);
  return quantized.has_value();
}

double QuantizedTrainer::Step(const float* x, const int32_t* y, size_t batch) {
  LINNET_CHECK(batch >= 1 && batch <= plan_.max_batch);
  const size_t rows = plan_.program.values[plan_.program.logits].count / model_.graph.classes;
  LINNET_CHECK(std::all_of(y, y + batch * rows, [&](int32_t label) {
    return label >= 0 && static_cast<uint32_t>(label) < model_.graph.classes;
  }));
  if (format_ == WeightFormat::kInt8 && !Calibrate(x, batch)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  FakeQuantize(model_.graph, format_, model_.parameters, rounded_.span());
  const auto bytes = [](const void* data) {
    return static_cast<std::byte*>(const_cast<void*>(data));
  };
  // In the order of Area: arena, input, labels, parameters, gradients, logits.
  PlanRun run{.areas = {arena_.data(), bytes(x), bytes(y), bytes(rounded_.data()),
                        bytes(gradient_.data()), nullptr},
              .batch = batch,
              .loss_grad = 1.0f / static_cast<float>(batch),
              .update_buffers = true,
              .dropout_key = steps_,
              .codes = codes_.data()};
  Execute(plan_, kernels_, run);
  optimizer_.Apply(gradient_.span(), model_.parameters);
  for (const ParamInfo& param : model_.graph.params) {
    if (param.role != ParamRole::kBuffer) continue;
    std::copy_n(rounded_.data() + param.offset, param.count,
                model_.parameters.begin() + static_cast<ptrdiff_t>(param.offset));
  }
  ++steps_;
  return run.loss_sum / static_cast<double>(batch);
}

Result<std::unique_ptr<PruningTrainer>> PruningTrainer::Create(const Model& model,
                                                               const Options& pruning,
                                                               const TrainOptions& options,
                                                               size_t max_batch,
                                                               const Kernels& kernels) {
  if (!(pruning.sparsity >= 0 && pruning.sparsity < 1)) {
    return Fail(Code::kInvalid, "the sparsity is ", pruning.sparsity,
                ", wanted at least 0 and less than 1");
  }
  if (pruning.interval == 0) {
    return Fail(Code::kInvalid, "the interval is 0 steps, wanted 1 or more");
  }
  LINNET_TRY(auto trainer, Trainer::Create(model.graph, options, max_batch, kernels));
  return std::unique_ptr<PruningTrainer>(new PruningTrainer(model, pruning, std::move(trainer)));
}

PruningTrainer::PruningTrainer(const Model& model, const Options& pruning,
                               std::unique_ptr<Trainer> trainer)
    : graph_(model.graph),
      pruning_(pruning),
      trainer_(std::move(trainer)),
      mask_(model.parameters.size(), true) {
  LINNET_CHECK(model.parameters.size() == graph_.ParamCount());
  std::ranges::copy(model.parameters, trainer_->parameters().begin());
}

double PruningTrainer::Step(const float* x, const int32_t* y, size_t batch) {
  const std::span<float> parameters = trainer_->parameters();
  if (step_ <= pruning_.steps && (step_ % pruning_.interval == 0 || step_ == pruning_.steps)) {
    // Two of four knows no shares: it comes half way, in one step.
    const bool now = pruning_.pruning != Pruning::kTwoOfFour || 2 * step_ >= pruning_.steps;
    if (now) {
      mask_ = PruneMask(graph_, parameters, pruning_.pruning,
                        CubicSparsity(pruning_.sparsity, step_, pruning_.steps));
    }
    ApplyMask(mask_, parameters);
  }
  const double loss = trainer_->Step(x, y, batch);
  ApplyMask(mask_, parameters);
  ++step_;
  return loss;
}

Model PruningTrainer::model() const {
  const std::span<const float> parameters = trainer_->parameters();
  return {.graph = graph_, .parameters = {parameters.begin(), parameters.end()}};
}

}  // namespace linnet
