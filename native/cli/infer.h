// linnet infer: a model on data, images, rows and texts.
#ifndef LINNET_NATIVE_CLI_INFER_H_
#define LINNET_NATIVE_CLI_INFER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"

namespace CLI {
class App;
}

namespace linnet {

struct InferCommand {
  std::string model, data, image;
  std::string input;  // a file of rows or prompts, "-" = stdin
  std::optional<std::string> text{};
  std::string scale;  // "" = the coordinator's, or unit
  std::string like;   // a source: rows of `input` are scaled as its training part
  uint64_t rows = 0, seed = 1;
  uint32_t top = 1, length = 200;
  double temperature = 0.8;
  bool train_part = false, json = false;
};

void AddInfer(CLI::App& app, InferCommand& command);
Result<int> Run(const InferCommand& command);

// One line in, one prediction out, until the input ends: comma-separated features (a first line
// that is no row of numbers is taken for a header), or for a model of symbols a text to go on from.
Result<int> InferLines(const AnyModel& model, const InferCommand& command, Output& output);
// Prints how a model of symbols goes on from a text.
Result<int> InferText(const AnyModel& model, const InferCommand& command, Output& output);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_INFER_H_
