#include "model/graph_builder.h"

#include <bit>
#include <cmath>

#include "base/random.h"

namespace linnet {
namespace {

using Kind = Initializer::Kind;

constexpr float kNormEpsilon = 1e-5f;
constexpr float kStatisticsMomentum = 0.1f;

// He, Zhang, Ren and Sun (2015), equation 10, in its uniform form.
Initializer ForRectifier(uint64_t fan_in) {
  return {Kind::kUniform, static_cast<float>(std::sqrt(6.0 / static_cast<double>(fan_in)))};
}

// Glorot and Bengio (2010), equation 16.
Initializer ForLinear(uint64_t fan_in, uint64_t fan_out) { return ForRectifier(fan_in + fan_out); }

// Inputs that one output of the weights depends on.
uint64_t FanIn(const ParamInfo& weights) { return weights.count / weights.shape.back(); }

void Draw(const Initializer& initializer, RandomStream random, std::span<float> out) {
  for (float& value : out) {
    switch (initializer.kind) {
      case Kind::kConstant:
        value = initializer.scale;
        break;
      case Kind::kUniform:
        value = (2.0f * random.Uniform() - 1.0f) * initializer.scale;
        break;
      case Kind::kNormal:
        value = static_cast<float>(random.Normal() * double(initializer.scale));
        break;
    }
  }
}

}  // namespace

GraphBuilder::GraphBuilder(std::string_view name, Shape input_shape, uint32_t classes)
    : shapes_{input_shape} {
  graph_.name = name;
  graph_.input_shape = std::move(input_shape);
  graph_.classes = classes;
}

GraphBuilder& GraphBuilder::Dense(uint32_t outputs) {
  const std::string layer = Numbered("dense");
  const uint32_t inputs = static_cast<uint32_t>(ElementCount(shape()));
  last_weights_ = AddParam(layer + ".weight", {inputs, outputs}, ForLinear(inputs, outputs));
  const uint32_t bias = AddParam(layer + ".bias", {outputs}, {});
  return Append(Op::kDense, {value()}, {last_weights_, bias});
}

GraphBuilder& GraphBuilder::Conv2d(const Conv& conv) {
  const std::string layer = Numbered("conv");
  const uint32_t channels = shape().size() == 3 ? shape()[2] / conv.groups : 1;
  const uint64_t window = uint64_t{conv.kernel} * conv.kernel;
  last_weights_ = AddParam(layer + ".weight", {conv.kernel, conv.kernel, channels, conv.outputs},
                           ForLinear(window * channels, window * conv.outputs / conv.groups));
  const uint32_t bias = AddParam(layer + ".bias", {conv.outputs}, {});
  return Append(
      Op::kConv2d, {value()}, {last_weights_, bias},
      {conv.stride, conv.stride, conv.pad, conv.pad, conv.pad, conv.pad, 1, 1, conv.groups});
}

GraphBuilder& GraphBuilder::BatchNorm() {
  const std::string layer = Numbered("norm");
  const Shape channels = {shape().back()};
  const Initializer zeros, ones{Kind::kConstant, 1};
  const uint32_t scale = AddParam(layer + ".scale", channels, ones);
  const uint32_t shift = AddParam(layer + ".shift", channels, zeros);
  const uint32_t mean = AddParam(layer + ".mean", channels, zeros, ParamRole::kBuffer);
  const uint32_t variance = AddParam(layer + ".variance", channels, ones, ParamRole::kBuffer);
  return Append(
      Op::kBatchNorm, {value()}, {scale, shift, mean, variance},
      {std::bit_cast<uint32_t>(kNormEpsilon), std::bit_cast<uint32_t>(kStatisticsMomentum)});
}

GraphBuilder& GraphBuilder::Relu() {
  if (last_weights_ < graph_.params.size()) {
    initializers_[last_weights_] = ForRectifier(FanIn(graph_.params[last_weights_]));
  }
  return Append(Op::kRelu, {value()});
}

GraphBuilder& GraphBuilder::MaxPool(uint32_t size) {
  return Append(Op::kMaxPool, {value()}, {}, {size, size, size, size, 0, 0, 0, 0});
}

GraphBuilder& GraphBuilder::Linear(std::string_view name, uint32_t outputs, Initializer weights) {
  const uint32_t w = AddParam(StrCat(name, ".weight"), {shape().back(), outputs}, weights);
  const uint32_t b = AddParam(StrCat(name, ".bias"), {outputs}, {});
  return Append(Op::kLinear, {value()}, {w, b});
}

GraphBuilder& GraphBuilder::LayerNorm(std::string_view name) {
  const Shape width = {shape().back()};
  const uint32_t scale = AddParam(StrCat(name, ".scale"), width, {Kind::kConstant, 1});
  const uint32_t shift = AddParam(StrCat(name, ".shift"), width, {});
  return Append(Op::kLayerNorm, {value()}, {scale, shift}, {std::bit_cast<uint32_t>(kNormEpsilon)});
}

GraphBuilder& GraphBuilder::Embedding(std::string_view name, uint32_t vocabulary, uint32_t width,
                                      Initializer table) {
  const uint32_t weights = AddParam(StrCat(name, ".table"), {vocabulary, width}, table);
  return Append(Op::kEmbedding, {value()}, {weights});
}

GraphBuilder& GraphBuilder::Gru(std::string_view name, uint32_t states) {
  const Initializer uniform{Kind::kUniform,
                            static_cast<float>(1 / std::sqrt(static_cast<double>(states)))};
  const uint32_t gates = 3 * states;
  const uint32_t w_input = AddParam(StrCat(name, ".w_input"), {shape().back(), gates}, uniform);
  const uint32_t w_hidden = AddParam(StrCat(name, ".w_hidden"), {states, gates}, uniform);
  const uint32_t b_input = AddParam(StrCat(name, ".b_input"), {gates}, {});
  const uint32_t b_hidden = AddParam(StrCat(name, ".b_hidden"), {gates}, {});
  return Append(Op::kGru, {value()}, {w_input, w_hidden, b_input, b_hidden}, {1, 1, 0});
}

GraphBuilder& GraphBuilder::AddPositions(std::string_view name, Initializer positions) {
  const uint32_t p = AddParam(std::string(name), shape(), positions);
  return Append(Op::kAddParam, {value()}, {p});
}

GraphBuilder& GraphBuilder::Add(Op op, std::vector<uint32_t> attributes) {
  return Append(op, {value()}, {}, std::move(attributes));
}

GraphBuilder& GraphBuilder::AddResidual(uint32_t earlier) {
  return Append(Op::kAdd, {earlier, value()});
}

void GraphBuilder::SetLoss(Loss loss, uint32_t classes) {
  graph_.loss = loss;
  graph_.classes = classes;
}

Result<Model> GraphBuilder::Build(const Seed& seed) {
  LINNET_TRY_STATUS(status_);
  LINNET_TRY_STATUS(ValidateGraph(graph_));
  Model model{.graph = std::move(graph_), .parameters = {}};
  model.parameters.resize(model.graph.ParamCount());
  const Seed weights_seed = DeriveSeed(seed, "weights");
  for (size_t i = 0; i < initializers_.size(); ++i) {
    const ParamInfo& param = model.graph.params[i];
    Draw(initializers_[i], RandomStream(weights_seed, i),
         std::span(model.parameters).subspan(param.offset, param.count));
  }
  return model;
}

uint32_t GraphBuilder::AddParam(std::string name, Shape shape, Initializer initializer,
                                ParamRole role) {
  const uint64_t count = ElementCount(shape);
  graph_.params.push_back({std::move(name), std::move(shape), graph_.ParamCount(), count, role});
  initializers_.push_back(initializer);
  return static_cast<uint32_t>(graph_.params.size() - 1);
}

GraphBuilder& GraphBuilder::Append(Op op, std::vector<uint32_t> inputs,
                                   std::vector<uint32_t> params, std::vector<uint32_t> attributes) {
  if (!status_) return *this;
  graph_.nodes.push_back({op, std::move(inputs), std::move(params), std::move(attributes)});
  const Node& node = graph_.nodes.back();
  OpArguments arguments{.inputs = {}, .params = {}, .attributes = node.attributes};
  for (const uint32_t input : node.inputs) arguments.inputs.push_back(&shapes_[input]);
  for (const uint32_t param : node.params) arguments.params.push_back(&graph_.params[param].shape);
  Result<Shape> shape = FindOp(op)->infer(arguments);
  if (!shape) {
    status_ = Annotate(shape.error(), NodeText(graph_, graph_.nodes.size() - 1));
    return *this;
  }
  shapes_.push_back(std::move(*shape));
  return *this;
}

}  // namespace linnet
