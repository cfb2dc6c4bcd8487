#include <algorithm>
#include <functional>

#include "model/ops.h"
#include "model/program.h"

namespace linnet {
namespace {

size_t Product(std::span<const uint32_t> shape) { return static_cast<size_t>(ElementCount(shape)); }

// The rows that `cols` elements each make of a value.
RowsShape RowsOf(const Shape& x, size_t cols) { return {.rows = Product(x) / cols, .cols = cols}; }

WindowShape WindowOf(const Shape& x, std::span<const uint32_t> at) {
  return {.batch = 0,
          .height = x[0],
          .width = x[1],
          .channels = x[2],
          .size_h = at[0],
          .size_w = at[1],
          .stride_h = at[2],
          .stride_w = at[3],
          .pad_top = at[4],
          .pad_left = at[5],
          .pad_bottom = at[6],
          .pad_right = at[7]};
}

Conv2dShape ConvOf(const Shape& x, const Shape& weights, std::span<const uint32_t> at) {
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

// The batch is an axis before those of x.
TransposeShape TransposeOf(const Shape& x, std::span<const uint32_t> permutation) {
  TransposeShape shape{.dims = {}, .permutation = {}, .rank = x.size() + 1};
  for (size_t i = 0; i < x.size(); ++i) {
    shape.dims[i + 1] = x[i];
    shape.permutation[i + 1] = permutation[i] + 1;
  }
  return shape;
}

// Elements behind `axis` of x, from which on they lie together.
size_t InnerCount(const Shape& x, size_t axis) { return Product(std::span(x).subspan(axis + 1)); }
size_t OuterCount(const Shape& x, size_t axis) { return Product(std::span(x).first(axis)); }

SliceShape SliceOf(const Shape& x, size_t axis, size_t begin, size_t end) {
  const size_t inner = InnerCount(x, axis);
  return {.rows = OuterCount(x, axis),
          .stride = x[axis] * inner,
          .offset = begin * inner,
          .width = (end - begin) * inner};
}

// Turns the nodes of a graph into steps, one node at a time.
class Lowering {
 public:
  Lowering(const Graph& graph, Mode mode, std::vector<Shape> shapes)
      : graph_(graph), training_(mode == Mode::kTraining), shapes_(std::move(shapes)) {
    value_of_ = {program_.AddValue({.role = Role::kInput, .count = graph.InputCount()})};
    first_param_ = static_cast<uint32_t>(program_.values.size());
    for (const ParamInfo& param : graph.params) {
      program_.AddValue({.role = Role::kParameter,
                         .count = param.count,
                         .offset = param.offset,
                         .per_example = false,
                         .trained = param.role == ParamRole::kWeight && !param.frozen});
    }
  }

  Program Run(std::vector<uint32_t>* value_of) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      node_ = i;
      value_of_.push_back(NodeOutput(node));
    }
    if (value_of != nullptr) *value_of = value_of_;
    program_.logits = value_of_.back();
    program_.output_cols = shapes_.back().back();
    Value& logits = program_.values[program_.logits];
    if (logits.role == Role::kTemporary) logits.role = Role::kLogits;
    return std::move(program_);
  }

 private:
  const Shape& In(size_t i = 0) const { return shapes_[graph_.nodes[node_].inputs[i]]; }
  const Shape& Out() const { return shapes_[node_ + 1]; }
  const Shape& ParamShape(size_t i) const {
    return graph_.params[graph_.nodes[node_].params[i]].shape;
  }
  uint32_t Param(size_t i) const { return first_param_ + graph_.nodes[node_].params[i]; }

  uint32_t Emit(Step step, uint64_t count) {
    step.outputs.insert(step.outputs.begin(), program_.AddValue({.count = count}));
    program_.steps.push_back(std::move(step));
    return program_.steps.back().outputs[0];
  }

