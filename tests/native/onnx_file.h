// ONNX files for tests, written byte by byte: what is imported here was not written by the code
// that imports. Field numbers are those of the public specification.
#ifndef LINNET_TESTS_NATIVE_ONNX_FILE_H_
#define LINNET_TESTS_NATIVE_ONNX_FILE_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace linnet {

// A Protocol Buffers message.
class Message {
 public:
  Message& Varint(uint32_t field, int64_t value) {
    Raw(field << 3);
    Raw(static_cast<uint64_t>(value));
    return *this;
  }
  Message& Text(uint32_t field, std::string_view text) {
    Raw(field << 3 | 2);
    Raw(text.size());
    bytes_ += text;
    return *this;
  }
  Message& Float(uint32_t field, float value) {
    Raw(field << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), 4);
    return *this;
  }
  Message& Add(uint32_t field, const Message& message) { return Text(field, message.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void Raw(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

inline Message IntsAttribute(std::string_view name, const std::vector<int64_t>& values) {
  Message message;
  message.Text(1, name).Varint(20, 7);
  for (const int64_t value : values) message.Varint(8, value);
  return message;
}
inline Message IntAttribute(std::string_view name, int64_t value) {
  return Message().Text(1, name).Varint(20, 2).Varint(3, value);
}
inline Message FloatAttribute(std::string_view name, float value) {
  return Message().Text(1, name).Varint(20, 1).Float(2, value);
}

class OnnxFile {
 public:
  OnnxFile& Input(std::string_view name, const std::vector<int64_t>& dims) {
    graph_.Add(11, Described(name, dims));
    return *this;
  }
  OnnxFile& Output(std::string_view name) {
    graph_.Add(12, Message().Text(1, name));
    return *this;
  }
  OnnxFile& Node(std::string_view op, const std::vector<std::string>& inputs,
                 const std::vector<std::string>& outputs,
                 const std::vector<Message>& attributes = {}) {
    Message node;
    for (const std::string& input : inputs) node.Text(1, input);
    for (const std::string& output : outputs) node.Text(2, output);
    node.Text(3, "the " + outputs[0]).Text(4, op);
    for (const Message& attribute : attributes) node.Add(5, attribute);
    graph_.Add(1, node);
    return *this;
  }
  OnnxFile& Floats(std::string_view name, const std::vector<int64_t>& dims,
                   const std::vector<float>& values) {
    return Tensor(name, dims, 1, values.data(), values.size() * sizeof(float));
  }
  OnnxFile& Integers(std::string_view name, const std::vector<int64_t>& values) {
    return Tensor(name, {int64_t(values.size())}, 7, values.data(),
                  values.size() * sizeof(int64_t));
  }
  // data type 1 = float, 7 = int64, ...
  OnnxFile& Tensor(std::string_view name, const std::vector<int64_t>& dims, int type,
                   const void* data, size_t size) {
    Message tensor;
    for (const int64_t dim : dims) tensor.Varint(1, dim);
    tensor.Varint(2, type).Text(8, name).Text(9, {static_cast<const char*>(data), size});
    graph_.Add(5, tensor);
    return *this;
  }
  Bytes Save(int64_t opset = 13) const {
    Message graph = graph_;
    graph.Text(2, "test");
    const std::string bytes =
        Message().Varint(1, 8).Add(7, graph).Add(8, Message().Text(1, "").Varint(2, opset)).bytes();
    return {bytes.begin(), bytes.end()};
  }

 private:
  // The first axis is the batch, left open; -1 leaves another one open.
  static Message Described(std::string_view name, const std::vector<int64_t>& dims) {
    Message shape;
    shape.Add(1, Message().Text(2, "batch"));
    for (const int64_t dim : dims)
      shape.Add(1, dim < 0 ? Message().Text(2, "any") : Message().Varint(1, dim));
    return Message().Text(1, name).Add(2, Message().Add(1, Message().Varint(1, 1).Add(2, shape)));
  }
  Message graph_;
};

}  // namespace linnet

#endif  // LINNET_TESTS_NATIVE_ONNX_FILE_H_
