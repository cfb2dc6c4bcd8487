// Operators with weights: Gemm, MatMul, Conv, GRU, and Gather as an embedding.
#include <algorithm>
#include <numeric>

#include "native/onnx/importer.h"
#include "native/onnx/window.h"

namespace linnet::onnx {
namespace {

// The stored position of each element that an ONNX axis merges, in the axis' order.
std::vector<uint64_t> StoredPositions(const View& view, const View::Axis& axis) {
  std::vector<uint64_t> strides(view.stored.size() + 1, 1);
  for (size_t i = view.stored.size(); i-- > 1;) strides[i] = strides[i + 1] * view.stored[i];
  std::vector<uint64_t> positions = {0};
  for (const uint32_t part : axis) {
    std::vector<uint64_t> next;
    for (const uint64_t before : positions) {
      for (uint32_t i = 0; i < view.stored[part - 1]; ++i)
        next.push_back(before + i * strides[part]);
    }
    positions = std::move(next);
  }
  return positions;
}

// x w where the weights are constant: a dense layer on what lies in memory, else a linear layer on
// the last axis. `transposed`: the weights are [outputs, inputs].
Result<View> Product(Call& call, const View& x, const Tensor& weights, bool transposed,
                     float scale) {
  if (weights.dims.size() != 2 || x.rank() < 2) {
    return Fail(Code::kUnsupported, "it multiplies ", DimsText(x.dims()), " by a constant of ",
                DimsText(weights.dims), ", supported is a matrix");
  }
  const int64_t in = weights.dims[transposed ? 1 : 0], out = weights.dims[transposed ? 0 : 1];
  const size_t last = x.rank() - 1;
  if (x.size(last) != in) {
    return Fail(Code::kInvalid, "it multiplies ", DimsText(x.dims()), " by a constant of ",
                DimsText(weights.dims));
  }
  const bool dense = x.rank() == 2 && x.is_batch(0);
  View at = x;
  if (!dense) {
    LINNET_TRY(at, call.builder.MoveLast(x, last));
  }
  std::vector<uint64_t> rows(static_cast<size_t>(in));
  std::iota(rows.begin(), rows.end(), 0u);
  bool moved = false;
  if (dense) {
    rows = StoredPositions(at, at.axes[1]);
    moved = !std::ranges::is_sorted(rows);
  }
  const auto columns = static_cast<size_t>(out);
  std::vector<float> values(rows.size() * columns);
  for (size_t i = 0; i < rows.size(); ++i) {
    float* row = values.data() + rows[i] * columns;
    for (size_t o = 0; o < columns; ++o) {
      row[o] = scale * weights.Float(transposed ? o * rows.size() + i : i * columns + o);
    }
  }
  const std::string tag =
      StrCat("matrix", transposed, scale, moved ? DimsText(x.dims()) + ShapeText(x.stored) : "");
  LINNET_TRY(const uint32_t param,
             call.Param(weights, tag, {static_cast<uint32_t>(in), static_cast<uint32_t>(out)},
                        std::move(values)));
  View y;
  if (dense) {
    LINNET_TRY(const uint32_t bias, call.FilledParam("zero_bias", static_cast<uint32_t>(out), 0));
    LINNET_TRY(y, call.builder.Emit(Op::kDense, {&at}, {param, bias}));
  } else {
    LINNET_TRY(y, call.builder.Emit(Op::kLinear, {&at}, {param}));
    y.axes = at.axes;
  }
  call.state.unbiased.insert(y.id);
  return y;
}

Status ReadGemm(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* weights, call.Constant(1, "matrix"));
  if (call.Int("transA", 0) != 0) {
    return Fail(Code::kUnsupported, "it has transA, supported is transB");
  }
  LINNET_TRY(View y,
             Product(call, *x, *weights, call.Int("transB", 0) != 0, call.Float("alpha", 1)));
  if (call.has(2)) {
    LINNET_TRY(const Tensor* bias, call.Constant(2, "bias"));
    const float beta = call.Float("beta", 1);
    const int64_t width = y.size(1);
    Result<Tensor> wide = Broadcast(*bias, {1, width});
    if (!wide) return Annotate(wide.error(), "its bias");
    std::vector<float> values(static_cast<size_t>(width));
    for (size_t i = 0; i < values.size(); ++i) values[i] = beta * wide->Float(i);
    LINNET_TRY(const uint32_t param, call.Param(*bias, StrCat("bias", beta),
                                                {static_cast<uint32_t>(width)}, std::move(values)));
    AddBias(call.state, y.id, param);
  }
  return call.Return(std::move(y));
}

// The factor of a product as [batch..., rows, columns] in memory, or with the last two swapped.
Result<View> Factor(Call& call, const View& x, bool& swapped) {
  const size_t rank = x.rank();
  View::Axis sequence;
  for (const View::Axis& axis : x.axes) sequence.insert(sequence.end(), axis.begin(), axis.end());
  if (rank < 3 || sequence.empty() || sequence[0] != 0) {
    return Fail(Code::kUnsupported, "it multiplies two computed values, one of them ",
                DimsText(x.dims()), ", wanted the batch first and two more axes");
  }
  View out = x;
  const auto contiguous = [&](size_t first, size_t second) {
    View::Axis order(sequence.begin() + 1, sequence.end());
    order.resize(order.size() - x.axes[rank - 1].size() - x.axes[rank - 2].size());
    for (const size_t i : {first, second})
      order.insert(order.end(), x.axes[i].begin(), x.axes[i].end());
    return std::ranges::is_sorted(order);
  };
  swapped = contiguous(rank - 1, rank - 2) && !contiguous(rank - 2, rank - 1);
  if (swapped) std::swap(out.axes[rank - 1], out.axes[rank - 2]);
  sequence.clear();
  for (const View::Axis& axis : out.axes) sequence.insert(sequence.end(), axis.begin(), axis.end());
  sequence.erase(sequence.begin());
  LINNET_TRY(out, call.builder.Permuted(out, sequence));
  // The stored shape: what the batch is merged with or stands before, then rows and columns.
  Dims dims = {kBatch};
  for (size_t i = 0; i + 2 < rank; ++i) {
    if (const int64_t rest = out.size(i) % kBatch == 0 ? out.size(i) / kBatch : out.size(i);
        rest > 1) {
      dims.push_back(rest);
    }
  }
  dims.push_back(out.size(rank - 2));
  dims.push_back(out.size(rank - 1));
  return call.builder.Reshaped(out, dims);
}

Status ReadMatMul(Call& call) {
  LINNET_TRY(const View* a, call.Activation(0));
  if (call.input(1) != nullptr && std::holds_alternative<Tensor>(*call.input(1))) {
    LINNET_TRY(const Tensor* weights, call.Constant(1, "matrix"));
    LINNET_TRY(View y, Product(call, *a, *weights, false, 1));
    return call.Return(std::move(y));
  }
  LINNET_TRY(const View* b, call.Activation(1));
  bool swap_a = false, swap_b = false;
  LINNET_TRY(View left, Factor(call, *a, swap_a));
  LINNET_TRY(View right, Factor(call, *b, swap_b));
  // Reshaped may have left axes of size 1 out of the stored shape.
  LINNET_TRY(left, call.builder.InOrder(left));
  LINNET_TRY(right, call.builder.InOrder(right));
  LINNET_TRY(View y, call.builder.Emit(Op::kMatmul, {&left, &right}, {}, {swap_a, swap_b}));
  // The result is as the first factor, with the second's columns.
  Dims dims = a->dims();
  dims.back() = b->dims().back();
  LINNET_TRY(y, call.builder.Reshaped(y, dims));
  return call.Return(std::move(y));
}

Status ReadConv(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* weights, call.Constant(1, "weights"));
  LINNET_TRY(Image image, OpenImage(call, *x));
  // [out, in / groups, spatial...]; one spatial axis is a row of height 1.
  Dims w = weights->dims;
  if (w.size() != image.spatial + 2) {
    return Fail(Code::kInvalid, "its weights are ", DimsText(w), " for an input of ",
                DimsText(x->dims()));
  }
  if (image.spatial == 1) w.insert(w.begin() + 2, 1);
  const size_t out = static_cast<size_t>(w[0]), in = static_cast<size_t>(w[1]);
  const size_t area = static_cast<size_t>(w[2] * w[3]);
  LINNET_TRY(const Window window, ReadWindow(call, image, {w[2], w[3]}, true));
  const int64_t groups = call.Int("group", 1);
  if (groups < 1 || groups > static_cast<int64_t>(kMaxElements)) {
    return Fail(Code::kInvalid, "its group is ", groups);
  }
  std::vector<float> values(out * in * area);
  for (size_t o = 0; o < out; ++o) {
    for (size_t i = 0; i < in; ++i) {
      for (size_t k = 0; k < area; ++k) {
        values[(k * in + i) * out + o] = weights->Float((o * in + i) * area + k);
      }
    }
  }
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  LINNET_TRY(const uint32_t param,
             call.Param(*weights, "conv", {u32(w[2]), u32(w[3]), u32(w[1]), u32(w[0])},
                        std::move(values)));
  uint32_t bias = 0;
  if (call.has(2)) {
    LINNET_TRY(bias, call.VectorParam(2, "bias", w[0]));
  } else {
    LINNET_TRY(bias, call.FilledParam("zero_bias", u32(w[0]), 0));
  }
  LINNET_TRY(View y, call.builder.Emit(Op::kConv2d, {&image.view}, {param, bias},
                                       {window.stride[0], window.stride[1], window.pads[0],
                                        window.pads[1], window.pads[2], window.pads[3],
                                        window.dilation[0], window.dilation[1], u32(groups)}));
  if (!call.has(2)) call.state.unbiased.insert(y.id);
  return call.Return(CloseImage(std::move(y), image.spatial));
}

