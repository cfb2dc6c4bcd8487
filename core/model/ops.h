// What each operator of a graph is: its name, what it takes, the shape it gives.
//
// A new operator is one row in ops.cc and its shape in one of ops_*.cc, its step in lower.cc, its
// gradient's steps in gradient.cc and the kernels they call in execute.cc.
#ifndef LINNET_MODEL_OPS_H_
#define LINNET_MODEL_OPS_H_

#include <bit>
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

inline float FloatAttribute(uint32_t attribute) { return std::bit_cast<float>(attribute); }

struct CountRange {
  size_t min, max;
  constexpr CountRange(size_t count) : min(count), max(count) {}
  constexpr CountRange(size_t at_least, size_t at_most) : min(at_least), max(at_most) {}
};

struct OpTraits {
  Op op;
  std::string_view name;
  CountRange inputs, params, attributes;  // how many it takes
  // The output's shape for one example; kInvalid says what was found and what was wanted.
  Result<Shape> (*infer)(const OpArguments& arguments);
  size_t first_buffer = ~size_t{0};  // params from here on are buffers, those before are weights
};

// "node 3 (conv2d)"
std::string NodeText(const Graph& graph, size_t index);
// nullptr when `op` is no operator.
const OpTraits* FindOp(Op op);

}  // namespace linnet

#endif  // LINNET_MODEL_OPS_H_
