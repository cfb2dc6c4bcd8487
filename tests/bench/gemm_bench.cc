// GFLOP/s of matrix products and convolutions on every target, layer by layer of the builtin
// models, and their share of what a loop of independent multiply-adds in registers reaches on this
// machine.
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

enum class Form { kForward, kPacked, kWeights, kInput };
struct Product {
  const char* layer;
  Form form;
  size_t m, n, k;
  bool TransA() const { return form == Form::kWeights; }
  bool TransB() const { return form == Form::kInput; }
  bool Packed() const { return form == Form::kPacked; }
  std::string Name() const {
    const char* forms[] = {"forward", "packed", "weights", "input"};
    return std::string(layer) + "/" + forms[static_cast<int>(form)] + "/" + std::to_string(m) +
           "x" + std::to_string(n) + "x" + std::to_string(k);
  }
};

// The products of a dense layer in inference and training.
struct Dense {
  const char* layer;
  size_t batch, in, out;
};
const Dense kDense[] = {
    {"square_512", 512, 512, 512},     {"square_128", 128, 128, 128},
    {"mlp1_b32", 32, 784, 256},        {"mlp2_b32", 32, 256, 128},
    {"mlp3_b32", 32, 128, 10},         {"mlp1_b128", 128, 784, 256},
    {"mlp2_b128", 128, 256, 128},      {"mlp3_b128", 128, 128, 10},
    {"mlp1_b1", 1, 784, 256},          {"mlp2_b1", 1, 256, 128},
    {"mlp3_b1", 1, 128, 10},           {"mlp_2nn1_b10", 10, 784, 200},
    {"mlp_2nn2_b10", 10, 200, 200},    {"mlp_2nn3_b10", 10, 200, 10},
    {"cnn_small3_b32", 32, 9216, 128}, {"cnn_small3_b1", 1, 9216, 128},
};
std::vector<Product> ProductsOf(const Dense& d) {
  std::vector<Product> products = {{d.layer, Form::kForward, d.batch, d.out, d.in},
                                   {d.layer, Form::kPacked, d.batch, d.out, d.in}};
  if (d.batch > 1) {
    products.push_back({d.layer, Form::kWeights, d.in, d.out, d.batch});
    products.push_back({d.layer, Form::kInput, d.batch, d.in, d.out});
  }
  return products;
}

void Report(benchmark::State& state, double flops, double peak) {
  const double total = flops * static_cast<double>(state.iterations()) * 1e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  if (peak > 0) {
    state.counters["of_peak"] = benchmark::Counter(total / peak, benchmark::Counter::kIsRate);
  }
}

void RunProduct(benchmark::State& state, const Kernels& k, const Product& p, double peak) {
  AlignedBuffer<float> a(p.m * p.k), b(p.k * p.n), c(p.m * p.n);
  AlignedBuffer<float> workspace(GemmWorkspace(p.m, p.n, p.k)), packed(GemmPackedSize(p.k, p.n));
  if (p.Packed()) k.pack_b(b.data(), p.n, false, p.k, p.n, packed.data());
  for (auto _ : state) {
    k.gemm({.m = p.m,
            .n = p.n,
            .k = p.k,
            .a = a.data(),
            .lda = p.TransA() ? p.m : p.k,
            .trans_a = p.TransA(),
            .b = p.Packed() ? packed.data() : b.data(),
            .ldb = p.TransB() ? p.k : p.n,
            .trans_b = p.TransB(),
            .packed_b = p.Packed(),
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
constexpr Conv2dShape Square(size_t batch, size_t size, size_t in, size_t kernel, size_t out,
                             size_t stride, size_t pad, size_t groups = 1) {
  return {.batch = batch,
          .height = size,
          .width = size,
          .in_channels = in,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .out_channels = out,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .pad_bottom = pad,
          .pad_right = pad,
          .groups = groups};
}
const Convolution kConvolutions[] = {
    {"cnn_small1_b32", Square(32, 28, 1, 3, 32, 1, 0)},
    {"cnn_small2_b32", Square(32, 26, 32, 3, 64, 1, 0)},
    {"cnn_small1_b1", Square(1, 28, 1, 3, 32, 1, 0)},
    {"cnn_small2_b1", Square(1, 26, 32, 3, 64, 1, 0)},
    {"cnn_mnist1_b32", Square(32, 28, 1, 5, 32, 1, 2)},
    {"cnn_mnist2_b32", Square(32, 14, 32, 5, 64, 1, 2)},
    {"stride2_b32", Square(32, 26, 32, 3, 64, 2, 1)},
    {"depthwise_b32", Square(32, 14, 64, 3, 64, 1, 1, 64)},
};
enum class Pass { kForward, kWeights, kInput };

void RunConvolution(benchmark::State& state, const Kernels& k, const Conv2dShape& s, Pass pass,
                    double peak) {
  const size_t out = s.batch * s.OutHeight() * s.OutWidth() * s.out_channels;
  const size_t window = s.WindowSize();
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
    for (const Dense& dense : kDense) {
      for (const Product& p : ProductsOf(dense)) {
        benchmark::RegisterBenchmark(
            (target + "/" + p.Name()).c_str(),
            [=](benchmark::State& state) { RunProduct(state, *k, p, peak); });
      }
    }
    for (const Convolution& c : kConvolutions) {
      for (const Pass pass : {Pass::kForward, Pass::kWeights, Pass::kInput}) {
        const char* pass_name = pass == Pass::kForward   ? "forward"
                                : pass == Pass::kWeights ? "weights"
                                                         : "input";
        benchmark::RegisterBenchmark(
            (target + "/" + c.name + "/" + pass_name).c_str(),
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
