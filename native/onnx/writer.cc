#include "native/onnx/writer.h"

#include <algorithm>
#include <cstring>

namespace linnet::onnx {
namespace {

constexpr int32_t kFloatType = 1, kInt64Type = 7;

template <typename T>
void SetRaw(TensorProto& tensor, const std::vector<T>& values) {
  tensor.mutable_raw_data()->assign(reinterpret_cast<const char*>(values.data()),
                                    values.size() * sizeof(T));
}

TensorProto& AddTensor(GraphProto& graph, std::string name, int32_t type, const Dims& dims) {
  TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(std::move(name));
  tensor.set_data_type(type);
  for (const int64_t size : dims) tensor.add_dims(size);
  return tensor;
}

}  // namespace

std::string Writer::Node(std::string_view op, const Names& inputs,
                         const std::vector<Attribute>& attributes, int outputs, int output) {
  NodeProto& node = *proto.mutable_graph()->add_node();
  const std::string name = StrCat(op, "_", ++names_);
  node.set_name(name);
  node.set_op_type(std::string(op));
  for (const std::string& input : inputs) node.add_input(input);
  for (int i = 0; i < outputs; ++i)
    node.add_output(i == 0 ? StrCat("%", name) : StrCat("%", name, ":", i));
  for (const Attribute& attribute : attributes) {
    AttributeProto& out = *node.add_attribute();
    out.set_name(std::string(attribute.name));
    switch (attribute.kind) {
      case Attribute::Kind::kInt:
        out.set_i(attribute.number);
        out.set_type(2);
        break;
      case Attribute::Kind::kFloat:
        out.set_f(attribute.real);
        out.set_type(1);
        break;
      case Attribute::Kind::kInts:
        for (const int64_t value : attribute.list) out.add_ints(value);
        out.set_type(7);
        break;
      case Attribute::Kind::kText:
        out.set_s(std::string(attribute.text));
        out.set_type(3);
        break;
    }
  }
  return node.output(output);
}

Names Writer::LastOutputs() const {
  const NodeProto& node = proto.graph().node(proto.graph().node_size() - 1);
  return {node.output().begin(), node.output().end()};
}

std::string Writer::Floats(const Dims& dims, std::vector<float> values) {
  TensorProto& tensor =
      AddTensor(*proto.mutable_graph(), StrCat("%constant_", ++names_), kFloatType, dims);
  SetRaw(tensor, values);
  return tensor.name();
}

std::string Writer::Integers(const std::vector<int64_t>& values) {
  TensorProto& tensor = AddTensor(*proto.mutable_graph(), StrCat("%constant_", ++names_),
                                  kInt64Type, {static_cast<int64_t>(values.size())});
  SetRaw(tensor, values);
  return tensor.name();
}

std::string Writer::Param(uint32_t index, const Dims& dims, const std::vector<float>& values,
                          std::string_view suffix) {
  const std::string key = StrCat(index, "/", DimsText(dims), suffix);
  if (const auto found = initializers_.find(key); found != initializers_.end())
    return found->second;
  // Names of ours begin with %: only the second form of a parameter in two layouts needs one more.
  std::string name = info(index).name + std::string(suffix);
  const auto taken = [&](const std::string& text) {
    return std::ranges::any_of(initializers_,
                               [&](const auto& entry) { return entry.second == text; });
  };
  while (name.starts_with("%") || name == "input" || name == "output" || taken(name))
    name = "_" + name;
  initializers_[key] = name;
  SetRaw(AddTensor(*proto.mutable_graph(), name, kFloatType, dims), values);
  return name;
}

std::vector<float> Writer::Values(uint32_t param) const {
  const auto from = model_.parameters.begin() + static_cast<ptrdiff_t>(info(param).offset);
  return {from, from + static_cast<ptrdiff_t>(info(param).count)};
}

std::string Writer::Own(uint32_t value) {
  if (const auto found = own_.find(value); found != own_.end()) return found->second;
  return own_[value] = Node("Transpose", {channels_first_.at(value)}, {List("perm", {0, 2, 3, 1})});
}

std::string Writer::ChannelsFirst(uint32_t value) {
  if (const auto found = channels_first_.find(value); found != channels_first_.end())
    return found->second;
  return channels_first_[value] = Node("Transpose", {own_.at(value)}, {List("perm", {0, 3, 1, 2})});
}

}  // namespace linnet::onnx
