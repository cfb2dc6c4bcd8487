// The graph in the form that passes work on and plans execute: steps over values.
//
// Lower turns a model's graph into a program; the passes turn programs into programs. Steps are in
// an order in which they may run, each value is written by one step (SSA), and forward and backward
// steps stand in the same list. What a step does, needs and gives back is its row in steps.cc.
#ifndef LINNET_MODEL_PROGRAM_H_
#define LINNET_MODEL_PROGRAM_H_

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/kernels.h"
#include "model/model.h"

namespace linnet {

// Where a value lives.
enum class Role : uint8_t {
  kInput,      // x, the caller's
  kLabels,     // y, the caller's: int32 labels, or the targets
  kParameter,  // at `offset` elements of the flat vector of parameters
  kGradient,   // at `offset` elements of the flat vector of gradients
  kLogits,     // what a program computes: the caller's in inference, the arena's in training
  kTemporary,  // in the arena
};

struct Value {
  Role role = Role::kTemporary;
  uint64_t count = 0;   // elements; of one example if per_example
  uint64_t offset = 0;  // kParameter, kGradient
  uint32_t element_bytes = 4;
  bool per_example = true;  // not parameters, their gradients, and what sums over a batch
  bool trained = false;     // kParameter that gets a gradient
};

enum class StepOp : uint8_t {
  // Products
  kDense,              // x, w, bias if any -> y
  kDenseGradInput,     // w, dy -> dx
  kDenseGradWeights,   // x, dy -> dw
  kBiasGrad,           // dy -> dbias
  kMatmul,             // a, b -> y
  kConv2d,             // x, w, bias -> y
  kConv2dGradInput,    // w, dy -> dx
  kConv2dGradWeights,  // x, dy -> dw
  kPackDense,          // w -> w as kDense reads it best
  kPackConv2d,         // w -> w as kConv2d reads it best
  // Element by element
  kRelu,              // x -> y
  kReluGrad,          // y, dy -> dx
  kActivation,        // x -> y
  kActivationGrad,    // x or y, dy -> dx
  kAdd,               // a, b -> y
  kSub,               // a, b -> y
  kMul,               // a, b -> y
  kScale,             // x -> y
  kDropout,           // x -> y, also dy -> dx
  kAddRows,           // x, p -> y
  kMulRows,           // x, p -> y
  kMulRowsGrad,       // x, dy -> dp
  kAffineRows,        // x, multiplier, offset -> y
  kFakeQuantize,      // x -> x as its code keeps it
  kFakeQuantizeGrad,  // x, dy -> dx: straight through within the code's range
  kGradientAdd,       // part of a parameter's gradient -> the gradient
  // Normalization
  kBatchNorm,        // x, scale, shift -> y, mean, variance
  kBatchNormGrad,    // x, scale, mean, variance, dy -> dx, dscale, dshift
  kBatchNormUpdate,  // mean, variance, running mean, running variance; writes the last two
  kBatchNormFold,    // scale, shift, running mean, running variance -> multiplier, offset
  kLayerNorm,        // x, scale, shift -> y; in training also mean, variance
  kLayerNormGrad,    // x, scale, mean, variance, dy -> dx, dscale, dshift
  kGroupNorm,        // as layer norm
  kGroupNormGrad,
  kSoftmax,      // x -> y
  kSoftmaxGrad,  // y, dy -> dx
  // Images
  kMaxPool,      // x -> y; in training also argmax
  kMaxPoolGrad,  // dy, argmax -> dx
  kAvgPool,      // x -> y
  kAvgPoolGrad,  // dy -> dx
  kPad,          // x -> y
  kCrop,         // y -> x without its edges
  // Sums over an axis, and what moves elements
  kReduce,     // x -> y
  kSpread,     // dy -> dx
  kTranspose,  // x -> y
  kConcat,     // a, b, ... -> y
  kSlice,      // x -> y
  kSliceGrad,  // dy -> dx, zero outside of the slice
  // Sequences
  kEmbedding,       // ids, table -> y
  kEmbeddingGrad,   // ids, dy -> dtable
  kGru,             // x's product, w, bias -> states, gates, kept
  kGruGrad,         // w, states, gates, kept, dstates -> dx's product, dproduct
  kGruGradWeights,  // states, kept, dproduct -> dw
  kAttention,       // qkv -> y; in training also log_sums
  kAttentionGrad,   // qkv, y, log_sums, dy -> dqkv
  // Losses; the sum over the batch goes to the run
  kCrossEntropy,  // logits, labels -> dlogits
  kSquaredError,  // outputs, targets -> doutputs
};

// The shapes of steps. The batch in a shape is 0, and all else is of one example: the batch is
// known when the step runs.
struct DenseShape {
  size_t rows, in, out;
};
struct MatmulShape {
  size_t count, m, n, k;
  bool trans_a, trans_b;
};
struct RowsShape {
  size_t rows, cols;
};
struct ActivationShape {
  Op op;
  float a = 0, b = 0;  // slope; low and high
  bool by_tanh = false;
};
struct FactorShape {
  float factor;
};
struct CodeShape {
  uint32_t value;  // of the graph, whose code it is
};
struct DropoutShape {
  float rate;
  uint64_t key;  // of the node
};
struct NormShape {
  size_t rows, cols, groups;
  float epsilon, momentum;
};
struct AveragePoolShape {
  WindowShape window;
  bool count_include_pad;
};
struct PadShape {
  size_t height, width, channels, top, left, bottom, right;
};
struct ReduceShape {
  size_t outer, axis, inner;
  float factor;
};
struct TransposeShape {
  std::array<size_t, 8> dims, permutation;
  size_t rank;
};
// Parts of one axis of a value: `rows` times `stride` elements, of which a part takes some in one
// piece. For concat the offset is 0 and the inputs' widths are their counts / rows.
struct SliceShape {
  size_t rows, stride, offset, width;
};
struct EmbeddingShape {
  size_t rows, vocabulary, dim;
};
struct GruShape {
  size_t steps, hidden;
  bool reset_after, reverse;
};

struct Step {
  StepOp op;
  std::vector<uint32_t> inputs, outputs;  // indices into Program::values
  std::variant<std::monostate, DenseShape, MatmulShape, RowsShape, Conv2dShape, ActivationShape,
               FactorShape, CodeShape, DropoutShape, NormShape, WindowShape, AveragePoolShape,
               PadShape, ReduceShape, TransposeShape, SliceShape, EmbeddingShape, GruShape,
               AttentionShape>
      shape = {};
  bool relu = false;        // kDense, kConv2d, kAffineRows: y = max(0, .)
  bool packed = false;      // kDense, kConv2d: w comes from kPackDense, kPackConv2d
  bool accumulate = false;  // gradients of parameters: add to what is there
};

struct Program {
  std::vector<Value> values;
  std::vector<Step> steps;
  uint32_t logits = 0;
  size_t output_cols = 0;  // the last axis of the logits
  // The first steps that depend on parameters alone: they run once for each set of parameters, and
  // what they give stays.
  size_t prepared_steps = 0;

