// What inference does once for each set of parameters: normalizations become part of the layers
// before them, and weights are packed for the products.
#include <algorithm>

#include "model/program.h"

namespace linnet {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
// Weights are held a second time up to here (256 MiB in all); what is larger is read as it lies.
constexpr uint64_t kMaxPreparedFloats = uint64_t{1} << 26;

bool HasWeights(const Step& step) {
  return step.op == StepOp::kDense || step.op == StepOp::kConv2d;
}

size_t OutChannels(const Step& step) {
  const auto* conv = std::get_if<Conv2dShape>(&step.shape);
  return conv != nullptr ? conv->out_channels : std::get<DenseShape>(step.shape).out;
}

// The steps to come behind those that are prepared already.
class Preparation {
 public:
  explicit Preparation(Program& program) : program_(program) {}
  // Of a value that takes `floats` more; false, and nothing happens, where they are too many.
  bool Reserve(uint64_t floats) {
    if (floats > kMaxPreparedFloats - floats_) return false;
    floats_ += floats;
    return true;
  }
  // Appends a step with one output of `count` elements, and returns the output.
  uint32_t Emit(Step step, uint64_t count) {
    const uint32_t output = program_.AddValue({.count = count, .per_example = false});
    step.outputs = {output};
    steps_.push_back(std::move(step));
    return output;
  }
  void Finish() {
    const auto at = program_.steps.begin() + static_cast<std::ptrdiff_t>(program_.prepared_steps);
    program_.steps.insert(at, std::make_move_iterator(steps_.begin()),
                          std::make_move_iterator(steps_.end()));
    program_.prepared_steps += steps_.size();
  }

 private:
  Program& program_;
  std::vector<Step> steps_;
  uint64_t floats_ = 0;
};

}  // namespace

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

// (x W + b) m + o = x (W m) + (b m + o), with m and o of each output channel.
void FoldNormalizations(Program& program) {
  std::vector<uint32_t> uses(program.values.size()), maker(program.values.size(), kNone);
  for (const Step& step : program.steps) {
    for (const uint32_t input : step.inputs) ++uses[input];
  }
  ++uses[program.logits];
  Preparation preparation(program);
  std::vector<Step> kept;
  for (Step& step : program.steps) {
    const uint32_t before = step.op == StepOp::kAffineRows ? maker[step.inputs[0]] : kNone;
    if (before != kNone && uses[step.inputs[0]] == 1) {
      Step& layer = kept[before];
      const size_t channels = std::get<RowsShape>(step.shape).cols;
      const auto weights = static_cast<size_t>(program.values[layer.inputs[1]].count);
      if (!layer.relu && OutChannels(layer) == channels && preparation.Reserve(weights)) {
        const uint32_t multiplier = step.inputs[1], offset = step.inputs[2];
        const RowsShape shape{.rows = weights / channels, .cols = channels};
        layer.inputs[1] = preparation.Emit({.op = StepOp::kMulRows,
                                            .inputs = {layer.inputs[1], multiplier},
                                            .outputs = {},
                                            .shape = shape},
                                           weights);
        if (layer.inputs.size() > 2) {
          layer.inputs[2] = preparation.Emit({.op = StepOp::kAffineRows,
                                              .inputs = {layer.inputs[2], multiplier, offset},
                                              .outputs = {},
                                              .shape = RowsShape{.rows = 1, .cols = channels}},
                                             channels);
        } else {
          layer.inputs.push_back(offset);
        }
        layer.relu = step.relu;
        layer.outputs = step.outputs;
        maker[layer.outputs[0]] = before;
        continue;
      }
    }
    if (HasWeights(step)) maker[step.outputs[0]] = static_cast<uint32_t>(kept.size());
    kept.push_back(std::move(step));
  }
  program.steps = std::move(kept);
  preparation.Finish();
}

void PackWeights(Program& program) {
  Preparation preparation(program);
  for (Step& step : program.steps) {
    StepOp pack = StepOp::kPackDense;
    uint64_t floats = 0;
    if (step.op == StepOp::kDense) {
      const auto& shape = std::get<DenseShape>(step.shape);
      floats = GemmPackedSize(shape.in, shape.out);
    } else if (step.op == StepOp::kConv2d) {
      const auto& shape = std::get<Conv2dShape>(step.shape);
      if (shape.IsDepthwise()) continue;  // its weights are read as they lie
      pack = StepOp::kPackConv2d;
      floats = Conv2dPackedSize(shape);
    } else {
      continue;
    }
    if (!preparation.Reserve(floats)) continue;
    step.inputs[1] = preparation.Emit(
        {.op = pack, .inputs = {step.inputs[1]}, .outputs = {}, .shape = step.shape}, floats);
    step.packed = true;
  }
  preparation.Finish();
}

Program InferenceProgram(const Graph& graph) {
  Program program = Lower(graph, Mode::kInference);
  FuseRelu(program);
  HoistPreparation(program);
  FoldNormalizations(program);
  PackWeights(program);
  return program;
}

}  // namespace linnet
