// Operators that move or cut, and reductions.
#include <algorithm>
#include <numeric>

#include "native/onnx/importer.h"

namespace linnet::onnx {
namespace {

// The sizes of ONNX's Reshape: 0 copies, -1 takes the rest, and a batch that was a number when the
// file was traced is the batch again.
Result<Dims> ReshapeDims(Call& call, const View& x, std::vector<int64_t> wanted) {
  const Dims from = x.dims();
  const bool copies = call.Int("allowzero", 0) == 0;
  int64_t known = 1;
  ptrdiff_t rest = -1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && copies && i < from.size()) wanted[i] = from[i];
    if (wanted[i] == -1 && rest < 0) {
      rest = static_cast<ptrdiff_t>(i);
    } else if (wanted[i] <= 0) {
      return Fail(Code::kInvalid, "its shape has ", wanted[i], " in axis ", i);
    }
  }
  int64_t count = CountOf(from);
  const bool has_batch =
      std::ranges::any_of(wanted, [](int64_t size) { return size > 0 && size % kBatch == 0; });
  const int64_t traced = has_batch ? 0 : call.state.fixed_batch;
  if (traced > 0) count = count / kBatch * traced;
  Dims others = wanted;
  if (rest >= 0) others[static_cast<size_t>(rest)] = 1;
  known = CountOf(others);
  if (known <= 0 || count % known != 0 || (rest < 0 && known != count)) {
    return Fail(Code::kInvalid, "it reshapes ", DimsText(from), " to ", DimsText(wanted));
  }
  if (rest >= 0) wanted[static_cast<size_t>(rest)] = count / known;
  if (traced == 0) return wanted;
  // The axis that begins where the batch does.
  int64_t before = 1;
  for (const View::Axis& axis : x.axes) {
    const auto found = std::ranges::find(axis, 0u);
    for (auto part = axis.begin(); part != found; ++part) before *= x.stored[*part - 1];
    if (found != axis.end()) break;
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (before == 1 && wanted[i] % traced == 0) {
      // Where it could also end the axis before, the last axis, of features, stays free of it.
      const bool features = i > 0 && i + 1 == wanted.size() && wanted[i] != traced && traced == 1;
      int64_t& size = wanted[features ? i - 1 : i];
      size = size / traced * kBatch;
      return wanted;
    }
    if (before % wanted[i] != 0) break;
    before /= wanted[i];
  }
  return Fail(Code::kUnsupported, "it reshapes ", DimsText(from), " to ", DimsText(wanted),
              " for a batch of ", traced, "; export with the batch left open");
}

Status ReadReshape(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(std::vector<int64_t> wanted, call.IntsOrInput("shape", 1));
  LINNET_TRY(const Dims dims, ReshapeDims(call, *x, std::move(wanted)));
  LINNET_TRY(View y, call.builder.Reshaped(*x, dims));
  return call.Return(std::move(y));
}

Status ReadFlatten(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  const int64_t axis = call.Int("axis", 1), rank = static_cast<int64_t>(x->rank());
  if (axis < -rank || axis > rank) return Fail(Code::kInvalid, "its axis is ", axis);
  const Dims dims = x->dims();
  const auto middle = dims.begin() + (axis < 0 ? axis + rank : axis);
  LINNET_TRY(View y, call.builder.Reshaped(
                         *x, {CountOf({dims.begin(), middle}), CountOf({middle, dims.end()})}));
  return call.Return(std::move(y));
}

Status ReadTranspose(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  std::vector<int64_t> reversed(x->rank());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  const std::vector<int64_t> permutation = call.Ints("perm", reversed);
  View y = *x;
  std::vector<int64_t> sorted = permutation;
  std::ranges::sort(sorted);
  std::ranges::reverse(reversed);
  if (sorted != reversed)
    return Fail(Code::kInvalid, "its perm is no order of ", x->rank(), " axes");
  for (size_t i = 0; i < permutation.size(); ++i)
    y.axes[i] = x->axes[static_cast<size_t>(permutation[i])];
  return call.Return(std::move(y));
}

Status ReadSqueeze(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(std::vector<int64_t> axes, call.IntsOrInput("axes", 1));
  View y = *x;
  std::vector<bool> drop(x->rank());
  for (size_t i = 0; axes.empty() && i < x->rank(); ++i) drop[i] = x->size(i) == 1;
  for (const int64_t entry : axes) {
    LINNET_TRY(const size_t axis, call.Axis(entry, x->rank()));
    if (x->size(axis) != 1) {
      return Fail(Code::kInvalid, "it squeezes axis ", axis, " of ", DimsText(x->dims()));
    }
    drop[axis] = true;
  }
  y.axes.clear();
  for (size_t i = 0; i < x->rank(); ++i) {
    if (!drop[i]) y.axes.push_back(x->axes[i]);
  }
  return call.Return(std::move(y));
}

