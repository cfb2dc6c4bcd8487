#include <algorithm>

#include "model/ops.h"
#include "model/program.h"

namespace linnet {
namespace {

Conv2dShape ConvShapeOf(const Shape& x, const Shape& weights, const Node& node) {
  const std::vector<uint32_t>& at = node.attributes;
  return {.batch = 0,
          .height = x[0],
          .width = x[1],
          .in_channels = x[2],
          .kernel_h = weights[0],
          .kernel_w = weights[1],
          .out_channels = weights[3],
          .stride_h = at[0],
          .stride_w = at[1],
          .pad_top = at[2],
          .pad_left = at[3],
          .pad_bottom = at[4],
          .pad_right = at[5],
          .dilation_h = at[6],
          .dilation_w = at[7],
          .groups = at[8]};
}

bool AllEqual(std::span<const uint32_t> values) {
  return std::ranges::adjacent_find(values, std::not_equal_to{}) == values.end();
}

bool IsLowered(const Node& node) {
  const std::span at(node.attributes);
  switch (node.op) {
    case Op::kDense:
    case Op::kRelu:
    case Op::kFlatten:
    case Op::kAdd:
    case Op::kConv2d:
      break;
    case Op::kMaxPool:
      return AllEqual(at.first(4)) && AllEqual(at.subspan(4)) && at[4] == 0;
    default:
      return false;
  }
  return true;
}

}  // namespace

Status CheckLowered(const Graph& graph) {
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (IsLowered(graph.nodes[i])) continue;
    return Fail(Code::kUnsupported, NodeText(graph, i),
                ": plans do not compute it with these attributes");
  }
  if (graph.loss != Loss::kCrossEntropy || shapes.back().size() != 1) {
    return Fail(Code::kUnsupported, "plans do not compute this loss of ", ShapeText(shapes.back()));
  }
  return {};
}

Program Lower(const Graph& graph) {
  const Result<std::vector<Shape>> inferred = InferShapes(graph);
  LINNET_CHECK_MSG(inferred.has_value(), inferred.error().message);
  const std::vector<Shape>& shapes = *inferred;

  Program program;
  const auto add_value = [&](Value value) {
    program.values.push_back(value);
    return static_cast<uint32_t>(program.values.size() - 1);
  };
  std::vector<uint32_t> value_of = {add_value({.role = Role::kInput, .count = graph.InputCount()})};
  const uint32_t first_param = static_cast<uint32_t>(program.values.size());
  for (const ParamInfo& param : graph.params) {
    add_value({.role = Role::kParameter, .count = param.count, .offset = param.offset});
  }

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == Op::kFlatten) {
      value_of.push_back(value_of[node.inputs[0]]);
      continue;
    }
    const Shape& x = shapes[node.inputs[0]];
    Step step{};
    for (const uint32_t input : node.inputs) step.inputs.push_back(value_of[input]);
    for (const uint32_t param : node.params) step.inputs.push_back(first_param + param);
    value_of.push_back(add_value({.count = ElementCount(shapes[i + 1])}));
    step.outputs.push_back(value_of.back());
    switch (node.op) {
      case Op::kDense:
        step.op = StepOp::kDense;
        step.shape =
            DenseShape{.in = static_cast<size_t>(ElementCount(x)), .out = shapes[i + 1][0]};
        break;
      case Op::kConv2d:
        step.op = StepOp::kConv2d;
        step.shape = ConvShapeOf(x, graph.params[node.params[0]].shape, node);
        break;
      case Op::kMaxPool:
        step.op = StepOp::kMaxPool;
        step.shape = PoolShape{.batch = 0,
                               .height = x[0],
                               .width = x[1],
                               .channels = x[2],
                               .size = node.attributes[0]};
        step.outputs.push_back(
            add_value({.count = ElementCount(shapes[i + 1]), .element_bytes = 1}));
        break;
      case Op::kRelu:
        step.op = StepOp::kRelu;
        break;
      case Op::kAdd:
        step.op = StepOp::kAdd;
        break;
      default:
        break;
    }
    program.steps.push_back(std::move(step));
  }
  program.logits = value_of.back();
  if (program.values[program.logits].role == Role::kTemporary) {
    program.values[program.logits].role = Role::kLogits;
  }
  return program;
}

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
    if (step.op == StepOp::kDense || step.op == StepOp::kConv2d) {
      maker[step.outputs[0]] = static_cast<uint32_t>(kept.size());
    }
    kept.push_back(std::move(step));
  }
  program.steps = std::move(kept);
}

uint64_t Flops(const Program& program) {
  uint64_t flops = 0;
  for (const Step& step : program.steps) {
    if (step.op == StepOp::kBiasGrad) continue;
    if (const auto* dense = std::get_if<DenseShape>(&step.shape)) {
      flops += uint64_t{2} * dense->in * dense->out;
    } else if (const auto* conv = std::get_if<Conv2dShape>(&step.shape)) {
      flops += uint64_t{2} * conv->OutHeight() * conv->OutWidth() * conv->kernel_h *
               conv->kernel_w * conv->in_channels * conv->out_channels;
    }
  }
  return flops;
}

}  // namespace linnet
