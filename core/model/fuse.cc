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

void HoistPreparation(Program& program) {
  std::vector<bool> prepared(program.values.size());
  for (size_t i = 0; i < prepared.size(); ++i) {
    prepared[i] = program.values[i].role == Role::kParameter;
  }
  std::vector<Step> first, rest;
  for (Step& step : program.steps) {
    const bool early = std::ranges::all_of(step.inputs, [&](uint32_t v) { return prepared[v]; });
    if (early) {
      for (const uint32_t output : step.outputs) prepared[output] = true;
    }
    (early ? first : rest).push_back(std::move(step));
  }
  program.prepared_steps = first.size();
  std::ranges::move(rest, std::back_inserter(first));
  program.steps = std::move(first);
}

Program TrainingProgram(const Graph& graph) {
  Program program = Lower(graph, Mode::kTraining);
  FuseRelu(program);
  AppendGradient(program, graph.loss);
  return program;
}

Program InferenceProgram(const Graph& graph) {
  Program program = Lower(graph, Mode::kInference);
  FuseRelu(program);
  HoistPreparation(program);
  return program;
}

}  // namespace linnet