  uint32_t AddValue(Value value) {
    values.push_back(value);
    return static_cast<uint32_t>(values.size() - 1);
  }
};

// In training, batch norm takes the batch's statistics, dropout drops, and what gradients need of
// the forward pass is kept.
enum class Mode : uint8_t { kInference, kTraining };

// The forward steps of a valid graph (ValidateGraph); a flatten or reshape is no step. `value_of`:
// gets the program's value for each of the graph's.
Program Lower(const Graph& graph, Mode mode, std::vector<uint32_t>* value_of = nullptr);
// Makes a relu part of the dense, convolution or normalization before it, where nothing else takes
// that one's output.
void FuseRelu(Program& program);
// Moves the steps that depend on parameters alone to the start (Program::prepared_steps). In
// inference only: training changes parameters.
void HoistPreparation(Program& program);
// Makes a normalization of output channels part of the dense layer or convolution before it, where
// nothing else takes that one's output. Of an inference program with its preparation hoisted, as
// below.
void FoldNormalizations(Program& program);
// Has the weights of dense layers and convolutions packed as part of the preparation.
void PackWeights(Program& program);
// Appends the loss and, in reverse mode, the gradient of the mean loss by every trained parameter.
// Values that depend on none get no gradient (so the first layer has no dx). The gradient of a
// parameter's use comes after the last step that reads the parameter for the same use.
void AppendGradient(Program& program, Loss loss);
// The program of a training step, and of a forward pass, with all passes.
Program TrainingProgram(const Graph& graph);
Program InferenceProgram(const Graph& graph);
// Of a training step in which each value that 8 bits hold (int8_program.h) is rounded to its code.
Program QuantizedTrainingProgram(const Graph& graph);
// Whether each trained parameter is read by one forward step, so that it may be updated as soon as
// its gradient is known. Of a program with its gradient.
bool ParametersAreUsedOnce(const Program& program);
// Floating-point operations of the matrix products for one example (multiply and add count as two).
uint64_t Flops(const Program& program);

}  // namespace linnet

#endif  // LINNET_MODEL_PROGRAM_H_