// ONNX: gates in the order update, reset, hidden. Ours: reset, update, new.
std::vector<float> GruGates(const Tensor& tensor, size_t direction, size_t hidden, size_t in) {
  std::vector<float> values(in * 3 * hidden);
  constexpr size_t kFrom[] = {1, 0, 2};
  for (size_t gate = 0; gate < 3; ++gate) {
    for (size_t h = 0; h < hidden; ++h) {
      for (size_t i = 0; i < in; ++i) {
        values[i * 3 * hidden + gate * hidden + h] =
            tensor.Float(((direction * 3 + kFrom[gate]) * hidden + h) * in + i);
      }
    }
  }
  return values;
}

bool AllZero(const Value* value) {
  const Tensor* tensor = value == nullptr ? nullptr : std::get_if<Tensor>(value);
  if (tensor == nullptr) return value == nullptr;
  for (size_t i = 0; i < tensor->stored(); ++i) {
    if (tensor->Float(i) != 0) return false;
  }
  return true;
}

struct GruShape {
  size_t hidden, in, directions;
  bool backward_only;
};

Result<GruShape> CheckGru(Call& call, const View& x, const Tensor& w, const Tensor& r) {
  const std::string direction = call.Text("direction", "forward");
  GruShape shape{.hidden = static_cast<size_t>(std::max<int64_t>(call.Int("hidden_size", 0), 0)),
                 .in = x.rank() == 3 ? static_cast<size_t>(x.size(2)) : 0,
                 .directions = direction == "bidirectional" ? 2u : 1u,
                 .backward_only = direction == "reverse"};
  if (call.Int("layout", 0) != 0 || x.rank() != 3 || !x.is_batch(1)) {
    return Fail(Code::kUnsupported, "its input is ", DimsText(x.dims()),
                ", supported is [steps, batch, features]");
  }
  const auto d = static_cast<int64_t>(shape.directions), h = static_cast<int64_t>(shape.hidden);
  if (w.dims != Dims{d, 3 * h, x.size(2)} || r.dims != Dims{d, 3 * h, h} || h == 0) {
    return Fail(Code::kInvalid, "its weights are ", DimsText(w.dims), " and ", DimsText(r.dims),
                ", wanted [", d, ", ", 3 * h, ", ", x.size(2), "] and [", d, ", ", 3 * h, ", ", h,
                "]");
  }
  if (call.has(4) || !AllZero(call.input(5))) {
    return Fail(Code::kUnsupported,
                "it has sequence lengths or an initial state, supported are full sequences that "
                "start at zero");
  }
  if (call.attribute("activations") != nullptr) {
    for (const std::string& name : call.attribute("activations")->strings()) {
      if (name != "Sigmoid" && name != "Tanh") {
        return Fail(Code::kUnsupported, "its activations have ", name,
                    ", supported are Sigmoid and Tanh");
      }
    }
  }
  if (call.Float("clip", 0) != 0) return Fail(Code::kUnsupported, "it has clip");
  return shape;
}

