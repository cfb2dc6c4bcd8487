#include "native/cli/model_measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "kernels/kernels.h"
#include "model/ops.h"
#include "model/train.h"
#include "native/cli/setup.h"

namespace linnet {
namespace {

double FastestSeconds(const RunModel& run, const float* x, size_t batch, float* outputs) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [&](size_t calls) {
    const auto start = Clock::now();
    for (size_t i = 0; i < calls; ++i) run(x, batch, outputs);
    const std::chrono::duration<double> spent = Clock::now() - start;
    return spent.count() / static_cast<double>(calls);
  };
  // Enough calls in each of ten trials to be above the clock's grain.
  const double once = seconds(1);
  const auto calls = static_cast<size_t>(std::clamp(2e-3 / std::max(once, 1e-9), 1.0, 1000.0));
  double fastest = once;
  for (int trial = 0; trial < 10; ++trial) fastest = std::min(fastest, seconds(calls));
  return fastest;
}

std::string Ratio(double before, double after, std::string_view word) {
  return after > 0 ? StrCat(Fixed(before / after, 2), "x ", word) : std::string("-");
}

Json ToJson(const Measured& m) {
  return Json::Object{{"fileBytes", m.file_bytes},
                      {"weightBytes", m.weight_bytes},
                      {"accuracy", m.accuracy},
                      {"batch1Seconds", m.batch1_seconds},
                      {"batch32Seconds", m.batch32_seconds}};
}

double Accuracy(const RunModel& run, const Dataset& data, size_t classes) {
  const size_t labels = data.LabelsPerRow();
  std::vector<float> x(kMeasureBatch * data.features()), outputs(kMeasureBatch * labels * classes);
  std::vector<int32_t> y(kMeasureBatch * labels);
  std::vector<uint32_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0u);
  Metrics metrics;
  for (size_t at = 0; at < rows.size(); at += kMeasureBatch) {
    const size_t batch = std::min(kMeasureBatch, rows.size() - at);
    data.Gather(std::span(rows).subspan(at, batch), x.data(), y.data());
    run(x.data(), batch, outputs.data());
    Score(BestKernels(), outputs.data(), y.data(), batch * labels, classes, metrics);
  }
  return metrics.accuracy();
}

// `create(max_batch)` makes a predictor with weight_bytes() and Run(x, batch, outputs).
template <typename Create>
Result<Measured> MeasureBy(const Create& create, const Dataset& data, size_t classes,
                           uint64_t file_bytes) {
  const auto caller = [](const auto& predictor) -> RunModel {
    return [&](const float* x, size_t batch, float* outputs) { predictor->Run(x, batch, outputs); };
  };
  LINNET_TRY(const auto predictor, create(kMeasureBatch));
  LINNET_TRY(const auto single, create(1));
  std::vector<uint32_t> rows(kMeasureBatch);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint32_t>(i % data.size());
  const size_t labels = data.LabelsPerRow();
  std::vector<float> x(kMeasureBatch * data.features()), outputs(kMeasureBatch * labels * classes);
  std::vector<int32_t> y(kMeasureBatch * labels);
  data.Gather(rows, x.data(), y.data());
  return Measured{.file_bytes = file_bytes,
                  .weight_bytes = single->weight_bytes(),
                  .accuracy = Accuracy(caller(predictor), data, classes),
                  .batch1_seconds = FastestSeconds(caller(single), x.data(), 1, outputs.data()),
                  .batch32_seconds =
                      FastestSeconds(caller(predictor), x.data(), kMeasureBatch, outputs.data())};
}

// A predictor in f32 with its parameters.
struct PlainPredictor {
  PlainPredictor(const Model& m, std::unique_ptr<Predictor> p) : model(m), predictor(std::move(p)) {
    predictor->SetParameters(model.parameters);
  }
  void Run(const float* x, size_t batch, float* outputs) { predictor->Run(x, batch, outputs); }
  size_t weight_bytes() const { return model.parameters.size() * sizeof(float); }
  const Model& model;
  std::unique_ptr<Predictor> predictor;
};

}  // namespace

Result<Measured> MeasureModel(const Model& model, const Dataset& data) {
  const auto create = [&](size_t max_batch) -> Result<std::unique_ptr<PlainPredictor>> {
    LINNET_TRY(auto predictor, Predictor::Create(model.graph, max_batch, BestKernels()));
    return std::make_unique<PlainPredictor>(model, std::move(predictor));
  };
  return MeasureBy(create, data, model.graph.classes, SaveModel(model).size());
}

Result<Measured> MeasureQuantized(const QuantizedModel& model, const Dataset& data) {
  const auto create = [&](size_t max_batch) {
    return QuantizedPredictor::Create(model, max_batch, BestKernels());
  };
  return MeasureBy(create, data, model.graph.classes, SaveQuantizedModel(model).size());
}

Result<Measured> MeasureSparse(const Model& model, const Dataset& data) {
  const auto create = [&](size_t max_batch) {
    return QuantizedPredictor::CreateSparse(model, max_batch, BestKernels());
  };
  return MeasureBy(create, data, model.graph.classes, SaveModel(model).size());
}

