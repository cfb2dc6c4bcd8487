#include "native/onnx/view.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace linnet::onnx {

int64_t View::size(size_t axis) const {
  int64_t size = 1;
  for (const uint32_t part : axes[axis]) size *= part == 0 ? kBatch : int64_t{stored[part - 1]};
  return size;
}

Dims View::dims() const {
  Dims dims;
  for (size_t i = 0; i < rank(); ++i) dims.push_back(size(i));
  return dims;
}

bool View::is_batch(size_t axis) const { return size(axis) == kBatch; }

std::vector<size_t> View::StoredOrder() const {
  std::vector<std::pair<uint32_t, size_t>> found;
  for (size_t i = 0; i < rank(); ++i) {
    if (!is_batch(i)) found.emplace_back(axes[i].empty() ? 0 : axes[i].front(), i);
  }
  std::ranges::sort(found);
  std::vector<size_t> order;
  for (const auto& [place, axis] : found) order.push_back(axis);
  return order;
}

View GraphBuilder::Plain(uint32_t id, Shape stored) {
  View view{.id = id, .stored = std::move(stored), .axes = {}, .sole = true};
  for (uint32_t i = 0; i <= view.stored.size(); ++i) view.axes.push_back({i});
  return view;
}

Result<View> GraphBuilder::Emit(Op op, const std::vector<const View*>& inputs,
                                std::vector<uint32_t> params, std::vector<uint32_t> attributes) {
  // Nodes that turn out to be needless are removed at the end, so a little more room here.
  if (graph.nodes.size() >= 4 * kMaxNodes) {
    return Fail(Code::kLimit, "the graph has more than ", kMaxNodes, " nodes");
  }
  Node node{
      .op = op, .inputs = {}, .params = std::move(params), .attributes = std::move(attributes)};
  OpArguments arguments{.inputs = {}, .params = {}, .attributes = node.attributes};
  for (const View* input : inputs) {
    node.inputs.push_back(input->id);
    arguments.inputs.push_back(&input->stored);
  }
  for (const uint32_t param : node.params) arguments.params.push_back(&graph.params[param].shape);
  LINNET_TRY(Shape shape, FindOp(op)->infer(arguments));
  if (ElementCount(shape) > kMaxElements) {
    return Fail(Code::kLimit, "it makes ", ShapeText(shape), ", wanted at most ", kMaxElements,
                " elements");
  }
  graph.nodes.push_back(std::move(node));
  return Plain(static_cast<uint32_t>(graph.nodes.size()), std::move(shape));
}

Result<View> GraphBuilder::EmitUnary(Op op, const View& x, std::vector<uint32_t> params,
                                     std::vector<uint32_t> attributes) {
  LINNET_TRY(View out, Emit(op, {&x}, std::move(params), std::move(attributes)));
  out.axes = x.axes;
  return out;
}

Result<uint32_t> GraphBuilder::AddParam(std::string name, Shape shape, std::vector<float> values,
                                        ParamRole role, bool frozen) {
  const uint64_t count = ElementCount(shape);
  LINNET_CHECK(count == values.size());
  if (graph.ParamCount() + count > kMaxElements) {
    return Fail(Code::kLimit, "the model has more than ", kMaxElements, " parameters");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Fail(Code::kData, "element ", i, " of ", name, " is not finite");
    }
  }
  constexpr size_t kMaxStem = 112;
  for (char& c : name) {
    if (c <= 0x20 || c >= 0x7f) c = '_';
  }
  // PyTorch names a weight that it transposed "onnx::MatMul_123".
  if (name.empty()) name = "constant";
  name.resize(std::min(name.size(), kMaxStem));
  if (const int before = names_[name]++; before > 0) {
    std::string numbered;
    for (int i = before + 1; names_.contains(numbered = StrCat(name, ".", i)); ++i) {
    }
    name = numbered;
    names_[name] = 1;
  }
  const uint64_t offset = graph.ParamCount();
  graph.params.push_back({.name = std::move(name),
                          .shape = std::move(shape),
                          .offset = offset,
                          .count = count,
                          .role = role,
                          .frozen = frozen});
  parameters.insert(parameters.end(), values.begin(), values.end());
  return static_cast<uint32_t>(graph.params.size() - 1);
}

Result<uint32_t> GraphBuilder::EmitReshape(uint32_t id, const Shape& from, const Shape& to) {
  if (from == to) return id;
  if (to.size() > kMaxRank) {
    return Fail(Code::kLimit, "it wants the shape ", ShapeText(to), ", more than ", kMaxRank,
                " axes");
  }
  View x = Plain(id, from);
  if (id != 0 && node(id).op == Op::kReshape) x.id = node(id).inputs[0];
  LINNET_TRY(const View out, Emit(Op::kReshape, {&x}, {}, to));
  return out.id;
}

