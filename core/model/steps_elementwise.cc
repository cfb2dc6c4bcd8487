// Steps that work element by element, or on rows of elements with a parameter.
#include "model/steps_families.h"

namespace linnet {
namespace {

// Whether the gradient is taken from x; else from y, and the forward pass may overwrite x.
bool GradientTakesX(Op op) { return op == Op::kGelu || op == Op::kSilu; }

}  // namespace

void RunRelu(const StepRun& r) {
  r.ForElements([&](size_t at, size_t n) { r.k.relu(r.In(0) + at, r.Out() + at, n); });
}

void RunReluGrad(const StepRun& r) {
  r.ForElements(
      [&](size_t at, size_t n) { r.k.relu_grad(r.In(0) + at, r.In(1) + at, r.Out() + at, n); });
}

void RunActivation(const StepRun& r) {
  const auto& s = r.ShapeAs<ActivationShape>();
  const ActivationKernels& k = r.k.activation;
  r.ForElements([&](size_t at, size_t n) {
    const float* x = r.In(0) + at;
    float* y = r.Out() + at;
    switch (s.op) {
      case Op::kGelu:
        return s.by_tanh ? k.gelu_tanh(x, y, n) : k.gelu(x, y, n);
      case Op::kSilu:
        return k.silu(x, y, n);
      case Op::kSigmoid:
        return k.sigmoid(x, y, n);
      case Op::kTanh:
        return k.tanh(x, y, n);
      case Op::kLeakyRelu:
        return k.leaky_relu(s.a, x, y, n);
      case Op::kClip:
        return k.clip(s.a, s.b, x, y, n);
      default:
        LINNET_CHECK_MSG(false, OpName(s.op), " is no activation");
    }
  });
}

void RunActivationGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<ActivationShape>();
  const ActivationKernels& k = r.k.activation;
  r.ForElements([&](size_t at, size_t n) {
    const float *kept = r.In(0) + at, *dy = r.In(1) + at;
    float* dx = r.Out() + at;
    switch (s.op) {
      case Op::kGelu:
        return s.by_tanh ? k.gelu_tanh_grad(kept, dy, dx, n) : k.gelu_grad(kept, dy, dx, n);
      case Op::kSilu:
        return k.silu_grad(kept, dy, dx, n);
      case Op::kSigmoid:
        return k.sigmoid_grad(kept, dy, dx, n);
      case Op::kTanh:
        return k.tanh_grad(kept, dy, dx, n);
      case Op::kLeakyRelu:
        return k.leaky_relu_grad(s.a, kept, dy, dx, n);
      case Op::kClip:
        return k.clip_grad(s.a, s.b, kept, dy, dx, n);
      default:
        LINNET_CHECK_MSG(false, OpName(s.op), " is no activation");
    }
  });
}

void RunAdd(const StepRun& r) {
  r.ForElements([&](size_t at, size_t n) { r.k.add(r.In(0) + at, r.In(1) + at, r.Out() + at, n); });
}

void RunSub(const StepRun& r) {
  r.ForElements(
      [&](size_t at, size_t n) { r.k.subtract(r.In(0) + at, r.In(1) + at, r.Out() + at, n); });
}

void RunMul(const StepRun& r) {
  r.ForElements([&](size_t at, size_t n) {
    r.k.arithmetic.multiply(r.In(0) + at, r.In(1) + at, r.Out() + at, n);
  });
}

void RunScale(const StepRun& r) {
  const float factor = r.ShapeAs<FactorShape>().factor;
  r.ForElements(
      [&](size_t at, size_t n) { r.k.arithmetic.scale(factor, r.In(0) + at, r.Out() + at, n); });
}

void RunDropout(const StepRun& r) {
  const auto& s = r.ShapeAs<DropoutShape>();
  r.ForElements([&](size_t at, size_t n) {
    r.k.arithmetic.dropout(r.run.dropout_key + s.key, at, s.rate, r.In(0) + at, r.Out() + at, n);
  });
}

void RunAddRows(const StepRun& r) {
  r.ForRows([&](size_t at, size_t rows, size_t cols) {
    r.k.arithmetic.add_rows(r.In(0) + at, r.In(1), rows, cols, r.Out() + at);
  });
}

void RunMulRows(const StepRun& r) {
  r.ForRows([&](size_t at, size_t rows, size_t cols) {
    r.k.arithmetic.multiply_rows(r.In(0) + at, r.In(1), rows, cols, r.Out() + at);
  });
}

void RunMulRowsGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<RowsShape>();
  r.k.reduce.column_dots(r.In(0), r.In(1), s.rows * r.batch, s.cols, r.Accumulate(), r.Out());
}

void RunAffineRows(const StepRun& r) {
  r.ForRows([&](size_t at, size_t rows, size_t cols) {
    r.k.arithmetic.affine_rows(r.In(0) + at, r.In(1), r.In(2), rows, cols, r.step.relu,
                               r.Out() + at);
  });
}

void RunGradientAdd(const StepRun& r) {
  const size_t n = r.Count(r.step.outputs[0]);
  if (r.Accumulate()) {
    r.k.add(r.Out(), r.In(0), r.Out(), n);
  } else {
    std::copy_n(r.In(0), n, r.Out());
  }
}

void ReluGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.EmitFor(step.inputs[0],
            {.op = StepOp::kReluGrad, .inputs = {step.outputs[0], dy}, .outputs = {}});
}

void ActivationGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t x = step.inputs[0];
  const bool takes_x = GradientTakesX(std::get<ActivationShape>(step.shape).op);
  d.EmitFor(x, {.op = StepOp::kActivationGrad,
                .inputs = {takes_x ? x : step.outputs[0], dy},
                .outputs = {},
                .shape = step.shape});
}

void AddGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.Contribute(step.inputs[0], dy);
  d.Contribute(step.inputs[1], dy);
}

void SubGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.Contribute(step.inputs[0], dy);
  d.EmitFor(
      step.inputs[1],
      {.op = StepOp::kScale, .inputs = {dy}, .outputs = {}, .shape = FactorShape{.factor = -1}});
}

void MulGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t a = step.inputs[0], b = step.inputs[1];
  d.EmitFor(a, {.op = StepOp::kMul, .inputs = {dy, b}, .outputs = {}});
  d.EmitFor(b, {.op = StepOp::kMul, .inputs = {dy, a}, .outputs = {}});
}

// The gradient of a step that is linear and its own transpose: scale, dropout.
void SameGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.EmitFor(step.inputs[0], {.op = step.op, .inputs = {dy}, .outputs = {}, .shape = step.shape});
}

void AddRowsGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const auto& s = std::get<RowsShape>(step.shape);
  d.Contribute(step.inputs[0], dy);
  d.EmitParameter(step.inputs[1], BiasGradStep(dy, s.rows, s.cols));
}

void MulRowsGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t x = step.inputs[0], p = step.inputs[1];
  d.EmitFor(x, {.op = StepOp::kMulRows, .inputs = {dy, p}, .outputs = {}, .shape = step.shape});
  d.EmitParameter(
      p, {.op = StepOp::kMulRowsGrad, .inputs = {x, dy}, .outputs = {}, .shape = step.shape});
}

}  // namespace linnet
