// linnet model inspect: what a model is made of and what it costs.
#include <algorithm>

#include "base/crypto.h"
#include "kernels/kernels.h"
#include "model/cost.h"
#include "model/ops.h"
#include "model/train.h"
#include "native/cli/model.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"

namespace linnet {
namespace {

struct Layer {
  std::string name, takes;
  Shape output;
  uint64_t parameters = 0, flops = 0;
};

std::string ValueName(uint32_t id) { return id == 0 ? "input" : std::to_string(id); }

std::vector<Layer> Layers(const Graph& graph) {
  const std::vector<Shape> shapes = InferShapes(graph).value();
  const std::vector<uint64_t> flops = CountFlops(graph).value();
  std::vector<bool> counted(graph.params.size());  // a tensor of several nodes counts once
  std::vector<Layer> layers;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    Layer layer{.name = std::string(OpName(node.op)),
                .takes = {},
                .output = shapes[i + 1],
                .parameters = 0,
                .flops = flops[i]};
    for (const uint32_t input : node.inputs) {
      layer.takes += (layer.takes.empty() ? "" : ", ") + ValueName(input);
    }
    for (const uint32_t param : node.params) {
      if (!counted[param]) layer.parameters += graph.params[param].count;
      counted[param] = true;
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

// "1,199,882".
std::string Grouped(uint64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string HumanFlops(uint64_t flops) {
  if (flops < 1000) return flops == 0 ? "-" : std::to_string(flops);
  std::string text = HumanBytes(flops);  // "1.23 MB": the digits and the power of 1000
  text.pop_back();
  return text;
}

void PrintTable(Output& output, const std::vector<Layer>& layers) {
  std::vector<std::vector<std::string>> rows = {
      {"#", "layer", "takes", "output", "parameters", "FLOP"}};
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    rows.push_back({std::to_string(i + 1), layer.name, layer.takes, ShapeText(layer.output),
                    layer.parameters == 0 ? "-" : Grouped(layer.parameters),
                    HumanFlops(layer.flops)});
  }
  constexpr bool kRight[] = {true, false, false, false, true, true};
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < widths.size(); ++c) {
      line += "  " + (kRight[c] ? PadLeft(rows[r][c], widths[c]) : PadRight(rows[r][c], widths[c]));
    }
    output.Line(r == 0 ? output.Dim(line) : line);
  }
}

// What inference and one training step hold beside the program: parameters and what the planner
// lays out.
struct Memory {
  uint64_t inference = 0, training = 0;
};

Result<Memory> PlanMemory(const Graph& graph, size_t batch) {
  const Kernels& kernels = BestKernels();
  LINNET_TRY(const auto predictor, Predictor::Create(graph, 1, kernels));
  LINNET_TRY(const auto trainer, Trainer::Create(graph, TrainOptions{}, batch, kernels));
  const uint64_t parameters = graph.ParamCount() * sizeof(float);
  return Memory{.inference = parameters + predictor->arena_bytes(),
                .training = trainer->memory().total()};
}

uint64_t CountRole(const Graph& graph, bool (*is)(const ParamInfo&)) {
  uint64_t count = 0;
  for (const ParamInfo& param : graph.params) count += is(param) ? param.count : 0;
  return count;
}

}  // namespace

Result<int> Run(const InspectCommand& command) {
  Output output(command.json);
  LINNET_TRY(const Model model, OpenModel(command.file));
  const Graph& graph = model.graph;
  const Bytes saved = SaveModel(model);
  const std::string digest = Hex(Blake2b(saved));
  const std::vector<Layer> layers = Layers(graph);
  // A model that no plan computes, for its size mostly, is shown all the same.
  const Result<Memory> planned = PlanMemory(graph, command.batch);
  const Memory memory = planned.value_or(Memory{});
  uint64_t flops = 0;
  for (const Layer& layer : layers) flops += layer.flops;
  const uint64_t buffers =
      CountRole(graph, [](const ParamInfo& p) { return p.role == ParamRole::kBuffer; });
  const uint64_t frozen =
      CountRole(graph, [](const ParamInfo& p) { return p.role != ParamRole::kBuffer && p.frozen; });
  const std::string loss = graph.loss == Loss::kMse ? "mean squared error" : "cross-entropy";

  if (command.json) {
    Json bytes_held;  // null where there is no plan
    if (planned) {
      bytes_held = Json::Object{{"inferenceBytes", memory.inference},
                                {"trainingBytes", memory.training},
                                {"trainingBatch", command.batch}};
    }
    Json::Array rows;
    for (const Layer& layer : layers) {
      Json::Array shape(layer.output.begin(), layer.output.end());
      rows.push_back(Json::Object{{"layer", layer.name},
                                  {"takes", layer.takes},
                                  {"output", std::move(shape)},
                                  {"parameters", layer.parameters},
                                  {"flops", layer.flops}});
    }
    Json::Array tensors;
    for (const ParamInfo& param : graph.params) {
      tensors.push_back(Json::Object{{"name", param.name},
                                     {"shape", Json::Array(param.shape.begin(), param.shape.end())},
                                     {"buffer", param.role == ParamRole::kBuffer},
                                     {"frozen", param.frozen}});
    }
    output.Object(
        Json::Object{{"name", graph.name},
                     {"input", Json::Array(graph.input_shape.begin(), graph.input_shape.end())},
                     {"outputs", graph.classes},
                     {"loss", graph.loss == Loss::kMse ? "mse" : "cross-entropy"},
                     {"layers", std::move(rows)},
                     {"tensors", std::move(tensors)},
                     {"parameters", graph.ParamCount()},
                     {"buffers", buffers},
                     {"frozen", frozen},
                     {"flops", flops},
                     {"memory", std::move(bytes_held)},
                     {"bytes", saved.size()},
                     {"digest", digest}});
    return 0;
  }
  output.Line(StrCat(output.Bold(graph.name), ": ", ShapeText(graph.input_shape), " in, ",
                     graph.classes, " out, ", loss));
  PrintTable(output, layers);
  std::string parameters = Grouped(graph.ParamCount());
  if (buffers > 0) parameters += StrCat(", ", Grouped(buffers), " of them statistics");
  if (frozen > 0) parameters += StrCat(", ", Grouped(frozen), " of them frozen");
  output.Line(StrCat("parameters  ", parameters));
  output.Line(StrCat("compute     ", HumanFlops(flops), " FLOP an example forward"));
  output.Line(planned
                  ? StrCat("memory      ", HumanBytes(memory.inference), " to infer at batch 1, ",
                           HumanBytes(memory.training), " to train at batch ", command.batch)
                  : StrCat("memory      it cannot be run here: ", planned.error().message));
  output.Line(StrCat("file        ", HumanBytes(saved.size())));
  output.Line(StrCat("digest      ", digest));
  return 0;
}

}  // namespace linnet
