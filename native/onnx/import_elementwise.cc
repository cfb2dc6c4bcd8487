// Activations, arithmetic and softmax.
#include <algorithm>
#include <cmath>
#include <limits>

#include "native/onnx/importer.h"

namespace linnet::onnx {
namespace {

uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

// ---- Activations

Status ReadUnary(Call& call, Op op, std::vector<uint32_t> attributes = {}) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(View y, call.builder.EmitUnary(op, *x, {}, std::move(attributes)));
  return call.Return(std::move(y));
}
Status ReadRelu(Call& call) { return ReadUnary(call, Op::kRelu); }
Status ReadSigmoid(Call& call) { return ReadUnary(call, Op::kSigmoid); }
Status ReadTanh(Call& call) { return ReadUnary(call, Op::kTanh); }
Status ReadGelu(Call& call) {
  return ReadUnary(call, Op::kGelu, {call.Text("approximate", "none") == "tanh"});
}
Status ReadLeakyRelu(Call& call) {
  return ReadUnary(call, Op::kLeakyRelu, {Bits(call.Float("alpha", 0.01f))});
}

Status ReadClip(Call& call) {
  float bounds[] = {call.Float("min", std::numeric_limits<float>::lowest()),
                    call.Float("max", std::numeric_limits<float>::max())};
  for (size_t i = 0; i < 2; ++i) {
    if (!call.has(i + 1)) continue;
    LINNET_TRY(const Tensor* bound, call.Constant(i + 1, "bound"));
    if (bound->stored() != 1) return Fail(Code::kInvalid, "its bound is ", DimsText(bound->dims));
    bounds[i] = bound->Float(0);
  }
  return ReadUnary(call, Op::kClip, {Bits(bounds[0]), Bits(bounds[1])});
}

Status ReadPass(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  return call.Return(*x);
}

Status ReadDropout(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  float rate = call.Float("ratio", 0.5f);
  if (call.has(1)) {
    LINNET_TRY(const Tensor* ratio, call.Constant(1, "ratio"));
    if (ratio->stored() == 1) rate = ratio->Float(0);
  }
  if (!(rate > 0)) return call.Return(*x);
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kDropout, *x, {}, {Bits(rate)}));
  return call.Return(std::move(y));
}

// clip(alpha x + beta, 0, 1)
Result<View> HardSigmoid(Call& call, const View& x, float alpha, float beta) {
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kScale, x, {}, {Bits(alpha)}));
  LINNET_TRY(const uint32_t shift, call.FilledParam("shift", y.stored.back(), beta));
  LINNET_TRY(y, call.builder.EmitUnary(Op::kAddParam, y, {shift}));
  return call.builder.EmitUnary(Op::kClip, y, {}, {Bits(0), Bits(1)});
}

Status ReadHardSigmoid(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(View y, HardSigmoid(call, *x, call.Float("alpha", 0.2f), call.Float("beta", 0.5f)));
  return call.Return(std::move(y));
}

Status ReadHardSwish(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(View gate, HardSigmoid(call, *x, 1.0f / 6, 0.5f));
  LINNET_TRY(View y, call.builder.Emit(Op::kMul, {x, &gate}));
  y.axes = x->axes;
  return call.Return(std::move(y));
}

// ---- Arithmetic

Status ReadPow(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* exponent, call.Constant(1, "exponent"));
  const float power = exponent->stored() == 1 ? exponent->Float(0) : 0;
  if (power != 1 && power != 2 && power != 3 && power != 4) {
    return Fail(Code::kUnsupported, "its exponent is ", power, ", supported are 1, 2, 3 and 4");
  }
  View y = *x;
  for (int i = 1; i < static_cast<int>(power); ++i) {
    LINNET_TRY(y, call.builder.Emit(Op::kMul, {&y, x}));
    y.axes = x->axes;
  }
  return call.Return(std::move(y));
}

