#include <algorithm>

#include "base/aligned.h"
#include "base/random.h"
#include "model/optimizer.h"
#include "model/plan.h"
#include "model/train.h"

namespace linnet {
namespace {

// The caller's memory that a plan only reads.
std::byte* ReadOnly(const void* data) { return static_cast<std::byte*>(const_cast<void*>(data)); }

std::byte* Writable(float* data) { return reinterpret_cast<std::byte*>(data); }

class PlannedTrainer final : public Trainer {
 public:
  PlannedTrainer(const Graph& graph, const TrainOptions& options, Plan plan, const Kernels& kernels,
                 Executor* executor)
      : graph_(graph),
        kernels_(kernels),
        executor_(executor),
        plan_(std::move(plan)),
        label_rows_(plan_.program.values[plan_.program.logits].count / graph.classes),
        optimizer_(options, graph.params, kernels),
        in_place_(optimizer_.IsPlain() && ParametersAreUsedOnce(plan_.program)),
        parameters_(graph.ParamCount()),
        gradients_(in_place_ ? 0 : graph.ParamCount()),
        arena_(plan_.arena_bytes) {}

  std::span<float> parameters() override { return parameters_.span(); }
  void Reset() override {
    optimizer_.Reset();
    steps_ = 0;
  }
  void set_learning_rate(float learning_rate) override {
    optimizer_.set_learning_rate(learning_rate);
  }
  void set_dropout_seed(uint64_t seed) override { dropout_seed_ = SeedFromInt(seed); }
  void SetTerms(const GradientTerms& terms) override {
    optimizer_.SetTerms(terms);
    if (in_place_ && !optimizer_.IsPlain()) {
      in_place_ = false;
      gradients_ = AlignedBuffer<float>(parameters_.size());
    }
  }
  TrainState State() const override {
    const auto copy = [](std::span<const float> values) {
      return std::vector<float>(values.begin(), values.end());
    };
    return {.steps = steps_,
            .parameters = copy(parameters_.span()),
            .first = copy(optimizer_.first()),
            .second = copy(optimizer_.second()),
            .note = {}};
  }
  Status SetState(const TrainState& state) override {
    const size_t wanted[] = {parameters_.size(), optimizer_.first().size(),
                             optimizer_.second().size()};
    const size_t found[] = {state.parameters.size(), state.first.size(), state.second.size()};
    if (!std::ranges::equal(wanted, found)) {
      return Fail(Code::kInvalid, "the state has ", found[0], " parameters and ", found[1], " and ",
                  found[2], " values of the optimizer, this training has ", wanted[0], ", ",
                  wanted[1], " and ", wanted[2]);
    }
    std::ranges::copy(state.parameters, parameters_.span().begin());
    optimizer_.SetState(state.steps, state.first, state.second);
    steps_ = state.steps;
    return {};
  }
  MemoryReport memory() const override {
    return {.parameters = parameters_.size() * sizeof(float),
            .gradients = gradients_.size() * sizeof(float),
            .optimizer = optimizer_.state_bytes(),
            .arena = plan_.arena_bytes};
  }

  double Step(const float* x, const int32_t* y, size_t batch) override {
    CheckLabels(y, batch);
    return AnyStep(x, y, batch);
  }
  double StepValues(const float* x, const float* targets, size_t batch) override {
    LINNET_CHECK(graph_.loss == Loss::kMse);
    return AnyStep(x, targets, batch);
  }
  double StepWith(const float* x, size_t batch, const OutputLoss& loss) override {
    output_loss_ = &loss;
    const double mean = AnyStep(x, nullptr, batch);
    output_loss_ = nullptr;
    return mean;
  }
  double Gradient(const float* x, const int32_t* y, size_t batch, std::span<float> out) override {
    CheckLabels(y, batch);
    return AnyGradient(x, y, batch, out);
  }
  double GradientValues(const float* x, const float* targets, size_t batch,
                        std::span<float> out) override {
    LINNET_CHECK(graph_.loss == Loss::kMse);
    return AnyGradient(x, targets, batch, out);
  }

 private:
  void CheckLabels(const int32_t* y, size_t batch) const {
    LINNET_CHECK(graph_.loss == Loss::kCrossEntropy);
    for (size_t i = 0; i < batch * label_rows_; ++i) {
      LINNET_CHECK_MSG(y[i] >= 0 && static_cast<uint32_t>(y[i]) < graph_.classes, "label ", y[i],
                       " of ", graph_.classes, " classes");
    }
  }

  double AnyStep(const float* x, const void* y, size_t batch) {
    const double loss = in_place_ ? StepInPlace(x, y, batch) : StepApart(x, y, batch);
    ++steps_;
    return loss;
  }

  // Everything behind the loss is linear in the loss's gradient: scaled by -lr / batch from the
  // start, the gradient of each parameter is its update, and is added where it belongs. That saves
  // writing and reading the gradients once.
  double StepInPlace(const float* x, const void* y, size_t batch) {
    const float rate = optimizer_.learning_rate();
    optimizer_.CountStep();
    PlanRun run{.loss_grad = -rate / static_cast<float>(batch),
                .accumulate_gradients = true,
                .update_buffers = true};
    return RunPlan(run, x, y, batch, parameters_.data());
  }

  double StepApart(const float* x, const void* y, size_t batch) {
    PlanRun run{.loss_grad = 1.0f / static_cast<float>(batch), .update_buffers = true};
    const double loss = RunPlan(run, x, y, batch, gradients_.data());
    optimizer_.Apply(gradients_.span(), parameters_.span());
    return loss;
  }

