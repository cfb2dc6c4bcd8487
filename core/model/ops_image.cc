#include <algorithm>

#include "model/ops_infer.h"

namespace linnet {
namespace {

Status CheckImage(const Shape& x) {
  if (x.size() == 3) return {};
  return Fail(Code::kInvalid, "the input is ", ShapeText(x), ", wanted [height, width, channels]");
}

// What a window of `size` positions, `dilation` apart, does along one axis of an image.
struct Window {
  uint64_t size, stride, pad_before, pad_after, dilation = 1;
  uint64_t Extent() const { return (size - 1) * dilation + 1; }
};

// How many positions the window takes along an axis of `length`. All numbers are below 2^32 and the
// padding is less than the extent, so nothing wraps around.
Result<uint32_t> Positions(std::string_view axis, std::string_view what, uint64_t length,
                           const Window& window) {
  LINNET_TRY_STATUS(CheckRange("the stride", window.stride, 1, kMaxElements));
  LINNET_TRY_STATUS(CheckRange("the dilation", window.dilation, 1, kMaxElements));
  const uint64_t extent = window.Extent();
  for (const uint64_t pad : {window.pad_before, window.pad_after}) {
    if (pad >= extent) {
      return Fail(Code::kInvalid, "the padding is ", pad, ", wanted less than ", what, ", ", extent,
                  " in ", axis);
    }
  }
  const uint64_t padded = length + window.pad_before + window.pad_after;
  if (extent > padded) {
    return Fail(Code::kInvalid, what, " is ", extent, " in ", axis,
                ", wanted at most the padded input, ", padded);
  }
  return static_cast<uint32_t>((padded - extent) / window.stride + 1);
}

Result<Shape> InferPool(const OpArguments& arguments, uint64_t max_size) {
  const Shape& x = *arguments.inputs[0];
  const auto at = arguments.attributes;
  LINNET_TRY_STATUS(CheckImage(x));
  LINNET_TRY_STATUS(CheckRange("the size", at[0], 1, max_size));
  LINNET_TRY_STATUS(CheckRange("the size", at[1], 1, max_size));
  LINNET_TRY(const uint32_t height,
             Positions("height", "the size", x[0],
                       {.size = at[0], .stride = at[2], .pad_before = at[4], .pad_after = at[6]}));
  LINNET_TRY(const uint32_t width,
             Positions("width", "the size", x[1],
                       {.size = at[1], .stride = at[3], .pad_before = at[5], .pad_after = at[7]}));
  return Shape{height, width, x[2]};
}

Status CheckScaleAndShift(const OpArguments& arguments) {
  const uint32_t channels = arguments.inputs[0]->back();
  LINNET_TRY_STATUS(CheckVector("the scale", *arguments.params[0], channels));
  return CheckVector("the shift", *arguments.params[1], channels);
}

}  // namespace

Result<Shape> InferConv2d(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  const Shape& weights = *arguments.params[0];
  const auto at = arguments.attributes;
  LINNET_TRY_STATUS(CheckImage(x));
  const uint32_t groups = at[8];
  if (groups == 0 || x[2] % groups != 0) {
    return Fail(Code::kInvalid, "the groups are ", groups, ", wanted a divisor of the ", x[2],
                " channels");
  }
  if (weights.size() != 4 || weights[2] != x[2] / groups) {
    return Fail(Code::kInvalid, "the weights are ", ShapeText(weights),
                ", wanted [kernel height, kernel width, ", x[2] / groups,
                ", outputs] for an input of ", ShapeText(x), " in ", groups, " groups");
  }
  if (weights[3] % groups != 0) {
    return Fail(Code::kInvalid, "the outputs are ", weights[3], ", wanted a multiple of the ",
                groups, " groups");
  }
  LINNET_TRY(const uint32_t height, Positions("height", "the kernel", x[0],
                                              {.size = weights[0],
                                               .stride = at[0],
                                               .pad_before = at[2],
                                               .pad_after = at[4],
                                               .dilation = at[6]}));
  LINNET_TRY(const uint32_t width, Positions("width", "the kernel", x[1],
                                             {.size = weights[1],
                                              .stride = at[1],
                                              .pad_before = at[3],
                                              .pad_after = at[5],
                                              .dilation = at[7]}));
  LINNET_TRY_STATUS(CheckVector("the bias", *arguments.params[1], weights[3]));
  return Shape{height, width, weights[3]};
}

Result<Shape> InferMaxPool(const OpArguments& arguments) {
  return InferPool(arguments, kMaxPoolSize);
}

Result<Shape> InferAvgPool(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFlag("count_include_pad", arguments.attributes[8]));
  return InferPool(arguments, kMaxElements);
}

Result<Shape> InferGlobalAvgPool(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckImage(*arguments.inputs[0]));
  return Shape{arguments.inputs[0]->back()};
}

Result<Shape> InferPad(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  const auto at = arguments.attributes;
  LINNET_TRY_STATUS(CheckImage(x));
  for (const uint32_t pad : at) {
    LINNET_TRY_STATUS(CheckRange("the padding", pad, 0, kMaxElements));
  }
  return Shape{at[0] + x[0] + at[2], at[1] + x[1] + at[3], x[2]};
}

Result<Shape> InferBatchNorm(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  LINNET_TRY_STATUS(CheckScaleAndShift(arguments));
  LINNET_TRY_STATUS(CheckVector("the mean", *arguments.params[2], x.back()));
  LINNET_TRY_STATUS(CheckVector("the variance", *arguments.params[3], x.back()));
  LINNET_TRY_STATUS(CheckEpsilon(arguments.attributes[0]));
  LINNET_TRY_STATUS(CheckFloat("the momentum", arguments.attributes[1], 0, 1));
  return x;
}

Result<Shape> InferLayerNorm(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckScaleAndShift(arguments));
  LINNET_TRY_STATUS(CheckEpsilon(arguments.attributes[0]));
  return *arguments.inputs[0];
}

Result<Shape> InferGroupNorm(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  LINNET_TRY_STATUS(CheckImage(x));
  LINNET_TRY_STATUS(CheckScaleAndShift(arguments));
  const uint32_t groups = arguments.attributes[0];
  if (groups == 0 || x[2] % groups != 0) {
    return Fail(Code::kInvalid, "the groups are ", groups, ", wanted a divisor of the ", x[2],
                " channels");
  }
  LINNET_TRY_STATUS(CheckEpsilon(arguments.attributes[1]));
  return x;
}

}  // namespace linnet
