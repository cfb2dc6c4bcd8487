// linnet model export: a model for other systems.
#include "model/safetensors.h"
#include "native/cli/model.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/onnx/onnx.h"
#include "native/store/state_folder.h"

namespace linnet {

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
  LINNET_TRY(const Model model, OpenModel(command.file));
  Bytes bytes;
  if (onnx) {
    LINNET_TRY(bytes, ExportOnnx(model));
  } else {
    bytes = WriteSafetensors(
        model, command.to == "pytorch" ? TensorLayout::kPytorch : TensorLayout::kLinnet,
        command.bf16);
  }
  LINNET_TRY_STATUS(ReplaceFile(command.output, bytes));
  output.Object(Json::Object{{"file", command.output},
                             {"model", model.graph.name},
                             {"parameters", model.graph.ParamCount()},
                             {"bytes", bytes.size()}});
  output.Line(
      StrCat(command.output, ": ", DescribeModel(model.graph), ", ", HumanBytes(bytes.size())));
  return 0;
}

}  // namespace linnet
