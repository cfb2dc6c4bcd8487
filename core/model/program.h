// The graph in the form that passes work on and plans execute: steps over values.
//
// Lower turns a model's graph into a program; FuseRelu and AppendGradient turn programs into
// programs. Steps are in an order in which they may run, each value is written by one step (SSA),
// and forward and backward steps stand in the same list.
#ifndef LINNET_MODEL_PROGRAM_H_
#define LINNET_MODEL_PROGRAM_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/kernels.h"
#include "model/model.h"

namespace linnet {

// Where a value lives.
enum class Role : uint8_t {
  kInput,      // x, the caller's
  kLabels,     // y, the caller's, int32
  kParameter,  // at `offset` elements of the flat vector of parameters
  kGradient,   // at `offset` elements of the flat vector of gradients
  kLogits,     // what a program computes: the caller's in inference, the arena's in training
  kTemporary,  // in the arena
};

struct Value {
  Role role = Role::kTemporary;
  uint64_t count = 0;   // elements; of one example for all but parameters and their gradients
  uint64_t offset = 0;  // kParameter, kGradient
  uint32_t element_bytes = 4;
};

enum class StepOp : uint8_t {
  kDense,              // x, w, bias -> y
  kConv2d,             // x, w, bias -> y
  kRelu,               // x -> y
  kMaxPool,            // x -> y, argmax
  kAdd,                // a, b -> y
  kCrossEntropy,       // logits, labels -> dlogits; and the sum of the losses
  kReluGrad,           // y, dy -> dx
  kDenseGradInput,     // w, dy -> dx
  kDenseGradWeights,   // x, dy -> dw
  kConv2dGradInput,    // w, dy -> dx
  kConv2dGradWeights,  // x, dy -> dw
  kBiasGrad,           // dy -> dbias
  kMaxPoolGrad,        // dy, argmax -> dx
};

struct DenseShape {
  size_t in, out;
};
// Of kBiasGrad: rows of one example.
struct RowsShape {
  size_t rows, cols;
};

struct Step {
  StepOp op;
  std::vector<uint32_t> inputs, outputs;  // indices into Program::values
  // The batch in a shape is 0: it is known when the step runs.
  std::variant<std::monostate, DenseShape, RowsShape, Conv2dShape, PoolShape> shape = {};
  bool relu = false;        // kDense, kConv2d: y = max(0, .)
  bool accumulate = false;  // gradients of parameters: add to what is there
};

struct Program {
  std::vector<Value> values;
  std::vector<Step> steps;
  uint32_t logits = 0;
};

// kUnsupported names a node that Lower does not know.
Status CheckLowered(const Graph& graph);
// The forward steps of a valid graph (ValidateGraph); a flatten is no step.
Program Lower(const Graph& graph);
// Makes a relu part of the dense or convolution before it, where nothing else takes that one's
// output.
void FuseRelu(Program& program);
// Appends the loss and, in reverse mode, the gradient of the mean loss by every parameter. Values
// that depend on no parameter get none (so the first layer has no dx). The gradient of a
// parameter's use comes after the last step that reads the parameter for the same use.
void AppendGradient(Program& program);
// Whether each parameter is read by one forward step, so that it may be updated as soon as its
// gradient is known. Of a program with its gradient.
bool ParametersAreUsedOnce(const Program& program);
// Floating-point operations of the matrix products for one example (multiply and add count as two).
uint64_t Flops(const Program& program);

}  // namespace linnet

#endif  // LINNET_MODEL_PROGRAM_H_
