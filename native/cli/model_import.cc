// linnet model import: a model that other systems wrote.
#include <charconv>
#include <filesystem>

#include "model/safetensors.h"
#include "native/cli/model.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/onnx/onnx.h"
#include "native/store/mapped_file.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr size_t kMaxBytes = (size_t{1} << 31) - 1;

// "3x32x32".
Result<std::vector<uint32_t>> ParseShape(std::string_view text) {
  std::vector<uint32_t> shape;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    uint32_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    const bool separated = next == end || (*next == 'x' && next + 1 != end);
    if (error != std::errc() || size == 0 || !separated) {
      return Fail(Code::kInvalid, "--input-shape is ", text, ", wanted sizes as in 3x32x32");
    }
    shape.push_back(size);
    at = next == end ? end : next + 1;
  }
  return shape;
}

Result<OnnxImport> FromOnnx(const ImportCommand& command, ByteSpan bytes) {
  if (!command.into.empty() || !command.renames.empty()) {
    return Fail(Code::kInvalid, "--into and --rename are for .safetensors files");
  }
  OnnxImportOptions options;
  // Exporters name graphs "torch_jit" or "main_graph": the file's name says more.
  options.name =
      command.name.empty() ? std::filesystem::path(command.file).stem().string() : command.name;
  options.output = command.value;
  LINNET_TRY(options.input_shape, ParseShape(command.input_shape));
  using Layout = OnnxImportOptions::Layout;
  options.layout = command.layout == "guess"            ? Layout::kGuess
                   : command.layout == "channels-first" ? Layout::kChannelsFirst
                                                        : Layout::kChannelsLast;
  options.loss = command.loss == "mse" ? Loss::kMse : Loss::kCrossEntropy;
  return ImportOnnx(bytes, options);
}

Result<OnnxImport> FromSafetensors(const ImportCommand& command, ByteSpan bytes) {
  if (command.into.empty()) {
    return Fail(Code::kInvalid,
                "a .safetensors file has no graph: name the model it fills with --into");
  }
  LINNET_TRY(Model into, OpenModel(command.into));
  if (!command.name.empty()) into.graph.name = command.name;
  SafetensorsOptions options;
  options.layout = command.from == "pytorch" ? TensorLayout::kPytorch : TensorLayout::kLinnet;
  for (const std::string& rename : command.renames) {
    const size_t equals = rename.find('=');
    if (equals == std::string::npos) {
      return Fail(Code::kInvalid, "--rename is ", rename, ", wanted OLD=NEW");
    }
    options.renames.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
  }
  LINNET_TRY(Model model, ReadSafetensors(bytes, into.graph, options));
  LINNET_TRY_STATUS(ValidateGraph(model.graph));
  return OnnxImport{.model = std::move(model), .notes = {}};
}

}  // namespace

Result<int> Run(const ImportCommand& command) {
  Output output(command.json);
  const bool onnx = command.file.ends_with(".onnx");
  if (!onnx && !command.file.ends_with(".safetensors")) {
    return Fail(Code::kInvalid, command.file, " ends neither in .onnx nor in .safetensors");
  }
  LINNET_TRY(const MappedFile file, MappedFile::Open(command.file, kMaxBytes));
  const Result<OnnxImport> imported =
      onnx ? FromOnnx(command, file.bytes()) : FromSafetensors(command, file.bytes());
  if (!imported) return Annotate(imported.error(), command.file);
  const Bytes saved = SaveModel(imported->model);
  LINNET_TRY_STATUS(ReplaceFile(command.output, saved));
  const std::string digest = Hex(Blake2b(saved));
  output.Object(
      Json::Object{{"file", command.output},
                   {"model", imported->model.graph.name},
                   {"parameters", imported->model.graph.ParamCount()},
                   {"bytes", saved.size()},
                   {"digest", digest},
                   {"notes", Json::Array(imported->notes.begin(), imported->notes.end())}});
  for (const std::string& note : imported->notes) output.Line(StrCat("note: ", note));
  output.Line(StrCat(command.output, ": ", DescribeModel(imported->model.graph), ", ",
                     HumanBytes(saved.size()), ", digest ", digest));
  return 0;
}

}  // namespace linnet