// Two computed values of one shape, the second brought into the layout of the first.
Status Combine(Call& call, Op op) {
  LINNET_TRY(const View* a, call.Activation(0));
  LINNET_TRY(const View* b, call.Activation(1));
  View left = *a, right = *b;
  if (left.dims() != right.dims()) {
    return Fail(Code::kUnsupported, "its inputs are ", DimsText(left.dims()), " and ",
                DimsText(right.dims()), ", supported are two computed values of one shape");
  }
  if (left.axes != right.axes || left.stored != right.stored) {
    const std::vector<size_t> order = left.StoredOrder();
    LINNET_TRY(left, call.builder.Arrange(left, order));
    LINNET_TRY(right, call.builder.Arrange(right, order));
  }
  LINNET_TRY(View y, call.builder.Emit(op, {&left, &right}));
  y.axes = left.axes;
  return call.Return(std::move(y));
}

// A constant as a parameter of the last stored axes of `x`, repeated where it broadcasts.
Result<uint32_t> Spread(Call& call, const View& x, const Tensor& constant) {
  // In the file's order: one size for each stored axis that an ONNX axis merges.
  LINNET_TRY(const Dims all, BroadcastDims(x.dims(), constant.dims));
  if (all != x.dims()) {
    return Fail(Code::kUnsupported, "its constant of ", DimsText(constant.dims), " makes ",
                DimsText(x.dims()), " larger, supported is one that broadcasts to it");
  }
  Dims own(x.rank() - constant.dims.size(), 1);
  own.insert(own.end(), constant.dims.begin(), constant.dims.end());
  Tensor split = constant;
  split.dims.clear();
  View::Axis sequence;
  for (size_t i = 0; i < x.rank(); ++i) {
    for (const uint32_t part : x.axes[i]) {
      sequence.push_back(part);
      split.dims.push_back(own[i] == 1 ? 1 : part == 0 ? kBatch : int64_t{x.stored[part - 1]});
      if (part == 0 && split.dims.back() != 1) {
        return Fail(Code::kUnsupported, "its constant of ", DimsText(constant.dims),
                    " differs within the batch");
      }
    }
  }
  std::vector<size_t> permutation;
  Dims wanted;
  bool varies = false;
  for (uint32_t axis = 1; axis <= x.stored.size(); ++axis) {
    const auto found = std::ranges::find(sequence, axis);
    if (found == sequence.end()) continue;  // of size 1, and added below
    const auto at = static_cast<size_t>(found - sequence.begin());
    permutation.push_back(at);
  }
  for (size_t i = 0; i < sequence.size(); ++i) {
    if (sequence[i] == 0) permutation.insert(permutation.begin(), i);
  }
  Tensor moved = Permute(split, permutation);
  if (!moved.dims.empty() && std::ranges::find(sequence, 0u) != sequence.end())
    moved.dims.erase(moved.dims.begin());
  // With the stored axes that no ONNX axis shows.
  Dims full;
  size_t next = 0;
  for (uint32_t axis = 1; axis <= x.stored.size(); ++axis) {
    full.push_back(std::ranges::find(sequence, axis) == sequence.end() ? 1 : moved.dims[next++]);
  }
  moved.dims = full;
  size_t first = x.stored.size() - 1;  // the first axis along which it varies
  for (size_t i = x.stored.size(); i-- > 0;) {
    if (full[i] != 1) first = i;
    varies |= full[i] != 1;
  }
  Shape shape(x.stored.begin() + static_cast<ptrdiff_t>(first), x.stored.end());
  for (const uint32_t size : shape) wanted.push_back(size);
  moved.dims.erase(moved.dims.begin(), moved.dims.begin() + static_cast<ptrdiff_t>(first));
  if (!varies && ElementCount(shape) > static_cast<uint64_t>(kMaxFilled)) {
    return Fail(Code::kLimit, "its constant would fill ", ShapeText(shape));
  }
  LINNET_TRY(const Tensor wide, Broadcast(moved, wanted));
  std::vector<float> values(static_cast<size_t>(wide.count()));
  for (size_t i = 0; i < values.size(); ++i) {
    // A mask of -inf works as well as a number that no sum can bring back, and is a number.
    values[i] = std::clamp(wide.Float(i), -1e30f, 1e30f);
  }
  return call.Param(constant, StrCat("spread", ShapeText(x.stored), DimsText(x.dims())),
                    std::move(shape), std::move(values));
}