Result<View> GraphBuilder::Permuted(const View& view, const View::Axis& sequence) {
  View out = view;
  View::Axis all = sequence;
  for (uint32_t i = 1; i <= view.stored.size(); ++i) {
    if (std::ranges::find(all, i) == all.end()) all.push_back(i);
  }
  std::vector<uint32_t> permutation, place(all.size() + 1);
  for (size_t i = 0; i < all.size(); ++i) {
    permutation.push_back(all[i] - 1);
    place[all[i]] = static_cast<uint32_t>(i + 1);
    out.stored[i] = view.stored[all[i] - 1];
  }
  for (View::Axis& axis : out.axes) {
    for (uint32_t& part : axis) part = place[part];
  }
  // Moving axes of size 1 moves no element.
  View::Axis moved;
  for (const uint32_t axis : all) {
    if (view.stored[axis - 1] > 1) moved.push_back(axis);
  }
  if (std::ranges::is_sorted(moved)) {
    LINNET_TRY(out.id, EmitReshape(view.id, view.stored, out.stored));
    return out;
  }
  View x = Plain(view.id, view.stored);
  LINNET_TRY(const View moved_view, Emit(Op::kTranspose, {&x}, {}, permutation));
  out.id = moved_view.id;
  return out;
}

Result<View> GraphBuilder::Arrange(const View& view, const std::vector<size_t>& order) {
  View::Axis sequence;
  Shape shape;
  View out = view;
  uint32_t next = 1;
  for (const size_t axis : order) {
    if (view.size(axis) % kBatch == 0) {
      return Fail(Code::kUnsupported, "its input is ", DimsText(view.dims()),
                  ", where the batch is not an axis of its own");
    }
    for (const uint32_t part : view.axes[axis]) sequence.push_back(part);
    shape.push_back(static_cast<uint32_t>(view.size(axis)));
    out.axes[axis] = {next++};
  }
  for (size_t i = 0; i < view.rank(); ++i) {
    if (std::ranges::find(order, i) != order.end()) continue;
    if (!view.is_batch(i)) {
      return Fail(Code::kUnsupported, "its input is ", DimsText(view.dims()), ", wanted axis ", i,
                  " to be the batch");
    }
    out.axes[i] = {0};
  }
  LINNET_TRY(const View permuted, Permuted(view, sequence));
  if (shape.empty()) return permuted;  // one number for each example
  LINNET_TRY(out.id, EmitReshape(permuted.id, permuted.stored, shape));
  out.stored = std::move(shape);
  return out;
}

Result<View> GraphBuilder::InOrder(const View& view) {
  std::vector<size_t> order;
  for (size_t i = 0; i < view.rank(); ++i) {
    if (!view.is_batch(i)) order.push_back(i);
  }
  return Arrange(view, order);
}

Result<View> GraphBuilder::MoveLast(const View& view, size_t axis) {
  const View::Axis& last = view.axes[axis];
  if (last == View::Axis{static_cast<uint32_t>(view.stored.size())}) return view;
  if (view.size(axis) % kBatch == 0) {
    return Fail(Code::kUnsupported, "it works along axis ", axis, " of ", DimsText(view.dims()),
                ", which holds the batch");
  }
  View::Axis sequence;
  for (uint32_t i = 1; i <= view.stored.size(); ++i) {
    if (std::ranges::find(last, i) == last.end()) sequence.push_back(i);
  }
  const size_t others = sequence.size();
  sequence.insert(sequence.end(), last.begin(), last.end());
  LINNET_TRY(View out, Permuted(view, sequence));
  Shape shape(out.stored.begin(), out.stored.begin() + static_cast<ptrdiff_t>(others));
  shape.push_back(static_cast<uint32_t>(view.size(axis)));
  LINNET_TRY(out.id, EmitReshape(out.id, out.stored, shape));
  out.stored = std::move(shape);
  out.axes[axis] = {static_cast<uint32_t>(out.stored.size())};
  return out;
}

