// GOP/s of 8-bit products on every target, and their share of what a loop of independent 8-bit
// multiply-adds in registers reaches on this machine.
#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "benchmark/benchmark.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace linnet {
namespace {

constexpr size_t kChains = 12;

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw,avx512vnni"), noinline)) int Chains512(size_t steps) {
  __m512i x = _mm512_set1_epi8(3), sum[kChains];
  for (size_t c = 0; c < kChains; ++c) sum[c] = _mm512_set1_epi32(static_cast<int>(c));
  for (size_t i = 0; i < steps; ++i) {
    __asm__ volatile("" : "+v"(x));
    _Pragma("GCC unroll 12") for (size_t c = 0; c < kChains; ++c) {
      sum[c] = _mm512_dpbusd_epi32(sum[c], x, x);
    }
  }
  for (size_t c = 1; c < kChains; ++c) sum[0] = _mm512_add_epi32(sum[0], sum[c]);
  return _mm512_reduce_add_epi32(sum[0]);
}
#endif

// GOP/s of this machine with a target's 8-bit dot instruction; 0 where there is none.
double PeakGops([[maybe_unused]] std::string_view target) {
  double best = 0;
#if defined(__x86_64__)
  if (target != "AVX3_DL" && target != "AVX3_ZEN4") return 0;
  constexpr size_t kSteps = 50000;
  for (int trial = 0; trial < 50; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(Chains512(kSteps));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * 64 * kSteps * kChains / seconds.count() * 1e-9);
  }
#endif
  return best;
}

// `rows` x `columns` windows of `parts` parts of `run` bytes, `step` bytes apart.
struct Shape {
  const char* name;
  size_t rows, columns, parts, run, n, step;
};
const Shape kShapes[] = {
    {"512x512x512", 1, 512, 1, 512, 512, 512},      {"128x128x128", 1, 128, 1, 128, 128, 128},
    {"32x256x784", 1, 32, 1, 784, 256, 784},        {"32x128x256", 1, 32, 1, 256, 128, 256},
    {"1x256x784", 1, 1, 1, 784, 256, 784},          {"1x128x9216", 1, 1, 1, 9216, 128, 9216},
    {"32x128x9216", 1, 32, 1, 9216, 128, 9216},     {"conv_28x28x1_to_32", 26, 26, 3, 3, 32, 1},
    {"conv_26x26x32_to_64", 24, 24, 3, 96, 64, 32},
};

void Run(benchmark::State& state, const Kernels& k, const Shape& s, double peak) {
  const size_t row = s.step * (s.columns + 2);
  AlignedBuffer<uint8_t> x((s.rows + s.parts) * row + s.run + kInt8Slack);
  AlignedBuffer<uint8_t> y(s.rows * s.columns * s.n);
  AlignedBuffer<uint8_t> packed(Int8PackedBytes(s.parts, s.run, s.n));
  const std::vector<int8_t> weights(s.parts * s.run * s.n, 1);
  const std::vector<int32_t> bias(s.n);
  const std::vector<float> scale(s.n, 0.01f);
  std::vector<uint32_t> offsets;
  for (size_t q = 0; q < s.parts; ++q) offsets.push_back(static_cast<uint32_t>(q * row));
  k.int8.pack(weights.data(), bias.data(), scale.data(), s.parts, s.run, s.n, packed.data());
  const Int8Windows windows = {x.data(), s.rows,         s.columns, row,
                               s.step,   offsets.data(), s.parts,   s.run};
  for (auto _ : state) {
    k.int8.product(windows, packed.data(), s.n, {}, false, y.data(), s.n);
    benchmark::ClobberMemory();
  }
  const double gop = 2e-9 * static_cast<double>(s.rows * s.columns * s.parts * s.run * s.n) *
                     static_cast<double>(state.iterations());
  state.counters["GOP/s"] = benchmark::Counter(gop, benchmark::Counter::kIsRate);
  if (peak > 0) {
    state.counters["of_peak"] = benchmark::Counter(gop / peak, benchmark::Counter::kIsRate);
  }
}

void RegisterAll() {
  for (const Kernels* k : AllKernels()) {
    const double peak = PeakGops(k->target);
    for (const Shape& s : kShapes) {
      benchmark::RegisterBenchmark((std::string(k->target) + "/" + s.name).c_str(),
                                   [=](benchmark::State& state) { Run(state, *k, s, peak); });
    }
    if (peak > 0)
      benchmark::AddCustomContext(std::string(k->target) + " peak GOP/s", std::to_string(peak));
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
