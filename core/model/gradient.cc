// Reverse-mode differentiation of a program.
//
// Griewank and Walther, "Evaluating Derivatives", 2nd edition, section 3.2: the steps are visited
// from the last to the first; each adds to the gradients of its inputs what its own output's
// gradient says.
#include "base/result.h"
#include "model/steps.h"

namespace linnet {

Differentiator::Differentiator(Program& program)
    : program_(program),
      needs_(program.values.size()),
      relu_taken_(program.values.size()),
      gradient_(program.values.size()),
      forward_steps_(program.steps.size()) {
  for (size_t i = 0; i < needs_.size(); ++i) needs_[i] = program.values[i].trained;
  for (const Step& step : program.steps) {
    for (const uint32_t input : step.inputs) {
      if (needs_[input] && !step.outputs.empty()) needs_[step.outputs[0]] = true;
    }
  }
}

void Differentiator::Run(Loss loss) {
  const uint64_t outputs = program_.values[program_.logits].count;
  const bool mse = loss == Loss::kMse;
  const size_t cols = mse ? size_t{1} : program_.output_cols;
  const size_t rows = static_cast<size_t>(outputs) / cols;
  const uint32_t labels = AddValue({.role = Role::kLabels, .count = rows});
  const uint32_t dlogits = Emit({.op = mse ? StepOp::kSquaredError : StepOp::kCrossEntropy,
                                 .inputs = {program_.logits, labels},
                                 .outputs = {},
                                 .shape = RowsShape{.rows = rows, .cols = cols}},
                                program_.logits);
  gradient_[program_.logits] = dlogits;
  for (size_t i = forward_steps_; i-- > 0;) {
    // A copy: the list grows while the gradient's steps are appended.
    const Step step = program_.steps[i];
    if (step.outputs.empty()) continue;
    const uint32_t y = step.outputs[0];
    if (!needs_[y] || !gradient_[y]) continue;
    uint32_t dy = *gradient_[y];
    if (step.relu && !relu_taken_[y])
      dy = Emit({.op = StepOp::kReluGrad, .inputs = {y, dy}, .outputs = {}}, y);
    const StepTraits& traits = TraitsOf(step.op);
    LINNET_CHECK_MSG(traits.gradient != nullptr, "step ", static_cast<int>(step.op),
                     " has no gradient");
    traits.gradient(*this, step, dy);
  }
}

uint32_t Differentiator::Emit(Step step, uint32_t like) {
  const Value& value = program_.values[like];
  step.outputs = {AddValue({.count = value.count, .per_example = value.per_example})};
  program_.steps.push_back(std::move(step));
  return program_.steps.back().outputs[0];
}

bool Differentiator::TakeOverRelu(uint32_t value) {
  size_t uses = value == program_.logits;
  bool relu = false;
  for (const Step& step : std::span(program_.steps).first(forward_steps_)) {
    uses += static_cast<size_t>(std::ranges::count(step.inputs, value));
    relu = relu || (step.relu && step.outputs[0] == value);
  }
  return relu_taken_[value] = relu && uses == 1;
}

void Differentiator::Contribute(uint32_t value, uint32_t part) {
  if (!needs_[value]) return;
  if (gradient_[value]) {
    part = Emit({.op = StepOp::kAdd, .inputs = {*gradient_[value], part}, .outputs = {}}, value);
  }
  gradient_[value] = part;
}

void Differentiator::EmitFor(uint32_t value, Step step) {
  if (needs_[value]) Contribute(value, Emit(std::move(step), value));
}

void Differentiator::EmitParameter(uint32_t parameter, Step step) {
  if (!needs_[parameter]) return;
  step.accumulate = gradient_[parameter].has_value();
  if (!step.accumulate) {
    const Value value = program_.values[parameter];
    gradient_[parameter] = AddValue({.role = Role::kGradient,
                                     .count = value.count,
                                     .offset = value.offset,
                                     .per_example = false});
  }
  step.outputs = {*gradient_[parameter]};
  program_.steps.push_back(std::move(step));
}

void AppendGradient(Program& program, Loss loss) {
  if (program.values[program.logits].role == Role::kLogits) {
    program.values[program.logits].role = Role::kTemporary;
  }
  Differentiator(program).Run(loss);
}

bool ParametersAreUsedOnce(const Program& program) {
  return std::ranges::none_of(program.steps, &Step::accumulate);
}

}  // namespace linnet
