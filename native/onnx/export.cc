// A graph's inference as an ONNX file.
#include <algorithm>
#include <cmath>

#include "linnet/version.h"
#include "native/onnx/onnx.h"
#include "native/onnx/writer.h"

namespace linnet {
namespace onnx {
namespace {

// One node of the graph and where its result goes.
struct Step {
  Writer& out;
  const linnet::Node& node;
  uint32_t id;  // of the value that it makes

  uint32_t input(size_t i = 0) const { return node.inputs[i]; }
  const Shape& shape(size_t i = 0) const { return out.shapes[input(i)]; }
  int64_t attribute(size_t i) const { return node.attributes[i]; }
  float real(size_t i) const { return FloatAttribute(node.attributes[i]); }
  std::string x(size_t i = 0) const { return out.Own(input(i)); }
  std::string param(size_t i) const {
    const Shape& dims = out.info(node.params[i]).shape;
    return out.Param(node.params[i], {dims.begin(), dims.end()}, out.Values(node.params[i]));
  }
  std::string bias() const { return out.Bias(node.params[1], node.params[0], input()); }
};

// Elementwise operators stay in the layout that the value is in.
template <typename Make>
void Elementwise(const Step& s, Make make) {
  const bool first = s.shape().size() == 3 && s.out.has_channels_first(s.input());
  Names inputs;
  for (const uint32_t input : s.node.inputs)
    inputs.push_back(first ? s.out.ChannelsFirst(input) : s.out.Own(input));
  std::string made = make(inputs);
  if (first) {
    s.out.SetChannelsFirst(s.id, std::move(made));
  } else {
    s.out.SetOwn(s.id, std::move(made));
  }
}

void Simple(const Step& s, std::string_view op, const std::vector<Attribute>& attributes = {}) {
  Elementwise(s, [&](const Names& inputs) { return s.out.Node(op, inputs, attributes); });
}

std::vector<int64_t> Pads(const Step& s, size_t at) {
  return {s.attribute(at), s.attribute(at + 1), s.attribute(at + 2), s.attribute(at + 3)};
}

void Dense(const Step& s) {
  const std::string x = s.shape().size() > 1 ? s.out.Flat(s.input()) : s.x();
  s.out.SetOwn(s.id, s.out.Node("Gemm", {x, s.param(0), s.bias()}));
}

void Linear(const Step& s) {
  const bool biased = s.node.params.size() == 2;
  if (s.shape().size() == 1 && biased) return Dense(s);
  std::string y = s.out.Node("MatMul", {s.x(), s.param(0)});
  if (biased) y = s.out.Node("Add", {y, s.param(1)});
  s.out.SetOwn(s.id, y);
}

void Conv(const Step& s) {
  const Shape& w = s.out.info(s.node.params[0]).shape;  // [kh, kw, in, out]
  const std::vector<float> values = s.out.Values(s.node.params[0]);
  const size_t area = size_t{w[0]} * w[1], in = w[2], out = w[3];
  std::vector<float> moved(values.size());
  for (size_t k = 0; k < area; ++k) {
    for (size_t i = 0; i < in; ++i) {
      for (size_t o = 0; o < out; ++o)
        moved[(o * in + i) * area + k] = values[(k * in + i) * out + o];
    }
  }
  const std::string weights = s.out.Param(s.node.params[0], {w[3], w[2], w[0], w[1]}, moved, 0);
  s.out.SetChannelsFirst(
      s.id, s.out.Node("Conv", {s.out.ChannelsFirst(s.input()), weights, s.bias()},
                       {List("kernel_shape", {w[0], w[1]}),
                        List("strides", {s.attribute(0), s.attribute(1)}), List("pads", Pads(s, 2)),
                        List("dilations", {s.attribute(6), s.attribute(7)}),
                        Int("group", s.attribute(8))}));
}

void Pool(const Step& s, std::string_view op) {
  std::vector<Attribute> attributes = {List("kernel_shape", {s.attribute(0), s.attribute(1)}),
                                       List("strides", {s.attribute(2), s.attribute(3)}),
                                       List("pads", Pads(s, 4))};
  if (s.node.op == Op::kAvgPool) attributes.push_back(Int("count_include_pad", s.attribute(8)));
  s.out.SetChannelsFirst(s.id, s.out.Node(op, {s.out.ChannelsFirst(s.input())}, attributes));
}

void GlobalAvgPool(const Step& s) {
  const std::string pooled = s.out.Node("GlobalAveragePool", {s.out.ChannelsFirst(s.input())});
  s.out.SetOwn(s.id, s.out.Node("Flatten", {pooled}, {Int("axis", 1)}));
}

void BatchNorm(const Step& s) {
  const size_t rank = s.shape().size();
  Names inputs = {"", s.param(0), s.param(1), s.param(2), s.param(3)};
  const std::vector<Attribute> attributes = {Real("epsilon", s.real(0)),
                                             Real("momentum", 1 - s.real(1))};
  if (rank == 3) {
    inputs[0] = s.out.ChannelsFirst(s.input());
    s.out.SetChannelsFirst(s.id, s.out.Node("BatchNormalization", inputs, attributes));
    return;
  }
  // ONNX has the channels in axis 1.
  Dims to(rank + 1), back(rank + 1);
  to[1] = static_cast<int64_t>(rank);
  for (size_t i = 2; i <= rank; ++i) to[i] = static_cast<int64_t>(i - 1);
  for (size_t i = 0; i <= rank; ++i) back[static_cast<size_t>(to[i])] = static_cast<int64_t>(i);
  inputs[0] = rank == 1 ? s.x() : s.out.Node("Transpose", {s.x()}, {List("perm", to)});
  std::string y = s.out.Node("BatchNormalization", inputs, attributes);
  if (rank > 1) y = s.out.Node("Transpose", {y}, {List("perm", back)});
  s.out.SetOwn(s.id, y);
}

void GroupNorm(const Step& s) {
  const int64_t groups = s.attribute(0), h = s.shape()[0], w = s.shape()[1], c = s.shape()[2];
  const auto width = static_cast<size_t>(groups);
  Writer& out = s.out;
  std::string y =
      out.Node("Reshape", {out.ChannelsFirst(s.input()), out.Integers({0, groups, -1})});
  y = out.Node("InstanceNormalization",
               {y, out.Floats({groups}, std::vector<float>(width, 1)),
                out.Floats({groups}, std::vector<float>(width, 0))},
               {Real("epsilon", s.real(1))});
  y = out.Node("Reshape", {y, out.Integers({0, c, h, w})});
  y = out.Node("Mul", {y, out.Param(s.node.params[0], {c, 1, 1}, out.Values(s.node.params[0]))});
  y = out.Node("Add", {y, out.Param(s.node.params[1], {c, 1, 1}, out.Values(s.node.params[1]))});
  out.SetChannelsFirst(s.id, y);
}

void Gelu(const Step& s) {
  Elementwise(s, [&](const Names& in) {
    Writer& out = s.out;
    std::string inner;
    if (s.attribute(0) == 0) {
      inner = out.Node("Erf", {out.Node("Div", {in[0], out.Number(std::sqrt(2.0f))})});
    } else {  // Hendrycks and Gimpel (2016), section 2
      const std::string cube = out.Node("Mul", {out.Node("Mul", {in[0], in[0]}), in[0]});
      const std::string sum =
          out.Node("Add", {in[0], out.Node("Mul", {cube, out.Number(0.044715f)})});
      inner = out.Node("Tanh", {out.Node("Mul", {sum, out.Number(0.7978845608f)})});
    }
    const std::string plus = out.Node("Add", {inner, out.Number(1)});
    return out.Node("Mul", {out.Node("Mul", {in[0], plus}), out.Number(0.5f)});
  });
}

// Gates [in, 3 h] in the order reset, update, new to [3 h, in] in the order update, reset, hidden.
std::vector<float> Gates(const std::vector<float>& values, size_t in, size_t h) {
  std::vector<float> moved(values.size());
  constexpr size_t kTo[] = {1, 0, 2};
  for (size_t i = 0; i < in; ++i) {
    for (size_t gate = 0; gate < 3; ++gate) {
      for (size_t k = 0; k < h; ++k)
        moved[(kTo[gate] * h + k) * in + i] = values[i * 3 * h + gate * h + k];
    }
  }
  return moved;
}

void Gru(const Step& s) {
  Writer& out = s.out;
  const size_t in = s.shape()[1], h = out.info(s.node.params[1]).shape[0];
  const auto width = static_cast<int64_t>(3 * h);
  const auto gates = [&](size_t i, size_t rows) {
    return Gates(out.Values(s.node.params[i]), rows, h);
  };
  const std::string w =
      out.Param(s.node.params[0], {1, width, static_cast<int64_t>(in)}, gates(0, in));
  const std::string r =
      out.Param(s.node.params[1], {1, width, static_cast<int64_t>(h)}, gates(1, h));
  std::vector<float> bias = gates(2, 1);
  const std::vector<float> hidden = gates(3, 1);
  bias.insert(bias.end(), hidden.begin(), hidden.end());
  const std::string b = out.Param(s.node.params[2], {1, 2 * width}, bias);
  const std::string x = out.Node("Transpose", {s.x()}, {List("perm", {1, 0, 2})});
  const bool sequence = s.attribute(0) != 0;
  const std::string y = out.Node(
      "GRU", {x, w, r, b},
      {Int("hidden_size", static_cast<int64_t>(h)), Int("linear_before_reset", s.attribute(1)),
       Word("direction", s.attribute(2) != 0 ? "reverse" : "forward")},
      2, sequence ? 0 : 1);
  std::string flat = out.Node("Squeeze", {y, out.Integers({sequence ? 1 : 0})});
  if (sequence) flat = out.Node("Transpose", {flat}, {List("perm", {1, 0, 2})});
  out.SetOwn(s.id, flat);
}

void Attention(const Step& s) {
  Writer& out = s.out;
  const int64_t t = s.shape()[0], d = s.shape()[1] / 3, heads = s.attribute(0), each = d / heads;
  out.Node("Split", {s.x()}, {Int("axis", 2)}, 3);
  const Names qkv = out.LastOutputs();
  const auto head = [&](size_t i, Dims order) {
    const std::string split = out.Node("Reshape", {qkv[i], out.Integers({0, t, heads, each})});
    return out.Node("Transpose", {split}, {List("perm", std::move(order))});
  };
  std::string scores = out.Node("MatMul", {head(0, {0, 2, 1, 3}), head(1, {0, 2, 3, 1})});
  scores = out.Node("Mul", {scores, out.Number(1 / std::sqrt(static_cast<float>(each)))});
  if (s.attribute(1) != 0) {
    std::vector<float> mask(static_cast<size_t>(t * t));
    for (int64_t row = 0; row < t; ++row) {
      for (int64_t column = row + 1; column < t; ++column)
        mask[static_cast<size_t>(row * t + column)] = -1e30f;
    }
    scores = out.Node("Add", {scores, out.Floats({t, t}, std::move(mask))});
  }
  const std::string mixed =
      out.Node("MatMul", {out.Node("Softmax", {scores}, {Int("axis", -1)}), head(2, {0, 2, 1, 3})});
  const std::string moved = out.Node("Transpose", {mixed}, {List("perm", {0, 2, 1, 3})});
  out.SetOwn(s.id, out.Node("Reshape", {moved, out.Integers({0, t, d})}));
}

void Matmul(const Step& s) {
  Names factors;
  for (size_t i = 0; i < 2; ++i) {
    std::string factor = s.x(i);
    if (s.attribute(i) != 0) {
      Dims order;
      for (size_t axis = 0; axis <= s.shape(i).size(); ++axis)
        order.push_back(static_cast<int64_t>(axis));
      std::swap(order[order.size() - 1], order[order.size() - 2]);
      factor = s.out.Node("Transpose", {factor}, {List("perm", order)});
    }
    factors.push_back(factor);
  }
  s.out.SetOwn(s.id, s.out.Node("MatMul", factors));
}

Names Inputs(const Step& s) {
  Names inputs;
  for (size_t i = 0; i < s.node.inputs.size(); ++i) inputs.push_back(s.x(i));
  return inputs;
}

std::string Moved(const Step& s) {
  Writer& out = s.out;
  const auto& attributes = s.node.attributes;
  switch (s.node.op) {
    case Op::kFlatten:
      return out.Node("Flatten", {s.x()}, {Int("axis", 1)});
    case Op::kConcat:
      return out.Node("Concat", Inputs(s), {Int("axis", s.attribute(0) + 1)});
    case Op::kReshape: {
      Dims dims = {0};
      dims.insert(dims.end(), attributes.begin(), attributes.end());
      return out.Node("Reshape", {s.x(), out.Integers(dims)});
    }
    case Op::kTranspose: {
      Dims order = {0};
      for (const uint32_t axis : attributes) order.push_back(axis + 1);
      return out.Node("Transpose", {s.x()}, {List("perm", order)});
    }
    case Op::kReduceMean:
      return out.Node("ReduceMean", {s.x()},
                      {List("axes", {s.attribute(0) + 1}), Int("keepdims", s.attribute(1))});
    case Op::kReduceSum:
      return out.Node("ReduceSum", {s.x(), out.Integers({s.attribute(0) + 1})},
                      {Int("keepdims", s.attribute(1))});
    case Op::kSlice:
      return out.Node("Slice",
                      {s.x(), out.Integers({s.attribute(1)}), out.Integers({s.attribute(2)}),
                       out.Integers({s.attribute(0) + 1})});
    default:
      return out.Node("Pad", {s.x(), out.Integers({0, s.attribute(0), s.attribute(1), 0, 0,
                                                   s.attribute(2), s.attribute(3), 0})});
  }
}

Status Write(const Step& s) {
  Writer& out = s.out;
  switch (s.node.op) {
    case Op::kDense:
      Dense(s);
      break;
    case Op::kLinear:
      Linear(s);
      break;
    case Op::kConv2d:
      Conv(s);
      break;
    case Op::kMaxPool:
      Pool(s, "MaxPool");
      break;
    case Op::kAvgPool:
      Pool(s, "AveragePool");
      break;
    case Op::kGlobalAvgPool:
      GlobalAvgPool(s);
      break;
    case Op::kBatchNorm:
      BatchNorm(s);
      break;
    case Op::kGroupNorm:
      GroupNorm(s);
      break;
    case Op::kGru:
      Gru(s);
      break;
    case Op::kAttention:
      Attention(s);
      break;
    case Op::kMatmul:
      Matmul(s);
      break;
    case Op::kGelu:
      Gelu(s);
      break;
    case Op::kRelu:
      Simple(s, "Relu");
      break;
    case Op::kSigmoid:
      Simple(s, "Sigmoid");
      break;
    case Op::kTanh:
      Simple(s, "Tanh");
      break;
    case Op::kAdd:
      Simple(s, "Add");
      break;
    case Op::kMul:
      Simple(s, "Mul");
      break;
    case Op::kSub:
      Simple(s, "Sub");
      break;
    case Op::kLeakyRelu:
      Simple(s, "LeakyRelu", {Real("alpha", s.real(0))});
      break;
    case Op::kSilu:
      Elementwise(
          s, [&](const Names& in) { return out.Node("Mul", {in[0], out.Node("Sigmoid", in)}); });
      break;
    case Op::kClip:
      Elementwise(s, [&](const Names& in) {
        return out.Node("Clip", {in[0], out.Number(s.real(0)), out.Number(s.real(1))});
      });
      break;
    case Op::kScale:
      Elementwise(s,
                  [&](const Names& in) { return out.Node("Mul", {in[0], out.Number(s.real(0))}); });
      break;
    case Op::kDropout:
      Elementwise(s, [&](const Names& in) { return in[0]; });
      break;
    case Op::kSoftmax:
      out.SetOwn(s.id, out.Node("Softmax", {s.x()}, {Int("axis", -1)}));
      break;
    case Op::kAddParam:
      out.SetOwn(s.id, out.Node("Add", {s.x(), s.param(0)}));
      break;
    case Op::kMulParam:
      out.SetOwn(s.id, out.Node("Mul", {s.x(), s.param(0)}));
      break;
    case Op::kLayerNorm:
      out.SetOwn(s.id, out.Node("LayerNormalization", {s.x(), s.param(0), s.param(1)},
                                {Int("axis", -1), Real("epsilon", s.real(0))}));
      break;
    case Op::kEmbedding:
      out.SetOwn(s.id, out.Node("Gather", {s.param(0), out.Node("Cast", {s.x()}, {Int("to", 7)})},
                                {Int("axis", 0)}));
      break;
    case Op::kFlatten:
    case Op::kConcat:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kReduceMean:
    case Op::kReduceSum:
    case Op::kSlice:
    case Op::kPad:
      out.SetOwn(s.id, Moved(s));
      break;
    default:
      return Fail(Code::kUnsupported, "the operator ", OpName(s.node.op),
                  " has no form in ONNX yet");
  }
  return {};
}

void Describe(ValueInfoProto& info, std::string_view name, const Shape& shape, bool whole) {
  info.set_name(std::string(name));
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(whole ? 7 : 1);
  type.mutable_shape()->add_dim()->set_dim_param("batch");
  for (const uint32_t size : shape) type.mutable_shape()->add_dim()->set_dim_value(size);
}

}  // namespace
}  // namespace onnx

namespace {

Result<Bytes> Export(const Graph& graph, onnx::Writer& writer) {
  LINNET_TRY(writer.shapes, InferShapes(graph));
  onnx::ModelProto& proto = writer.proto;
  const bool layer_norm =
      std::ranges::any_of(graph.nodes, [](const Node& node) { return node.op == Op::kLayerNorm; });
  proto.set_ir_version(8);
  proto.set_producer_name("linnet");
  proto.set_producer_version(LINNET_VERSION_STRING);
  onnx::OperatorSetIdProto& opset = *proto.add_opset_import();
  opset.set_domain("");
  opset.set_version(layer_norm ? 17 : 13);
  proto.mutable_graph()->set_name(graph.name);
  bool ids = true;  // the input is read by embeddings alone
  for (const Node& node : graph.nodes) {
    ids &= node.op == Op::kEmbedding || std::ranges::find(node.inputs, 0u) == node.inputs.end();
  }
  onnx::Describe(*proto.mutable_graph()->add_input(), "input", graph.input_shape, ids);
  writer.SetOwn(0, "input");
  for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
    const onnx::Step step{.out = writer, .node = graph.nodes[i], .id = i + 1};
    if (const Status written = onnx::Write(step); !written)
      return Annotate(written.error(), NodeText(graph, i));
  }
  const auto last = static_cast<uint32_t>(graph.nodes.size());
  const std::string made = writer.Own(last);
  onnx::NodeProto& end = *proto.mutable_graph()->mutable_node()->rbegin();
  if (end.output(0) == made) {
    end.set_output(0, "output");
  } else {
    onnx::NodeProto& same = *proto.mutable_graph()->add_node();
    same.set_op_type("Identity");
    same.set_name("Identity");
    same.add_input(made);
    same.add_output("output");
  }
  onnx::Describe(*proto.mutable_graph()->add_output(), "output", writer.shapes.back(), false);
  Bytes bytes(proto.ByteSizeLong());
  if (bytes.size() >= size_t{1} << 31 ||
      !proto.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail(Code::kLimit, "the model has ", bytes.size(),
                " bytes as ONNX, wanted less than 2 GiB");
  }
  return bytes;
}

}  // namespace

Result<Bytes> ExportOnnx(const Model& model) {
  onnx::Writer writer(model);
  return Export(model.graph, writer);
}

Result<Bytes> ExportOnnx(const QuantizedModel& model) {
  LINNET_TRY_STATUS(ValidateQuantizedModel(model));
  if (!HasInt8Activations(model)) return ExportOnnx(Dequantize(model));
  onnx::Writer writer(model);
  return Export(model.graph, writer);
}

}  // namespace linnet