  // The node as one step of its inputs and parameters.
  template <typename StepShape>
  uint32_t One(StepOp op, StepShape shape, std::vector<Value> kept = {}) {
    Step step{.op = op, .inputs = {}, .outputs = {}, .shape = shape};
    for (const uint32_t input : graph_.nodes[node_].inputs) step.inputs.push_back(value_of_[input]);
    for (const uint32_t param : graph_.nodes[node_].params)
      step.inputs.push_back(first_param_ + param);
    for (const Value& value : kept) step.outputs.push_back(program_.AddValue(value));
    return Emit(std::move(step), ElementCount(Out()));
  }

  // What the gradient needs of the forward pass, beside its output.
  std::vector<Value> Kept(std::vector<Value> values) const {
    return training_ ? std::move(values) : std::vector<Value>{};
  }

  uint32_t NodeOutput(const Node& node) {
    const std::span<const uint32_t> at(node.attributes);
    const uint32_t x = value_of_[node.inputs[0]];
    switch (node.op) {
      case Op::kDense:
        return One(StepOp::kDense, DenseShape{.rows = 1, .in = Product(In()), .out = Out()[0]});
      case Op::kLinear:
        return One(StepOp::kDense, DenseShape{.rows = Product(In()) / In().back(),
                                              .in = In().back(),
                                              .out = Out().back()});
      case Op::kConv2d:
        return One(StepOp::kConv2d, ConvOf(In(), ParamShape(0), at));
      case Op::kMatmul:
        return One(StepOp::kMatmul, MatmulOf(at));
      case Op::kRelu:
        return One(StepOp::kRelu, std::monostate{});
      case Op::kGelu:
        return One(StepOp::kActivation, ActivationShape{.op = node.op, .by_tanh = at[0] != 0});
      case Op::kSilu:
      case Op::kSigmoid:
      case Op::kTanh:
        return One(StepOp::kActivation, ActivationShape{.op = node.op});
      case Op::kLeakyRelu:
        return One(StepOp::kActivation, ActivationShape{.op = node.op, .a = FloatAttribute(at[0])});
      case Op::kClip:
        return One(
            StepOp::kActivation,
            ActivationShape{.op = node.op, .a = FloatAttribute(at[0]), .b = FloatAttribute(at[1])});
      case Op::kAdd:
        return One(StepOp::kAdd, std::monostate{});
      case Op::kSub:
        return One(StepOp::kSub, std::monostate{});
      case Op::kMul:
        return One(StepOp::kMul, std::monostate{});
      case Op::kScale:
        return One(StepOp::kScale, FactorShape{.factor = FloatAttribute(at[0])});
      case Op::kAddParam:
        return One(StepOp::kAddRows, RowsOf(In(), Product(ParamShape(0))));
      case Op::kMulParam:
        return One(StepOp::kMulRows, RowsOf(In(), Product(ParamShape(0))));
      case Op::kDropout:
        return training_ ? One(StepOp::kDropout, DropoutOf(at)) : x;
      case Op::kBatchNorm:
        return training_ ? TrainingBatchNorm(at) : InferenceBatchNorm(at);
      case Op::kLayerNorm:
      case Op::kGroupNorm:
        return StatisticsNorm(node.op, at);
      case Op::kSoftmax:
        return One(StepOp::kSoftmax, RowsOf(In(), In().back()));
      case Op::kMaxPool:
        return One(StepOp::kMaxPool, WindowOf(In(), at),
                   Kept({{.count = ElementCount(Out()), .element_bytes = 1}}));
      case Op::kAvgPool:
        return One(StepOp::kAvgPool,
                   AveragePoolShape{.window = WindowOf(In(), at), .count_include_pad = at[8] != 0});
      case Op::kGlobalAvgPool:
        return One(StepOp::kReduce,
                   ReduceShape{.outer = 1,
                               .axis = size_t{In()[0]} * In()[1],
                               .inner = In()[2],
                               .factor = 1.0f / (float(In()[0]) * float(In()[1]))});
      case Op::kPad:
        return One(StepOp::kPad, PadShape{.height = In()[0],
                                          .width = In()[1],
                                          .channels = In()[2],
                                          .top = at[0],
                                          .left = at[1],
                                          .bottom = at[2],
                                          .right = at[3]});
      case Op::kReduceMean:
      case Op::kReduceSum:
        return One(StepOp::kReduce, ReduceOf(node.op, at[0]));
      case Op::kFlatten:
      case Op::kReshape:
        return x;
      case Op::kTranspose:
        return One(StepOp::kTranspose, TransposeOf(In(), at));
      case Op::kConcat:
        return One(StepOp::kConcat, SliceOf(Out(), at[0], 0, 0));
      case Op::kSlice:
        return One(StepOp::kSlice, SliceOf(In(), at[0], at[1], at[2]));
      case Op::kEmbedding:
        return One(StepOp::kEmbedding, EmbeddingShape{.rows = Product(In()),
                                                      .vocabulary = ParamShape(0)[0],
                                                      .dim = ParamShape(0)[1]});
      case Op::kGru:
        return Gru(at);
      case Op::kAttention:
        return Attention(at);
    }
    LINNET_CHECK_MSG(false, "operator ", static_cast<int>(node.op), " has no step");
  }