  double AnyGradient(const float* x, const void* y, size_t batch, std::span<float> out) {
    LINNET_CHECK(out.size() == parameters_.size());
    std::ranges::fill(out, 0.0f);
    PlanRun run{.loss_grad = 1.0f / static_cast<float>(batch)};
    return RunPlan(run, x, y, batch, out.data());
  }

  double RunPlan(PlanRun& run, const float* x, const void* y, size_t batch, float* gradients) {
    LINNET_CHECK(batch >= 1 && batch <= plan_.max_batch);
    // In the order of Area: arena, input, labels, parameters, gradients, logits.
    run.areas = {arena_.data(),       ReadOnly(x), ReadOnly(y), Writable(parameters_.data()),
                 Writable(gradients), nullptr};
    run.batch = batch;
    run.dropout_key = RandomStream(dropout_seed_, steps_).NextU64();
    run.output_loss = output_loss_;
    run.executor = executor_;
    Execute(plan_, kernels_, run);
    return run.loss_sum / static_cast<double>(batch);
  }

  const Graph graph_;
  const Kernels& kernels_;
  Executor* const executor_;
  const Plan plan_;
  const uint64_t label_rows_;
  Optimizer optimizer_;
  bool in_place_;
  AlignedBuffer<float> parameters_, gradients_;
  AlignedBuffer<std::byte> arena_;
  Seed dropout_seed_ = SeedFromInt(0);
  uint64_t steps_ = 0;
  const OutputLoss* output_loss_ = nullptr;  // of the StepWith under way
};

class PlannedPredictor final : public Predictor {
 public:
  PlannedPredictor(const Graph& graph, Plan plan, const Kernels& kernels, Executor* executor)
      : kernels_(kernels),
        executor_(executor),
        plan_(std::move(plan)),
        parameter_count_(graph.ParamCount()),
        arena_(plan_.arena_bytes) {}

  void SetParameters(std::span<const float> parameters) override {
    LINNET_CHECK(parameters.size() == parameter_count_);
    parameters_ = parameters.data();
    PlanRun run{.areas = {arena_.data(), nullptr, nullptr, ReadOnly(parameters_)},
                .batch = 1,
                .executor = executor_};
    Prepare(plan_, kernels_, run);
  }
  void Run(const float* x, size_t batch, float* outputs) override {
    LINNET_CHECK(parameters_ != nullptr || parameter_count_ == 0);
    PlanRun run{.areas = {arena_.data(), ReadOnly(x), nullptr, ReadOnly(parameters_), nullptr,
                          Writable(outputs)},
                .batch = batch,
                .executor = executor_};
    Execute(plan_, kernels_, run);
  }
  size_t arena_bytes() const override { return plan_.arena_bytes; }

 private:
  const Kernels& kernels_;
  Executor* const executor_;
  const Plan plan_;
  const uint64_t parameter_count_;
  const float* parameters_ = nullptr;
  AlignedBuffer<std::byte> arena_;
};

Status CheckMaxBatch(size_t max_batch) {
  if (max_batch >= 1) return {};
  return Fail(Code::kInvalid, "the largest batch is 0, wanted 1 or more");
}

Status CheckTrainable(const Graph& graph) {
  const auto is_trained = [](const ParamInfo& param) {
    return param.role == ParamRole::kWeight && !param.frozen;
  };
  if (std::ranges::any_of(graph.params, is_trained)) return {};
  return Fail(Code::kInvalid, "every parameter of ", graph.name, " is frozen or a buffer");
}

size_t WorkersOf(const Executor* executor) { return executor == nullptr ? 1 : executor->Workers(); }

}  // namespace

Result<std::unique_ptr<Trainer>> Trainer::Create(const Graph& graph, const TrainOptions& options,
                                                 size_t max_batch, const Kernels& kernels,
                                                 Executor* executor) {
  LINNET_TRY_STATUS(ValidateGraph(graph));
  LINNET_TRY_STATUS(ValidateOptions(options));
  LINNET_TRY_STATUS(CheckMaxBatch(max_batch));
  LINNET_TRY_STATUS(CheckTrainable(graph));
  LINNET_TRY(Plan plan, MakePlan(TrainingProgram(graph), max_batch, WorkersOf(executor)));
  return std::make_unique<PlannedTrainer>(graph, options, std::move(plan), kernels, executor);
}

Result<std::unique_ptr<Predictor>> Predictor::Create(const Graph& graph, size_t max_batch,
                                                     const Kernels& kernels, Executor* executor) {
  LINNET_TRY_STATUS(ValidateGraph(graph));
  LINNET_TRY_STATUS(CheckMaxBatch(max_batch));
  LINNET_TRY(Plan plan, MakePlan(InferenceProgram(graph), max_batch, WorkersOf(executor)));
  return std::make_unique<PlannedPredictor>(graph, std::move(plan), kernels, executor);
}

void Score(const Kernels& kernels, const float* logits, const int32_t* labels, size_t batch,
           size_t classes, Metrics& metrics) {
  int32_t best[256];
  for (size_t start = 0; start < batch; start += std::size(best)) {
    const size_t rows = std::min(std::size(best), batch - start);
    const float* const part = logits + start * classes;
    kernels.argmax_rows(part, rows, classes, best);
    for (size_t i = 0; i < rows; ++i) metrics.correct += best[i] == labels[start + i];
    metrics.loss_sum +=
        kernels.softmax_cross_entropy(part, labels + start, rows, classes, 0.0f, nullptr);
  }
  metrics.examples += batch;
}

}  // namespace linnet
