#include "native/cli/predict.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "data/batches.h"
#include "fed/learning.h"
#include "kernels/kernels.h"

namespace linnet {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kMaxShownClasses = 20;

}  // namespace

std::vector<Ranked> Rank(std::span<const float> logits) {
  const double most = double(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double(logit) - most);
  std::vector<Ranked> ranked(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    ranked[i] = {uint32_t(i), std::exp(double(logits[i]) - most) / sum};
  std::ranges::sort(ranked, [](const Ranked& a, const Ranked& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.index < b.index;
  });
  return ranked;
}

Result<RunModel> MakeRun(const AnyModel& model, size_t max_batch, Executor* executor) {
  const auto run_of = [](auto predictor) -> RunModel {
    return [kept = std::shared_ptr(std::move(predictor))](
               const float* x, size_t batch, float* outputs) { kept->Run(x, batch, outputs); };
  };
  if (const auto* quantized = std::get_if<QuantizedModel>(&model)) {
    LINNET_TRY(auto predictor,
               QuantizedPredictor::Create(*quantized, max_batch, BestKernels(), executor));
    return run_of(std::move(predictor));
  }
  const Model& plain = std::get<Model>(model);
  LINNET_TRY(auto predictor, Predictor::Create(plain.graph, max_batch, BestKernels(), executor));
  predictor->SetParameters(plain.parameters);
  return run_of(std::move(predictor));
}

Result<Outcome> Predict(const AnyModel& model, std::shared_ptr<const Dataset> data,
                        Executor* executor) {
  const Graph& graph = GraphOf(model);
  if (const Status fits = CheckFit(graph, *data); !fits)
    return Annotate(fits.error(), data->source);
  Outcome out;
  if (data->size() == 0) return out;
  const Kernels& kernels = BestKernels();
  const size_t outputs = OutputCount(graph), labels = data->LabelsPerRow();
  const bool classifies = graph.loss != Loss::kMse && labels == 1;
  LINNET_TRY(const RunModel run, MakeRun(model, kBatch, executor));
  std::vector<float> logits(kBatch * outputs);
  Batches batches(WholeView(std::move(data)), kBatch, std::nullopt);
  while (batches.pass() == 0) {
    const Batch batch = batches.Next();
    run(batch.x, batch.size, logits.data());
    ScoreBatch(kernels, graph, logits.data(), batch, labels, out.metrics);
    for (size_t i = 0; i < batch.size && classifies; ++i) {
      const Ranked best = Rank(std::span(logits).subspan(i * outputs, outputs)).front();
      out.predicted.push_back(int32_t(best.index));
      out.confidence.push_back(float(best.probability));
    }
  }
  return out;
}

void PrintScore(Output& output, const Graph& graph, const Dataset& data, const Outcome& outcome) {
  const Metrics& metrics = outcome.metrics;
  Json line = Json::Object{{"examples", metrics.examples}};
  if (graph.loss != Loss::kMse) line.Set("accuracy", metrics.accuracy());
  line.Set("loss", metrics.loss());
  const size_t classes = graph.classes;
  std::vector<uint64_t> counts(outcome.predicted.empty() ? 0 : classes * classes);
  for (size_t i = 0; i < outcome.predicted.size(); ++i)
    ++counts[size_t(data.labels[i]) * classes + size_t(outcome.predicted[i])];
  if (!counts.empty()) {
    Json::Array rows;
    for (size_t label = 0; label < classes; ++label) {
      rows.push_back(Json::Array(counts.begin() + ptrdiff_t(label * classes),
                                 counts.begin() + ptrdiff_t((label + 1) * classes)));
    }
    line.Set("confusion", std::move(rows));
  }
  output.Object(line);
  output.Line(
      StrCat(data.source, ": ",
             graph.loss == Loss::kMse ? "" : StrCat("accuracy ", Percent(metrics.accuracy()), ", "),
             "loss ", Fixed(metrics.loss(), 4), " over ", metrics.examples,
             data.text_step > 0 ? " symbols" : " examples"));
  if (counts.empty() || classes > kMaxShownClasses) return;
  std::string head = "  true\\read";
  for (size_t guess = 0; guess < classes; ++guess) head += PadLeft(std::to_string(guess), 6);
  output.Line(head);
  for (size_t label = 0; label < classes; ++label) {
    std::string text = PadLeft(std::to_string(label), 11);
    for (size_t guess = 0; guess < classes; ++guess) {
      const uint64_t count = counts[label * classes + guess];
      const std::string cell = PadLeft(count == 0 ? "." : std::to_string(count), 6);
      text += label == guess ? output.Bold(cell) : count == 0 ? output.Dim(cell) : cell;
    }
    output.Line(text);
  }
}

}  // namespace linnet