  MatmulShape MatmulOf(std::span<const uint32_t> at) const {
    const size_t rank = Out().size(), m = Out()[rank - 2], n = Out()[rank - 1];
    return {.count = OuterCount(Out(), rank - 2),
            .m = m,
            .n = n,
            .k = In()[rank - (at[0] != 0 ? 2 : 1)],
            .trans_a = at[0] != 0,
            .trans_b = at[1] != 0};
  }

  ReduceShape ReduceOf(Op op, size_t axis) const {
    const size_t length = In()[axis];
    return {.outer = OuterCount(In(), axis),
            .axis = length,
            .inner = InnerCount(In(), axis),
            .factor = op == Op::kReduceMean ? 1.0f / static_cast<float>(length) : 1.0f};
  }

  // Weyl's sequence: nodes have different keys in every step.
  DropoutShape DropoutOf(std::span<const uint32_t> at) const {
    return {.rate = FloatAttribute(at[0]), .key = (node_ + 1) * 0x9e3779b97f4a7c15u};
  }

  NormShape NormOf(const Shape& x, float epsilon) const {
    return {.rows = Product(x) / x.back(),
            .cols = x.back(),
            .groups = 1,
            .epsilon = epsilon,
            .momentum = 0};
  }

  uint32_t StatisticsNorm(Op op, std::span<const uint32_t> at) {
    const bool grouped = op == Op::kGroupNorm;
    NormShape shape = NormOf(In(), FloatAttribute(at[grouped ? 1 : 0]));
    if (grouped) shape.groups = at[0];
    const Value statistics{.count = grouped ? shape.groups : shape.rows};
    return One(grouped ? StepOp::kGroupNorm : StepOp::kLayerNorm, shape,
               Kept({statistics, statistics}));
  }

  uint32_t TrainingBatchNorm(std::span<const uint32_t> at) {
    NormShape shape = NormOf(In(), FloatAttribute(at[0]));
    shape.momentum = FloatAttribute(at[1]);
    const Value statistics{.count = shape.cols, .per_example = false};
    const uint32_t mean = program_.AddValue(statistics), variance = program_.AddValue(statistics);
    const uint32_t y =
        Emit({.op = StepOp::kBatchNorm,
              .inputs = {value_of_[graph_.nodes[node_].inputs[0]], Param(0), Param(1)},
              .outputs = {mean, variance},
              .shape = shape},
             ElementCount(Out()));
    program_.steps.push_back({.op = StepOp::kBatchNormUpdate,
                              .inputs = {mean, variance, Param(2), Param(3)},
                              .outputs = {},
                              .shape = shape});
    return y;
  }

  uint32_t InferenceBatchNorm(std::span<const uint32_t> at) {
    const NormShape shape = NormOf(In(), FloatAttribute(at[0]));
    const Value channels{.count = shape.cols, .per_example = false};
    const uint32_t multiplier = program_.AddValue(channels), offset = program_.AddValue(channels);
    program_.steps.push_back({.op = StepOp::kBatchNormFold,
                              .inputs = {Param(0), Param(1), Param(2), Param(3)},
                              .outputs = {multiplier, offset},
                              .shape = shape});
    return Emit({.op = StepOp::kAffineRows,
                 .inputs = {value_of_[graph_.nodes[node_].inputs[0]], multiplier, offset},
                 .outputs = {},
                 .shape = RowsShape{.rows = shape.rows, .cols = shape.cols}},
                ElementCount(Out()));
  }

