// Quantization-aware training: activations as their codes keep them, in the program of a training
// step. Jacob et al. (2018), section 3; straight through: Bengio et al. (2013).
#include <algorithm>
#include <unordered_map>

#include "model/quantize_parts.h"
#include "model/steps_families.h"

namespace linnet {
namespace {

// Values that 8 bits hold and that a layer makes: not those that hand on the codes of another, not
// what a rectifier takes over, and not the output where it is a layer's sums.
std::vector<uint32_t> RoundedValues(const Graph& graph) {
  const std::vector<uint32_t> stands = RectifiedValues(graph);
  const auto last = static_cast<uint32_t>(graph.nodes.size());
  std::vector<uint32_t> values = {0};
  for (uint32_t value = 1; value <= last; ++value) {
    const Op op = graph.nodes[value - 1].op;
    if (stands[value] == value && !KeepsCodes(op)) values.push_back(value);
  }
  for (uint32_t i = 0; i < last; ++i) {
    const Op op = graph.nodes[i].op;
    const bool product = op == Op::kDense || op == Op::kLinear || op == Op::kConv2d;
    if (product && stands[i + 1] == last) std::erase(values, last);
  }
  return values;
}

}  // namespace

Program QuantizedTrainingProgram(const Graph& graph) {
  std::vector<uint32_t> value_of;
  Program program = Lower(graph, Mode::kTraining, &value_of);
  FuseRelu(program);
  std::unordered_map<uint32_t, uint32_t> code_of, rounded;  // of the program's values
  for (const uint32_t value : RoundedValues(graph)) code_of[value_of[value]] = value;
  std::vector<Step> steps;
  const auto round = [&](uint32_t x) {
    const auto code = code_of.find(x);
    if (code == code_of.end()) return;
    const Value& value = program.values[x];
    rounded[x] = program.AddValue({.count = value.count, .per_example = value.per_example});
    steps.push_back({.op = StepOp::kFakeQuantize,
                     .inputs = {x},
                     .outputs = {rounded[x]},
                     .shape = CodeShape{code->second}});
  };
  round(value_of[0]);
  for (Step& step : program.steps) {
    for (uint32_t& input : step.inputs) {
      if (const auto found = rounded.find(input); found != rounded.end()) input = found->second;
    }
    steps.push_back(std::move(step));
    if (!steps.back().outputs.empty()) round(steps.back().outputs[0]);
  }
  program.steps = std::move(steps);
  if (const auto found = rounded.find(program.logits); found != rounded.end()) {
    program.values[program.logits].role = Role::kTemporary;
    program.logits = found->second;
  }
  AppendGradient(program, graph.loss);
  return program;
}

void RunFakeQuantize(const StepRun& r) {
  const ActivationCode code = r.run.codes[r.ShapeAs<CodeShape>().value];
  const auto zero = static_cast<float>(code.zero_point);
  r.ForElements([&](size_t begin, size_t count) {
    constexpr size_t kPiece = 1024;
    uint8_t codes[kPiece];
    for (size_t at = begin; at < begin + count; at += kPiece) {
      const size_t n = std::min(kPiece, begin + count - at);
      r.k.int8.quantize(r.In(0) + at, 1 / code.scale, {.offset = zero}, codes, n);
      r.k.from_u8(codes, code.scale, -zero * code.scale, r.Out() + at, n);
    }
  });
}

void RunFakeQuantizeGrad(const StepRun& r) {
  const ActivationCode code = r.run.codes[r.ShapeAs<CodeShape>().value];
  const float low = -static_cast<float>(code.zero_point) * code.scale;
  const float high = low + kMaxInt8Activation * code.scale;
  r.ForElements([&](size_t at, size_t n) {
    r.k.activation.clip_grad(low, high, r.In(0) + at, r.In(1) + at, r.Out() + at, n);
  });
}

void FakeQuantizeGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.EmitFor(step.inputs[0], {.op = StepOp::kFakeQuantizeGrad,
                             .inputs = {step.inputs[0], dy},
                             .outputs = {},
                             .shape = step.shape});
}

}  // namespace linnet
