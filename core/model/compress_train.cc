#include "model/compress_train.h"

#include <algorithm>

#include "model/quantize_parts.h"

namespace linnet {

Result<std::unique_ptr<QuantizedTrainer>> QuantizedTrainer::Create(const Model& original,
                                                                   const TrainOptions& options,
                                                                   size_t max_batch,
                                                                   const Kernels& kernels) {
  LINNET_TRY_STATUS(ValidateGraph(original.graph));
  Model model = FoldBatchNorm(original);
  LINNET_TRY_STATUS(CheckInt8Operators(model.graph));
  LINNET_TRY(auto trainer, Trainer::Create(model.graph, options, max_batch, kernels));
  return std::unique_ptr<QuantizedTrainer>(
      new QuantizedTrainer(std::move(model), std::move(trainer), options, kernels));
}

QuantizedTrainer::QuantizedTrainer(Model model, std::unique_ptr<Trainer> trainer,
                                   const TrainOptions& options, const Kernels& kernels)
    : model_(std::move(model)),
      trainer_(std::move(trainer)),
      optimizer_(options, model_.graph.params, kernels),
      gradient_(model_.parameters.size()) {}

double QuantizedTrainer::Step(const float* x, const int32_t* y, size_t batch) {
  FakeQuantize(model_.graph, WeightFormat::kInt8, model_.parameters, trainer_->parameters());
  const double loss = trainer_->Gradient(x, y, batch, gradient_);
  optimizer_.Apply(gradient_, model_.parameters);
  return loss;
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