Tensor Mapped(const Tensor& tensor, float (*map)(float)) {
  Tensor out = tensor;
  out.integer = false;
  out.integers.clear();
  out.floats.resize(tensor.stored());
  for (size_t i = 0; i < out.floats.size(); ++i) out.floats[i] = map(tensor.Float(i));
  return out;
}

Result<View> AddConstant(Call& call, const View& x, const Tensor& constant) {
  // The bias of the product before it.
  const bool unbiased = x.sole && call.state.unbiased.contains(x.id);
  const int64_t width = x.stored.empty() ? 0 : x.stored.back();
  const auto last = std::ranges::find(x.axes, View::Axis{static_cast<uint32_t>(x.stored.size())});
  if (unbiased && last != x.axes.end() && constant.dims.size() <= x.rank() &&
      constant.count() == width) {
    const auto axis = static_cast<size_t>(last - x.axes.begin());
    const size_t lead = x.rank() - constant.dims.size();
    if (axis >= lead && constant.dims[axis - lead] == width) {
      std::vector<float> values(static_cast<size_t>(width));
      for (size_t i = 0; i < values.size(); ++i) values[i] = constant.Float(i);
      LINNET_TRY(const uint32_t param,
                 call.Param(constant, "bias", {static_cast<uint32_t>(width)}, std::move(values)));
      AddBias(call.state, x.id, param);
      return x;
    }
  }
  LINNET_TRY(const uint32_t param, Spread(call, x, constant));
  return call.builder.EmitUnary(Op::kAddParam, x, {param});
}

Result<View> MulConstant(Call& call, const View& x, const Tensor& constant) {
  if (constant.stored() == 1 && constant.dims.size() <= x.rank()) {
    if (constant.Float(0) == 1) return x;
    return call.builder.EmitUnary(Op::kScale, x, {}, {Bits(constant.Float(0))});
  }
  LINNET_TRY(const uint32_t param, Spread(call, x, constant));
  return call.builder.EmitUnary(Op::kMulParam, x, {param});
}

// Which input is the constant; the other is computed, since a node of constants is folded before.
struct Operands {
  const View* view = nullptr;
  const Tensor* constant = nullptr;
  bool constant_first = false;
};
Result<Operands> Split(Call& call) {
  Operands operands;
  for (size_t i = 0; i < 2; ++i) {
    const Value* value = call.input(i);
    if (value == nullptr) return Fail(Code::kInvalid, "it has no input ", i);
    if (!std::holds_alternative<Tensor>(*value)) {
      operands.view = &std::get<View>(*value);
      continue;
    }
    LINNET_TRY(operands.constant, call.Constant(i, "constant"));
    operands.constant_first = i == 0;
  }
  return operands;
}

Status ReadAdd(Call& call) {
  LINNET_TRY(const Operands at, Split(call));
  if (at.constant == nullptr) return Combine(call, Op::kAdd);
  LINNET_TRY(View y, AddConstant(call, *at.view, *at.constant));
  return call.Return(std::move(y));
}

Status ReadSub(Call& call) {
  LINNET_TRY(const Operands at, Split(call));
  if (at.constant == nullptr) return Combine(call, Op::kSub);
  View x = *at.view;
  Tensor constant = *at.constant;
  if (at.constant_first) {
    LINNET_TRY(x, call.builder.EmitUnary(Op::kScale, x, {}, {Bits(-1)}));
  } else {
    constant = Mapped(constant, [](float value) { return -value; });
    if (!constant.name.empty()) constant.name += ".negated";
  }
  LINNET_TRY(View y, AddConstant(call, x, constant));
  return call.Return(std::move(y));
}

Status ReadMul(Call& call) {
  LINNET_TRY(const Operands at, Split(call));
  if (at.constant == nullptr) return Combine(call, Op::kMul);
  LINNET_TRY(View y, MulConstant(call, *at.view, *at.constant));
  return call.Return(std::move(y));
}

