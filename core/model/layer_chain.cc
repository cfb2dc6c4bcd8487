#include "model/layer_chain.h"

#include <algorithm>

#include "model/ops.h"
#include "model/quantize_parts.h"

namespace linnet {
namespace {

// Batches from here on use a weight for several rows at once, which changes what wins.
constexpr size_t kLargeBatch = 8;
// Shares of zeros from which a form is faster than dense weights (tests/bench/compressed_bench.cc
// measures them). Two of four wins for small batches alone, where moving weights is what takes
// time.
constexpr double kBlockWins = 0.3;
constexpr double kSparseWins = 0.9, kSparseWinsLargeBatch = 0.75;

size_t Blocks(size_t n) { return (n + kSparseBlock - 1) / kSparseBlock; }

bool BlockIsZero(const float* weights, const ChainLayer& layer, size_t row, size_t block) {
  const size_t begin = block * kSparseBlock, end = std::min(begin + kSparseBlock, layer.n);
  return std::all_of(weights + row * layer.n + begin, weights + row * layer.n + end,
                     [](float value) { return value == 0; });
}

void SetBlocks(const float* weights, ChainLayer& layer) {
  layer.kind = ChainLayer::Kind::kBlock;
  layer.starts = {0};
  for (size_t block = 0; block < Blocks(layer.n); ++block) {
    for (size_t row = 0; row < layer.depth; ++row) {
      if (BlockIsZero(weights, layer, row, block)) continue;
      layer.indices.push_back(static_cast<uint32_t>(row));
      for (size_t j = block * kSparseBlock; j < (block + 1) * kSparseBlock; ++j) {
        layer.values.push_back(j < layer.n ? weights[row * layer.n + j] : 0);
      }
    }
    layer.starts.push_back(static_cast<uint32_t>(layer.indices.size()));
  }
}

void SetSparse(const float* weights, ChainLayer& layer) {
  layer.kind = ChainLayer::Kind::kSparse;
  layer.starts = {0};
  for (size_t j = 0; j < layer.n; ++j) {
    for (size_t row = 0; row < layer.depth; ++row) {
      const float value = weights[row * layer.n + j];
      if (value == 0) continue;
      layer.indices.push_back(static_cast<uint32_t>(row));
      layer.values.push_back(value);
    }
    layer.starts.push_back(static_cast<uint32_t>(layer.indices.size()));
  }
}

// Whether at most two of each four rows of every column are set.
bool IsTwoOfFour(const float* weights, const ChainLayer& layer) {
  if (layer.depth % 4 != 0) return false;
  for (size_t row = 0; row < layer.depth; row += 4) {
    for (size_t j = 0; j < layer.n; ++j) {
      size_t set = 0;
      for (size_t i = 0; i < 4; ++i) set += weights[(row + i) * layer.n + j] != 0;
      if (set > 2) return false;
    }
  }
  return true;
}

void SetTwoOfFour(const float* weights, ChainLayer& layer) {
  layer.kind = ChainLayer::Kind::kTwoOfFour;
  for (size_t block = 0; block < Blocks(layer.n); ++block) {
    for (size_t row = 0; row < layer.depth; row += 4) {
      float values[2][kSparseBlock] = {};
      uint8_t positions[kSparseBlock] = {};
      for (size_t lane = 0; lane < kSparseBlock; ++lane) {
        const size_t j = block * kSparseBlock + lane;
        size_t set = 0;
        for (size_t i = 0; i < 4 && j < layer.n; ++i) {
          const float value = weights[(row + i) * layer.n + j];
          if (value == 0) continue;
          values[set][lane] = value;
          positions[lane] |= static_cast<uint8_t>(i << (2 * set));
          ++set;
        }
      }
      layer.values.insert(layer.values.end(), &values[0][0], &values[0][0] + 2 * kSparseBlock);
      layer.codes.insert(layer.codes.end(), positions, positions + kSparseBlock);
    }
  }
}

}  // namespace

size_t ChainLayer::bytes() const {
  return 4 * (bias.size() + values.size() + starts.size() + indices.size()) + codes.size() +
         2 * scales.size();
}

std::optional<DenseTail> CutDenseTail(const Model& model) {
  const Graph& graph = model.graph;
  const Result<std::vector<Shape>> shapes = InferShapes(graph);
  if (!shapes) return std::nullopt;
  // The first node of the chain: the earliest dense or linear layer from which on each node reads
  // the one before it alone.
  size_t first = graph.nodes.size();
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (node.inputs.size() != 1 || node.inputs[0] != i) break;
    if (node.op == Op::kDense || node.op == Op::kLinear) {
      if (ElementCount((*shapes)[i]) != graph.params[node.params[0]].shape[0]) break;
      first = i;
    } else if (node.op != Op::kRelu && node.op != Op::kFlatten && node.op != Op::kReshape &&
               node.op != Op::kDropout) {
      break;
    }
  }
  if (first == 0 || first == graph.nodes.size()) return std::nullopt;
  const Shape& cut = (*shapes)[first];
  DenseTail out{.head = UpTo(model, static_cast<uint32_t>(first), cut), .chain = {}, .params = {}};
  Graph& chain = out.chain.graph;
  chain.name = graph.name;
  chain.input_shape = {static_cast<uint32_t>(ElementCount(cut))};
  chain.classes = graph.classes;
  chain.loss = graph.loss;
  for (size_t i = first; i < graph.nodes.size(); ++i) {
    Node node = graph.nodes[i];
    node.inputs[0] = static_cast<uint32_t>(i - first);
    for (uint32_t& index : node.params) {
      ParamInfo param = graph.params[index];
      const auto begin = model.parameters.begin() + static_cast<ptrdiff_t>(param.offset);
      param.offset = out.chain.parameters.size();
      out.chain.parameters.insert(out.chain.parameters.end(), begin,
                                  begin + static_cast<ptrdiff_t>(param.count));
      out.params.push_back(index);
      index = static_cast<uint32_t>(chain.params.size());
      chain.params.push_back(std::move(param));
    }
    chain.nodes.push_back(std::move(node));
  }
  return out;
}

