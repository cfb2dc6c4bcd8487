#include "model/ops.h"

#include <algorithm>
#include <array>

namespace linnet {
namespace {

Status CheckBias(const Shape& bias, uint32_t width) {
  if (bias == Shape{width}) return {};
  return Fail(Code::kInvalid, "the bias is ", ShapeText(bias), ", wanted [", width, "]");
}

Status CheckImage(const Shape& x) {
  if (x.size() == 3) return {};
  return Fail(Code::kInvalid, "the input is ", ShapeText(x), ", wanted [height, width, channels]");
}

Result<Shape> InferDense(const OpArguments& arguments) {
  const uint64_t in = ElementCount(*arguments.inputs[0]);
  const Shape& weights = *arguments.params[0];
  if (weights.size() != 2 || weights[0] != in) {
    return Fail(Code::kInvalid, "the weights are ", ShapeText(weights), ", wanted [", in,
                ", outputs] for an input of ", ShapeText(*arguments.inputs[0]));
  }
  LINNET_TRY_STATUS(CheckBias(*arguments.params[1], weights[1]));
  return Shape{weights[1]};
}

Result<Shape> InferConv2d(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  const Shape& weights = *arguments.params[0];
  const uint64_t stride = arguments.attributes[0], pad = arguments.attributes[1];
  LINNET_TRY_STATUS(CheckImage(x));
  if (weights.size() != 4 || weights[2] != x[2]) {
    return Fail(Code::kInvalid, "the weights are ", ShapeText(weights),
                ", wanted [kernel height, kernel width, ", x[2], ", outputs] for an input of ",
                ShapeText(x));
  }
  if (stride == 0 || stride > kMaxElements) {
    return Fail(Code::kInvalid, "the stride is ", stride, ", wanted 1 to ", kMaxElements);
  }
  if (pad >= std::min(weights[0], weights[1])) {
    return Fail(Code::kInvalid, "the padding is ", pad, ", wanted less than the kernel, ",
                weights[0], " x ", weights[1]);
  }
  const uint64_t height = x[0] + 2 * pad, width = x[1] + 2 * pad;
  if (weights[0] > height || weights[1] > width) {
    return Fail(Code::kInvalid, "the kernel is ", weights[0], " x ", weights[1],
                ", wanted at most the padded input, ", height, " x ", width);
  }
  LINNET_TRY_STATUS(CheckBias(*arguments.params[1], weights[3]));
  return Shape{static_cast<uint32_t>((height - weights[0]) / stride + 1),
               static_cast<uint32_t>((width - weights[1]) / stride + 1), weights[3]};
}

Result<Shape> InferRelu(const OpArguments& arguments) { return *arguments.inputs[0]; }

Result<Shape> InferMaxPool(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  const uint32_t size = arguments.attributes[0];
  LINNET_TRY_STATUS(CheckImage(x));
  if (size == 0 || size > kMaxPoolSize) {
    return Fail(Code::kInvalid, "the size is ", size, ", wanted 1 to ", kMaxPoolSize);
  }
  if (size > x[0] || size > x[1]) {
    return Fail(Code::kInvalid, "the size is ", size, ", wanted at most the input, ", x[0], " x ",
                x[1]);
  }
  return Shape{x[0] / size, x[1] / size, x[2]};
}

Result<Shape> InferFlatten(const OpArguments& arguments) {
  return Shape{static_cast<uint32_t>(ElementCount(*arguments.inputs[0]))};
}

Result<Shape> InferAdd(const OpArguments& arguments) {
  if (*arguments.inputs[0] != *arguments.inputs[1]) {
    return Fail(Code::kInvalid, "the inputs are ", ShapeText(*arguments.inputs[0]), " and ",
                ShapeText(*arguments.inputs[1]), ", wanted one shape");
  }
  return *arguments.inputs[0];
}

constexpr std::array kOps = {
    OpTraits{Op::kDense, "dense", 1, 2, 0, InferDense},
    OpTraits{Op::kConv2d, "conv2d", 1, 2, 2, InferConv2d},
    OpTraits{Op::kRelu, "relu", 1, 0, 0, InferRelu},
    OpTraits{Op::kMaxPool, "max_pool", 1, 0, 1, InferMaxPool},
    OpTraits{Op::kFlatten, "flatten", 1, 0, 0, InferFlatten},
    OpTraits{Op::kAdd, "add", 2, 0, 0, InferAdd},
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
