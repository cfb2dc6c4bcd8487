// Robust rules over the columns of 25 updates of a million parameters: the kernels, with one and
// with all workers. robust_bench.py runs numpy on the same problem; compare in one run on one
// machine.
#include <benchmark/benchmark.h>

#include "base/aligned.h"
#include "base/random.h"
#include "kernels/columns.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

constexpr size_t kRows = 25, kColumns = 1 << 20;

const AlignedBuffer<float>& Updates() {
  static const AlignedBuffer<float> updates = [] {
    AlignedBuffer<float> x(kRows * (kColumns + 16));
    RandomStream random(SeedFromInt(1), 0);
    for (size_t i = 0; i < x.size(); ++i) x.data()[i] = random.Uniform() - 0.5f;
    return x;
  }();
  return updates;
}

void BM_Column(benchmark::State& state) {
  const auto pool = MakePool(static_cast<size_t>(state.range(1)));
  AlignedBuffer<float> out(kColumns);
  const float* updates = Updates().data();  // made before the time counts
  for (auto _ : state) {
    ColumnKernelsOf(BestKernels())
        .statistic({updates, kColumns + 16, nullptr, kRows,
                    static_cast<ColumnStatistic>(state.range(0)), 5, out.data(), kColumns, nullptr,
                    pool.get()});
  }
}
BENCHMARK(BM_Column)
    ->ArgNames({"statistic", "threads"})
    ->ArgsProduct({{0, 1, 2}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_PairDistances(benchmark::State& state) {
  const auto pool = MakePool(static_cast<size_t>(state.range(0)));
  constexpr size_t kPairs = kRows * (kRows - 1) / 2;
  std::vector<double> lanes(16 * kPairs), sums(kPairs), scratch(kPairs * kColumns / kReductionLeaf);
  const float* updates = Updates().data();
  for (auto _ : state) {
    ColumnKernelsOf(BestKernels())
        .distances({updates, kColumns + 16, kRows, true, nullptr, 0, kColumns, lanes.data(),
                    sums.data(), scratch.data(), pool.get()});
  }
}
BENCHMARK(BM_PairDistances)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace linnet

BENCHMARK_MAIN();
