// The exact fold of 100 updates of 2^20 f32 beside the plain read of the same bytes.
#include <algorithm>
#include <string>

#include "base/aligned.h"
#include "benchmark/benchmark.h"
#include "kernels/kernels.h"

namespace linnet {
namespace {

constexpr size_t kUpdates = 100, kElements = size_t{1} << 20;

AlignedBuffer<float>& Updates() {
  static AlignedBuffer<float> updates = [] {
    AlignedBuffer<float> made(kUpdates * kElements);
    for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i % 1000) * 1e-5f;
    return made;
  }();
  return updates;
}

void ReportBytes(benchmark::State& state) {
  state.SetBytesProcessed(
      static_cast<int64_t>(state.iterations() * kUpdates * kElements * sizeof(float)));
}

// max_abs does next to nothing with each vector: its time is that of reading memory.
void Read(benchmark::State& state, const Kernels& k) {
  AlignedBuffer<float>& updates = Updates();
  for (auto _ : state) {
    float largest;
    benchmark::DoNotOptimize(k.max_abs(updates.data(), updates.size(), &largest));
  }
  ReportBytes(state);
}

void Fold(benchmark::State& state, const Kernels& k, size_t rows) {
  AlignedBuffer<float>& updates = Updates();
  AlignedBuffer<double> acc(kElements);
  uint32_t weights[kMaxFoldRows];
  for (size_t r = 0; r < kMaxFoldRows; ++r) weights[r] = static_cast<uint32_t>(600 + r);
  for (auto _ : state) {
    for (size_t u = 0; u < kUpdates; u += rows) {
      k.fold_exact(updates.data() + u * kElements, kElements, weights, std::min(rows, kUpdates - u),
                   -32, acc.data(), kElements);
    }
    benchmark::ClobberMemory();
  }
  ReportBytes(state);
}

void Hadamard4096(benchmark::State& state, const Kernels& k) {
  AlignedBuffer<float> x(4096);
  for (auto _ : state) {
    k.hadamard(x.data(), x.size());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * x.size()));
}

void RegisterAll() {
  for (const Kernels* k : AllKernels()) {
    const std::string target = k->target;
    benchmark::RegisterBenchmark((target + "/read_100x1Mi").c_str(), [=](benchmark::State& state) {
      Read(state, *k);
    })->Unit(benchmark::kMillisecond);
    for (const size_t rows : {1, 4, 8, 16}) {
      benchmark::RegisterBenchmark((target + "/fold_100x1Mi/rows:" + std::to_string(rows)).c_str(),
                                   [=](benchmark::State& state) { Fold(state, *k, rows); })
          ->Unit(benchmark::kMillisecond);
    }
    benchmark::RegisterBenchmark((target + "/hadamard_4096").c_str(),
                                 [=](benchmark::State& state) { Hadamard4096(state, *k); });
  }
}

}  // namespace
}  // namespace linnet

int main(int argc, char** argv) {
  linnet::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