std::optional<LayerChain> LayerChain::Make(const Model& model, size_t max_batch,
                                           const Kernels& kernels) {
  const Graph& graph = model.graph;
  const Result<std::vector<Shape>> shapes = InferShapes(graph);
  if (!shapes) return std::nullopt;
  LayerChain chain(max_batch, kernels);
  for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.inputs.size() != 1 || node.inputs[0] != i) return std::nullopt;
    switch (node.op) {
      case Op::kFlatten:
      case Op::kReshape:
      case Op::kDropout:
        break;
      case Op::kRelu:
        if (chain.layers_.empty()) return std::nullopt;
        chain.layers_.back().relu = true;
        break;
      case Op::kDense:
      case Op::kLinear: {
        const ParamInfo& weights = graph.params[node.params[0]];
        ChainLayer layer;
        layer.depth = weights.shape[0];
        layer.n = weights.shape[1];
        layer.weights = node.params[0];
        if (ElementCount((*shapes)[i]) != layer.depth) return std::nullopt;
        layer.bias.resize(layer.n);
        if (node.params.size() > 1) {
          const float* bias = model.parameters.data() + graph.params[node.params[1]].offset;
          layer.bias.assign(bias, bias + layer.n);
        }
        chain.layers_.push_back(std::move(layer));
        break;
      }
      default:
        return std::nullopt;
    }
  }
  if (chain.layers_.empty()) return std::nullopt;
  return chain;
}

void LayerChain::SetForm(const float* weights, ChainLayer::Kind form, ChainLayer& layer) {
  switch (form) {
    case ChainLayer::Kind::kBlock:
      return SetBlocks(weights, layer);
    case ChainLayer::Kind::kSparse:
      return SetSparse(weights, layer);
    case ChainLayer::Kind::kTwoOfFour:
      return SetTwoOfFour(weights, layer);
    case ChainLayer::Kind::kDense:
    case ChainLayer::Kind::kInt4:
      break;
  }
  layer.kind = ChainLayer::Kind::kDense;
  layer.values.assign(weights, weights + layer.depth * layer.n);
}

