// Graphs in 8 bits (QuantizeLinear, DequantizeLinear): read as what their codes mean. Constants are
// dequantized; that activations are rounded is left out, as training wants them in f32.
#include <algorithm>
#include <array>
#include <cmath>

#include "native/onnx/importer.h"

namespace linnet::onnx {
namespace {

// What moves or compares codes without looking at what they mean.
constexpr std::array<std::string_view, 8> kMovers = {
    "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"};

// A node with one number or a vector as its input `i`.
Result<const Tensor*> Vector(Call& call, size_t i, std::string_view what) {
  LINNET_TRY(const Tensor* tensor, call.Constant(i, what));
  if (tensor->dims.size() <= 1 && tensor->count() >= 1) return tensor;
  return Fail(Code::kUnsupported, "its ", what, " is ", DimsText(tensor->dims),
              ", supported is one number or a vector");
}

struct Coding {
  const Tensor* scale = nullptr;
  const Tensor* zero = nullptr;  // null: 0
  int64_t size = 1, inner = 1;   // of the axis of the scales, and of the axes behind it
  int64_t lowest = 0;            // code of its type

  size_t Index(int64_t i) const { return static_cast<size_t>(i / inner % size); }
  float Scale(int64_t i) const { return scale->Float(Index(i)); }
  int64_t Zero(int64_t i) const {
    if (zero == nullptr) return 0;
    return zero->Integer(zero->count() == 1 ? 0 : Index(i));
  }
};

Result<Coding> CodingOf(Call& call, const Dims& dims) {
  Coding coding;
  LINNET_TRY(coding.scale, Vector(call, 1, "scale"));
  if (call.has(2)) {
    LINNET_TRY(coding.zero, Vector(call, 2, "zero point"));
  }
  constexpr int64_t kInt8 = 3;
  const bool is_int8 =
      coding.zero == nullptr ? call.Int("output_dtype", 0) == kInt8 : coding.zero->is_int8;
  coding.lowest = is_int8 ? -128 : 0;
  if (call.Int("block_size", 0) != 0) {
    return Fail(Code::kUnsupported,
                "it has block_size, supported is a scale for the tensor or for "
                "each index of an axis");
  }
  const int64_t scales = coding.scale->count();
  if (scales == 1) return coding;
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 1), dims.size()));
  if (dims[axis] != scales ||
      (coding.zero != nullptr && coding.zero->count() != scales && coding.zero->count() != 1)) {
    return Fail(Code::kInvalid, "it has ", scales, " scales for axis ", axis, " of ",
                DimsText(dims));
  }
  coding.size = scales;
  coding.inner = CountOf({dims.begin() + static_cast<ptrdiff_t>(axis) + 1, dims.end()});
  return coding;
}

// Whether a value is never negative.
bool IsRectified(GraphBuilder& builder, uint32_t id) {
  while (id != 0) {
    const Node& node = builder.node(id);
    switch (node.op) {
      case Op::kRelu:
      case Op::kSigmoid:
      case Op::kSoftmax:
        return true;
      case Op::kClip:
        return linnet::FloatAttribute(node.attributes[0]) >= 0;
      case Op::kMaxPool:
      case Op::kAvgPool:
      case Op::kGlobalAvgPool:
      case Op::kFlatten:
      case Op::kReshape:
      case Op::kTranspose:
      case Op::kSlice:
      case Op::kPad:
        id = node.inputs[0];
        break;
      default:
        return false;
    }
  }
  return true;  // the input: its codes begin where its values do
}

// Codes that begin at zero cut off what is negative: exporters leave a Relu before them out.
Result<View> Rectified(Call& call, const View& x) {
  if (IsRectified(call.builder, x.id)) return x;
  return call.builder.EmitUnary(Op::kRelu, x);
}