Status ReadUnsqueeze(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(std::vector<int64_t> axes, call.IntsOrInput("axes", 1));
  View y = *x;
  std::vector<size_t> places;
  for (const int64_t entry : axes) {
    LINNET_TRY(const size_t axis, call.Axis(entry, x->rank() + axes.size()));
    places.push_back(axis);
  }
  std::ranges::sort(places);
  for (const size_t place : places) {
    if (place > y.axes.size() || y.axes.size() >= kMaxRank)
      return Fail(Code::kInvalid, "its axes do not fit");
    y.axes.insert(y.axes.begin() + static_cast<ptrdiff_t>(place), View::Axis{});
  }
  return call.Return(std::move(y));
}

Status ReadShape(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  Dims dims = x->dims();
  const auto rank = static_cast<int64_t>(dims.size());
  int64_t start = call.Int("start", 0), end = call.Int("end", rank);
  start = std::clamp(start < 0 ? start + rank : start, int64_t{0}, rank);
  end = std::clamp(end < 0 ? end + rank : end, start, rank);
  return call.Return(IntegerTensor({dims.begin() + start, dims.begin() + end}));
}

Status ReadExpand(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(std::vector<int64_t> wanted, call.IntsOrInput("shape", 1));
  LINNET_TRY(const Dims all, BroadcastDims(x->dims(), wanted));
  if (all != x->dims()) {
    return Fail(Code::kUnsupported, "it repeats ", DimsText(x->dims()), " to ", DimsText(all),
                ", supported is its own shape");
  }
  return call.Return(*x);
}

// ---- Cutting and joining

Result<View> Cut(Call& call, const View& x, size_t axis, int64_t begin, int64_t end) {
  const int64_t size = x.size(axis);
  begin = std::clamp(begin < 0 ? begin + size : begin, int64_t{0}, size);
  end = std::clamp(end < 0 ? end + size : end, int64_t{0}, size);
  if (begin == 0 && end == size) return x;
  if (x.size(axis) % kBatch == 0) return Fail(Code::kUnsupported, "it cuts the batch");
  if (begin >= end)
    return Fail(Code::kInvalid, "it cuts ", begin, " to ", end, " of axis ", axis, " of ",
                DimsText(x.dims()));
  View at = x;
  if (at.axes[axis].size() != 1) {
    LINNET_TRY(at, call.builder.InOrder(x));
  }
  const uint32_t stored = at.axes[axis][0] - 1;
  return call.builder.EmitUnary(Op::kSlice, at, {},
                                {stored, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
}

Status ReadSlice(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const std::vector<int64_t> starts, call.IntsOrInput("starts", 1));
  LINNET_TRY(const std::vector<int64_t> ends, call.IntsOrInput("ends", 2));
  LINNET_TRY(std::vector<int64_t> axes, call.IntsOrInput("axes", 3));
  LINNET_TRY(const std::vector<int64_t> steps, call.IntsOrInput("steps", 4));
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (starts.size() != ends.size() || starts.size() != axes.size()) {
    return Fail(Code::kInvalid, "it has ", starts.size(), " starts, ", ends.size(), " ends and ",
                axes.size(), " axes");
  }
  if (std::ranges::any_of(steps, [](int64_t step) { return step != 1; })) {
    return Fail(Code::kUnsupported, "it has steps, supported is 1");
  }
  View y = *x;
  for (size_t i = 0; i < starts.size(); ++i) {
    LINNET_TRY(const size_t axis, call.Axis(axes[i], y.rank()));
    LINNET_TRY(y, Cut(call, y, axis, starts[i], ends[i]));
  }
  return call.Return(std::move(y));
}

Status ReadSplit(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 0), x->rank()));
  LINNET_TRY(std::vector<int64_t> sizes, call.IntsOrInput("split", 1));
  const int64_t parts = call.node.output_size(), size = x->size(axis);
  if (sizes.empty() && parts > 0) {
    const int64_t each = (size + parts - 1) / parts;
    sizes.assign(static_cast<size_t>(parts), each);
    sizes.back() = size - each * (parts - 1);
  }
  if (static_cast<int64_t>(sizes.size()) != parts ||
      std::ranges::any_of(sizes, [&](int64_t s) { return s < 1 || s > size; }) ||
      std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != size) {
    return Fail(Code::kInvalid, "it splits axis ", axis, " of ", DimsText(x->dims()), " into ",
                parts, " parts that do not fit");
  }
  int64_t begin = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    LINNET_TRY(View part, Cut(call, *x, axis, begin, begin + sizes[i]));
    begin += sizes[i];
    LINNET_TRY_STATUS(call.Return(std::move(part), i));
  }
  return {};
}