void LayerChain::SetFastest(const float* weights, ChainLayer& layer) const {
  const bool large = max_batch_ >= kLargeBatch;
  const size_t count = layer.depth * layer.n;
  size_t zero_blocks = 0;
  for (size_t row = 0; row < layer.depth; ++row) {
    for (size_t block = 0; block < Blocks(layer.n); ++block) {
      zero_blocks += BlockIsZero(weights, layer, row, block);
    }
  }
  const auto share = [](size_t zeros, size_t of) {
    return static_cast<double>(zeros) / static_cast<double>(of);
  };
  const auto zeros = static_cast<size_t>(std::count(weights, weights + count, 0.0f));
  ChainLayer::Kind form = ChainLayer::Kind::kDense;
  if (share(zero_blocks, layer.depth * Blocks(layer.n)) >= kBlockWins) {
    form = ChainLayer::Kind::kBlock;
  } else if (share(zeros, count) >= (large ? kSparseWinsLargeBatch : kSparseWins)) {
    form = ChainLayer::Kind::kSparse;
  } else if (!large && IsTwoOfFour(weights, layer)) {
    form = ChainLayer::Kind::kTwoOfFour;
  }
  SetForm(weights, form, layer);
}

void LayerChain::SetInt4(const QuantizedTensor& tensor, ChainLayer& layer) {
  layer.kind = ChainLayer::Kind::kInt4;
  layer.codes = tensor.int4;
  layer.scales = tensor.scales4;
}

void LayerChain::Allocate() {
  size_t workspace = 0;
  for (const ChainLayer& layer : layers_) {
    widest_ = std::max(widest_, (layer.n + 15) / 16 * 16);
    workspace = std::max(workspace, LayerWorkspace(max_batch_, layer.depth));
    for (size_t batch = 1; batch <= max_batch_ && layer.kind == ChainLayer::Kind::kDense; ++batch) {
      workspace = std::max(workspace, GemmWorkspace(batch, layer.n, layer.depth));
    }
  }
  arena_ = AlignedBuffer<float>(2 * widest_ * max_batch_ + workspace);
}

void LayerChain::Run(const float* x, size_t batch, float* y) {
  LINNET_CHECK(batch >= 1 && batch <= max_batch_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    float* to = i + 1 == layers_.size() ? y : arena_.data() + i % 2 * widest_ * max_batch_;
    RunLayer(layers_[i], x, batch, to);
    x = to;
  }
}

void LayerChain::RunLayer(const ChainLayer& layer, const float* x, size_t batch, float* y) {
  float* const workspace = arena_.data() + 2 * widest_ * max_batch_;
  const LayerArgs args = {.x = x,
                          .rows = batch,
                          .depth = layer.depth,
                          .n = layer.n,
                          .bias = layer.bias.data(),
                          .relu = layer.relu,
                          .y = y,
                          .workspace = workspace};
  const SparseWeights sparse = {layer.starts.data(), layer.indices.data(), layer.values.data()};
  switch (layer.kind) {
    case ChainLayer::Kind::kDense: {
      GemmArgs gemm{};
      gemm.m = batch;
      gemm.n = gemm.ldb = gemm.ldc = layer.n;
      gemm.k = gemm.lda = layer.depth;
      gemm.a = x;
      gemm.b = layer.values.data();
      gemm.c = y;
      gemm.bias = layer.bias.data();
      gemm.relu = layer.relu;
      gemm.workspace = workspace;
      k_->gemm(gemm);
      return;
    }
    case ChainLayer::Kind::kInt4:
      k_->compressed.int4(args, layer.codes.data(), layer.scales.data());
      return;
    case ChainLayer::Kind::kSparse:
      k_->compressed.sparse(args, sparse);
      return;
    case ChainLayer::Kind::kBlock:
      k_->compressed.block_sparse(args, sparse);
      return;
    case ChainLayer::Kind::kTwoOfFour:
      k_->compressed.two_of_four(args, layer.values.data(), layer.codes.data());
      return;
  }
}

size_t LayerChain::weight_bytes() const {
  size_t bytes = 0;
  for (const ChainLayer& layer : layers_) bytes += layer.bytes();
  return bytes;
}

}  // namespace linnet
