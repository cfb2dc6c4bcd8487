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

}  // namespace

void AddModel(CLI::App& app, ModelCommand& chosen) {
  CLI::App* group = app.add_subcommand("model", "Look at models, bring them in and take them out");
  group->require_subcommand(1);
  group->footer("\nlinnet model COMMAND --help shows a command's options and an example.\n");
  AddInspect(*group, chosen);
}

std::string_view CommandName(const ModelCommand& command) {
  static constexpr std::string_view kNames[] = {"model inspect"};
  return kNames[command.index()];
}

Result<int> Run(const ModelCommand& command) {
  return std::visit([](const auto& c) { return Run(c); }, command);
}

}  // namespace linnet
