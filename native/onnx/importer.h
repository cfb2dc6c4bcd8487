// What the operators of the ONNX import share: one node's inputs, attributes and results.
#ifndef LINNET_NATIVE_ONNX_IMPORTER_H_
#define LINNET_NATIVE_ONNX_IMPORTER_H_

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "native/onnx/tensor.h"
#include "native/onnx/view.h"
#include "onnx/onnx.pb.h"

namespace linnet::onnx {

// Known when the file is read, or computed from the input.
using Value = std::variant<Tensor, View>;

// Several nodes that are one operator of ours, replaced at the last of them.
struct Fusion {
  Op op = Op::kGelu;
  std::string input;         // the name of the value that it works on
  std::string scale, shift;  // layer_norm, group_norm; "" = ones, zeros
  float epsilon = 0;
  int64_t groups = 0;      // group_norm
  std::string shape = {};  // group_norm: of what comes out
};

struct ImportState {
  GraphBuilder builder;
  std::unordered_map<std::string, Value> values;
  std::unordered_map<std::string, int> uses;  // of each value, the graph's output included
  std::map<std::string, uint32_t> shared;     // parameters that several nodes read
  std::vector<std::string> notes;
  int64_t opset = 0;
  int64_t fixed_batch = 0;  // the batch that the file was traced with; 0 = left open
  std::string output;
  uint64_t folded = 0;                      // elements of computed constants so far
  std::map<std::string, int64_t> codes;     // values in 8 bits: their zero points
  uint64_t roundings = 0, dequantized = 0;  // of activations; elements of constants
  std::set<uint32_t> unbiased;  // dense, linear and convolution nodes without a bias of the file
};

// Elements of a tensor that one number of the file fills.
inline constexpr int64_t kMaxFilled = 1 << 22;

class Call {
 public:
  Call(ImportState& import_state, const NodeProto& node_proto)
      : state(import_state), builder(import_state.builder), node(node_proto) {}

  ImportState& state;
  GraphBuilder& builder;
  const NodeProto& node;

  size_t inputs() const { return static_cast<size_t>(node.input_size()); }
  bool has(size_t i) const { return i < inputs() && !node.input(static_cast<int>(i)).empty(); }
  // Null when the input is absent. All names are known before a node is read.
  const Value* input(size_t i) const;
  bool all_constant() const;
  // kUnsupported when it is of the other kind, kInvalid when it is absent, kLimit for a constant
  // that is much larger than what the file holds of it.
  Result<const View*> Activation(size_t i) const;
  Result<const Tensor*> Constant(size_t i, std::string_view what) const;
  // The same of any size.
  Result<const Tensor*> Known(size_t i, std::string_view what) const;

  const AttributeProto* attribute(std::string_view name) const;
  int64_t Int(std::string_view name, int64_t otherwise) const;
  float Float(std::string_view name, float otherwise) const;
  std::string Text(std::string_view name, std::string_view otherwise) const;
  std::vector<int64_t> Ints(std::string_view name, std::vector<int64_t> otherwise = {}) const;
  // From the attribute (older opsets) or the constant input `i`; empty when in neither.
  Result<std::vector<int64_t>> IntsOrInput(std::string_view name, size_t i) const;

  // An axis in [0, rank).
  Result<size_t> Axis(int64_t axis, size_t rank) const;
  Status Return(Value value, size_t output = 0) const;

  // A parameter from a constant, in the layout `values` that `tag` names: read twice it is one.
  Result<uint32_t> Param(const Tensor& tensor, std::string_view tag, Shape shape,
                         std::vector<float> values, ParamRole role = ParamRole::kWeight) const;
  // A constant vector of `size`.
  Result<uint32_t> VectorParam(size_t input, std::string_view what, int64_t size,
                               ParamRole role = ParamRole::kWeight) const;
  // `size` equal values that are not in the file.
  Result<uint32_t> FilledParam(std::string_view what, uint32_t size, float value) const;
};

struct OpRow {
  std::string_view name;
  Status (*read)(Call& call);
};
// Gives an unbiased node its bias.
void AddBias(ImportState& state, uint32_t id, uint32_t param);
std::span<const OpRow> ProductOps();      // Gemm, MatMul, Conv, GRU, Gather
std::span<const OpRow> ImageOps();        // pools, norms, Pad
std::span<const OpRow> ElementwiseOps();  // activations, arithmetic, softmax
std::span<const OpRow> ShapeOps();        // Reshape and its kin
std::span<const OpRow> QuantizedOps();    // QuantizeLinear, DequantizeLinear
// Nodes that work on codes in 8 bits; `row` is the node's operator, null if it is unknown.
bool TakesCodes(const Call& call);
Status ReadOnCodes(Call& call, const OpRow* row);
Result<Tensor> QuantizeConstant(Call& call);
Result<Tensor> DequantizeConstant(Call& call);
// Gather of a computed value.
Status GatherSlice(Call& call);
// Group norm of x [n, c, spatial...]; null for ones and zeros.
Status ReturnGroupNorm(Call& call, const View& x, int64_t groups, float epsilon,
                       const Tensor* scale, const Tensor* shift);

// The results of a node all of whose inputs are constants. kUnsupported for other operators.
Status Fold(Call& call);

// Patterns by the index of their last node, and which nodes they replace.
struct Fusions {
  std::map<int, Fusion> at;
  std::vector<bool> replaced;
};
Fusions FindFusions(const GraphProto& graph, const ImportState& state);
Status ReadFusion(Call& call, const Fusion& fusion);

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_IMPORTER_H_
