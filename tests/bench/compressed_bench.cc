// Dense layers with sparse and 4-bit weights beside the same layer in f32: from which share of
// zeros on a sparse form is faster.
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/kernels.h"
#include "model/layer_chain.h"

namespace linnet {
namespace {

enum class Form { kDense, kSparse, kBlock, kTwoOfFour, kInt4 };

struct Shape {
  size_t batch, depth, n;
};

void Run(benchmark::State& state, const Shape& s, Form form, double zeros) {
  std::mt19937 random(1);
  const auto is_zero = [&] { return random() * 0x1p-32 < zeros; };
  std::vector<float> weights(s.depth * s.n);
  for (size_t i = 0; i < s.depth; ++i) {
    for (size_t j = 0; j < s.n; ++j) {
      float& weight = weights[i * s.n + j];
      weight = 1;
      if (form == Form::kBlock && j % kSparseBlock != 0) weight = weights[i * s.n + j - 1];
      if (form == Form::kBlock && j % kSparseBlock == 0 && is_zero()) weight = 0;
      if (form == Form::kSparse && is_zero()) weight = 0;
      if (form == Form::kTwoOfFour && (i + j) % 2 == 0) weight = 0;
    }
  }
  const Kernels& k = BestKernels();
  std::vector<float> x(s.batch * s.depth, 1), y(s.batch * s.n), bias(s.n);
  AlignedBuffer<float> workspace(LayerWorkspace(s.batch, s.depth) +
                                 GemmWorkspace(s.batch, s.n, s.depth));
  ChainLayer layer;
  layer.depth = s.depth;
  layer.n = s.n;
  if (form == Form::kInt4) {
    layer.codes.resize((s.depth + 1) / 2 * s.n, 0x99);
    layer.scales.resize((s.depth + 31) / 32 * s.n, 0x3c00);
  } else {
    LayerChain::SetForm(weights.data(),
                        form == Form::kSparse      ? ChainLayer::Kind::kSparse
                        : form == Form::kBlock     ? ChainLayer::Kind::kBlock
                        : form == Form::kTwoOfFour ? ChainLayer::Kind::kTwoOfFour
                                                   : ChainLayer::Kind::kDense,
                        layer);
  }
  AlignedBuffer<float> packed(GemmPackedSize(s.depth, s.n));
  if (form == Form::kDense) k.pack_b(weights.data(), s.n, false, s.depth, s.n, packed.data());
  const LayerArgs args = {x.data(),    s.batch, s.depth,  s.n,
                          bias.data(), false,   y.data(), workspace.data()};
  const SparseWeights sparse = {layer.starts.data(), layer.indices.data(), layer.values.data()};
  GemmArgs gemm{};
  gemm.m = s.batch;
  gemm.n = gemm.ldc = s.n;
  gemm.k = gemm.lda = s.depth;
  gemm.a = x.data();
  gemm.b = packed.data();
  gemm.packed_b = true;
  gemm.c = y.data();
  gemm.bias = bias.data();
  gemm.workspace = workspace.data();
  for (auto _ : state) {
    switch (form) {
      case Form::kDense:
        k.gemm(gemm);
        break;
      case Form::kSparse:
        k.compressed.sparse(args, sparse);
        break;
      case Form::kBlock:
        k.compressed.block_sparse(args, sparse);
        break;
      case Form::kTwoOfFour:
        k.compressed.two_of_four(args, layer.values.data(), layer.codes.data());
        break;
      case Form::kInt4:
        k.compressed.int4(args, layer.codes.data(), layer.scales.data());
        break;
    }
    benchmark::ClobberMemory();
  }
  state.counters["weight_bytes"] = static_cast<double>(layer.bytes());
}

void RegisterAll() {
  for (const Shape s :
       {Shape{1, 784, 256}, Shape{32, 784, 256}, Shape{1, 9216, 128}, Shape{32, 9216, 128}}) {
    const std::string name =
        std::to_string(s.batch) + "x" + std::to_string(s.n) + "x" + std::to_string(s.depth) + "/";
    const auto add = [&](const std::string& form_name, Form form, double zeros) {
      benchmark::RegisterBenchmark((name + form_name).c_str(), [=](benchmark::State& state) {
        Run(state, s, form, zeros);
      })->Unit(benchmark::kMicrosecond);
    };
    add("dense", Form::kDense, 0);
    add("int4", Form::kInt4, 0);
    add("two_of_four", Form::kTwoOfFour, 0.5);
    for (const double zeros : {0.3, 0.5, 0.7, 0.8, 0.9, 0.95}) {
      const std::string percent = std::to_string(static_cast<int>(zeros * 100 + 0.5));
      add("block_" + percent, Form::kBlock, zeros);
      add("sparse_" + percent, Form::kSparse, zeros);
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
