#include "native/onnx/writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/quantize_parts.h"

namespace linnet::onnx {
namespace {

constexpr int32_t kFloatType = 1, kUint8Type = 2, kInt8Type = 3, kInt32Type = 6, kInt64Type = 7;

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

// The codes of weights in place of their values.
Model Codes(const QuantizedModel& quantized) {
  Model model = Dequantize(quantized);
  for (size_t i = 0; i < quantized.tensors.size(); ++i) {
    const QuantizedTensor& tensor = quantized.tensors[i];
    if (tensor.format != WeightFormat::kInt8) continue;
    const auto offset = static_cast<ptrdiff_t>(model.graph.params[i].offset);
    std::ranges::copy(tensor.int8, model.parameters.begin() + offset);
  }
  return model;
}

// Values that 8 bits hold: not what a rectifier takes over, and not the output where it is a
// layer's sums (int8_program.h).
std::vector<bool> CodedValues(const QuantizedModel& model) {
  const std::vector<linnet::Node>& nodes = model.graph.nodes;
  const std::vector<uint32_t> stands = RectifiedValues(model.graph);
  const auto last = static_cast<uint32_t>(nodes.size());
  std::vector<bool> coded(nodes.size() + 1, true);
  for (uint32_t value = 1; value <= last; ++value) {
    if (stands[value] != value) coded[value] = false;
    const Op op = nodes[value - 1].op;
    const bool is_product = op == Op::kDense || op == Op::kLinear || op == Op::kConv2d;
    if (is_product && stands[value] == last) coded[last] = false;
  }
  return coded;
}

}  // namespace

Writer::Writer(const QuantizedModel& model)
    : decoded_(Codes(model)), model_(decoded_), quantized_(&model), is_coded_(CodedValues(model)) {
  LINNET_CHECK(HasInt8Activations(model));
}

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

std::string Writer::Byte(uint8_t value) {
  TensorProto& tensor =
      AddTensor(*proto.mutable_graph(), StrCat("%constant_", ++names_), kUint8Type, {});
  SetRaw(tensor, std::vector<uint8_t>{value});
  return tensor.name();
}

std::string Writer::FreeName(std::string name) {
  // Names of ours begin with %.
  while (name.starts_with("%") || name == "input" || name == "output" || taken_.contains(name))
    name = "_" + name;
  taken_.insert(name);
  return name;
}

std::string Writer::Param(uint32_t index, const Dims& dims, const std::vector<float>& values,
                          int64_t channels) {
  const std::string key = StrCat(index, "/", DimsText(dims));
  if (const auto found = initializers_.find(key); found != initializers_.end())
    return found->second;
  GraphProto& graph = *proto.mutable_graph();
  const std::string name = FreeName(info(index).name);
  if (!is_int8(index)) {
    SetRaw(AddTensor(graph, name, kFloatType, dims), values);
    return initializers_[key] = name;
  }
  SetRaw(AddTensor(graph, name, kInt8Type, dims),
         std::vector<int8_t>(values.begin(), values.end()));
  const std::vector<float>& scales = quantized_->tensors[index].values;
  const auto width = static_cast<int64_t>(scales.size());
  const std::string scale = FreeName(name + ".scale"), zero = FreeName(name + ".zero");
  SetRaw(AddTensor(graph, scale, kFloatType, {width}), scales);
  SetRaw(AddTensor(graph, zero, kInt8Type, {width}), std::vector<int8_t>(scales.size()));
  const int64_t axis = channels < 0 ? static_cast<int64_t>(dims.size()) - 1 : channels;
  return initializers_[key] = Node("DequantizeLinear", {name, scale, zero}, {Int("axis", axis)});
}

std::string Writer::Bias(uint32_t index, uint32_t weights, uint32_t x) {
  const std::vector<float> values = Values(index);
  const auto width = static_cast<int64_t>(values.size());
  if (!is_int8(weights)) return Param(index, {width}, values);
  const std::string key = StrCat(index, "/", weights, "/", x);
  if (const auto found = initializers_.find(key); found != initializers_.end())
    return found->second;
  std::vector<float> units = quantized_->tensors[weights].values;
  std::vector<int32_t> whole(values.size());
  for (size_t j = 0; j < whole.size(); ++j) {
    units[j] *= quantized_->activations[x].scale;
    const double count = std::nearbyint(static_cast<double>(values[j]) / units[j]);
    whole[j] = static_cast<int32_t>(std::clamp(count, -0x1p30, 0x1p30));
  }
  GraphProto& graph = *proto.mutable_graph();
  const std::string name = FreeName(info(index).name);
  SetRaw(AddTensor(graph, name, kInt32Type, {width}), whole);
  const std::string scale = FreeName(name + ".scale"), zero = FreeName(name + ".zero");
  SetRaw(AddTensor(graph, scale, kFloatType, {width}), units);
  SetRaw(AddTensor(graph, zero, kInt32Type, {width}), std::vector<int32_t>(whole.size()));
  return initializers_[key] = Node("DequantizeLinear", {name, scale, zero}, {Int("axis", 0)});
}

std::vector<float> Writer::Values(uint32_t param) const {
  const auto from = model_.parameters.begin() + static_cast<ptrdiff_t>(info(param).offset);
  return {from, from + static_cast<ptrdiff_t>(info(param).count)};
}

std::string Writer::Rounded(uint32_t value, const std::string& name, Places& codes) {
  if (quantized_ == nullptr || !is_coded_[value]) return name;
  const ActivationCode code = quantized_->activations[value];
  const auto [found, is_new] = code_names_.try_emplace(value);
  if (is_new) found->second = {Number(code.scale), Byte(code.zero_point)};
  const auto& [scale, zero] = found->second;
  std::string rounded = Node("QuantizeLinear", {name, scale, zero});
  const bool is_moved = value > 0 && KeepsCodes(model_.graph.nodes[value - 1].op);
  if (!is_moved) rounded = Node("Clip", {rounded, Byte(0), Byte(kMaxInt8Activation)});
  codes[value] = rounded;
  return Meaning(value, rounded);
}

std::string Writer::Meaning(uint32_t value, const std::string& codes) {
  const auto& [scale, zero] = code_names_.at(value);
  return Node("DequantizeLinear", {codes, scale, zero});
}

std::string Writer::Moved(uint32_t value, const Places& from, const Places& from_codes,
                          Places& to_codes, const Dims& order) {
  const auto codes = from_codes.find(value);
  if (codes == from_codes.end()) return Node("Transpose", {from.at(value)}, {List("perm", order)});
  to_codes[value] = Node("Transpose", {codes->second}, {List("perm", order)});
  return Meaning(value, to_codes[value]);
}

std::string Writer::Own(uint32_t value) {
  if (const auto found = own_.find(value); found != own_.end()) return found->second;
  return own_[value] =
             Moved(value, channels_first_, channels_first_codes_, own_codes_, {0, 2, 3, 1});
}

std::string Writer::ChannelsFirst(uint32_t value) {
  if (const auto found = channels_first_.find(value); found != channels_first_.end())
    return found->second;
  return channels_first_[value] =
             Moved(value, own_, own_codes_, channels_first_codes_, {0, 3, 1, 2});
}

std::string Writer::Flat(uint32_t value) {
  const std::string own = Own(value);
  const auto codes = own_codes_.find(value);
  if (codes == own_codes_.end()) return Node("Flatten", {own}, {Int("axis", 1)});
  return Meaning(value, Node("Flatten", {codes->second}, {Int("axis", 1)}));
}

}  // namespace linnet::onnx
