// linnet bench: training steps and inference of models on this machine.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "base/random.h"
#include "fed/learning.h"
#include "kernels/pool.h"
#include "model/train.h"
#include "native/cli/command_line.h"
#include "native/cli/learn.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"

namespace linnet {
namespace {

// Random examples: pixels and numbers in 0..1, symbols below the vocabulary.
struct Examples {
  Examples(const Graph& graph, size_t batch)
      : x(batch * graph.InputCount()),
        y(batch * OutputCount(graph) / graph.classes),
        targets(batch * OutputCount(graph)) {
    const bool symbols = graph.nodes[0].op == Op::kEmbedding;
    RandomStream random(SeedFromInt(1), 0);
    for (float& value : x) value = symbols ? float(random.Below(graph.classes)) : random.Uniform();
    for (int32_t& label : y) label = int32_t(random.Below(graph.classes));
    for (float& value : targets) value = random.Uniform();
  }
  std::vector<float> x;
  std::vector<int32_t> y;
  std::vector<float> targets;
};

// The fastest decile of the calls that fit into the time, in seconds.
double Measure(double seconds, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  call();
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  do {
    const auto begin = Clock::now();
    call();
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  } while (Clock::now() < end && times.size() < 1000000);
  const size_t decile = times.size() / 10;
  std::ranges::nth_element(times, times.begin() + ptrdiff_t(decile));
  return times[decile];
}

std::string Time(double seconds) {
  if (seconds < 1e-3) return Fixed(seconds * 1e6, 1) + " us";
  return Fixed(seconds * 1e3, seconds < 0.1 ? 2 : 0) + " ms";
}

Result<Model> NamedModel(const std::string& name) {
  return name.ends_with(".linnet") ? LoadModelFile(name) : BuiltinModel(name, SeedFromInt(1));
}

struct Row {
  double step, one, many;
};
Result<Row> MeasureModel(const Model& model, const BenchCommand& c, Executor* executor) {
  const Kernels& kernels = BestKernels();
  const size_t batch = c.batch;
  const Examples examples(model.graph, batch);
  // A small rate: the same batch over and over must not drive the weights away.
  LINNET_TRY(const auto trainer,
             Trainer::Create(model.graph, {.learning_rate = 1e-6f}, batch, kernels, executor));
  std::ranges::copy(model.parameters, trainer->parameters().begin());
  LINNET_TRY(const auto predictor, Predictor::Create(model.graph, batch, kernels, executor));
  predictor->SetParameters(model.parameters);
  std::vector<float> out(batch * OutputCount(model.graph));
  const Batch all{examples.x.data(), examples.y.data(), examples.targets.data(), batch};
  Row row;
  row.step = Measure(c.seconds, [&] { StepOn(*trainer, model.graph.loss, all); });
  row.one = Measure(c.seconds, [&] { predictor->Run(examples.x.data(), 1, out.data()); });
  row.many = Measure(c.seconds, [&] { predictor->Run(examples.x.data(), batch, out.data()); });
  return row;
}

}  // namespace

Result<int> Run(const BenchCommand& command) {
  Output output(command.json);
  const std::vector<std::string> names =
      command.models.empty() ? BuiltinModelNames() : command.models;
  std::vector<Model> models;
  for (const std::string& name : names) {
    LINNET_TRY(Model model, NamedModel(name));
    models.push_back(std::move(model));
  }
  const auto pool = MakePool(command.threads);
  output.Line(StrCat("batch ", command.batch, ", ",
                     pool->Workers() == 1 ? "one thread" : StrCat(pool->Workers(), " threads"),
                     ", ", BestKernels().target, "; fastest decile of the calls in ",
                     command.seconds, " s"));
  output.Line(output.Bold(
      StrCat(PadRight("model", 20), PadLeft("parameters", 12), PadLeft("train step", 12),
             PadLeft("examples/s", 12), PadLeft("infer 1", 12),
             PadLeft(StrCat("infer ", command.batch), 12), PadLeft("examples/s", 12))));
  for (const Model& model : models) {
    LINNET_TRY(const Row row, MeasureModel(model, command, pool.get()));
    const double batch = double(command.batch);
    output.Object(Json::Object{{"model", model.graph.name},
                               {"parameters", model.graph.ParamCount()},
                               {"batch", command.batch},
                               {"threads", pool->Workers()},
                               {"target", BestKernels().target},
                               {"trainStepSeconds", row.step},
                               {"trainExamplesPerSecond", batch / row.step},
                               {"inferOneSeconds", row.one},
                               {"inferBatchSeconds", row.many},
                               {"inferExamplesPerSecond", batch / row.many}});
    output.Line(StrCat(PadRight(model.graph.name, 20),
                       PadLeft(std::to_string(model.graph.ParamCount()), 12),
                       PadLeft(Time(row.step), 12), PadLeft(Fixed(batch / row.step, 0), 12),
                       PadLeft(Time(row.one), 12), PadLeft(Time(row.many), 12),
                       PadLeft(Fixed(batch / row.many, 0), 12)));
  }
  return kExitGood;
}

}  // namespace linnet
