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
  const char* onnx = "ONNX";
  CLI::Option* int8 =
      sub->add_flag("--int8", c->int8, "Weights and activations of 8 bits (needs --data)")
          ->group(onnx);
  sub->add_option("--data", c->data, "Data source of the examples for the ranges of activations")
      ->needs(int8)
      ->group(onnx);
  sub->add_option("--scale", c->scale, "How features are scaled, by the training part")
      ->check(CLI::IsMember({"none", "unit", "standard"}))
      ->capture_default_str()
      ->needs(int8)
      ->group(onnx);
  sub->add_option("--examples", c->examples, "Examples for the ranges of activations")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->needs(int8)
      ->group(onnx);
  sub->footer(CommandFooter("linnet model export digits.linnet --output digits.onnx"));
}

// What the commands that make a model smaller have in common.
template <typename C>
void AddCompression(CLI::App* sub, const std::shared_ptr<C>& c, const char* optimizer) {
  sub->add_option("MODEL", c->model, "A .linnet file, or the name of a builtin model")->required();
  sub->add_option("--data", c->data, "Data source: mnist:DIR, csv:FILE?label=NAME, strokes?...")
      ->required();
  sub->add_option("--scale", c->scale, "How features are scaled, by the training part")
      ->check(CLI::IsMember({"none", "unit", "standard"}))
      ->capture_default_str();
  sub->add_option("--output,-o", c->output, "Write the result to this .linnet file");
  sub->add_option("--epochs", c->epochs, "Train so many times over the data")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  sub->add_option("--learning-rate", c->learning_rate,
                  StrCat("Of that training (", optimizer, ", batch 32)"))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_option("--seed", c->seed, "Of the order of examples")->capture_default_str();
}

void AddQuantize(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<QuantizeCommand> c;
  CLI::App* sub = AddSubcommand(group, chosen, "quantize", "Make weights of 8 or 4 bits", c);
  AddCompression(sub, c, "momentum 0.9");
  sub->add_option("--bits", c->bits, "8: weights and activations; 4: weights alone")
      ->check(CLI::IsMember({8, 4}))
      ->capture_default_str();
  sub->add_option("--examples", c->examples, "Examples for the ranges of activations")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  sub->add_option("--calibration", c->calibration,
                  "How ranges are chosen: percentile (99.9), error (least), better (of the two)")
      ->check(CLI::IsMember({"percentile", "error", "better"}))
      ->capture_default_str();
  sub->footer(
      CommandFooter("linnet model quantize digits.linnet --data mnist:DIR -o small.linnet"));
}

void AddPrune(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<PruneCommand> c;
  CLI::App* sub = AddSubcommand(group, chosen, "prune", "Set the smallest weights to zero", c);
  AddCompression(sub, c, "momentum 0.9");
  sub->add_option("--sparsity", c->sparsity, "The share of weights that become zero")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  sub->add_option(
         "--pruning", c->pruning,
         "global: the smallest of all; layer: of each layer; 2:4: two of each four; block: "
         "runs of 16")
      ->check(CLI::IsMember({"global", "layer", "2:4", "block"}))
      ->capture_default_str();
  sub->footer(CommandFooter(
      "linnet model prune digits.linnet --data mnist:DIR --sparsity 0.8 -o sparse.linnet"));
}

void AddDistill(CLI::App& group, ModelCommand& chosen) {
  std::shared_ptr<DistillCommand> c;
  CLI::App* sub =
      AddSubcommand(group, chosen, "distill", "Train a small model on what MODEL says", c);
  AddCompression(sub, c, "adam");
  sub->add_option("--student", c->student,
                  "The model that learns: a .linnet file, or the name of a builtin model")
      ->required();
  sub->add_option("--unlabelled", c->unlabelled,
                  "Train on this data source, whose labels are not looked at; --data scores alone");
  sub->add_option("--temperature", c->temperature,
                  "Higher shows the student more of what MODEL thinks of wrong classes")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  sub->add_option("--label-weight", c->label_weight, "The share of the labels in the loss")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  sub->footer(
      CommandFooter("linnet model distill digits.linnet --student dscnn-small --data "
                    "mnist:DIR -o small.linnet"));
}

}  // namespace

void AddModel(CLI::App& app, ModelCommand& chosen) {
  CLI::App* group =
      app.add_subcommand("model", "Look at models, bring them in and out, make them smaller");
  group->require_subcommand(1);
  group->footer("\nlinnet model COMMAND --help shows a command's options and an example.\n");
  AddInspect(*group, chosen);
  AddImport(*group, chosen);
  AddExport(*group, chosen);
  AddQuantize(*group, chosen);
  AddPrune(*group, chosen);
  AddDistill(*group, chosen);
}

std::string_view CommandName(const ModelCommand& command) {
  static constexpr std::string_view kNames[] = {"model inspect",  "model import", "model export",
                                                "model quantize", "model prune",  "model distill"};
  return kNames[command.index()];
}

Result<int> Run(const ModelCommand& command) {
  return std::visit([](const auto& c) { return Run(c); }, command);
}

}  // namespace linnet
