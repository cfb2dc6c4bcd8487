// An ONNX graph while it is written.
#ifndef LINNET_NATIVE_ONNX_WRITER_H_
#define LINNET_NATIVE_ONNX_WRITER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "model/model.h"
#include "model/ops.h"
#include "model/quantize.h"
#include "native/onnx/tensor.h"
#include "onnx/onnx.pb.h"

namespace linnet::onnx {

using Names = std::vector<std::string>;
struct Attribute {
  std::string_view name;
  enum class Kind : uint8_t { kInt, kFloat, kInts, kText } kind = Kind::kInt;
  int64_t number = 0;
  float real = 0;
  Dims list = {};
  std::string_view text = {};
};
inline Attribute Int(std::string_view name, int64_t value) {
  return {.name = name, .number = value};
}
inline Attribute Real(std::string_view name, float value) {
  return {.name = name, .kind = Attribute::Kind::kFloat, .real = value};
}
inline Attribute List(std::string_view name, Dims values) {
  return {.name = name, .kind = Attribute::Kind::kInts, .list = std::move(values)};
}
inline Attribute Word(std::string_view name, std::string_view value) {
  return {.name = name, .kind = Attribute::Kind::kText, .text = value};
}

class Writer {
 public:
  explicit Writer(const Model& model) : model_(model) {}
  // Of a model in 8 bits: each value is rounded to its codes by a QuantizeLinear, a Clip to 0..127
  // and a DequantizeLinear, weights are int8 with a scale for each output. What ONNX Runtime fuses
  // into integer operators stands without anything between: the layout changes between codes.
  explicit Writer(const QuantizedModel& model);

  // Appends a node; the name of its output number `output`.
  std::string Node(std::string_view op, const Names& inputs,
                   const std::vector<Attribute>& attributes = {}, int outputs = 1, int output = 0);
  // The names of the outputs of the node that was appended last.
  Names LastOutputs() const;
  std::string Floats(const Dims& dims, std::vector<float> values);
  std::string Integers(const std::vector<int64_t>& values);
  std::string Number(float value) { return Floats({}, {value}); }
  // A parameter under its own name, `dims` and `values` as ONNX wants them. `channels` is the axis
  // of the outputs, -1 the last.
  std::string Param(uint32_t index, const Dims& dims, const std::vector<float>& values,
                    int64_t channels = -1);
  // The bias of a layer with these weights on a value: in 8 bits whole numbers of their units.
  std::string Bias(uint32_t index, uint32_t weights, uint32_t x);
  // In 8 bits, of weights, their codes.
  std::vector<float> Values(uint32_t param) const;
  const ParamInfo& info(uint32_t param) const { return model_.graph.params[param]; }

  // The graph's value in its own layout, or with the channels of an image first.
  std::string Own(uint32_t value);
  std::string ChannelsFirst(uint32_t value);
  // [batch, elements], in the order of the own layout.
  std::string Flat(uint32_t value);
  bool has_channels_first(uint32_t value) const { return channels_first_.contains(value); }
  void SetOwn(uint32_t value, const std::string& name) {
    own_[value] = Rounded(value, name, own_codes_);
  }
  void SetChannelsFirst(uint32_t value, const std::string& name) {
    channels_first_[value] = Rounded(value, name, channels_first_codes_);
  }

  ModelProto proto;
  std::vector<Shape> shapes;  // of each value of the graph

 private:
  using Places = std::map<uint32_t, std::string>;

  bool is_int8(uint32_t param) const {
    return quantized_ != nullptr && quantized_->tensors[param].format == WeightFormat::kInt8;
  }
  // A name like this one that no tensor has.
  std::string FreeName(std::string name);
  std::string Rounded(uint32_t value, const std::string& name, Places& codes);
  // What the codes of a value mean.
  std::string Meaning(uint32_t value, const std::string& codes);
  // A value in another layout: its codes where it has some are moved.
  std::string Moved(uint32_t value, const Places& from, const Places& from_codes, Places& to_codes,
                    const Dims& order);
  std::string Byte(uint8_t value);

  const Model decoded_;  // of a quantized model: the codes of its weights as values
  const Model& model_;
  const QuantizedModel* const quantized_ = nullptr;
  std::vector<bool> is_coded_;  // values that 8 bits hold
  Places own_, channels_first_, own_codes_, channels_first_codes_;
  std::map<uint32_t, std::pair<std::string, std::string>> code_names_;  // scale and zero point
  std::map<std::string, std::string> initializers_;                     // by parameter and dims
  std::set<std::string> taken_;                                         // names of tensors
  int names_ = 0;
};

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_WRITER_H_
