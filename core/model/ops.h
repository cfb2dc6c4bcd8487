// What each operator of a graph is: its name, what it takes, the shape it gives.
//
// A new operator is one row here, one case in lower.cc (its step), one in gradient.cc (its
// gradient's steps) and one in execute.cc (the kernel it calls).
#ifndef LINNET_MODEL_OPS_H_
#define LINNET_MODEL_OPS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace linnet {

using Shape = std::vector<uint32_t>;

inline constexpr size_t kMaxNodes = 4096;
inline constexpr size_t kMaxRank = 8;
// Elements of one tensor, of one example's value, and of all parameters together.
inline constexpr uint64_t kMaxElements = uint64_t{1} << 28;
// So that the position of a maximum inside its window fits a byte.
inline constexpr uint32_t kMaxPoolSize = 16;

// The product of the dimensions, or kMaxElements + 1 when it is larger.
uint64_t ElementCount(std::span<const uint32_t> shape);
// "[3, 3, 1, 32]"
std::string ShapeText(std::span<const uint32_t> shape);

// The shapes and attributes that an operator is applied to; sizes are those of its OpTraits.
struct OpArguments {
  std::vector<const Shape*> inputs;  // of one example
  std::vector<const Shape*> params;
  std::span<const uint32_t> attributes;
};

struct OpTraits {
  Op op;
  std::string_view name;
  size_t inputs, params, attributes;  // how many it takes
  // The output's shape for one example; kInvalid says what was found and what was wanted.
  Result<Shape> (*infer)(const OpArguments& arguments);
};

// nullptr when `op` is no operator.
const OpTraits* FindOp(Op op);

}  // namespace linnet

#endif  // LINNET_MODEL_OPS_H_
