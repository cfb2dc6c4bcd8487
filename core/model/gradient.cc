// Reverse-mode differentiation of a program.
//
// Griewank and Walther, "Evaluating Derivatives", 2nd edition, section 3.2: the steps are visited
// from the last to the first; each adds to the gradients of its inputs what its own output's
// gradient says.
#include <optional>

#include "base/result.h"
#include "model/program.h"

namespace linnet {
namespace {

class Differentiator {
 public:
  explicit Differentiator(Program& program)
      : program_(program),
        needs_(program.values.size()),
        gradient_(program.values.size()),
        forward_steps_(program.steps.size()) {
    for (size_t i = 0; i < needs_.size(); ++i) {
      needs_[i] = program.values[i].role == Role::kParameter;
    }
    for (const Step& step : program.steps) {
      for (const uint32_t input : step.inputs) {
        if (needs_[input]) needs_[step.outputs[0]] = true;
      }
    }
  }

  void Run() {
    const auto classes = static_cast<size_t>(program_.values[program_.logits].count);
    const uint32_t labels = AddValue({.role = Role::kLabels, .count = 1});
    const uint32_t dlogits = AddValue({.count = classes});
    program_.steps.push_back({.op = StepOp::kCrossEntropy,
                              .inputs = {program_.logits, labels},
                              .outputs = {dlogits},
                              .shape = RowsShape{.rows = 1, .cols = classes}});
    gradient_[program_.logits] = dlogits;
    for (size_t i = forward_steps_; i-- > 0;) {
      // A copy: the list grows while the gradient's steps are appended.
      const Step step = program_.steps[i];
      const uint32_t y = step.outputs[0];
      if (needs_[y] && gradient_[y]) StepGradient(step, *gradient_[y]);
    }
  }

 private:
  uint32_t AddValue(Value value) {
    program_.values.push_back(value);
    return static_cast<uint32_t>(program_.values.size() - 1);
  }

  // Appends a step with one output like `like` and returns the output.
  uint32_t Emit(Step step, uint32_t like) {
    const uint32_t output = AddValue({.count = program_.values[like].count});
    step.outputs = {output};
    program_.steps.push_back(std::move(step));
    return output;
  }

  // Adds `part` to the gradient of `value`.
  void Contribute(uint32_t value, uint32_t part) {
    if (!needs_[value]) return;
    if (gradient_[value]) {
      part = Emit({.op = StepOp::kAdd, .inputs = {*gradient_[value], part}, .outputs = {}}, value);
    }
    gradient_[value] = part;
  }

  // Appends a step that writes the gradient of a parameter, or adds to it when it is not the first.
  void EmitParameter(Step step, uint32_t parameter) {
    step.accumulate = gradient_[parameter].has_value();
    if (!step.accumulate) {
      const Value& value = program_.values[parameter];
      gradient_[parameter] =
          AddValue({.role = Role::kGradient, .count = value.count, .offset = value.offset});
    }
    step.outputs = {*gradient_[parameter]};
    program_.steps.push_back(std::move(step));
  }

  void StepGradient(const Step& step, uint32_t dy) {
    const uint32_t x = step.inputs[0], y = step.outputs[0];
    if (step.relu) dy = Emit({.op = StepOp::kReluGrad, .inputs = {y, dy}, .outputs = {}}, y);
    switch (step.op) {
      case StepOp::kDense: {
        const auto& shape = std::get<DenseShape>(step.shape);
        Layer(step, dy, StepOp::kDenseGradInput, StepOp::kDenseGradWeights, {1, shape.out});
        return;
      }
      case StepOp::kConv2d: {
        const auto& shape = std::get<Conv2dShape>(step.shape);
        Layer(step, dy, StepOp::kConv2dGradInput, StepOp::kConv2dGradWeights,
              {shape.OutHeight() * shape.OutWidth(), shape.out_channels});
        return;
      }
      case StepOp::kRelu:
        Contribute(x, Emit({.op = StepOp::kReluGrad, .inputs = {y, dy}, .outputs = {}}, x));
        return;
      case StepOp::kMaxPool:
        Contribute(x, Emit({.op = StepOp::kMaxPoolGrad,
                            .inputs = {dy, step.outputs[1]},
                            .outputs = {},
                            .shape = step.shape},
                           x));
        return;
      case StepOp::kAdd:
        Contribute(x, dy);
        Contribute(step.inputs[1], dy);
        return;
      default:
        LINNET_CHECK_MSG(false, "step ", static_cast<int>(step.op), " has no gradient");
    }
  }

  // dx comes first: afterwards the parameters are read no more, and may be updated in place.
  void Layer(const Step& step, uint32_t dy, StepOp grad_input, StepOp grad_weights,
             RowsShape rows) {
    const uint32_t x = step.inputs[0], weights = step.inputs[1], bias = step.inputs[2];
    if (needs_[x]) {
      Contribute(
          x,
          Emit({.op = grad_input, .inputs = {weights, dy}, .outputs = {}, .shape = step.shape}, x));
    }
    EmitParameter({.op = grad_weights, .inputs = {x, dy}, .outputs = {}, .shape = step.shape},
                  weights);
    EmitParameter({.op = StepOp::kBiasGrad, .inputs = {dy}, .outputs = {}, .shape = rows}, bias);
  }

  Program& program_;
  std::vector<bool> needs_;                        // depends on a parameter; of the forward values
  std::vector<std::optional<uint32_t>> gradient_;  // so far; of the forward values
  const size_t forward_steps_;
};

}  // namespace

void AppendGradient(Program& program) {
  if (program.values[program.logits].role == Role::kLogits) {
    program.values[program.logits].role = Role::kTemporary;
  }
  Differentiator(program).Run();
}

bool ParametersAreUsedOnce(const Program& program) {
  for (const Step& step : program.steps) {
    if (step.accumulate) return false;
  }
  return true;
}

}  // namespace linnet
