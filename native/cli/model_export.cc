// linnet model export: a model for other systems.
#include "kernels/kernels.h"
#include "model/quantize.h"
#include "model/safetensors.h"
#include "native/cli/model.h"
#include "native/cli/model_measure.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/onnx/onnx.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

// The model as it is to be written.
Result<AnyModel> ModelToWrite(const ExportCommand& command) {
  if (command.int8 == command.data.empty()) {
    return Fail(Code::kInvalid, "--int8 and --data SOURCE go together");
  }
  LINNET_TRY(AnyModel model, OpenAnyModel(command.file));
  if (!command.int8) return model;
  if (std::holds_alternative<QuantizedModel>(model)) {
    return Fail(Code::kInvalid, command.file, " is quantized already, --int8 wants one in f32");
  }
  const Model& plain = std::get<Model>(model);
  LINNET_TRY(const TrainTest data, OpenLabelled(command.data, command.scale, plain.graph));
  Result<QuantizedModel> quantized =
      QuantizeInt8(plain, CalibrationExamples(*data.train, command.examples), Calibration::kBetter,
                   BestKernels());
  if (!quantized) return Annotate(quantized.error(), command.file);
  return AnyModel(*std::move(quantized));
}

}  // namespace

Result<int> Run(const ExportCommand& command) {
  Output output(command.json);
  const bool onnx = command.output.ends_with(".onnx");
  if (!onnx && !command.output.ends_with(".safetensors")) {
    return Fail(Code::kInvalid, "--output is ", command.output,
                ", wanted a name that ends in .onnx or .safetensors");
  }
  if (onnx && (command.bf16 || command.to != "linnet")) {
    return Fail(Code::kInvalid, "--bf16 and --to are for .safetensors files");
  }
  LINNET_TRY(const AnyModel model, ModelToWrite(command));
  const Graph& graph = GraphOf(model);
  const auto* quantized = std::get_if<QuantizedModel>(&model);
  const bool int8 = quantized != nullptr && HasInt8Activations(*quantized);
  Bytes bytes;
  if (onnx) {
    LINNET_TRY(bytes, std::visit([](const auto& m) { return ExportOnnx(m); }, model));
  } else if (quantized != nullptr) {
    return Fail(Code::kUnsupported, command.file, " is quantized, wanted --output NAME.onnx");
  } else {
    bytes = WriteSafetensors(
        std::get<Model>(model),
        command.to == "pytorch" ? TensorLayout::kPytorch : TensorLayout::kLinnet, command.bf16);
  }
  LINNET_TRY_STATUS(ReplaceFile(command.output, bytes));
  output.Object(Json::Object{{"file", command.output},
                             {"model", graph.name},
                             {"parameters", graph.ParamCount()},
                             {"int8", int8},
                             {"bytes", bytes.size()}});
  output.Line(StrCat(command.output, ": ", DescribeModel(graph), int8 ? " in 8 bits" : "", ", ",
                     HumanBytes(bytes.size())));
  if (quantized != nullptr && !int8) output.Line("note: its weights of 4 bits are written in f32");
  return 0;
}

}  // namespace linnet
