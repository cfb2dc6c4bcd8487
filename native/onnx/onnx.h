// ONNX files in and out: models written by PyTorch and Keras become graphs that train, trained
// models become files that ONNX Runtime and others run.
#ifndef LINNET_NATIVE_ONNX_ONNX_H_
#define LINNET_NATIVE_ONNX_ONNX_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/model.h"
#include "model/quantize.h"

namespace linnet {

struct OnnxImportOptions {
  std::string name;  // of the graph; "" = the file's
  // The shape of one example where the file leaves it open, in the file's own order of axes.
  std::vector<uint32_t> input_shape;
  std::string output;  // the value that becomes the model's output; "" = the file's first output
  // Whether an input of rank 4 is [n, c, h, w] (PyTorch) or [n, h, w, c] (Keras).
  enum class Layout : uint8_t { kGuess, kChannelsFirst, kChannelsLast } layout = Layout::kGuess;
  std::optional<Loss> loss;  // not set: cross-entropy
};

struct OnnxImport {
  Model model;
  std::vector<std::string> notes;  // what is different from the file, for people
};

// A trainable graph of the same function (inference of the file, within rounding): the graph's
// input is the file's, images as [h, w, c]; a final Softmax or LogSoftmax is left to the loss, so
// the outputs are logits. Opsets 7 to 21. kData for bytes that are no ONNX file, kUnsupported
// naming the node, its operator and what is supported, kLimit and kInvalid naming the node or
// tensor.
Result<OnnxImport> ImportOnnx(ByteSpan bytes, const OnnxImportOptions& options = {});

// Operators that ImportOnnx reads, sorted.
std::vector<std::string> OnnxImportOperators();

// The file of a graph's inference, opset 13 (17 where layer norm is used): input "input" [n, ...]
// with the graph's own layout (images [n, h, w, c]), output "output": the logits.
Result<Bytes> ExportOnnx(const Model& model);
// In 8 bits with QuantizeLinear and DequantizeLinear: weights int8 with a scale for each output,
// activations uint8 with codes 0..127, biases int32. A model with weights of 4 bits is written in
// f32.
Result<Bytes> ExportOnnx(const QuantizedModel& model);

}  // namespace linnet

#endif  // LINNET_NATIVE_ONNX_ONNX_H_