Status ReadConcat(Call& call) {
  std::vector<View> parts;
  for (size_t i = 0; i < call.inputs(); ++i) {
    LINNET_TRY(const View* x, call.Activation(i));
    parts.push_back(*x);
  }
  if (parts.empty()) return Fail(Code::kInvalid, "it has no inputs");
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 0), parts[0].rank()));
  if (parts.size() == 1) return call.Return(parts[0]);
  if (parts[0].size(axis) % kBatch == 0)
    return Fail(Code::kUnsupported, "it joins along the batch");
  const std::vector<size_t> order = parts[0].StoredOrder();
  std::vector<const View*> inputs;
  for (View& part : parts) {
    if (part.rank() != parts[0].rank()) return Fail(Code::kInvalid, "its inputs differ in rank");
    LINNET_TRY(part, call.builder.Arrange(part, order));
    inputs.push_back(&part);
  }
  LINNET_TRY(View y, call.builder.Emit(Op::kConcat, inputs, {}, {parts[0].axes[axis][0] - 1}));
  y.axes = parts[0].axes;
  return call.Return(std::move(y));
}

// ---- Reductions

Status Reduce(Call& call, Op op) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const std::vector<int64_t> entries, call.IntsOrInput("axes", 1));
  std::vector<bool> reduced(x->rank(), entries.empty());
  for (const int64_t entry : entries) {
    LINNET_TRY(const size_t axis, call.Axis(entry, x->rank()));
    reduced[axis] = true;
  }
  for (size_t i = 0; i < x->rank(); ++i) {
    if (reduced[i] && x->size(i) % kBatch == 0)
      return Fail(Code::kUnsupported, "it reduces the batch");
  }
  View y = *x;
  // The mean over height and width of an image as it is stored.
  const auto spatial = [&](uint32_t stored) {
    for (size_t i = 0; i < x->rank(); ++i) {
      if (x->axes[i] == View::Axis{stored}) return bool{reduced[i]};
    }
    return false;
  };
  const auto count = std::ranges::count(reduced, true);
  if (op == Op::kReduceMean && count == 2 && x->rank() == 4 && x->stored.size() == 3 &&
      spatial(1) && spatial(2)) {
    LINNET_TRY(View pooled, call.builder.Emit(Op::kGlobalAvgPool, {x}));
    for (size_t i = 0; i < x->rank(); ++i) {
      pooled.axes.resize(x->rank());
      pooled.axes[i] = reduced[i] ? View::Axis{} : x->is_batch(i) ? View::Axis{0} : View::Axis{1};
    }
    y = std::move(pooled);
  } else {
    LINNET_TRY(y, call.builder.InOrder(*x));
    for (size_t i = 0; i < x->rank(); ++i) {
      if (!reduced[i]) continue;
      LINNET_TRY(y, call.builder.EmitUnary(op, y, {}, {y.axes[i][0] - 1, 1}));
    }
  }
  if (call.Int("keepdims", 1) == 0) {
    std::vector<View::Axis> kept;
    for (size_t i = 0; i < x->rank(); ++i) {
      if (!reduced[i]) kept.push_back(y.axes[i]);
    }
    y.axes = std::move(kept);
  }
  return call.Return(std::move(y));
}
Status ReadReduceMean(Call& call) { return Reduce(call, Op::kReduceMean); }
Status ReadReduceSum(Call& call) { return Reduce(call, Op::kReduceSum); }

constexpr OpRow kOps[] = {
    {"Reshape", ReadReshape}, {"Flatten", ReadFlatten},       {"Transpose", ReadTranspose},
    {"Squeeze", ReadSqueeze}, {"Unsqueeze", ReadUnsqueeze},   {"Shape", ReadShape},
    {"Expand", ReadExpand},   {"Slice", ReadSlice},           {"Split", ReadSplit},
    {"Concat", ReadConcat},   {"ReduceMean", ReadReduceMean}, {"ReduceSum", ReadReduceSum}};

}  // namespace

Status GatherSlice(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* index, call.Constant(1, "index"));
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", 0), x->rank()));
  const int64_t count = index->count(), size = x->size(axis);
  if (index->dims.size() > 1 || count < 1 || !index->integer) {
    return Fail(Code::kUnsupported, "its index is ", DimsText(index->dims),
                ", supported is one number or a range");
  }
  const int64_t first = index->Integer(0) < 0 ? index->Integer(0) + size : index->Integer(0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t entry = index->Integer(static_cast<size_t>(i));
    if ((entry < 0 ? entry + size : entry) != first + i) {
      return Fail(Code::kUnsupported, "its index is no range, supported is one number or a range");
    }
  }
  if (first < 0 || first + count > size) {
    return Fail(Code::kInvalid, "it takes ", first, " from axis ", axis, " of ",
                DimsText(x->dims()));
  }
  LINNET_TRY(View y, Cut(call, *x, axis, first, first + count));
  if (index->dims.empty()) y.axes.erase(y.axes.begin() + static_cast<ptrdiff_t>(axis));
  return call.Return(std::move(y));
}

std::span<const OpRow> ShapeOps() { return kOps; }

}  // namespace linnet::onnx
