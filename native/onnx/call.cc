#include <algorithm>

#include "native/onnx/importer.h"

namespace linnet::onnx {

const Value* Call::input(size_t i) const {
  if (!has(i)) return nullptr;
  const auto found = state.values.find(node.input(static_cast<int>(i)));
  return found == state.values.end() ? nullptr : &found->second;
}

bool Call::all_constant() const {
  for (size_t i = 0; i < inputs(); ++i) {
    const Value* value = input(i);
    if (value != nullptr && !std::holds_alternative<Tensor>(*value)) return false;
  }
  return true;
}

Result<const View*> Call::Activation(size_t i) const {
  const Value* value = input(i);
  if (value == nullptr) return Fail(Code::kInvalid, "it has no input ", i);
  const View* view = std::get_if<View>(value);
  if (view == nullptr) {
    return Fail(Code::kUnsupported, "its input ", i,
                " is a constant, supported is one that is computed from the graph's input");
  }
  return view;
}

Result<const Tensor*> Call::Known(size_t i, std::string_view what) const {
  const Value* value = input(i);
  if (value == nullptr) return Fail(Code::kInvalid, "it has no input ", i, " (", what, ")");
  const Tensor* tensor = std::get_if<Tensor>(value);
  if (tensor == nullptr) {
    return Fail(Code::kUnsupported, "its ", what,
                " is computed from the graph's input, supported is a constant");
  }
  return tensor;
}

Result<const Tensor*> Call::Constant(size_t i, std::string_view what) const {
  LINNET_TRY(const Tensor* tensor, Known(i, what));
  if (tensor->count() < 0 || (tensor->stored() == 1 && tensor->count() > kMaxFilled)) {
    return Fail(Code::kLimit, "its ", what, " is ", DimsText(tensor->dims), ", all of one value");
  }
  return tensor;
}

const AttributeProto* Call::attribute(std::string_view name) const {
  for (const AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

int64_t Call::Int(std::string_view name, int64_t otherwise) const {
  const AttributeProto* found = attribute(name);
  return found == nullptr ? otherwise : found->i();
}

float Call::Float(std::string_view name, float otherwise) const {
  const AttributeProto* found = attribute(name);
  return found == nullptr ? otherwise : found->f();
}

std::string Call::Text(std::string_view name, std::string_view otherwise) const {
  const AttributeProto* found = attribute(name);
  return found == nullptr ? std::string(otherwise) : found->s();
}

std::vector<int64_t> Call::Ints(std::string_view name, std::vector<int64_t> otherwise) const {
  const AttributeProto* found = attribute(name);
  if (found == nullptr) return otherwise;
  return {found->ints().begin(), found->ints().end()};
}

Result<std::vector<int64_t>> Call::IntsOrInput(std::string_view name, size_t i) const {
  if (attribute(name) != nullptr) return Ints(name);
  if (!has(i)) return std::vector<int64_t>{};
  LINNET_TRY(const Tensor* tensor, Constant(i, name));
  if (tensor->dims.size() > 1 || tensor->count() > 1024 || tensor->count() < 0) {
    return Fail(Code::kInvalid, "its ", name, " is ", DimsText(tensor->dims), ", wanted a list");
  }
  std::vector<int64_t> values;
  for (size_t at = 0; at < static_cast<size_t>(tensor->count()); ++at) {
    values.push_back(tensor->Integer(at));
  }
  return values;
}

Result<size_t> Call::Axis(int64_t axis, size_t rank) const {
  const int64_t size = static_cast<int64_t>(rank);
  if (axis < -size || axis >= size) {
    return Fail(Code::kInvalid, "its axis is ", axis, ", wanted ", -size, " to ", size - 1);
  }
  return static_cast<size_t>(axis < 0 ? axis + size : axis);
}

Status Call::Return(Value value, size_t output) const {
  if (output >= static_cast<size_t>(node.output_size())) return {};
  const std::string& name = node.output(static_cast<int>(output));
  if (name.empty()) return {};
  const auto uses = state.uses.find(name);
  const int count = uses == state.uses.end() ? 0 : uses->second;
  if (View* view = std::get_if<View>(&value)) view->sole = view->sole && count == 1;
  if (!state.values.emplace(name, std::move(value)).second) {
    return Fail(Code::kInvalid, "its output ", name, " was already made by another node");
  }
  return {};
}

Result<uint32_t> Call::Param(const Tensor& tensor, std::string_view tag, Shape shape,
                             std::vector<float> values, ParamRole role) const {
  const bool named = !tensor.name.empty();
  const std::string key = StrCat(tensor.name, "\n", tag, "\n", ShapeText(shape));
  if (named) {
    if (const auto found = state.shared.find(key); found != state.shared.end()) {
      return found->second;
    }
  }
  const std::string name = named ? tensor.name : StrCat(node.name(), ".", tag);
  const bool frozen = !named && role == ParamRole::kWeight;
  LINNET_TRY(const uint32_t param,
             builder.AddParam(name, std::move(shape), std::move(values), role, frozen));
  if (named) state.shared[key] = param;
  return param;
}

Result<uint32_t> Call::VectorParam(size_t i, std::string_view what, int64_t size,
                                   ParamRole role) const {
  LINNET_TRY(const Tensor* tensor, Constant(i, what));
  if (tensor->count() != size || size <= 0) {
    return Fail(Code::kInvalid, "its ", what, " is ", DimsText(tensor->dims), ", wanted [", size,
                "]");
  }
  std::vector<float> values(static_cast<size_t>(size));
  for (size_t at = 0; at < values.size(); ++at) values[at] = tensor->Float(at);
  return Param(*tensor, what, {static_cast<uint32_t>(size)}, std::move(values), role);
}

Result<uint32_t> Call::FilledParam(std::string_view what, uint32_t size, float value) const {
  if (size > kMaxFilled) {
    return Fail(Code::kLimit, "it wants ", size, " values of ", value, ", wanted at most ",
                kMaxFilled);
  }
  const std::string stem = node.name().empty() ? node.op_type() : node.name();
  return builder.AddParam(StrCat(stem, ".", what), {size}, std::vector<float>(size, value),
                          ParamRole::kWeight, true);
}

}  // namespace linnet::onnx