Result<View> GraphBuilder::Reshaped(const View& view, const Dims& dims) {
  if (CountOf(dims) != CountOf(view.dims())) {
    return Fail(Code::kInvalid, "it reshapes ", DimsText(view.dims()), " to ", DimsText(dims));
  }
  // The stored axes in the order of the elements, each whole or still to be split.
  View::Axis sequence;
  for (const View::Axis& axis : view.axes) {
    for (const uint32_t part : axis) {
      if (part == 0 || view.stored[part - 1] > 1) sequence.push_back(part);
    }
  }
  std::vector<std::vector<uint32_t>> pieces(view.stored.size() +
                                            1);  // sizes a stored axis splits in
  struct Piece {
    uint32_t axis, index;
  };
  std::vector<std::vector<Piece>> lists;
  size_t at = 0;
  int64_t left = 0;  // of sequence[at]; 0 = not begun
  bool fits = true;
  for (const int64_t size : dims) {
    lists.emplace_back();
    int64_t need = size;
    while (fits && need > 1) {
      const uint32_t axis = sequence[at];
      if (left == 0) left = axis == 0 ? kBatch : int64_t{view.stored[axis - 1]};
      const int64_t take = need % left == 0 ? left : left % need == 0 ? need : 0;
      if (take == 0) {
        fits = false;
        break;
      }
      lists.back().push_back({axis, static_cast<uint32_t>(pieces[axis].size())});
      pieces[axis].push_back(static_cast<uint32_t>(take));
      need /= take;
      left /= take;
      if (left == 1) {
        left = 0;
        ++at;
      }
    }
  }
  if (!fits) {
    LINNET_TRY(View plain, InOrder(view));
    const auto batch = std::ranges::find(dims, kBatch);
    if (batch == dims.end() ||
        std::ranges::any_of(dims.begin(), batch, [](int64_t s) { return s != 1; })) {
      return Fail(Code::kUnsupported, "it reshapes ", DimsText(view.dims()), " to ", DimsText(dims),
                  ", wanted the batch to stay an axis of its own");
    }
    View out{.id = 0, .stored = {}, .axes = {}, .sole = view.sole};
    for (auto i = dims.begin(); i != dims.end(); ++i) {
      if (i != batch) out.stored.push_back(static_cast<uint32_t>(*i));
      if (i == batch) {
        out.axes.push_back({0});
      } else {
        out.axes.push_back({static_cast<uint32_t>(out.stored.size())});
      }
    }
    LINNET_TRY(out.id, EmitReshape(plain.id, plain.stored, out.stored));
    return out;
  }
  View out{.id = view.id, .stored = {}, .axes = {}, .sole = view.sole};
  const bool split = std::ranges::any_of(pieces, [](const auto& p) { return p.size() > 1; });
  std::vector<uint32_t> first(view.stored.size() + 1);  // the first new axis of each
  for (uint32_t axis = 1; axis <= view.stored.size(); ++axis) {
    first[axis] = static_cast<uint32_t>(out.stored.size() + 1);
    if (pieces[axis].empty() || !split) {
      // An axis of size 1 goes with the others when there is a reshape anyway.
      if (!split) out.stored.push_back(view.stored[axis - 1]);
    } else {
      out.stored.insert(out.stored.end(), pieces[axis].begin(), pieces[axis].end());
    }
  }
  for (const auto& list : lists) {
    out.axes.emplace_back();
    for (const Piece& piece : list) {
      out.axes.back().push_back(piece.axis == 0 ? 0 : first[piece.axis] + piece.index);
    }
  }
  LINNET_TRY(out.id, EmitReshape(view.id, view.stored, out.stored));
  return out;
}

void GraphBuilder::Finish(uint32_t id) {
  std::vector<bool> live(graph.nodes.size() + 1), used(graph.params.size());
  live[id] = true;
  for (uint32_t i = id; i > 0; --i) {
    if (!live[i]) continue;
    for (const uint32_t input : node(i).inputs) live[input] = true;
    for (const uint32_t param : node(i).params) used[param] = true;
  }
  std::vector<uint32_t> new_param(graph.params.size()), new_value(graph.nodes.size() + 1);
  Graph kept = graph;
  std::vector<float> kept_parameters;
  kept.params.clear();
  kept.nodes.clear();
  for (size_t i = 0; i < graph.params.size(); ++i) {
    if (!used[i]) continue;
    ParamInfo param = graph.params[i];
    const auto from = parameters.begin() + static_cast<ptrdiff_t>(param.offset);
    param.offset = kept_parameters.size();
    kept_parameters.insert(kept_parameters.end(), from, from + static_cast<ptrdiff_t>(param.count));
    new_param[i] = static_cast<uint32_t>(kept.params.size());
    kept.params.push_back(std::move(param));
  }
  for (uint32_t i = 1; i <= id; ++i) {
    if (!live[i]) continue;
    Node copy = node(i);
    for (uint32_t& input : copy.inputs) input = new_value[input];
    for (uint32_t& param : copy.params) param = new_param[param];
    kept.nodes.push_back(std::move(copy));
    new_value[i] = static_cast<uint32_t>(kept.nodes.size());
  }
  graph = std::move(kept);
  parameters = std::move(kept_parameters);
}

}  // namespace linnet::onnx