Status ReadQuantize(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Coding coding, CodingOf(call, x->dims()));
  View y = *x;
  if (coding.scale->count() == 1 && coding.Zero(0) == coding.lowest) {
    LINNET_TRY(y, Rectified(call, *x));
  }
  call.state.codes[call.node.output(0)] = coding.Zero(0);
  ++call.state.roundings;
  return call.Return(std::move(y));
}

Status ReadDequantize(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  return Fail(Code::kUnsupported, "its input of ", DimsText(x->dims()),
              " is no constant and not made by a QuantizeLinear");
}

// A Clip of codes: a rectifier where it begins at the zero point, else the ends of their range.
Status ReadClip(Call& call, int64_t zero) {
  LINNET_TRY(const View* x, call.Activation(0));
  View y = *x;
  if (call.has(1)) {
    LINNET_TRY(const Tensor* low, Vector(call, 1, "min"));
    if (low->Integer(0) == zero) {
      LINNET_TRY(y, Rectified(call, *x));
    }
  }
  return call.Return(std::move(y));
}

constexpr OpRow kOps[] = {{"QuantizeLinear", ReadQuantize}, {"DequantizeLinear", ReadDequantize}};

}  // namespace

std::span<const OpRow> QuantizedOps() { return kOps; }

bool TakesCodes(const Call& call) {
  return std::ranges::any_of(call.node.input(),
                             [&](const auto& name) { return call.state.codes.contains(name); });
}

Status ReadOnCodes(Call& call, const OpRow* row) {
  const std::string& name = call.node.op_type();
  const auto found = call.state.codes.find(call.node.input(0));
  if (found != call.state.codes.end()) {
    const int64_t zero = found->second;
    if (name == "DequantizeLinear") {
      LINNET_TRY(const View* x, call.Activation(0));
      return call.Return(*x);
    }
    const bool clips = name == "Clip";
    if (clips || std::ranges::find(kMovers, name) != kMovers.end()) {
      LINNET_CHECK(row != nullptr);
      for (const std::string& output : call.node.output()) call.state.codes[output] = zero;
      return clips ? ReadClip(call, zero) : row->read(call);
    }
  }
  std::string movers;
  for (const std::string_view mover : kMovers) movers += StrCat(", ", mover);
  return Fail(Code::kUnsupported, "it takes the codes of a QuantizeLinear; supported there are ",
              "DequantizeLinear, Clip", movers);
}

Result<Tensor> QuantizeConstant(Call& call) {
  LINNET_TRY(const Tensor* x, call.Constant(0, "input"));
  LINNET_TRY(const Coding coding, CodingOf(call, x->dims));
  Tensor out{.dims = x->dims, .integer = true, .floats = {}, .integers = {}, .name = x->name};
  const auto low = static_cast<float>(coding.lowest);
  for (int64_t i = 0; i < x->count(); ++i) {
    const float code = std::nearbyint(x->Float(static_cast<size_t>(i)) / coding.Scale(i)) +
                       static_cast<float>(coding.Zero(i));
    out.integers.push_back(static_cast<int64_t>(std::clamp(code, low, low + 255)));
  }
  return out;
}

Result<Tensor> DequantizeConstant(Call& call) {
  LINNET_TRY(const Tensor* x, call.Constant(0, "input"));
  LINNET_TRY(const Coding coding, CodingOf(call, x->dims));
  const int64_t count = x->count();
  if ((call.state.dequantized += static_cast<uint64_t>(count)) > kMaxElements) {
    return Fail(Code::kLimit, "the file dequantizes more than ", kMaxElements, " constants");
  }
  Tensor out{.dims = x->dims, .integer = false, .floats = {}, .integers = {}, .name = x->name};
  // Weights of the file, which are trained.
  if (out.name.empty() && static_cast<int64_t>(x->stored()) == count) out.name = call.node.input(0);
  out.floats.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t code = x->Integer(static_cast<size_t>(i)) - coding.Zero(i);
    out.floats.push_back(static_cast<float>(code) * coding.Scale(i));
  }
  return out;
}

}  // namespace linnet::onnx
