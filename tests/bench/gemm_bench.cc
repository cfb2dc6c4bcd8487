// GFLOP/s of matrix products and convolutions on every target, and their share of what a loop of
// independent multiply-adds in registers reaches on this machine.
#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "base/aligned.h"
#include "benchmark/benchmark.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace linnet {
namespace {

// ---- The peak

constexpr size_t kChains = 12;

#if defined(__x86_64__)
// The assembly keeps compilers from computing the loop beforehand.
#define LINNET_CHAINS(NAME, TARGET, V, SET, MULTIPLY_ADD)                     \
  __attribute__((target(TARGET), noinline)) float NAME(size_t steps) {        \
    V x = SET(0.5f), sum[kChains];                                            \
    for (size_t c = 0; c < kChains; ++c) sum[c] = SET(static_cast<float>(c)); \
    for (size_t i = 0; i < steps; ++i) {                                      \
      __asm__ volatile("" : "+v"(x));                                         \
      _Pragma("GCC unroll 12") for (size_t c = 0; c < kChains; ++c) {         \
        sum[c] = MULTIPLY_ADD(sum[c], x, x);                                  \
      }                                                                       \
    }                                                                         \
    for (size_t c = 1; c < kChains; ++c) sum[0] = sum[0] + sum[c];            \
    return sum[0][0];                                                         \
  }
#define LINNET_MUL_ADD_128(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
LINNET_CHAINS(Chains512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
LINNET_CHAINS(Chains256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)
LINNET_CHAINS(Chains128, "sse2", __m128, _mm_set1_ps, LINNET_MUL_ADD_128)
#endif

// GFLOP/s of this machine with a target's instructions; 0 where it is not known.
double PeakGflops([[maybe_unused]] std::string_view target) {
  double best = 0;
#if defined(__x86_64__)
  const bool wide = target.starts_with("AVX3"), middle = target == "AVX2";
  const auto chains = wide ? Chains512 : middle ? Chains256 : Chains128;
  constexpr size_t kSteps = 50000;
  const double flops = 2.0 * kSteps * kChains * (wide ? 16 : middle ? 8 : 4);
  for (int trial = 0; trial < 50; ++trial) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(chains(kSteps));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, flops / seconds.count() * 1e-9);
  }
#endif
  return best;
}

// ---- Products

struct Product {
  const char* name;
  size_t m, n, k;
  bool trans_a = false, trans_b = false;
};
const Product kProducts[] = {
    {"square", 512, 512, 512},
    {"square", 128, 128, 128},
    {"forward_b32", 32, 256, 784},
    {"forward_b32", 32, 128, 256},
    {"weights_b32", 784, 256, 32, true, false},
    {"input_b32", 32, 784, 256, false, true},
    {"forward_b128", 128, 256, 784},
    {"weights_b128", 784, 256, 128, true, false},
    {"input_b128", 128, 784, 256, false, true},
    {"forward_b1", 1, 256, 784},
    {"forward_b10", 10, 200, 784},
    {"forward_b10", 10, 200, 200},
    {"forward_b10", 10, 10, 200},
    {"weights_b10", 784, 200, 10, true, false},
    {"weights_b10", 200, 200, 10, true, false},
    {"weights_b10", 200, 10, 10, true, false},
    {"input_b10", 10, 784, 200, false, true},
    {"input_b10", 10, 200, 200, false, true},
    {"input_b10", 10, 200, 10, false, true},
};

void Report(benchmark::State& state, double flops, double peak) {
  const double total = flops * static_cast<double>(state.iterations()) * 1e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  if (peak > 0) {
    state.counters["of_peak"] = benchmark::Counter(total / peak, benchmark::Counter::kIsRate);
  }
}

