// What exporters compute from constants and shapes: done once, here.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "native/onnx/importer.h"

namespace linnet::onnx {
namespace {

// Of all computed constants of a file together.
constexpr uint64_t kMaxFolded = uint64_t{1} << 24;

Tensor Empty(const Tensor& like, Dims dims) {
  return Tensor{
      .dims = std::move(dims), .integer = like.integer, .floats = {}, .integers = {}, .name = {}};
}

void Push(Tensor& out, const Tensor& from, size_t i) {
  if (out.integer) {
    out.integers.push_back(from.Integer(i));
  } else {
    out.floats.push_back(from.Float(i));
  }
}

Result<Dims> DimsFrom(Call& call, size_t i) {
  LINNET_TRY(std::vector<int64_t> dims, call.IntsOrInput("shape", i));
  if (dims.size() > kMaxRank || CountOf(dims) < 0) {
    return Fail(Code::kLimit, "it makes a constant of ", DimsText(dims));
  }
  return dims;
}

// ---- Elementwise

using FloatOp = float (*)(float, float);
using IntegerOp = int64_t (*)(int64_t, int64_t);
struct BinaryRow {
  std::string_view name;
  FloatOp floats;
  IntegerOp integers;
  bool truth = false;  // the result is a truth value
};
// Signed overflow of hostile shapes wraps.
int64_t Wrap(uint64_t value) { return static_cast<int64_t>(value); }
constexpr BinaryRow kBinary[] = {
    {"Add", [](float a, float b) { return a + b; },
     [](int64_t a, int64_t b) { return Wrap(uint64_t(a) + uint64_t(b)); }},
    {"Sub", [](float a, float b) { return a - b; },
     [](int64_t a, int64_t b) { return Wrap(uint64_t(a) - uint64_t(b)); }},
    {"Mul", [](float a, float b) { return a * b; },
     [](int64_t a, int64_t b) { return Wrap(uint64_t(a) * uint64_t(b)); }},
    {"Div", [](float a, float b) { return a / b; },
     [](int64_t a, int64_t b) { return b == 0 || b == -1 ? Wrap(0 - uint64_t(a)) : a / b; }},
    {"Mod", [](float a, float b) { return std::fmod(a, b); },
     [](int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }},
    {"Pow", [](float a, float b) { return std::pow(a, b); }, nullptr},
    {"Min", [](float a, float b) { return std::min(a, b); },
     [](int64_t a, int64_t b) { return std::min(a, b); }},
    {"Max", [](float a, float b) { return std::max(a, b); },
     [](int64_t a, int64_t b) { return std::max(a, b); }},
    {"Equal", [](float a, float b) { return float(a == b); },
     [](int64_t a, int64_t b) { return int64_t(a == b); }, true},
    {"Less", [](float a, float b) { return float(a < b); },
     [](int64_t a, int64_t b) { return int64_t(a < b); }, true},
    {"LessOrEqual", [](float a, float b) { return float(a <= b); },
     [](int64_t a, int64_t b) { return int64_t(a <= b); }, true},
    {"Greater", [](float a, float b) { return float(a > b); },
     [](int64_t a, int64_t b) { return int64_t(a > b); }, true},
    {"GreaterOrEqual", [](float a, float b) { return float(a >= b); },
     [](int64_t a, int64_t b) { return int64_t(a >= b); }, true},
    {"And", [](float a, float b) { return float(a != 0 && b != 0); },
     [](int64_t a, int64_t b) { return int64_t(a != 0 && b != 0); }, true},
    {"Or", [](float a, float b) { return float(a != 0 || b != 0); },
     [](int64_t a, int64_t b) { return int64_t(a != 0 || b != 0); }, true},
};

struct UnaryRow {
  std::string_view name;
  FloatOp floats;
  IntegerOp integers;
};
constexpr UnaryRow kUnary[] = {
    {"Neg", [](float a, float) { return -a; },
     [](int64_t a, int64_t) { return Wrap(0 - uint64_t(a)); }},
    {"Sqrt", [](float a, float) { return std::sqrt(a); }, nullptr},
    {"Exp", [](float a, float) { return std::exp(a); }, nullptr},
    {"Sin", [](float a, float) { return std::sin(a); }, nullptr},
    {"Cos", [](float a, float) { return std::cos(a); }, nullptr},
    {"Reciprocal", [](float a, float) { return 1 / a; }, nullptr},
    {"Floor", [](float a, float) { return std::floor(a); }, [](int64_t a, int64_t) { return a; }},
    {"Ceil", [](float a, float) { return std::ceil(a); }, [](int64_t a, int64_t) { return a; }},
    {"Not", [](float a, float) { return float(a == 0); },
     [](int64_t a, int64_t) { return int64_t(a == 0); }},
};

Tensor Apply(const Tensor& a, const Tensor& b, FloatOp floats, IntegerOp integers) {
  Tensor out = Empty(a, a.dims);
  out.integer = a.integer && b.integer && integers != nullptr;
  const size_t count = std::max(a.stored(), b.stored());
  for (size_t i = 0; i < count; ++i) {
    if (out.integer) {
      out.integers.push_back(integers(a.Integer(i), b.Integer(i)));
    } else {
      out.floats.push_back(floats(a.Float(i), b.Float(i)));
    }
  }
  return out;
}

Result<Tensor> Binary(Call& call, const BinaryRow& row) {
  LINNET_TRY(const Tensor* a, call.Known(0, "first input"));
  LINNET_TRY(const Tensor* b, call.Known(1, "second input"));
  LINNET_TRY(const Dims dims, BroadcastDims(a->dims, b->dims));
  LINNET_TRY(const Tensor left, Broadcast(*a, dims));
  LINNET_TRY(const Tensor right, Broadcast(*b, dims));
  Tensor out = Apply(left, right, row.floats, row.integers);
  if (row.truth && !out.integer) {
    out.integer = true;
    out.integers.assign(out.floats.begin(), out.floats.end());
    out.floats.clear();
  }
  return out;
}

Result<Tensor> Where(Call& call) {
  LINNET_TRY(const Tensor* condition, call.Known(0, "condition"));
  LINNET_TRY(const Tensor* a, call.Known(1, "first choice"));
  LINNET_TRY(const Tensor* b, call.Known(2, "second choice"));
  LINNET_TRY(const Dims some, BroadcastDims(a->dims, b->dims));
  LINNET_TRY(const Dims dims, BroadcastDims(condition->dims, some));
  LINNET_TRY(const Tensor which, Broadcast(*condition, dims));
  LINNET_TRY(const Tensor left, Broadcast(*a, dims));
  LINNET_TRY(const Tensor right, Broadcast(*b, dims));
  Tensor out = Empty(*a, dims);
  const size_t count = std::max({which.stored(), left.stored(), right.stored()});
  for (size_t i = 0; i < count; ++i) Push(out, which.Float(i) != 0 ? left : right, i);
  return out;
}

// ---- Shapes and parts

Result<Tensor> Reshape(Call& call, const Tensor& x) {
  LINNET_TRY(std::vector<int64_t> dims, call.IntsOrInput("shape", 1));
  if (dims.size() > kMaxRank) return Fail(Code::kLimit, "its shape has ", dims.size(), " axes");
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && i < x.dims.size() && call.Int("allowzero", 0) == 0) dims[i] = x.dims[i];
  }
  if (const auto rest = std::ranges::find(dims, -1); rest != dims.end()) {
    *rest = 1;
    const int64_t known = CountOf(dims);
    *rest = known > 0 ? x.count() / known : 0;
  }
  if (CountOf(dims) != x.count()) {
    return Fail(Code::kInvalid, "it reshapes ", DimsText(x.dims), " to ", DimsText(dims));
  }
  Tensor out = x;
  out.dims = std::move(dims);
  return out;
}

