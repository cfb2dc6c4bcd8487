// An ONNX graph while it is written.
#ifndef LINNET_NATIVE_ONNX_WRITER_H_
#define LINNET_NATIVE_ONNX_WRITER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "model/model.h"
#include "model/ops.h"
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

  // Appends a node; the name of its output number `output`.
  std::string Node(std::string_view op, const Names& inputs,
                   const std::vector<Attribute>& attributes = {}, int outputs = 1, int output = 0);
  // The names of the outputs of the node that was appended last.
  Names LastOutputs() const;
  std::string Floats(const Dims& dims, std::vector<float> values);
  std::string Integers(const std::vector<int64_t>& values);
  std::string Number(float value) { return Floats({}, {value}); }
  // A parameter under its own name, `dims` and `values` as ONNX wants them.
  std::string Param(uint32_t index, const Dims& dims, const std::vector<float>& values,
                    std::string_view suffix = {});
  std::vector<float> Values(uint32_t param) const;
  const ParamInfo& info(uint32_t param) const { return model_.graph.params[param]; }

  // The graph's value in its own layout, or with the channels of an image first.
  std::string Own(uint32_t value);
  std::string ChannelsFirst(uint32_t value);
  bool has_channels_first(uint32_t value) const { return channels_first_.contains(value); }
  void SetOwn(uint32_t value, std::string name) { own_[value] = std::move(name); }
  void SetChannelsFirst(uint32_t value, std::string name) {
    channels_first_[value] = std::move(name);
  }

  ModelProto proto;
  std::vector<Shape> shapes;  // of each value of the graph

 private:
  const Model& model_;
  std::map<uint32_t, std::string> own_, channels_first_;
  std::map<std::string, std::string> initializers_;  // by parameter and suffix: its name
  int names_ = 0;
};

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_WRITER_H_
