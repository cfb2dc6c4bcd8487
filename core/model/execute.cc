#include "model/plan.h"

namespace linnet {
namespace {

// One step with its pointers.
class StepRun {
 public:
  StepRun(const Plan& plan, const Kernels& kernels, PlanRun& run)
      : plan_(plan), k_(kernels), run_(run) {}

  void operator()(size_t index) {
    const Step& step = plan_.program.steps[index];
    float* const workspace = reinterpret_cast<float*>(run_.areas[0] + plan_.workspace[index]);
    const bool accumulate = step.accumulate || run_.accumulate_gradients;
    switch (step.op) {
      case StepOp::kDense: {
        const auto& shape = std::get<DenseShape>(step.shape);
        k_.gemm({.m = run_.batch,
                 .n = shape.out,
                 .k = shape.in,
                 .a = In(step, 0),
                 .lda = shape.in,
                 .trans_a = false,
                 .b = In(step, 1),
                 .ldb = shape.out,
                 .trans_b = false,
                 .c = Out(step),
                 .ldc = shape.out,
                 .accumulate = false,
                 .bias = In(step, 2),
                 .relu = step.relu,
                 .workspace = workspace});
        return;
      }
      case StepOp::kDenseGradInput: {
        const auto& shape = std::get<DenseShape>(step.shape);
        k_.gemm({.m = run_.batch,
                 .n = shape.in,
                 .k = shape.out,
                 .a = In(step, 1),
                 .lda = shape.out,
                 .trans_a = false,
                 .b = In(step, 0),
                 .ldb = shape.out,
                 .trans_b = true,
                 .c = Out(step),
                 .ldc = shape.in,
                 .accumulate = false,
                 .bias = nullptr,
                 .relu = false,
                 .workspace = workspace});
        return;
      }
      case StepOp::kDenseGradWeights: {
        const auto& shape = std::get<DenseShape>(step.shape);
        k_.gemm({.m = shape.in,
                 .n = shape.out,
                 .k = run_.batch,
                 .a = In(step, 0),
                 .lda = shape.in,
                 .trans_a = true,
                 .b = In(step, 1),
                 .ldb = shape.out,
                 .trans_b = false,
                 .c = Out(step),
                 .ldc = shape.out,
                 .accumulate = accumulate,
                 .bias = nullptr,
                 .relu = false,
                 .workspace = workspace});
        return;
      }
      case StepOp::kConv2d:
        k_.conv2d({.shape = Batched<Conv2dShape>(step),
                   .x = In(step, 0),
                   .w = In(step, 1),
                   .bias = In(step, 2),
                   .relu = step.relu,
                   .y = Out(step),
                   .workspace = workspace});
        return;
      case StepOp::kConv2dGradInput:
        k_.conv2d_grad_input({.shape = Batched<Conv2dShape>(step),
                              .w = In(step, 0),
                              .dy = In(step, 1),
                              .dx = Out(step),
                              .workspace = workspace});
        return;
      case StepOp::kConv2dGradWeights:
        k_.conv2d_grad_weights({.shape = Batched<Conv2dShape>(step),
                                .x = In(step, 0),
                                .dy = In(step, 1),
                                .accumulate = accumulate,
                                .dw = Out(step),
                                .workspace = workspace});
        return;
      case StepOp::kBiasGrad: {
        const auto& shape = std::get<RowsShape>(step.shape);
        k_.column_sums(In(step, 0), shape.rows * run_.batch, shape.cols, accumulate, Out(step));
        return;
      }
      case StepOp::kRelu:
        k_.relu(In(step, 0), Out(step), Count(step));
        return;
      case StepOp::kReluGrad:
        k_.relu_grad(In(step, 0), In(step, 1), Out(step), Count(step));
        return;
      case StepOp::kAdd:
        k_.add(In(step, 0), In(step, 1), Out(step), Count(step));
        return;
      case StepOp::kMaxPool:
        k_.max_pool(Batched<PoolShape>(step), In(step, 0), Out(step), At<uint8_t>(step.outputs[1]));
        return;
      case StepOp::kMaxPoolGrad:
        k_.max_pool_grad(Batched<PoolShape>(step), In(step, 0), At<uint8_t>(step.inputs[1]),
                         Out(step));
        return;
      case StepOp::kCrossEntropy:
        run_.loss_sum = k_.softmax_cross_entropy(In(step, 0), At<int32_t>(step.inputs[1]),
                                                 run_.batch, std::get<RowsShape>(step.shape).cols,
                                                 run_.loss_grad, Out(step));
        return;
    }
  }

 private:
  template <typename T>
  T* At(uint32_t value) const {
    const Slot& slot = plan_.slots[value];
    return reinterpret_cast<T*>(run_.areas[static_cast<size_t>(slot.area)] + slot.offset);
  }
  const float* In(const Step& step, size_t i) const { return At<float>(step.inputs[i]); }
  float* Out(const Step& step) const { return At<float>(step.outputs[0]); }
  size_t Count(const Step& step) const {
    return plan_.program.values[step.outputs[0]].count * run_.batch;
  }
  template <typename Shape>
  Shape Batched(const Step& step) const {
    Shape shape = std::get<Shape>(step.shape);
    shape.batch = run_.batch;
    return shape;
  }

  const Plan& plan_;
  const Kernels& k_;
  PlanRun& run_;
};

}  // namespace

void Execute(const Plan& plan, const Kernels& kernels, PlanRun& run) {
  LINNET_CHECK(run.batch >= 1 && run.batch <= plan.max_batch);
  StepRun step(plan, kernels, run);
  for (size_t i = 0; i < plan.program.steps.size(); ++i) step(i);
}

}  // namespace linnet