// Elements of `x` along `axis`, in the order of `indices`; `dims` is what stands for the axis.
Result<Tensor> Take(const Tensor& x, size_t axis, const std::vector<int64_t>& indices,
                    const Dims& instead) {
  const int64_t size = x.dims[axis];
  Dims dims(x.dims.begin(), x.dims.begin() + static_cast<ptrdiff_t>(axis));
  const int64_t outer = CountOf(dims);
  dims.insert(dims.end(), instead.begin(), instead.end());
  const Dims behind(x.dims.begin() + static_cast<ptrdiff_t>(axis) + 1, x.dims.end());
  dims.insert(dims.end(), behind.begin(), behind.end());
  const int64_t inner = CountOf(behind);
  if (dims.size() > kMaxRank || CountOf(dims) < 0)
    return Fail(Code::kLimit, "it makes a constant of ", DimsText(dims));
  for (const int64_t index : indices) {
    if (index < -size || index >= size) {
      return Fail(Code::kInvalid, "its index is ", index, ", wanted ", -size, " to ", size - 1);
    }
  }
  Tensor out = Empty(x, dims);
  if (x.stored() == 1 && CountOf(dims) > 0) {
    Push(out, x, 0);
    return out;
  }
  if (CountOf(dims) > static_cast<int64_t>(kMaxFolded))
    return Fail(Code::kLimit, "it makes a constant of ", DimsText(dims));
  for (int64_t o = 0; o < outer; ++o) {
    for (const int64_t index : indices) {
      const int64_t at = (o * size + (index < 0 ? index + size : index)) * inner;
      for (int64_t i = 0; i < inner; ++i) Push(out, x, static_cast<size_t>(at + i));
    }
  }
  return out;
}