void RunProduct(benchmark::State& state, const Kernels& k, const Product& p, double peak) {
  AlignedBuffer<float> a(p.m * p.k), b(p.k * p.n), c(p.m * p.n);
  AlignedBuffer<float> workspace(GemmWorkspace(p.m, p.n, p.k));
  for (auto _ : state) {
    k.gemm({.m = p.m,
            .n = p.n,
            .k = p.k,
            .a = a.data(),
            .lda = p.trans_a ? p.m : p.k,
            .trans_a = p.trans_a,
            .b = b.data(),
            .ldb = p.trans_b ? p.k : p.n,
            .trans_b = p.trans_b,
            .c = c.data(),
            .ldc = p.n,
            .accumulate = false,
            .bias = nullptr,
            .relu = false,
            .workspace = workspace.data()});
    benchmark::ClobberMemory();
  }
  Report(state, 2.0 * static_cast<double>(p.m * p.n * p.k), peak);
}

// ---- Convolutions

struct Convolution {
  const char* name;
  Conv2dShape shape;
};
const Convolution kConvolutions[] = {
    {"28x28x1_to_32",
     {.batch = 32,
      .height = 28,
      .width = 28,
      .in_channels = 1,
      .kernel_h = 3,
      .kernel_w = 3,
      .out_channels = 32}},
    {"26x26x32_to_64",
     {.batch = 32,
      .height = 26,
      .width = 26,
      .in_channels = 32,
      .kernel_h = 3,
      .kernel_w = 3,
      .out_channels = 64}},
    {"12x12x32_to_64_pad",
     {.batch = 32,
      .height = 12,
      .width = 12,
      .in_channels = 32,
      .kernel_h = 3,
      .kernel_w = 3,
      .out_channels = 64,
      .pad_top = 1,
      .pad_left = 1,
      .pad_bottom = 1,
      .pad_right = 1}},
};
enum class Pass { kForward, kWeights, kInput };

void RunConvolution(benchmark::State& state, const Kernels& k, const Conv2dShape& s, Pass pass,
                    double peak) {
  const size_t out = s.batch * s.OutHeight() * s.OutWidth() * s.out_channels;
  const size_t window = s.kernel_h * s.kernel_w * s.in_channels;
  AlignedBuffer<float> x(s.batch * s.height * s.width * s.in_channels), w(window * s.out_channels),
      y(out);
  AlignedBuffer<float> workspace(Conv2dWorkspace(s));
  for (auto _ : state) {
    switch (pass) {
      case Pass::kForward:
        k.conv2d({.shape = s,
                  .x = x.data(),
                  .w = w.data(),
                  .bias = nullptr,
                  .relu = true,
                  .y = y.data(),
                  .workspace = workspace.data()});
        break;
      case Pass::kWeights:
        k.conv2d_grad_weights({.shape = s,
                               .x = x.data(),
                               .dy = y.data(),
                               .accumulate = false,
                               .dw = w.data(),
                               .workspace = workspace.data()});
        break;
      case Pass::kInput:
        k.conv2d_grad_input({.shape = s,
                             .w = w.data(),
                             .dy = y.data(),
                             .dx = x.data(),
                             .workspace = workspace.data()});
        break;
    }
    benchmark::ClobberMemory();
  }
  Report(state, 2.0 * static_cast<double>(out * window), peak);
}

void RegisterAll() {
  for (const Kernels* k : AllKernels()) {
    const double peak = PeakGflops(k->target);
    const std::string target = k->target;
    for (const Product& p : kProducts) {
      const std::string size =
          std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k);
      benchmark::RegisterBenchmark(
          (target + "/" + p.name + "/" + size).c_str(),
          [=](benchmark::State& state) { RunProduct(state, *k, p, peak); });
    }
    for (const Convolution& c : kConvolutions) {
      for (const Pass pass : {Pass::kForward, Pass::kWeights, Pass::kInput}) {
        const char* pass_name = pass == Pass::kForward   ? "forward"
                                : pass == Pass::kWeights ? "weights"
                                                         : "input";
        benchmark::RegisterBenchmark(
            (target + "/conv_" + pass_name + "/" + c.name).c_str(),
            [=](benchmark::State& state) { RunConvolution(state, *k, c.shape, pass, peak); });
      }
    }
    benchmark::AddCustomContext(target + " peak GFLOP/s", std::to_string(peak));
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
