#include "native/cli/plugin.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "fed/plugin_config.h"
#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/plugin/plugin_loader.h"
#include "native/store/state_folder.h"
#include "plugins/builtin.h"

namespace linnet {
namespace {

constexpr size_t kMaxPluginBytes = size_t{256} << 20;

template <typename C>
CLI::App* AddSubcommand(CLI::App& group, PluginCommand& chosen, const char* name, const char* what,
                        const std::string& example, std::shared_ptr<C>& command) {
  command = std::make_shared<C>();
  CLI::App* sub = group.add_subcommand(name, what);
  sub->callback([&chosen, command] { chosen = *command; });
  sub->add_flag("--json", command->json, "One JSON object a line instead of text");
  sub->footer(CommandFooter(example));
  return sub;
}

std::string ModesOf(const PluginEntry& entry) {
  const Json* schema = entry.description.Find("config");
  const auto config = CheckConfig(schema != nullptr ? *schema : Json(), Json(), "config");
  if (!config) return "?";  // a setting without a default
  const std::string text = config->Dump();
  lnt_caps caps{};
  caps.struct_size = sizeof(caps);
  lnt_handle handle = 0;
  if (entry.table->create(entry.index, text.data(), static_cast<uint32_t>(text.size()), &handle,
                          &caps) < 0) {
    return "?";
  }
  entry.table->destroy(handle);
  if ((caps.caps & LNT_CAP_ASYNC) != 0) return "stream, asynchronous";
  return (caps.modes & LNT_MODE_STREAM) != 0 ? "stream" : "block";
}

}  // namespace

void AddSandboxLimits(CLI::App& sub, SandboxLimits& limits) {
  constexpr int kDayMs = 24 * 3600 * 1000;
  sub.add_option("--plugin-memory-mib", limits.memory_mib, "Memory that a .wasm strategy may have")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  sub.add_option("--plugin-deadline-ms", limits.call_ms,
                 "A .wasm strategy that takes longer to answer is killed")
      ->check(CLI::Range(1, kDayMs))
      ->capture_default_str();
  sub.add_option("--plugin-round-ms", limits.round_ms, "The same for all that it does in one round")
      ->check(CLI::Range(1, kDayMs))
      ->capture_default_str();
}

void AddPlugin(CLI::App& app, PluginCommand& chosen) {
  CLI::App* group = app.add_subcommand("plugin", "List, write, check and measure strategies");
  group->require_subcommand(1);
  group->footer("\nlinnet plugin COMMAND --help shows a command's options and an example.\n");

  std::shared_ptr<PluginListCommand> list;
  CLI::App* sub = AddSubcommand(*group, chosen, "list", "Show the strategies and their settings",
                                "linnet plugin list", list);
  sub->add_option("--plugin", list->plugins, "PATH#SHA256 of a strategy to show as well");

  std::shared_ptr<PluginNewCommand> make;
  sub = AddSubcommand(*group, chosen, "new", "Make a folder to write a strategy in",
                      "linnet plugin new my-mean", make);
  sub->add_option("NAME", make->name, "Lower-case letters, digits and hyphens")->required();
  sub->add_option("--folder", make->folder, "Where (default: a folder of that name here)");

  std::shared_ptr<PluginCheckCommand> check;
  sub = AddSubcommand(*group, chosen, "check",
                      "Run the conformance kit; exits with 0 when all of it passes, else 1",
                      "linnet plugin check build/my-mean.so build-wasm/my-mean.wasm", check);
  sub->add_option("SUBJECT", check->subjects,
                  "A .so or .wasm file or the name of a built-in strategy; forms of one strategy "
                  "must give the same bits")
      ->required();
  sub->add_option("--config", check->config, "The strategy's settings as JSON (default: its own)");

  AddSandboxLimits(*sub, check->limits);

  std::shared_ptr<PluginBenchCommand> bench;
  sub = AddSubcommand(*group, chosen, "bench",
                      "Compare throughput with memory bandwidth and with fedavg",
                      "linnet plugin bench build/my-mean.so", bench);
  sub->add_option("SUBJECT", bench->subject, "A .so or .wasm file or the name of a built-in one")
      ->required();
  sub->add_option("--config", bench->config, "The strategy's settings as JSON (default: its own)");
  sub->add_option("--updates", bench->updates, "Updates of a round")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  sub->add_option("--elements", bench->elements, "Elements of an update")
      ->check(CLI::Range(1, 1 << 26))
      ->capture_default_str();
  AddSandboxLimits(*sub, bench->limits);
}

std::string_view CommandName(const PluginCommand& command) {
  static constexpr std::string_view kNames[] = {"plugin list", "plugin new", "plugin check",
                                                "plugin bench"};
  return kNames[command.index()];
}

Result<int> Run(const PluginCommand& command) {
  return std::visit([](const auto& c) { return Run(c); }, command);
}

Result<int> Run(const PluginListCommand& command) {
  LINNET_TRY(const PluginTable table, MakePluginTable(command.plugins));
  Output output(command.json);
  size_t width = 0;
  for (const PluginEntry& entry : table.entries()) width = std::max(width, entry.id.size());
  for (const PluginEntry& entry : table.entries()) {
    const Json* about = entry.description.Find("description");
    const std::string modes = ModesOf(entry);
    Json::Object object = entry.description.as_object();
    object.emplace_back("origin", entry.origin);
    object.emplace_back("mode", modes);
    output.Object(Json(std::move(object)));
    output.Line(StrCat(output.Bold(PadRight(entry.id, width)), "  ",
                       about != nullptr && about->is_string() ? about->as_string() : "",
                       output.Dim(StrCat(" (", modes, ", ", entry.origin, ")"))));
    const Json* schema = entry.description.Find("config");
    const Json* fields = schema != nullptr ? schema->Find("properties") : nullptr;
    if (fields == nullptr || !fields->is_object()) continue;
    for (const auto& [name, field] : fields->as_object()) {
      std::string line = StrCat(std::string(width + 2, ' '), name);
      const Json *least = field.Find("minimum"), *most = field.Find("maximum"),
                 *fallback = field.Find("default"), *text = field.Find("description");
      if (least != nullptr && most != nullptr)
        line += StrCat("  ", least->Dump(), " to ", most->Dump());
      if (fallback != nullptr) line += StrCat("  default ", fallback->Dump());
      if (text != nullptr && text->is_string()) line += StrCat("  ", text->as_string());
      output.Line(line);
    }
  }
  return kExitGood;
}

Result<std::vector<PluginSubject>> OpenSubjects(const std::string& file_or_name,
                                                const std::string& config,
                                                const SandboxLimits& limits) {
  PluginTable table;
  lnt_entry_fn enter = nullptr;
  std::string form = "built in";
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    if (file_or_name != plugin.name) continue;
    enter = plugin.entry;
    LINNET_TRY_STATUS(table.Add(enter, form));
  }
  if (enter == nullptr) {
    if (!std::filesystem::exists(file_or_name)) {
      return Fail(Code::kNotFound, "found no file and no built-in strategy \"", file_or_name,
                  "\" (linnet plugin list shows these)");
    }
    LINNET_TRY(const Bytes bytes, ReadFile(file_or_name, kMaxPluginBytes));
    // Whoever names the file here means the one that is there.
    LINNET_TRY_STATUS(LoadPlugin({file_or_name, Sha256(bytes)}, table, &enter, limits));
    form = IsWasm(bytes) ? "WASM" : "native";
  }
  Json settings;
  if (!config.empty()) {
    auto parsed = Json::Parse(config);
    if (!parsed) return Annotate(parsed.error(), "--config");
    settings = *parsed;
  }
  std::vector<PluginSubject> subjects;
  for (const PluginEntry& entry : table.entries()) {
    const Json* schema = entry.description.Find("config");
    LINNET_TRY(const Json checked,
               CheckConfig(schema != nullptr ? *schema : Json(), settings, "config"));
    subjects.push_back({entry, enter, checked.Dump(), form});
  }
  return subjects;
}

}  // namespace linnet
