#include <algorithm>
#include <cmath>
#include <limits>

#include "model/ops_infer.h"

namespace linnet {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

Status CheckAxis(uint32_t axis, const Shape& x) {
  if (axis < x.size()) return {};
  return Fail(Code::kInvalid, "the axis is ", axis, ", wanted 0 to ", x.size() - 1,
              " for an input of ", ShapeText(x));
}

}  // namespace

Status CheckVector(std::string_view what, const Shape& found, uint64_t width) {
  if (found.size() == 1 && found[0] == width) return {};
  return Fail(Code::kInvalid, what, " is ", ShapeText(found), ", wanted [", width, "]");
}

Status CheckRange(std::string_view what, uint64_t found, uint64_t min, uint64_t max) {
  if (min <= found && found <= max) return {};
  return Fail(Code::kInvalid, what, " is ", found, ", wanted ", min, " to ", max);
}

Status CheckFlag(std::string_view what, uint32_t found) {
  if (found <= 1) return {};
  return Fail(Code::kInvalid, what, " is ", found, ", wanted 0 or 1");
}

Status CheckFloat(std::string_view what, uint32_t attribute, float min, float max) {
  const float value = FloatAttribute(attribute);
  if (std::isfinite(value) && min <= value && value <= max) return {};
  return Fail(Code::kInvalid, what, " is ", value, ", wanted ", min, " to ", max);
}

Status CheckEpsilon(uint32_t attribute) {
  return CheckFloat("epsilon", attribute, std::numeric_limits<float>::min(), 1);
}

Result<Shape> InferSame(const OpArguments& arguments) { return *arguments.inputs[0]; }

Result<Shape> InferElementwise(const OpArguments& arguments) {
  if (*arguments.inputs[0] != *arguments.inputs[1]) {
    return Fail(Code::kInvalid, "the inputs are ", ShapeText(*arguments.inputs[0]), " and ",
                ShapeText(*arguments.inputs[1]), ", wanted one shape");
  }
  return *arguments.inputs[0];
}

Result<Shape> InferGelu(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFlag("the kind of gelu", arguments.attributes[0]));
  return *arguments.inputs[0];
}

Result<Shape> InferLeakyRelu(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFloat("the slope", arguments.attributes[0], -kLargest, kLargest));
  return *arguments.inputs[0];
}

Result<Shape> InferClip(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFloat("the low end", arguments.attributes[0], -kLargest, kLargest));
  LINNET_TRY_STATUS(CheckFloat("the high end", arguments.attributes[1],
                               FloatAttribute(arguments.attributes[0]), kLargest));
  return *arguments.inputs[0];
}

Result<Shape> InferScale(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFloat("the factor", arguments.attributes[0], -kLargest, kLargest));
  return *arguments.inputs[0];
}

Result<Shape> InferDropout(const OpArguments& arguments) {
  LINNET_TRY_STATUS(CheckFloat("the rate", arguments.attributes[0], 0, 0.99f));
  return *arguments.inputs[0];
}

Result<Shape> InferParamBroadcast(const OpArguments& arguments) {
  const Shape &x = *arguments.inputs[0], &p = *arguments.params[0];
  if (p.size() > x.size() || !std::equal(p.rbegin(), p.rend(), x.rbegin())) {
    return Fail(Code::kInvalid, "the parameter is ", ShapeText(p), ", wanted the last axes of ",
                ShapeText(x));
  }
  return x;
}

Result<Shape> InferFlatten(const OpArguments& arguments) {
  return Shape{static_cast<uint32_t>(ElementCount(*arguments.inputs[0]))};
}

Result<Shape> InferReshape(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  Shape shape(arguments.attributes.begin(), arguments.attributes.end());
  if (ElementCount(shape) != ElementCount(x)) {
    return Fail(Code::kInvalid, "the new shape is ", ShapeText(shape), ", wanted the ",
                ElementCount(x), " elements of ", ShapeText(x));
  }
  return shape;
}

Result<Shape> InferTranspose(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  const auto permutation = arguments.attributes;
  if (x.size() >= kMaxRank) {
    return Fail(Code::kInvalid, "the input is ", ShapeText(x), ", wanted a rank below ", kMaxRank);
  }
  std::vector<bool> seen(x.size());
  bool valid = permutation.size() == x.size();
  Shape shape;
  for (size_t i = 0; valid && i < permutation.size(); ++i) {
    valid = permutation[i] < x.size() && !seen[permutation[i]];
    if (!valid) break;
    seen[permutation[i]] = true;
    shape.push_back(x[permutation[i]]);
  }
  if (!valid) {
    return Fail(Code::kInvalid, "the permutation is ", ShapeText(permutation),
                ", wanted each axis of ", ShapeText(x), " once");
  }
  return shape;
}

Result<Shape> InferConcat(const OpArguments& arguments) {
  Shape shape = *arguments.inputs[0];
  const uint32_t axis = arguments.attributes[0];
  LINNET_TRY_STATUS(CheckAxis(axis, shape));
  uint64_t length = 0;
  for (const Shape* input : arguments.inputs) {
    Shape like = *input;
    if (like.size() == shape.size()) {
      length += like[axis];
      like[axis] = shape[axis];
    }
    if (like != shape) {
      return Fail(Code::kInvalid, "an input is ", ShapeText(*input), ", wanted ", ShapeText(shape),
                  " but for axis ", axis);
    }
  }
  LINNET_TRY_STATUS(CheckRange("the joined axis", length, 1, kMaxElements));
  shape[axis] = static_cast<uint32_t>(length);
  return shape;
}

Result<Shape> InferSlice(const OpArguments& arguments) {
  Shape shape = *arguments.inputs[0];
  const uint32_t axis = arguments.attributes[0];
  LINNET_TRY_STATUS(CheckAxis(axis, shape));
  const uint32_t begin = arguments.attributes[1], end = arguments.attributes[2];
  if (begin >= end || end > shape[axis]) {
    return Fail(Code::kInvalid, "the slice is ", begin, " to ", end, ", wanted a part of 0 to ",
                shape[axis]);
  }
  shape[axis] = end - begin;
  return shape;
}

Result<Shape> InferReduce(const OpArguments& arguments) {
  Shape shape = *arguments.inputs[0];
  const uint32_t axis = arguments.attributes[0];
  LINNET_TRY_STATUS(CheckAxis(axis, shape));
  LINNET_TRY_STATUS(CheckFlag("keep", arguments.attributes[1]));
  if (arguments.attributes[1] != 0) {
    shape[axis] = 1;
  } else {
    shape.erase(shape.begin() + axis);
  }
  return shape;
}

}  // namespace linnet
