// The exact mean, streamed: encoded updates decoded and folded window by window, beside the time
// that reading the encoded bytes from memory takes. `ratio` is the one over the other.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

#include "base/random.h"
#include "codec/codec.h"
#include "fed/aggregation_host.h"
#include "plugins/builtin.h"

namespace linnet {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// Reads every cache line of the uploads with the widest reduction at hand.
double ReadSeconds(const std::vector<Bytes>& uploads) {
  const Kernels& kernels = BestKernels();
  const auto start = std::chrono::steady_clock::now();
  for (const Bytes& bytes : uploads) {
    float largest = 0;
    benchmark::DoNotOptimize(
        kernels.max_abs(reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4, &largest));
  }
  return Seconds(start);
}

// Arguments: codec, bits, updates, parameters.
void BM_StreamedMean(benchmark::State& state) {
  const CodecSpec codec = {static_cast<CodecKind>(state.range(0)),
                           static_cast<uint8_t>(state.range(1))};
  const size_t n = static_cast<size_t>(state.range(2)), size = static_cast<size_t>(state.range(3));
  std::vector<Bytes> uploads(n);
  std::vector<EncodedUpdate> updates;
  std::vector<float> x(size);
  RandomStream random(SeedFromInt(1), 0);
  for (float& v : x) v = random.Uniform() - 0.5f;
  for (size_t k = 0; k < n; ++k) {
    (void)Encode(codec, {SeedFromInt(k)}, x, BestKernels(), uploads[k]);
    updates.push_back({uploads[k], codec, {SeedFromInt(k)}, MakeUpdate(k, 600)});
  }
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) (void)table.Add(plugin.entry, "built in");
  const std::vector<ParamInfo> params = {{"w", {static_cast<uint32_t>(size)}, 0, size}};
  auto host = *AggregationHost::Create(**table.Find("fedavg"), Json(), params, BestKernels());
  double fold = 1e9, read = 1e9;
  for (auto _ : state) {
    (void)host->BeginRound({.grid_exp = *GridExponent(1, 65536, n)});
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(host->Fold(updates));
    const double seconds = Seconds(start);
    state.SetIterationTime(seconds);
    fold = std::min(fold, seconds);
    read = std::min(read, ReadSeconds(uploads));
  }
  state.counters["fold_ms"] = 1e3 * fold;
  state.counters["read_ms"] = 1e3 * read;
  state.counters["ratio"] = fold / read;
}
BENCHMARK(BM_StreamedMean)
    ->ArgNames({"codec", "bits", "n", "size"})
    ->Args({0, 32, 100, 1 << 20})
    ->Args({1, 16, 100, 1 << 20})
    ->Args({3, 1, 64, 199210})
    ->Iterations(10)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace linnet

BENCHMARK_MAIN();
