// The exact mean, streamed: encoded updates decoded and folded window by window, beside the time
// that reading the encoded bytes from memory takes. `ratio` is the one over the other, each the
// least of all rounds; on one thread in the thread's own time, so that what else the machine does
// counts little.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>

#include "base/random.h"
#include "codec/codec.h"
#include "fed/aggregation_host.h"
#include "kernels/pool.h"
#include "plugins/builtin.h"

namespace linnet {
namespace {

double Now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// Reads every cache line of the uploads with the widest reduction at hand.
double ReadSeconds(const std::vector<Bytes>& uploads) {
  const Kernels& kernels = BestKernels();
  const double start = Now(CLOCK_THREAD_CPUTIME_ID);
  for (const Bytes& bytes : uploads) {
    float largest = 0;
    benchmark::DoNotOptimize(
        kernels.max_abs(reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4, &largest));
  }
  return Now(CLOCK_THREAD_CPUTIME_ID) - start;
}

// Arguments: codec, bits, updates, parameters, threads.
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
  const size_t threads = static_cast<size_t>(state.range(4));
  const auto pool = MakePool(threads);
  AggregationOptions options;
  options.executor = threads > 1 ? pool.get() : nullptr;
  auto host = *AggregationHost::Create(StrategyChain(**table.Find("fedavg")),
                                       MakeUpdateLayout(params), BestKernels(), options);
  const clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
  double fold = 1e9, read = 1e9;
  for (auto _ : state) {
    (void)host->BeginRound({.grid_exp = *GridExponent(1, 65536, n)});
    const double start = Now(clock);
    benchmark::DoNotOptimize(host->Fold(updates));
    const double seconds = Now(clock) - start;
    state.SetIterationTime(seconds);
    fold = std::min(fold, seconds);
    read = std::min(read, ReadSeconds(uploads));
  }
  state.counters["fold_ms"] = 1e3 * fold;
  state.counters["read_ms"] = 1e3 * read;
  state.counters["ratio"] = fold / read;
}
BENCHMARK(BM_StreamedMean)
    ->ArgNames({"codec", "bits", "n", "size", "threads"})
    ->Args({0, 32, 100, 1 << 20, 1})
    ->Args({0, 32, 100, 1 << 20, 2})
    ->Args({1, 16, 100, 1 << 20, 1})
    ->Args({1, 16, 100, 1 << 20, 2})
    ->Args({3, 1, 64, 199210, 1})
    ->Args({3, 1, 64, 199210, 2})
    ->Iterations(20)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace linnet

BENCHMARK_MAIN();
