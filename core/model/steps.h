// What each step of a program is: how it runs, the memory it needs, and its gradient.
//
// A new step is one row in steps.cc, and its functions in the file of its family.
#ifndef LINNET_MODEL_STEPS_H_
#define LINNET_MODEL_STEPS_H_

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "base/executor.h"
#include "model/plan.h"

namespace linnet {

// A step with its memory, at the moment it runs.
class StepRun {
 public:
  StepRun(const Plan& plan, const Kernels& kernels, PlanRun& run, size_t index)
      : k(kernels),
        run(run),
        step(plan.program.steps[index]),
        batch(run.batch),
        executor(run.executor),
        workspace(reinterpret_cast<float*>(run.areas[0] + plan.workspace[index])),
        plan_(plan) {}

  const Kernels& k;
  PlanRun& run;
  const Step& step;
  const size_t batch;
  Executor* const executor;  // null: this thread
  float* const workspace;    // 64-byte aligned

  const float* In(size_t i) const { return At<float>(step.inputs[i]); }
  float* Out(size_t i = 0) const { return At<float>(step.outputs[i]); }
  // The memory of a value, and of the parameters a step keeps up (kBatchNormUpdate).
  template <typename T>
  T* At(uint32_t value) const {
    const Slot& slot = plan_.slots[value];
    return reinterpret_cast<T*>(run.areas[static_cast<size_t>(slot.area)] + slot.offset);
  }
  // Elements of the value in this batch.
  size_t Count(uint32_t value) const {
    const Value& v = plan_.program.values[value];
    return v.count * (v.per_example ? batch : 1);
  }
  bool Accumulate() const { return step.accumulate || run.accumulate_gradients; }
  template <typename Shape>
  const Shape& ShapeAs() const {
    return std::get<Shape>(step.shape);
  }
  // The shape with the batch of this run.
  template <typename Shape>
  Shape Batched() const {
    Shape shape = std::get<Shape>(step.shape);
    shape.batch = batch;
    return shape;
  }

  // Calls body(begin, end) for the parts of [0, count), possibly on several workers: for work whose
  // result does not depend on where it is cut. A part has about 16384 elements of `cols` each.
  template <typename Body>
  void ForParts(size_t count, size_t cols, const Body& body) const {
    const size_t part = std::max<size_t>(1, 16384 / std::max<size_t>(1, cols));
    if (executor == nullptr || count <= part) return body(size_t{0}, count);
    const auto task = [&](size_t index, size_t) {
      body(index * part, std::min(count, (index + 1) * part));
    };
    executor->Run((count + part - 1) / part, std::ref(task));
  }
  // body(first element, elements) for the parts of the first output.
  template <typename Body>
  void ForElements(const Body& body) const {
    ForParts(Count(step.outputs[0]), 1,
             [&](size_t begin, size_t end) { body(begin, end - begin); });
  }
  // body(first element, rows, cols) for parts of the rows of a RowsShape.
  template <typename Body>
  void ForRows(const Body& body) const {
    const auto& s = ShapeAs<RowsShape>();
    ForParts(s.rows * batch, s.cols,
             [&](size_t begin, size_t end) { body(begin * s.cols, end - begin, s.cols); });
  }

 private:
  const Plan& plan_;
};

// Builds the gradient of a program, step by step from the last to the first.
class Differentiator {
 public:
  explicit Differentiator(Program& program);
  void Run(Loss loss);

  // Whether the value depends on a trained parameter, or is one.
  bool Needs(uint32_t value) const { return needs_[value]; }
  // Appends a step with one output, as large as `like`, and returns the output.
  uint32_t Emit(Step step, uint32_t like);
  uint32_t AddValue(Value value) { return program_.AddValue(value); }
  void Append(Step step) { program_.steps.push_back(std::move(step)); }
  const Value& ValueOf(uint32_t value) const { return program_.values[value]; }
  // Whether the value is the output of a step with a relu and has one use. If so, the gradient that
  // is contributed to it has to be zero where it is zero, and no relu's gradient is emitted.
  bool TakeOverRelu(uint32_t value);
  // Adds `part` to the gradient of a value that needs it; for others nothing happens.
  void Contribute(uint32_t value, uint32_t part);
  // Contribute(value, Emit(step, value)) where the value needs a gradient.
  void EmitFor(uint32_t value, Step step);
  // Appends a step that writes the gradient of a parameter, or adds to it when it is not the first;
  // nothing when the parameter is not trained.
  void EmitParameter(uint32_t parameter, Step step);

 private:
  Program& program_;
  std::vector<bool> needs_;                        // of the forward values
  std::vector<bool> relu_taken_;                   // of the forward values
  std::vector<std::optional<uint32_t>> gradient_;  // so far; of the forward values
  const size_t forward_steps_;
};

// An output of a step that may take the memory of an input that ends there.
struct InPlace {
  uint8_t output, input;
};

struct StepTraits {
  StepOp op;
  void (*run)(const StepRun& run);
  // Appends the gradient's steps for dy, the gradient of outputs[0]; null: there is none.
  void (*gradient)(Differentiator& d, const Step& step, uint32_t dy) = nullptr;
  // Floats of workspace for a batch; null: none.
  uint64_t (*workspace)(const Step& step, size_t batch, size_t workers) = nullptr;
  std::span<const InPlace> in_place = {};
};

const StepTraits& TraitsOf(StepOp op);

}  // namespace linnet

#endif  // LINNET_MODEL_STEPS_H_
