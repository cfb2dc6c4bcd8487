// Kernels of layers that are no matrix products, in bytes touched per second, beside memcpy and
// x *= a on arrays of the same size in the same run: those that only move memory should be level
// with the second; the transcendental ones are bound by arithmetic where the arrays fit a cache.
#include <cstring>
#include <functional>
#include <string>

#include "base/aligned.h"
#include "benchmark/benchmark.h"
#include "kernels/kernels.h"

namespace linnet {
namespace {

// 32 x 12 x 12 x 64 activations (1.2 MB each), and what fits L1.
constexpr size_t kRows = 32 * 12 * 12, kCols = 64, kLarge = kRows * kCols, kSmall = 2048;

struct Arrays {
  explicit Arrays(size_t n)
      : a(n), b(n), c(n), d(n), p(4 * kCols), q(kRows), r(kRows), bytes(n), workspace(1 << 20) {
    for (size_t i = 0; i < n; ++i) {
      a.data()[i] = static_cast<float>(i % 97) / 16 - 3;
      b.data()[i] = static_cast<float>(i % 89) / 64;
    }
  }
  AlignedBuffer<float> a, b, c, d, p, q, r;
  AlignedBuffer<uint8_t> bytes;
  AlignedBuffer<float> workspace;
};

using Body = std::function<void(const Kernels& k, Arrays& s, size_t n)>;
struct Kernel {
  const char* name;
  size_t arrays;  // that are read or written
  Body body;
};

const WindowShape kWindows{.batch = 32,
                           .height = 12,
                           .width = 12,
                           .channels = 64,
                           .size_h = 2,
                           .size_w = 2,
                           .stride_h = 2,
                           .stride_w = 2};

#define LINNET_UNARY(NAME) \
  {#NAME, 2,               \
   [](const Kernels& k, Arrays& s, size_t n) { k.activation.NAME(s.a.data(), s.c.data(), n); }}
#define LINNET_BINARY(NAME)                                    \
  {#NAME, 3, [](const Kernels& k, Arrays& s, size_t n) {       \
     k.activation.NAME(s.a.data(), s.b.data(), s.c.data(), n); \
   }}

const Kernel kElementwise[] = {
    {"memcpy", 2,
     [](const Kernels&, Arrays& s, size_t n) { std::memcpy(s.c.data(), s.a.data(), n * 4); }},
    {"scale", 2, [](const Kernels& k, Arrays& s, size_t n) { k.scale(1.0f, s.a.data(), n); }},
    {"relu", 2, [](const Kernels& k, Arrays& s, size_t n) { k.relu(s.a.data(), s.c.data(), n); }},
    LINNET_UNARY(sigmoid),
    LINNET_UNARY(tanh),
    LINNET_UNARY(silu),
    LINNET_UNARY(gelu),
    LINNET_UNARY(gelu_tanh),
    LINNET_BINARY(sigmoid_grad),
    LINNET_BINARY(silu_grad),
    LINNET_BINARY(gelu_grad),
    {"dropout", 2,
     [](const Kernels& k, Arrays& s, size_t n) {
       k.arithmetic.dropout(1, 0, 0.5f, s.a.data(), s.c.data(), n);
     }},
    {"multiply", 3,
     [](const Kernels& k, Arrays& s, size_t n) {
       k.arithmetic.multiply(s.a.data(), s.b.data(), s.c.data(), n);
     }},
    {"adam", 7,
     [](const Kernels& k, Arrays& s, size_t n) {
       k.optimizer.adam({.lr = 1e-3f,
                         .beta1 = .9f,
                         .beta2 = .999f,
                         .epsilon = 1e-8f,
                         .weight_decay = 0,
                         .step = 1},
                        s.a.data(), s.b.data(), s.c.data(), s.d.data(), n);
     }},
    {"softmax", 2,
     [](const Kernels& k, Arrays& s, size_t n) {
       k.softmax(s.a.data(), n / kCols, kCols, s.c.data());
     }},
    {"layer_norm", 2,
     [](const Kernels& k, Arrays& s, size_t n) {
       k.norm.layer_norm(s.a.data(), n / kCols, kCols, 1e-5f, s.p.data(), s.p.data() + kCols,
                         s.c.data(), s.q.data(), s.r.data());
     }},
};
const Kernel kWhole[] = {
    {"batch_norm", 3,
     [](const Kernels& k, Arrays& s, size_t) {
       k.norm.batch_norm(s.a.data(), kRows, kCols, 1e-5f, s.p.data(), s.p.data() + kCols,
                         s.c.data(), s.p.data() + 2 * kCols, s.p.data() + 3 * kCols,
                         s.workspace.data(), nullptr);
     }},
    {"batch_norm_grad", 5,
     [](const Kernels& k, Arrays& s, size_t) {
       k.norm.batch_norm_grad(s.a.data(), kRows, kCols, 1e-5f, s.p.data(), s.p.data() + kCols,
                              s.p.data() + 2 * kCols, s.b.data(), s.c.data(), false, s.q.data(),
                              s.r.data(), s.workspace.data(), nullptr);
     }},
    {"max_pool", 1,
     [](const Kernels& k, Arrays& s, size_t) {
       k.pool.max(kWindows, s.a.data(), s.c.data(), s.bytes.data());
     }},
    {"max_pool_grad", 1,
     [](const Kernels& k, Arrays& s, size_t) {
       k.pool.max_grad(kWindows, s.b.data(), s.bytes.data(), s.c.data());
     }},
    {"transpose", 2,
     [](const Kernels& k, Arrays& s, size_t) {
       const size_t dims[] = {32, 144, 64}, perm[] = {0, 2, 1};
       k.shape.transpose(s.a.data(), dims, perm, 3, s.c.data());
     }},
};

void Run(benchmark::State& state, const Kernels& k, const Kernel& kernel, size_t n) {
  Arrays arrays(n);
  for (auto _ : state) {
    kernel.body(k, arrays, n);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(kernel.arrays * n * sizeof(float)));
}

// Four heads of 32 over 128 tokens, batch 8; against the products alone, forward 4 t^2 d
// operations.
void RunAttention(benchmark::State& state, const Kernels& k, bool gradient) {
  const AttentionShape s{.batch = 8, .tokens = 128, .heads = 4, .head_size = 32, .causal = true};
  const size_t n = 8 * 128 * 128;
  AlignedBuffer<float> qkv(3 * n), out(n), log_sums(8 * 4 * 128), dqkv(3 * n), dout(n);
  AlignedBuffer<float> workspace(AttentionWorkspace(s));
  for (size_t i = 0; i < 3 * n; ++i) qkv.data()[i] = static_cast<float>(i % 17) / 16;
  k.attention.forward(s, qkv.data(), out.data(), log_sums.data(), workspace.data(), nullptr);
  for (auto _ : state) {
    if (gradient) {
      k.attention.gradient(s, qkv.data(), out.data(), log_sums.data(), dout.data(), dqkv.data(),
                           workspace.data(), nullptr);
    } else {
      k.attention.forward(s, qkv.data(), out.data(), log_sums.data(), workspace.data(), nullptr);
    }
    benchmark::ClobberMemory();
  }
  const double flops = (gradient ? 10.0 : 4.0) * 8 * 128 * 128 * 128;
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * static_cast<double>(state.iterations()) * 1e-9, benchmark::Counter::kIsRate);
}

void RegisterAll() {
  for (const Kernels* k : AllKernels()) {
    const std::string target = std::string(k->target) + "/";
    const auto add = [&](const Kernel& kernel, size_t n, const char* size) {
      benchmark::RegisterBenchmark(
          (target + kernel.name + size).c_str(),
          [=, &kernel](benchmark::State& state) { Run(state, *k, kernel, n); });
    };
    for (const Kernel& kernel : kElementwise) {
      add(kernel, kSmall, "/in_cache");
      add(kernel, kLarge, "/large");
    }
    for (const Kernel& kernel : kWhole) add(kernel, kLarge, "/large");
    for (const bool gradient : {false, true}) {
      benchmark::RegisterBenchmark(
          (target + (gradient ? "attention_grad" : "attention")).c_str(),
          [=](benchmark::State& state) { RunAttention(state, *k, gradient); });
    }
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
