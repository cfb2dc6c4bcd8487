#include "native/cli/model.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "native/cli/command_line.h"

namespace linnet {
namespace {

// A subcommand whose options land in a `C` that becomes the chosen command.
template <typename C>
CLI::App* AddSubcommand(CLI::App& group, ModelCommand& chosen, const char* name, const char* what,
                        std::shared_ptr<C>& command) {
  command = std::make_shared<C>();
  CLI::App* sub = group.add_subcommand(name, what);
  sub->callback([&chosen, command] { chosen = *command; });
  sub->add_flag("--json", command->json, "One JSON object instead of text");
  return sub;
}

void AddInspect(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<InspectCommand> c;
  CLI::App* sub =
      AddSubcommand(group, chosen, "inspect", "Show layers, parameters, compute and memory", c);
  sub->add_option("MODEL", c->file, "A .linnet file, or the name of a builtin model")->required();
  sub->add_option("--batch", c->batch, "Batch of the training step whose memory is shown")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  sub->footer(CommandFooter("linnet model inspect digits.linnet"));
}

void AddImport(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<ImportCommand> c;
  CLI::App* sub = AddSubcommand(group, chosen, "import",
                                "Make a .linnet file from an ONNX or safetensors file", c);
  sub->add_option("FILE", c->file, "A .onnx or .safetensors file")->required();
  sub->add_option("--output,-o", c->output, "The .linnet file to write")->required();
  sub->add_option("--name", c->name,
                  "The model's name (default: the file's without .onnx, the filled model's)");
  const char* onnx = "ONNX";
  sub->add_option("--value", c->value, "Take this value as the output (default: the first output)")
      ->group(onnx);
  sub->add_option(
         "--input-shape", c->input_shape,
         "Shape of one example where the file leaves it open, in the file's order: 1x28x28")
      ->group(onnx);
  sub->add_option("--layout", c->layout, "Whether images have their channels first or last")
      ->check(CLI::IsMember({"guess", "channels-first", "channels-last"}))
      ->capture_default_str()
      ->group(onnx);
  sub->add_option("--loss", c->loss, "What further training minimizes")
      ->check(CLI::IsMember({"cross-entropy", "mse"}))
      ->capture_default_str()
      ->group(onnx);
  const char* safetensors = "safetensors";
  sub->add_option("--into", c->into,
                  "The model whose parameters are read: a .linnet file or a builtin model")
      ->group(safetensors);
  sub->add_option("--from", c->from, "pytorch: matrices are [out, in], kernels [out, in, h, w]")
      ->check(CLI::IsMember({"linnet", "pytorch"}))
      ->capture_default_str()
      ->group(safetensors);
  sub->add_option("--rename", c->renames, "OLD=NEW: the tensor OLD is the parameter NEW")
      ->group(safetensors);
  sub->footer(CommandFooter("linnet model import digits.onnx --output digits.linnet"));
}

void AddExport(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<ExportCommand> c;
  CLI::App* sub =
      AddSubcommand(group, chosen, "export", "Write a model as an ONNX or safetensors file", c);
  sub->add_option("MODEL", c->file, "A .linnet file, or the name of a builtin model")->required();
  sub->add_option("--output,-o", c->output, "The .onnx or .safetensors file to write")->required();
  const char* safetensors = "safetensors";
  sub->add_option("--to", c->to, "pytorch: matrices become [out, in], kernels [out, in, h, w]")
      ->check(CLI::IsMember({"linnet", "pytorch"}))
      ->capture_default_str()
      ->group(safetensors);
  sub->add_flag("--bf16", c->bf16, "Half the size, 8 bits of precision")->group(safetensors);
  sub->footer(CommandFooter("linnet model export digits.linnet --output digits.onnx"));
}

}  // namespace

void AddModel(CLI::App& app, ModelCommand& chosen) {
  CLI::App* group = app.add_subcommand("model", "Look at models, bring them in and take them out");
  group->require_subcommand(1);
  group->footer("\nlinnet model COMMAND --help shows a command's options and an example.\n");
  AddInspect(*group, chosen);
  AddImport(*group, chosen);
  AddExport(*group, chosen);
}

std::string_view CommandName(const ModelCommand& command) {
  static constexpr std::string_view kNames[] = {"model inspect", "model import", "model export"};
  return kNames[command.index()];
}

Result<int> Run(const ModelCommand& command) {
  return std::visit([](const auto& c) { return Run(c); }, command);
}

}  // namespace linnet