Result<Tensor> Gather(Call& call, const Tensor& x) {
  LINNET_TRY(const Tensor* index, call.Known(1, "index"));
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 0), x.dims.size()));
  std::vector<int64_t> indices;
  if (index->count() > static_cast<int64_t>(kMaxFolded))
    return Fail(Code::kLimit, "its index is ", DimsText(index->dims));
  for (int64_t i = 0; i < index->count(); ++i)
    indices.push_back(index->Integer(static_cast<size_t>(i)));
  return Take(x, axis, indices, index->dims);
}

Result<Tensor> Slice(Call& call, Tensor x) {
  LINNET_TRY(const std::vector<int64_t> starts, call.IntsOrInput("starts", 1));
  LINNET_TRY(const std::vector<int64_t> ends, call.IntsOrInput("ends", 2));
  LINNET_TRY(std::vector<int64_t> axes, call.IntsOrInput("axes", 3));
  LINNET_TRY(const std::vector<int64_t> steps, call.IntsOrInput("steps", 4));
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (starts.size() != ends.size() || starts.size() != axes.size() ||
      std::ranges::any_of(steps, [](int64_t step) { return step != 1; })) {
    return Fail(Code::kUnsupported,
                "it slices a constant with steps or lists of different lengths");
  }
  for (size_t i = 0; i < starts.size(); ++i) {
    LINNET_TRY(const size_t axis, call.Axis(axes[i], x.dims.size()));
    const int64_t size = x.dims[axis];
    const int64_t begin =
        std::clamp(starts[i] < 0 ? starts[i] + size : starts[i], int64_t{0}, size);
    const int64_t end = std::clamp(ends[i] < 0 ? ends[i] + size : ends[i], begin, size);
    if (x.stored() == 1 && x.count() != 1) {
      x.dims[axis] = end - begin;
      continue;
    }
    if (end - begin > static_cast<int64_t>(kMaxFolded))
      return Fail(Code::kLimit, "it slices ", end - begin, " elements");
    std::vector<int64_t> indices(static_cast<size_t>(end - begin));
    std::iota(indices.begin(), indices.end(), begin);
    LINNET_TRY(x, Take(x, axis, indices, {end - begin}));
  }
  return x;
}

Result<Tensor> Concat(Call& call) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < call.inputs(); ++i) {
    LINNET_TRY(const Tensor* part, call.Known(i, "part"));
    LINNET_TRY(Tensor whole, Broadcast(*part, part->dims));
    if (whole.count() != static_cast<int64_t>(whole.stored()))
      return Fail(Code::kLimit, "it joins filled constants");
    parts.push_back(std::move(whole));
  }
  if (parts.empty()) return Fail(Code::kInvalid, "it has no inputs");
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 0), parts[0].dims.size()));
  Tensor out = Empty(parts[0], parts[0].dims);
  out.dims[axis] = 0;
  for (const Tensor& part : parts) {
    Dims same = part.dims;
    if (same.size() == out.dims.size()) same[axis] = out.dims[axis];
    if (same != out.dims || part.integer != out.integer)
      return Fail(Code::kInvalid, "its inputs do not fit together");
    out.dims[axis] += part.dims[axis];
  }
  if (CountOf(out.dims) < 0)
    return Fail(Code::kLimit, "it makes a constant of ", DimsText(out.dims));
  const int64_t outer =
      CountOf({out.dims.begin(), out.dims.begin() + static_cast<ptrdiff_t>(axis)});
  for (int64_t o = 0; o < outer; ++o) {
    for (const Tensor& part : parts) {
      const int64_t each = part.count() / std::max<int64_t>(outer, 1);
      for (int64_t i = 0; i < each; ++i) Push(out, part, static_cast<size_t>(o * each + i));
    }
  }
  return out;
}