Status ReadGru(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* w, call.Constant(1, "W"));
  LINNET_TRY(const Tensor* r, call.Constant(2, "R"));
  LINNET_TRY(const GruShape shape, CheckGru(call, *x, *w, *r));
  const size_t hidden = shape.hidden;
  const auto width = static_cast<uint32_t>(3 * hidden);
  const Tensor zeros{
      .dims = {static_cast<int64_t>(shape.directions), static_cast<int64_t>(6 * hidden)},
      .integer = false,
      .floats = {0},
      .integers = {},
      .name = {}};
  const Tensor* bias = &zeros;
  if (call.has(3)) {
    LINNET_TRY(bias, call.Constant(3, "B"));
    if (bias->dims != zeros.dims) {
      return Fail(Code::kInvalid, "its B is ", DimsText(bias->dims), ", wanted ",
                  DimsText(zeros.dims));
    }
  }
  LINNET_TRY(const View steps, call.builder.Arrange(*x, {0, 2}));
  const bool linear_before_reset = call.Int("linear_before_reset", 0) != 0;
  const auto uses = [&](int output) {
    return output < call.node.output_size() && call.state.uses.contains(call.node.output(output));
  };
  std::vector<View> all, last;
  for (size_t d = 0; d < shape.directions; ++d) {
    std::vector<uint32_t> params;
    const std::string tag = StrCat(d);
    LINNET_TRY(const uint32_t input, call.Param(*w, tag, {static_cast<uint32_t>(shape.in), width},
                                                GruGates(*w, d, hidden, shape.in)));
    LINNET_TRY(const uint32_t state, call.Param(*r, tag, {static_cast<uint32_t>(hidden), width},
                                                GruGates(*r, d, hidden, hidden)));
    params = {input, state};
    for (size_t half = 0; half < 2; ++half) {
      Tensor part{
          .dims = {1, width, 1}, .integer = false, .floats = {}, .integers = {}, .name = {}};
      for (size_t i = 0; i < width; ++i)
        part.floats.push_back(bias->Float((d * 2 + half) * width + i));
      LINNET_TRY(const uint32_t param, call.Param(*bias, StrCat(d, half == 0 ? "input" : "hidden"),
                                                  {width}, GruGates(part, 0, hidden, 1)));
      params.push_back(param);
    }
    const uint32_t reverse = d == 1 || shape.backward_only;
    if (uses(0)) {
      LINNET_TRY(View y,
                 call.builder.Emit(Op::kGru, {&steps}, params, {1, linear_before_reset, reverse}));
      all.push_back(std::move(y));
    }
    if (uses(1)) {
      LINNET_TRY(View y,
                 call.builder.Emit(Op::kGru, {&steps}, params, {0, linear_before_reset, reverse}));
      last.push_back(std::move(y));
    }
  }
  const auto join = [&](const std::vector<View>& parts, uint32_t axis) -> Result<View> {
    if (parts.size() == 1) return parts[0];
    return call.builder.Emit(Op::kConcat, {&parts[0], &parts[1]}, {}, {axis});
  };
  const auto size = static_cast<int64_t>(hidden),
             directions = static_cast<int64_t>(shape.directions);
  if (!all.empty()) {  // [steps, directions, batch, hidden]
    LINNET_TRY(View y, join(all, 1));
    LINNET_TRY(y, call.builder.Reshaped(y, {kBatch, y.size(1), directions, size}));
    y.axes = {y.axes[1], y.axes[2], y.axes[0], y.axes[3]};
    LINNET_TRY_STATUS(call.Return(std::move(y), 0));
  }
  if (!last.empty()) {  // [directions, batch, hidden]
    LINNET_TRY(View y, join(last, 0));
    LINNET_TRY(y, call.builder.Reshaped(y, {kBatch, directions, size}));
    y.axes = {y.axes[1], y.axes[0], y.axes[2]};
    LINNET_TRY_STATUS(call.Return(std::move(y), 1));
  }
  return {};
}

