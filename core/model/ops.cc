#include "model/ops.h"

#include <algorithm>
#include <array>

#include "model/ops_infer.h"

namespace linnet {
namespace {

constexpr std::array kOps = {
    OpTraits{Op::kDense, "dense", 1, 2, 0, InferDense},
    OpTraits{Op::kConv2d, "conv2d", 1, 2, 9, InferConv2d},
    OpTraits{Op::kRelu, "relu", 1, 0, 0, InferSame},
    OpTraits{Op::kMaxPool, "max_pool", 1, 0, 8, InferMaxPool},
    OpTraits{Op::kFlatten, "flatten", 1, 0, 0, InferFlatten},
    OpTraits{Op::kAdd, "add", 2, 0, 0, InferElementwise},
    OpTraits{Op::kAvgPool, "avg_pool", 1, 0, 9, InferAvgPool},
    OpTraits{Op::kGlobalAvgPool, "global_avg_pool", 1, 0, 0, InferGlobalAvgPool},
    OpTraits{Op::kBatchNorm, "batch_norm", 1, 4, 2, InferBatchNorm, 2},
    OpTraits{Op::kLayerNorm, "layer_norm", 1, 2, 1, InferLayerNorm},
    OpTraits{Op::kGroupNorm, "group_norm", 1, 2, 2, InferGroupNorm},
    OpTraits{Op::kGelu, "gelu", 1, 0, 1, InferGelu},
    OpTraits{Op::kSilu, "silu", 1, 0, 0, InferSame},
    OpTraits{Op::kSigmoid, "sigmoid", 1, 0, 0, InferSame},
    OpTraits{Op::kTanh, "tanh", 1, 0, 0, InferSame},
    OpTraits{Op::kSoftmax, "softmax", 1, 0, 0, InferSame},
    OpTraits{Op::kLeakyRelu, "leaky_relu", 1, 0, 1, InferLeakyRelu},
    OpTraits{Op::kClip, "clip", 1, 0, 2, InferClip},
    OpTraits{Op::kLinear, "linear", 1, {1, 2}, 0, InferLinear},
    OpTraits{Op::kEmbedding, "embedding", 1, 1, 0, InferEmbedding},
    OpTraits{Op::kGru, "gru", 1, 4, 3, InferGru},
    OpTraits{Op::kAttention, "attention", 1, 0, 2, InferAttention},
    OpTraits{Op::kMul, "mul", 2, 0, 0, InferElementwise},
    OpTraits{Op::kSub, "sub", 2, 0, 0, InferElementwise},
    OpTraits{Op::kScale, "scale", 1, 0, 1, InferScale},
    OpTraits{Op::kAddParam, "add_param", 1, 1, 0, InferParamBroadcast},
    OpTraits{Op::kMulParam, "mul_param", 1, 1, 0, InferParamBroadcast},
    OpTraits{Op::kMatmul, "matmul", 2, 0, 2, InferMatmul},
    OpTraits{Op::kConcat, "concat", {2, 64}, 0, 1, InferConcat},
    OpTraits{Op::kReshape, "reshape", 1, 0, {1, kMaxRank}, InferReshape},
    OpTraits{Op::kTranspose, "transpose", 1, 0, {1, kMaxRank}, InferTranspose},
    OpTraits{Op::kReduceMean, "reduce_mean", 1, 0, 2, InferReduce},
    OpTraits{Op::kReduceSum, "reduce_sum", 1, 0, 2, InferReduce},
    OpTraits{Op::kSlice, "slice", 1, 0, 3, InferSlice},
    OpTraits{Op::kDropout, "dropout", 1, 0, 1, InferDropout},
    OpTraits{Op::kPad, "pad", 1, 0, 4, InferPad},
};

}  // namespace

uint64_t ElementCount(std::span<const uint32_t> shape) {
  uint64_t count = 1;
  for (const uint32_t size : shape) count = std::min(count * size, kMaxElements + 1);
  return count;
}

std::string ShapeText(std::span<const uint32_t> shape) {
  std::string text = "[";
  for (const uint32_t size : shape) text += StrCat(text.size() > 1 ? ", " : "", size);
  return text + "]";
}

const OpTraits* FindOp(Op op) {
  const auto found = std::ranges::find(kOps, op, &OpTraits::op);
  return found == kOps.end() ? nullptr : &*found;
}

std::string_view OpName(Op op) {
  const OpTraits* traits = FindOp(op);
  return traits == nullptr ? std::string_view{} : traits->name;
}

}  // namespace linnet