Result<Tensor> Units(Call& call, Tensor x, bool add) {
  LINNET_TRY(const std::vector<int64_t> axes, call.IntsOrInput("axes", 1));
  const size_t rank = x.dims.size();
  Dims dims;
  std::vector<bool> named(add ? rank + axes.size() : rank, !add && axes.empty());
  if (named.size() > kMaxRank) return Fail(Code::kLimit, "it makes rank ", named.size());
  for (const int64_t entry : axes) {
    LINNET_TRY(const size_t axis, call.Axis(entry, named.size()));
    named[axis] = true;
  }
  size_t next = 0;
  for (size_t i = 0; i < named.size(); ++i) {
    if (add) {
      dims.push_back(named[i] ? 1 : next < rank ? x.dims[next++] : 1);
    } else if (!named[i] || x.dims[i] != 1) {
      dims.push_back(x.dims[i]);
    }
  }
  if (CountOf(dims) != x.count())
    return Fail(Code::kInvalid, "its axes do not fit ", DimsText(x.dims));
  x.dims = std::move(dims);
  return x;
}

Result<Tensor> Transpose(Call& call, const Tensor& x) {
  std::vector<int64_t> order(x.dims.size());
  std::iota(order.rbegin(), order.rend(), 0);
  const std::vector<int64_t> wanted = call.Ints("perm", order);
  std::vector<int64_t> sorted = wanted;
  std::ranges::sort(sorted);
  std::ranges::reverse(order);
  if (sorted != order)
    return Fail(Code::kInvalid, "its perm is no order of ", x.dims.size(), " axes");
  Tensor out = Permute(x, {wanted.begin(), wanted.end()});
  if (!out.name.empty()) out.name += ".t";
  return out;
}

Result<Tensor> Filled(Call& call) {
  LINNET_TRY(const Dims dims, DimsFrom(call, 0));
  Tensor out{.dims = dims, .integer = false, .floats = {0}, .integers = {}, .name = {}};
  if (const AttributeProto* value = call.attribute("value")) {
    LINNET_TRY(out, DecodeTensor(value->t()));
    if (out.stored() != 1) return Fail(Code::kInvalid, "its value is ", DimsText(out.dims));
    out.dims = dims;
  }
  return out;
}

Result<Tensor> Range(Call& call) {
  LINNET_TRY(const Tensor* start, call.Known(0, "start"));
  LINNET_TRY(const Tensor* limit, call.Known(1, "limit"));
  LINNET_TRY(const Tensor* delta, call.Known(2, "delta"));
  if (start->stored() != 1 || limit->stored() != 1 || delta->stored() != 1)
    return Fail(Code::kInvalid, "its inputs are no numbers");
  const double from = start->Float(0), to = limit->Float(0), by = delta->Float(0);
  const double count = by == 0 ? -1 : std::ceil((to - from) / by);
  if (!(count <= static_cast<double>(kMaxFolded)))
    return Fail(Code::kLimit, "it makes ", count, " numbers");
  Tensor out = Empty(*start, {std::max<int64_t>(static_cast<int64_t>(count), 0)});
  for (int64_t i = 0; i < out.dims[0]; ++i) {
    if (out.integer) {
      out.integers.push_back(start->Integer(0) + i * delta->Integer(0));
    } else {
      out.floats.push_back(start->Float(0) + static_cast<float>(i) * delta->Float(0));
    }
  }
  return out;
}