Status ReadGather(Call& call) {
  if (call.input(0) != nullptr && std::holds_alternative<View>(*call.input(0))) {
    return GatherSlice(call);
  }
  LINNET_TRY(const Tensor* table, call.Constant(0, "table"));
  LINNET_TRY(const View* ids, call.Activation(1));
  if (table->dims.size() != 2 || call.Int("axis", 0) != 0) {
    return Fail(Code::kUnsupported, "it takes from a constant of ", DimsText(table->dims),
                " along axis ", call.Int("axis", 0),
                ", supported are the rows of a matrix (an embedding)");
  }
  std::vector<float> values(static_cast<size_t>(table->count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = table->Float(i);
  LINNET_TRY(const uint32_t param, call.Param(*table, "table",
                                              {static_cast<uint32_t>(table->dims[0]),
                                               static_cast<uint32_t>(table->dims[1])},
                                              std::move(values)));
  LINNET_TRY(View y, call.builder.Emit(Op::kEmbedding, {ids}, {param}));
  y.axes = ids->axes;
  y.axes.push_back({static_cast<uint32_t>(y.stored.size())});
  return call.Return(std::move(y));
}

constexpr OpRow kOps[] = {{"Gemm", ReadGemm},
                          {"MatMul", ReadMatMul},
                          {"Conv", ReadConv},
                          {"GRU", ReadGru},
                          {"Gather", ReadGather}};

}  // namespace

void AddBias(ImportState& state, uint32_t id, uint32_t param) {
  Node& node = state.builder.node(id);
  node.params.resize(1);
  node.params.push_back(param);
  state.unbiased.erase(id);
}

std::span<const OpRow> ProductOps() { return kOps; }

}  // namespace linnet::onnx
