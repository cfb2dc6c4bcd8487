#include "base/aligned.h"
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
  PlannedTrainer(const Graph& graph, const TrainOptions& options, Plan plan, const Kernels& kernels)
      : kernels_(kernels),
        plan_(std::move(plan)),
        classes_(graph.classes),
        optimizer_(options, graph.params, kernels),
        in_place_(optimizer_.IsPlain() && ParametersAreUsedOnce(plan_.program)),
        parameters_(graph.ParamCount()),
        gradients_(in_place_ ? 0 : graph.ParamCount()),
        arena_(plan_.arena_bytes) {}

  std::span<float> parameters() override { return parameters_.span(); }
  void Reset() override { optimizer_.Reset(); }
  void set_learning_rate(float learning_rate) override {
    optimizer_.set_learning_rate(learning_rate);
  }
  void SetTerms(const GradientTerms& terms) override {
    optimizer_.SetTerms(terms);
    if (in_place_ && !optimizer_.IsPlain()) {
      in_place_ = false;
      gradients_ = AlignedBuffer<float>(parameters_.size());
    }
  }
  size_t arena_bytes() const override { return plan_.arena_bytes; }

  double Step(const float* x, const int32_t* y, size_t batch) override {
    if (in_place_) {
      // Everything behind the loss is linear in the loss's gradient: scaled by -lr / batch from the
      // start, the gradient of each parameter is its update, and is added where it belongs. That
      // saves writing and reading the gradients once.
      const float rate = optimizer_.learning_rate();
      optimizer_.CountStep();
      return RunPlan(x, y, batch, -rate / static_cast<float>(batch), true, parameters_.data());
    }
    const double loss = Gradient(x, y, batch, gradients_.span());
    optimizer_.Apply(gradients_.span(), parameters_.span());
    return loss;
  }

  double Gradient(const float* x, const int32_t* y, size_t batch, std::span<float> out) override {
    LINNET_CHECK(out.size() == parameters_.size());
    return RunPlan(x, y, batch, 1.0f / static_cast<float>(batch), false, out.data());
  }

 private:
  double RunPlan(const float* x, const int32_t* y, size_t batch, float loss_grad,
                 bool accumulate_gradients, float* gradients) {
    LINNET_CHECK(batch >= 1 && batch <= plan_.max_batch);
    for (size_t i = 0; i < batch; ++i) {
      LINNET_CHECK_MSG(y[i] >= 0 && static_cast<uint32_t>(y[i]) < classes_, "label ", y[i], " of ",
                       classes_, " classes");
    }
    // In the order of Area: arena, input, labels, parameters, gradients, logits.
    PlanRun run{.areas = {arena_.data(), ReadOnly(x), ReadOnly(y), Writable(parameters_.data()),
                          Writable(gradients), nullptr},
                .batch = batch,
                .loss_grad = loss_grad,
                .accumulate_gradients = accumulate_gradients};
    Execute(plan_, kernels_, run);
    return run.loss_sum / static_cast<double>(batch);
  }

  const Kernels& kernels_;
  const Plan plan_;
  const uint32_t classes_;
  Optimizer optimizer_;
  bool in_place_;
  AlignedBuffer<float> parameters_, gradients_;
  AlignedBuffer<std::byte> arena_;
};

class PlannedPredictor final : public Predictor {
 public:
  PlannedPredictor(const Graph& graph, Plan plan, const Kernels& kernels)
      : kernels_(kernels),
        plan_(std::move(plan)),
        parameter_count_(graph.ParamCount()),
        arena_(plan_.arena_bytes) {}

  void Run(std::span<const float> parameters, const float* x, size_t batch,
           float* logits) override {
    LINNET_CHECK(parameters.size() == parameter_count_);
    PlanRun run{.areas = {arena_.data(), ReadOnly(x), nullptr, ReadOnly(parameters.data()), nullptr,
                          Writable(logits)},
                .batch = batch};
    Execute(plan_, kernels_, run);
  }
  size_t arena_bytes() const override { return plan_.arena_bytes; }

 private:
  const Kernels& kernels_;
  const Plan plan_;
  const uint64_t parameter_count_;
  AlignedBuffer<std::byte> arena_;
};

Status CheckMaxBatch(size_t max_batch) {
  if (max_batch >= 1) return {};
  return Fail(Code::kInvalid, "the largest batch is 0, wanted 1 or more");
}

}  // namespace

Result<std::unique_ptr<Trainer>> Trainer::Create(const Graph& graph, const TrainOptions& options,
                                                 size_t max_batch, const Kernels& kernels) {
  LINNET_TRY_STATUS(ValidateGraph(graph));
  LINNET_TRY_STATUS(ValidateOptions(options));
  LINNET_TRY_STATUS(CheckMaxBatch(max_batch));
  LINNET_TRY_STATUS(CheckLowered(graph));
  Program program = Lower(graph);
  FuseRelu(program);
  AppendGradient(program);
  LINNET_TRY(Plan plan, MakePlan(std::move(program), max_batch));
  return std::make_unique<PlannedTrainer>(graph, options, std::move(plan), kernels);
}

Result<std::unique_ptr<Predictor>> Predictor::Create(const Graph& graph, size_t max_batch,
                                                     const Kernels& kernels) {
  LINNET_TRY_STATUS(ValidateGraph(graph));
  LINNET_TRY_STATUS(CheckMaxBatch(max_batch));
  LINNET_TRY_STATUS(CheckLowered(graph));
  Program program = Lower(graph);
  FuseRelu(program);
  LINNET_TRY(Plan plan, MakePlan(std::move(program), max_batch));
  return std::make_unique<PlannedPredictor>(graph, std::move(plan), kernels);
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