Status ReadDiv(Call& call) {
  LINNET_TRY(const Operands at, Split(call));
  if (at.constant == nullptr || at.constant_first) {
    return Fail(Code::kUnsupported, "it divides by a computed value, supported is a constant");
  }
  Tensor inverse = Mapped(*at.constant, [](float value) { return 1 / value; });
  if (!inverse.name.empty()) inverse.name += ".inverse";
  LINNET_TRY(View y, MulConstant(call, *at.view, inverse));
  return call.Return(std::move(y));
}

// A mask of attention: where the condition says so, the score is as good as minus infinity.
Status ReadWhere(Call& call) {
  LINNET_TRY(const Tensor* condition, call.Constant(0, "condition"));
  const bool fill_first =
      call.input(1) != nullptr && std::holds_alternative<Tensor>(*call.input(1));
  LINNET_TRY(const Tensor* fill, call.Constant(fill_first ? 1 : 2, "fill"));
  LINNET_TRY(const View* x, call.Activation(fill_first ? 2 : 1));
  if (fill->stored() != 1 || !(fill->Float(0) <= -1e4f)) {
    return Fail(Code::kUnsupported,
                "it chooses between values, supported is a mask of -1e4 or less before a softmax");
  }
  Tensor mask = Mapped(*condition, [](float value) { return value; });
  for (float& value : mask.floats) value = (value != 0) == fill_first ? -1e30f : 0.0f;
  LINNET_TRY(View y, AddConstant(call, *x, mask));
  return call.Return(std::move(y));
}

// ---- Softmax

// The axis, which must be the last that counts; before opset 13 all behind it were taken together.
Result<size_t> SoftmaxAxis(Call& call, const View& x) {
  LINNET_TRY(const size_t axis,
             call.Axis(call.Int("axis", call.state.opset < 13 ? 1 : -1), x.rank()));
  if (call.state.opset >= 13) return axis;
  for (size_t i = axis + 1; i < x.rank(); ++i) {
    if (x.size(i) > 1) {
      return Fail(Code::kUnsupported, "its axis is ", axis, " of ", DimsText(x.dims()),
                  ", supported is the last");
    }
  }
  return axis;
}

bool IsOutput(const Call& call) {
  return call.node.output(0) == call.state.output && call.state.uses.at(call.state.output) == 1;
}

Status LeaveToLoss(Call& call, const View& x, size_t axis) {
  if (axis + 1 != x.rank()) {
    return Fail(Code::kUnsupported, "its axis is ", axis, " of ", DimsText(x.dims()),
                ", supported is the last");
  }
  call.state.notes.push_back(
      StrCat("the final ", call.node.op_type(), " is left to the loss: the outputs are logits"));
  return call.Return(x);
}

Status ReadSoftmax(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const size_t axis, SoftmaxAxis(call, *x));
  if (IsOutput(call)) return LeaveToLoss(call, *x, axis);
  LINNET_TRY(const View at, call.builder.MoveLast(*x, axis));
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kSoftmax, at));
  return call.Return(std::move(y));
}

Status ReadLogSoftmax(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const size_t axis, SoftmaxAxis(call, *x));
  if (!IsOutput(call))
    return Fail(Code::kUnsupported, "it is not the output, supported is the last operator");
  return LeaveToLoss(call, *x, axis);
}

constexpr OpRow kOps[] = {{"Relu", ReadRelu},
                          {"LeakyRelu", ReadLeakyRelu},
                          {"Clip", ReadClip},
                          {"Sigmoid", ReadSigmoid},
                          {"Tanh", ReadTanh},
                          {"Gelu", ReadGelu},
                          {"HardSigmoid", ReadHardSigmoid},
                          {"HardSwish", ReadHardSwish},
                          {"Identity", ReadPass},
                          {"Cast", ReadPass},
                          {"Dropout", ReadDropout},
                          {"Add", ReadAdd},
                          {"Sub", ReadSub},
                          {"Mul", ReadMul},
                          {"Div", ReadDiv},
                          {"Pow", ReadPow},
                          {"Where", ReadWhere},
                          {"Softmax", ReadSoftmax},
                          {"LogSoftmax", ReadLogSoftmax}};

}  // namespace

std::span<const OpRow> ElementwiseOps() { return kOps; }

}  // namespace linnet::onnx
