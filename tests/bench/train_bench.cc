// One training step, from examples in memory to updated parameters, and one forward pass.
// GFLOP/s counts the matrix products of the gradient program (Flops), nothing else.
#include <algorithm>
#include <string>

#include "base/random.h"
#include "benchmark/benchmark.h"
#include "kernels/kernels.h"
#include "model/program.h"
#include "model/train.h"

namespace linnet {
namespace {

struct Batch {
  Batch(const Graph& graph, size_t size) : x(size * graph.InputCount()), y(size) {
    RandomStream random(SeedFromInt(1), 0);
    for (float& value : x) value = random.Uniform();
    for (int32_t& label : y) label = static_cast<int32_t>(random.Below(graph.classes));
  }
  std::vector<float> x;
  std::vector<int32_t> y;
};

void CountFlops(benchmark::State& state, uint64_t flops_per_example) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      static_cast<double>(flops_per_example) * static_cast<double>(state.range(0)) * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate);
}

void TrainStep(benchmark::State& state, const std::string& name, TrainOptions options) {
  const Model model = BuiltinModel(name, SeedFromInt(1)).value();
  const size_t batch = static_cast<size_t>(state.range(0));
  const Batch data(model.graph, batch);
  auto trainer = Trainer::Create(model.graph, options, batch, BestKernels()).value();
  std::ranges::copy(model.parameters, trainer->parameters().begin());
  for (auto _ : state) {
    benchmark::DoNotOptimize(trainer->Step(data.x.data(), data.y.data(), batch));
  }
  CountFlops(state, Flops(TrainingProgram(model.graph)));
  state.counters["arena_MiB"] = static_cast<double>(trainer->arena_bytes()) / (1 << 20);
}

void Infer(benchmark::State& state, const std::string& name) {
  const Model model = BuiltinModel(name, SeedFromInt(1)).value();
  const size_t batch = static_cast<size_t>(state.range(0));
  const Batch data(model.graph, batch);
  auto predictor = Predictor::Create(model.graph, batch, BestKernels()).value();
  std::vector<float> logits(batch * model.graph.classes);
  predictor->SetParameters(model.parameters);
  for (auto _ : state) {
    predictor->Run(data.x.data(), batch, logits.data());
    benchmark::DoNotOptimize(logits.data());
  }
  CountFlops(state, Flops(InferenceProgram(model.graph)));
}

// A small rate: the same batch over and over must not drive the losses to zero.
constexpr TrainOptions kSgd = {.learning_rate = 1e-4f};
constexpr TrainOptions kMomentum = {.optimizer = TrainOptions::Optimizer::kMomentum,
                                    .learning_rate = 1e-5f};

BENCHMARK_CAPTURE(TrainStep, mlp_256_128, "mlp-256-128", kSgd)
    ->Arg(10)
    ->Arg(32)
    ->Arg(128)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TrainStep, mlp_256_128_momentum, "mlp-256-128", kMomentum)
    ->Arg(32)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TrainStep, mlp_2nn, "mlp-2nn", kSgd)->Arg(10)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(TrainStep, cnn_small, "cnn-small", kSgd)->Arg(32)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Infer, mlp_256_128, "mlp-256-128")
    ->Arg(1)
    ->Arg(32)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Infer, cnn_small, "cnn-small")->Arg(1)->Arg(32)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace linnet

BENCHMARK_MAIN();