// The lower or upper triangle of a matrix (a causal mask).
Result<Tensor> Triangle(Call& call, const Tensor& x) {
  const size_t rank = x.dims.size();
  int64_t diagonal = 0;
  if (call.has(1)) {
    LINNET_TRY(const Tensor* k, call.Known(1, "k"));
    if (k->stored() == 1)
      diagonal = std::clamp<int64_t>(k->Integer(0), -(int64_t{1} << 40), int64_t{1} << 40);
  }
  if (rank < 2 || x.count() > static_cast<int64_t>(kMaxFolded))
    return Fail(Code::kUnsupported, "its input is ", DimsText(x.dims));
  Tensor out = Empty(x, x.dims);
  const int64_t rows = x.dims[rank - 2], columns = x.dims[rank - 1];
  const Tensor zero{.dims = {}, .integer = x.integer, .floats = {0}, .integers = {0}, .name = {}};
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t row = i / columns % rows, column = i % columns;
    const bool keep =
        call.Int("upper", 1) != 0 ? column - row >= diagonal : column - row <= diagonal;
    Push(out, keep ? x : zero, keep ? static_cast<size_t>(i) : 0);
  }
  return out;
}

Result<Tensor> CastTo(Call& call, Tensor x) {
  const int64_t to = call.Int("to", 1);
  const bool integer = (to >= 2 && to <= 7) || to == 9 || to == 12 || to == 13;
  if (integer == x.integer) return x;
  Tensor out = Empty(x, x.dims);
  out.integer = integer;
  for (size_t i = 0; i < x.stored(); ++i) {
    if (!integer) {
      out.floats.push_back(x.Float(i));
    } else {
      const float value = x.Float(i);
      out.integers.push_back(value > -9e18f && value < 9e18f ? static_cast<int64_t>(value) : 0);
    }
  }
  if (!integer) out.name = x.name;
  return out;
}

Result<Tensor> Product(const Tensor& x) {
  Tensor out = Empty(x, {});
  if (!x.integer || x.count() > 1024 || x.count() != static_cast<int64_t>(x.stored())) {
    return Fail(Code::kUnsupported, "it multiplies ", DimsText(x.dims), ", supported is a shape");
  }
  int64_t product = 1;
  for (const int64_t value : x.integers) product = Wrap(uint64_t(product) * uint64_t(value));
  out.integers = {product};
  return out;
}

Result<Tensor> Compute(Call& call) {
  const std::string& name = call.node.op_type();
  for (const BinaryRow& row : kBinary) {
    if (row.name == name) return Binary(call, row);
  }
  if (name == "QuantizeLinear") return QuantizeConstant(call);
  if (name == "DequantizeLinear") return DequantizeConstant(call);
  if (name == "Where") return Where(call);
  if (name == "Concat") return Concat(call);
  if (name == "ConstantOfShape") return Filled(call);
  if (name == "Range") return Range(call);
  LINNET_TRY(const Tensor* x, call.Known(0, "input"));
  for (const UnaryRow& row : kUnary) {
    if (row.name == name) return Apply(*x, *x, row.floats, row.integers);
  }
  if (name == "Identity" || name == "Dropout") return *x;
  if (name == "Cast") return CastTo(call, *x);
  if (name == "Shape") return IntegerTensor(x->dims);
  if (name == "Gather") return Gather(call, *x);
  if (name == "Unsqueeze") return Units(call, *x, true);
  if (name == "Squeeze") return Units(call, *x, false);
  if (name == "Reshape") return Reshape(call, *x);
  if (name == "Transpose") return Transpose(call, *x);
  if (name == "Slice") return Slice(call, *x);
  if (name == "Trilu") return Triangle(call, *x);
  if (name == "ReduceProd") return Product(*x);
  if (name == "Expand") {
    LINNET_TRY(const Dims wanted, DimsFrom(call, 1));
    LINNET_TRY(const Dims dims, BroadcastDims(x->dims, wanted));
    return Broadcast(*x, dims);
  }
  return Fail(Code::kUnsupported, "its inputs are all constants, and the operator ", name,
              " is not computed ahead; let the exporter fold constants");
}

}  // namespace

Status Fold(Call& call) {
  LINNET_TRY(Tensor out, Compute(call));
  call.state.folded += out.stored();
  if (call.state.folded > kMaxFolded && out.name.empty()) {
    return Fail(Code::kLimit, "the file computes more than ", kMaxFolded, " constants");
  }
  return call.Return(std::move(out));
}

}  // namespace linnet::onnx
