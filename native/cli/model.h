// linnet model: what can be done to a model without data of a federation.
#ifndef LINNET_NATIVE_CLI_MODEL_H_
#define LINNET_NATIVE_CLI_MODEL_H_

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace linnet {

struct InspectCommand {
  std::string file;
  uint32_t batch = 32;  // of the training step whose memory is shown
  bool json = false;
};

struct ImportCommand {
  std::string file, output;
  std::string name, value, input_shape, layout = "guess", loss = "cross-entropy";  // .onnx
  std::string into, from = "linnet";                                               // .safetensors
  std::vector<std::string> renames;
  bool json = false;
};
struct ExportCommand {
  std::string file, output;
  std::string to = "linnet";  // .safetensors
  bool bf16 = false;
  bool int8 = false;  // .onnx: quantize by examples of `data`
  std::string data, scale = "unit";
  uint32_t examples = 512;
  bool json = false;
};

struct QuantizeCommand {
  std::string model, data, output, scale = "unit", calibration = "better";
  uint32_t bits = 8, examples = 512, epochs = 0;
  float learning_rate = 0.002f;
  uint64_t seed = 1;
  bool json = false;
};
struct PruneCommand {
  std::string model, data, output, scale = "unit", pruning = "global";
  double sparsity = 0.8;
  uint32_t epochs = 3;
  float learning_rate = 0.02f;
  uint64_t seed = 1;
  bool json = false;
};

struct DistillCommand {
  std::string model, student, data, unlabelled, output, scale = "unit";
  float temperature = 4, label_weight = 0.1f, learning_rate = 0.001f;
  uint32_t epochs = 3;
  uint64_t seed = 1;
  bool json = false;
};

using ModelCommand = std::variant<InspectCommand, ImportCommand, ExportCommand, QuantizeCommand,
                                  PruneCommand, DistillCommand>;

// Adds `model` and its subcommands to the command line; the one that is given puts its options
// into `chosen`, which outlives the parse.
void AddModel(CLI::App& app, ModelCommand& chosen);
// "model inspect".
std::string_view CommandName(const ModelCommand& command);

Result<int> Run(const InspectCommand& command);
Result<int> Run(const ImportCommand& command);
Result<int> Run(const ExportCommand& command);
Result<int> Run(const QuantizeCommand& command);
Result<int> Run(const PruneCommand& command);
Result<int> Run(const DistillCommand& command);
Result<int> Run(const ModelCommand& command);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_MODEL_H_
