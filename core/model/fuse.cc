#include <algorithm>

#include "model/program.h"

namespace linnet {

void FuseRelu(Program& program) {
  constexpr uint32_t kNone = ~uint32_t{0};
  std::vector<uint32_t> uses(program.values.size()), maker(program.values.size(), kNone);
  for (const Step& step : program.steps) {
    for (const uint32_t input : step.inputs) ++uses[input];
  }
  ++uses[program.logits];
  std::vector<Step> kept;
  for (Step& step : program.steps) {
    if (step.op == StepOp::kRelu) {
      const uint32_t x = step.inputs[0];
      if (maker[x] != kNone && uses[x] == 1 && !kept[maker[x]].relu) {
        kept[maker[x]].relu = true;
        kept[maker[x]].outputs = step.outputs;
        continue;
      }
    }
    if (step.op == StepOp::kDense || step.op == StepOp::kConv2d || step.op == StepOp::kAffineRows) {
      maker[step.outputs[0]] = static_cast<uint32_t>(kept.size());
    }
    kept.push_back(std::move(step));
  }
  program.steps = std::move(kept);
}

Program TrainingProgram(const Graph& graph) {
  Program program = Lower(graph, Mode::kTraining);
  FuseRelu(program);
  AppendGradient(program, graph.loss);
  return program;
}

}  // namespace linnet
