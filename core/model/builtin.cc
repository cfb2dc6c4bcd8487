#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/random.h"
#include "model/model.h"
#include "model/ops.h"

namespace linnet {
namespace {

// Appends nodes to a graph, each to the output of the one before.
class GraphBuilder {
 public:
  GraphBuilder(std::string_view name, Shape input_shape, uint32_t classes) {
    graph_.name = name;
    graph_.input_shape = std::move(input_shape);
    graph_.classes = classes;
    width_ = static_cast<uint32_t>(ElementCount(graph_.input_shape));
    if (graph_.input_shape.size() == 3) image_ = graph_.input_shape;
  }

  GraphBuilder& Dense(uint32_t outputs) {
    const std::string layer = StrCat("dense", ++dense_layers_);
    Append(Op::kDense,
           {AddParam(layer + ".weight", {width_, outputs}), AddParam(layer + ".bias", {outputs})});
    width_ = outputs;
    return *this;
  }
  GraphBuilder& Conv2d(uint32_t kernel, uint32_t outputs) {
    const std::string layer = StrCat("conv", ++conv_layers_);
    Append(Op::kConv2d,
           {AddParam(layer + ".weight", {kernel, kernel, image_[2], outputs}),
            AddParam(layer + ".bias", {outputs})},
           {1, 1, 0, 0, 0, 0, 1, 1, 1});
    image_ = {image_[0] - kernel + 1, image_[1] - kernel + 1, outputs};
    return *this;
  }
  GraphBuilder& Relu() { return Append(Op::kRelu); }
  GraphBuilder& MaxPool(uint32_t size) {
    image_ = {image_[0] / size, image_[1] / size, image_[2]};
    return Append(Op::kMaxPool, {}, {size, size, size, size, 0, 0, 0, 0});
  }
  GraphBuilder& Flatten() {
    width_ = static_cast<uint32_t>(ElementCount(image_));
    return Append(Op::kFlatten);
  }
  Graph Build() { return std::move(graph_); }

 private:
  GraphBuilder& Append(Op op, std::vector<uint32_t> params = {},
                       std::vector<uint32_t> attributes = {}) {
    const uint32_t last = static_cast<uint32_t>(graph_.nodes.size());
    graph_.nodes.push_back({op, {last}, std::move(params), std::move(attributes)});
    return *this;
  }
  uint32_t AddParam(std::string name, Shape shape) {
    const uint64_t count = ElementCount(shape);
    graph_.params.push_back({std::move(name), std::move(shape), graph_.ParamCount(), count});
    return static_cast<uint32_t>(graph_.params.size() - 1);
  }

  Graph graph_;
  Shape image_ = {0, 0, 0};
  uint32_t width_ = 0;
  int dense_layers_ = 0, conv_layers_ = 0;
};

void BuildMlp2nn(GraphBuilder& builder, uint32_t classes) {
  builder.Dense(200).Relu().Dense(200).Relu().Dense(classes);
}
void BuildMlp256128(GraphBuilder& builder, uint32_t classes) {
  builder.Dense(256).Relu().Dense(128).Relu().Dense(classes);
}
void BuildCnnSmall(GraphBuilder& builder, uint32_t classes) {
  builder.Conv2d(3, 32).Relu().Conv2d(3, 64).Relu().MaxPool(2);
  builder.Flatten().Dense(128).Relu().Dense(classes);
}
void BuildSoftmaxRegression(GraphBuilder& builder, uint32_t classes) { builder.Dense(classes); }

struct Builtin {
  std::string_view name;
  uint32_t
      min_image;  // 0 for any input; else [height, width, channels] with sides of at least this
  void (*build)(GraphBuilder& builder, uint32_t classes);
};
constexpr std::array kBuiltins = {
    Builtin{"mlp-2nn", 0, BuildMlp2nn},
    Builtin{"mlp-256-128", 0, BuildMlp256128},
    Builtin{"cnn-small", 6, BuildCnnSmall},
    Builtin{"softmax-regression", 0, BuildSoftmaxRegression},
};

// He, Zhang, Ren and Sun (2015), equation 10, for layers before a relu; Glorot and Bengio (2010),
// equation 16, for the others; both in their uniform form. One stream for each tensor, and only
// correctly rounded operations, so the bits are the same on every target.
void InitializeWeights(const Graph& graph, const Seed& seed, std::vector<float>& parameters) {
  const Seed weights_seed = DeriveSeed(seed, "weights");
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.params.empty()) continue;
    const ParamInfo& weights = graph.params[node.params[0]];
    const uint64_t fan_out =
        weights.shape.back() *
        (weights.shape.size() == 4 ? uint64_t{weights.shape[0]} * weights.shape[1] : uint64_t{1});
    const uint64_t fan_in = weights.count / weights.shape.back();
    const bool before_relu = i + 1 < graph.nodes.size() && graph.nodes[i + 1].op == Op::kRelu;
    const double fan = static_cast<double>(before_relu ? fan_in : fan_in + fan_out);
    const float limit = static_cast<float>(std::sqrt(6.0 / fan));
    RandomStream random(weights_seed, node.params[0]);
    for (uint64_t j = 0; j < weights.count; ++j) {
      parameters[weights.offset + j] = (2.0f * random.Uniform() - 1.0f) * limit;
    }
  }
}

}  // namespace

std::vector<std::string> BuiltinModelNames() {
  std::vector<std::string> names;
  for (const Builtin& builtin : kBuiltins) names.emplace_back(builtin.name);
  return names;
}

Result<Model> BuiltinModel(std::string_view name, const Seed& seed,
                           std::vector<uint32_t> input_shape, uint32_t classes) {
  const auto found = std::ranges::find(kBuiltins, name, &Builtin::name);
  if (found == kBuiltins.end()) {
    std::string known;
    for (const Builtin& builtin : kBuiltins)
      known += StrCat(known.empty() ? "" : ", ", builtin.name);
    return Fail(Code::kNotFound, "no builtin model is called ", name, "; there are ", known);
  }
  if (found->min_image > 0 && (input_shape.size() != 3 || input_shape[0] < found->min_image ||
                               input_shape[1] < found->min_image)) {
    return Fail(Code::kInvalid, name, " was asked to take ", ShapeText(input_shape),
                ", wanted [height, width, channels] of at least ", found->min_image, " x ",
                found->min_image);
  }
  // Before any product of sizes is used: the graph itself is checked only when it stands.
  if (input_shape.empty() || ElementCount(input_shape) > kMaxElements) {
    return Fail(Code::kInvalid, name, " was asked to take ", ShapeText(input_shape),
                ", wanted a shape of at most ", kMaxElements, " elements");
  }
  GraphBuilder builder(name, std::move(input_shape), classes);
  found->build(builder, classes);
  Model model{.graph = builder.Build(), .parameters = {}};
  const Status valid = ValidateGraph(model.graph);
  if (!valid) return Annotate(valid.error(), name);
  model.parameters.resize(model.graph.ParamCount());
  InitializeWeights(model.graph, seed, model.parameters);
  return model;
}

}  // namespace linnet