  // x's product for all positions at once, the recurrence, and where only the last state is wanted,
  // that one.
  uint32_t Gru(std::span<const uint32_t> at) {
    const size_t steps = In()[0], hidden = ParamShape(1)[0];
    const bool whole = at[0] != 0, reset_after = at[1] != 0, reverse = at[2] != 0;
    const uint64_t gates = uint64_t{3} * steps * hidden;
    const uint32_t product =
        Emit({.op = StepOp::kDense,
              .inputs = {value_of_[graph_.nodes[node_].inputs[0]], Param(0), Param(2)},
              .outputs = {},
              .shape = DenseShape{.rows = steps, .in = In()[1], .out = 3 * hidden}},
             gates);
    const uint64_t kept = reset_after ? gates : uint64_t{steps} * hidden;
    const uint32_t states = Emit(
        {.op = StepOp::kGru,
         .inputs = {product, Param(1), Param(3)},
         .outputs = {program_.AddValue({.count = gates}), program_.AddValue({.count = kept})},
         .shape =
             GruShape{
                 .steps = steps, .hidden = hidden, .reset_after = reset_after, .reverse = reverse}},
        uint64_t{steps} * hidden);
    if (whole) return states;
    const size_t last = reverse ? 0 : steps - 1;
    return Emit(
        {.op = StepOp::kSlice,
         .inputs = {states},
         .outputs = {},
         .shape =
             SliceShape{
                 .rows = 1, .stride = steps * hidden, .offset = last * hidden, .width = hidden}},
        hidden);
  }

  uint32_t Attention(std::span<const uint32_t> at) {
    const size_t tokens = In()[0], heads = at[0];
    return One(StepOp::kAttention,
               AttentionShape{.batch = 0,
                              .tokens = tokens,
                              .heads = heads,
                              .head_size = In()[1] / 3 / heads,
                              .causal = at[1] != 0},
               Kept({{.count = heads * tokens}}));
  }

  const Graph& graph_;
  const bool training_;
  const std::vector<Shape> shapes_;
  Program program_;
  std::vector<uint32_t> value_of_;  // of the graph's values
  uint32_t first_param_ = 0;
  size_t node_ = 0;
};

}  // namespace

Program Lower(const Graph& graph, Mode mode, std::vector<uint32_t>* value_of) {
  Result<std::vector<Shape>> shapes = InferShapes(graph);
  LINNET_CHECK_MSG(shapes.has_value(), shapes.error().message);
  return Lowering(graph, mode, std::move(*shapes)).Run(value_of);
}

uint64_t Flops(const Program& program) {
  uint64_t flops = 0;
  for (const Step& step : program.steps) {
    if (step.op == StepOp::kPackDense || step.op == StepOp::kPackConv2d) continue;
    if (const auto* dense = std::get_if<DenseShape>(&step.shape)) {
      flops += uint64_t{2} * dense->rows * dense->in * dense->out;
    } else if (const auto* conv = std::get_if<Conv2dShape>(&step.shape)) {
      flops += uint64_t{2} * conv->OutHeight() * conv->OutWidth() * conv->WindowSize() *
               conv->out_channels;
    } else if (const auto* product = std::get_if<MatmulShape>(&step.shape)) {
      flops += uint64_t{2} * product->count * product->m * product->n * product->k;
    } else if (const auto* gru = std::get_if<GruShape>(&step.shape)) {
      flops += uint64_t{2} * gru->steps * gru->hidden * gru->hidden * 3;
    } else if (const auto* s = std::get_if<AttentionShape>(&step.shape)) {
      // The gradient makes the scores again, and four products more.
      const uint64_t products = step.op == StepOp::kAttention ? 2 : 5;
      flops += products * 2 * s->tokens * s->tokens * s->heads * s->head_size;
    }
  }
  return flops;
}

}  // namespace linnet
