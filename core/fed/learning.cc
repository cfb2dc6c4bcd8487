#include "fed/learning.h"

namespace linnet {

uint64_t OutputCount(const Graph& graph) {
  const auto shapes = InferShapes(graph);
  LINNET_CHECK_MSG(shapes.has_value(), shapes.error().message);
  uint64_t count = 1;
  for (const uint32_t extent : shapes->back()) count *= extent;
  return count;
}

Status CheckFit(const Graph& graph, const Dataset& data) {
  const uint64_t outputs = OutputCount(graph);
  if (data.features() != graph.InputCount()) {
    return Fail(Code::kInvalid, "the data has ", data.features(), " features and ", data.classes,
                " classes, the model wants ", graph.InputCount(), " and at most ", graph.classes);
  }
  if (graph.loss == Loss::kMse) {
    const uint64_t values = data.targets.empty() ? data.features() : data.TargetsPerRow();
    if (values == outputs) return {};
    return Fail(Code::kInvalid, "the data has ", values,
                data.targets.empty() ? " features and no target values" : " target values",
                " a row, the model gives ", outputs, " values");
  }
  const uint64_t labels = outputs / graph.classes;
  if (data.LabelsPerRow() != labels) {
    return Fail(Code::kInvalid, "the data has ", data.LabelsPerRow(),
                " labels a row, the model wants ", labels);
  }
  if (data.classes > graph.classes) {
    return Fail(Code::kInvalid, "the data has ", data.features(), " features and ", data.classes,
                " classes, the model wants ", graph.InputCount(), " and at most ", graph.classes);
  }
  return {};
}

double StepOn(Trainer& trainer, Loss loss, const Batch& batch) {
  return loss == Loss::kMse ? trainer.StepValues(batch.x, batch.targets, batch.size)
                            : trainer.Step(batch.x, batch.labels, batch.size);
}

void ScoreBatch(const Kernels& kernels, const Graph& graph, const float* outputs,
                const Batch& batch, size_t labels_per_row, Metrics& metrics) {
  if (graph.loss != Loss::kMse) {
    return Score(kernels, outputs, batch.labels, batch.size * labels_per_row, graph.classes,
                 metrics);
  }
  double sum = 0;
  for (size_t i = 0; i < batch.size * graph.classes; ++i) {
    const double error = double(outputs[i]) - double(batch.targets[i]);
    sum += error * error;
  }
  metrics.examples += batch.size;
  metrics.loss_sum += sum / double(graph.classes);
}

}  // namespace linnet