Result<TrainTest> OpenLabelled(const std::string& source, const std::string& scale,
                               const Graph& graph) {
  Federation as;  // the scaling as a federation would tell it
  as.scale = ParseScaling(scale);
  LINNET_TRY(TrainTest parts, OpenScaled(source, as));
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  if (graph.loss != Loss::kCrossEntropy) {
    return Fail(Code::kUnsupported, graph.name, " gives values, wanted classes");
  }
  const Dataset& data = *parts.train;
  if (data.size() == 0) return Fail(Code::kInvalid, data.source, " has no rows");
  const uint64_t labels = ElementCount(shapes.back()) / graph.classes;
  if (data.LabelsPerRow() != labels) {
    return Fail(Code::kInvalid, data.source, " has ", data.LabelsPerRow(),
                " labels for each example, ", graph.name, " wants ", labels);
  }
  if (data.features() == graph.InputCount() && data.classes <= graph.classes) return parts;
  return Fail(Code::kInvalid, data.source, " has ", data.features(), " features and ", data.classes,
              " classes, the model wants ", graph.InputCount(), " and at most ", graph.classes);
}

std::vector<float> CalibrationExamples(const Dataset& data, size_t count) {
  count = std::min(count, data.size());
  std::vector<uint32_t> rows(count);
  for (size_t i = 0; i < count; ++i) {
    rows[i] = static_cast<uint32_t>(i * data.size() / count);
  }
  std::vector<float> x(count * data.features());
  std::vector<int32_t> y(count * data.LabelsPerRow());
  data.Gather(rows, x.data(), y.data());
  return x;
}

ShuffledBatches::ShuffledBatches(const Dataset& data, size_t batch, uint64_t seed)
    : data_(data),
      batch_(std::min(batch, data.size())),
      seed_(seed),
      order_(data.size()),
      at_(data.size()),
      x_(batch_ * data.features()),
      y_(batch_ * data.LabelsPerRow()) {
  std::iota(order_.begin(), order_.end(), 0u);
}

size_t ShuffledBatches::Next() {
  if (at_ == order_.size()) {
    RandomStream random(SeedFromInt(seed_), epoch_++);
    random.Shuffle(std::span(order_));
    at_ = 0;
  }
  const size_t batch = std::min(batch_, order_.size() - at_);
  data_.Gather(std::span(order_).subspan(at_, batch), x_.data(), y_.data());
  at_ += batch;
  return batch;
}

Status RunSteps(Output& output, std::string_view what, uint64_t steps,
                const std::function<double()>& step) {
  constexpr size_t kBar = 24;
  double mean = 0;
  for (uint64_t i = 0; i < steps; ++i) {
    const double loss = step();
    if (!std::isfinite(loss)) {
      return Fail(Code::kData, "the loss is not finite at step ", i + 1,
                  ": a smaller learning rate may help");
    }
    mean = i == 0 ? loss : 0.98 * mean + 0.02 * loss;
    if (i % 20 != 0 && i + 1 != steps) continue;
    const size_t done = kBar * (i + 1) / steps;
    output.Live(StrCat("  ", what, " [", std::string(done, '='), std::string(kBar - done, ' '),
                       "] step ", i + 1, " of ", steps, ", loss ", Fixed(mean, 4)));
  }
  output.ClearLive();
  return {};
}

void PrintComparison(Output& output, const std::string& title, const Measured& before,
                     const Measured& after, std::vector<std::pair<std::string, Json>> extra,
                     const ComparisonNames& names) {
  if (output.json()) {
    Json::Object object(extra.begin(), extra.end());
    object.emplace_back(names.before, ToJson(before));
    object.emplace_back(names.after, ToJson(after));
    output.Object(std::move(object));
    return;
  }
  const double points = 100 * (after.accuracy - before.accuracy);
  const auto row = [&](std::string_view name, const std::string& a, const std::string& b,
                       const std::string& note) {
    output.Line(StrCat("  ", PadRight(name, 16), PadLeft(a, 10), PadLeft(b, 12), "  ", note));
  };
  const auto ratio = [&](uint64_t a, uint64_t b) {
    return Ratio(static_cast<double>(a), static_cast<double>(b), "smaller");
  };
  output.Line(output.Bold(title));
  output.Line(output.Dim(
      StrCat("  ", PadRight("", 16), PadLeft(names.before, 10), PadLeft(names.after, 12))));
  row("file", HumanBytes(before.file_bytes), HumanBytes(after.file_bytes),
      ratio(before.file_bytes, after.file_bytes));
  row("weights in use", HumanBytes(before.weight_bytes), HumanBytes(after.weight_bytes),
      ratio(before.weight_bytes, after.weight_bytes));
  row("accuracy", Percent(before.accuracy), Percent(after.accuracy),
      StrCat(points > 0 ? "+" : "", Fixed(points, 2), " points"));
  row("batch of 1", StrCat(Fixed(before.batch1_seconds * 1e6, 1), " us"),
      StrCat(Fixed(after.batch1_seconds * 1e6, 1), " us"),
      Ratio(before.batch1_seconds, after.batch1_seconds, "faster"));
  row("batch of 32", StrCat(Fixed(before.batch32_seconds * 1e6, 1), " us"),
      StrCat(Fixed(after.batch32_seconds * 1e6, 1), " us"),
      Ratio(before.batch32_seconds, after.batch32_seconds, "faster"));
}

}  // namespace linnet
