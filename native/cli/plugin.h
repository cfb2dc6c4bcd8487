// linnet plugin: strategies as files, for those who write one and for those who are given one.
#ifndef LINNET_NATIVE_CLI_PLUGIN_H_
#define LINNET_NATIVE_CLI_PLUGIN_H_

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "fed/plugin_table.h"
#include "native/plugin/sandbox_process.h"

namespace CLI {
class App;
}

namespace linnet {

struct PluginListCommand {
  std::vector<std::string> plugins;  // PATH#SHA256
  bool json = false;
};
struct PluginNewCommand {
  std::string name, folder;  // "" = the name
  bool json = false;
};
struct PluginCheckCommand {
  std::vector<std::string> subjects;  // files, or names of built-in strategies
  std::string config;                 // JSON, "" = the defaults
  SandboxLimits limits;
  bool json = false;
};
struct PluginBenchCommand {
  std::string subject, config;
  SandboxLimits limits;
  uint32_t updates = 16;
  uint32_t elements = 1 << 20;
  bool json = false;
};
using PluginCommand =
    std::variant<PluginListCommand, PluginNewCommand, PluginCheckCommand, PluginBenchCommand>;

// Adds the options that bound a .wasm strategy.
void AddSandboxLimits(CLI::App& sub, SandboxLimits& limits);

// Adds `plugin` and its subcommands to the command line; the one that is given puts its options
// into `chosen`, which outlives the parse.
void AddPlugin(CLI::App& app, PluginCommand& chosen);
// "plugin check".
std::string_view CommandName(const PluginCommand& command);

Result<int> Run(const PluginListCommand& command);
Result<int> Run(const PluginNewCommand& command);
Result<int> Run(const PluginCheckCommand& command);
Result<int> Run(const PluginBenchCommand& command);
Result<int> Run(const PluginCommand& command);

// A strategy to look at: of a file (trusted if it is native: whoever names it here runs it), or
// built in.
struct PluginSubject {
  PluginEntry entry;
  lnt_entry_fn enter = nullptr;  // null: not known
  std::string config;            // canonical
  std::string form;              // "built in", "native", "WASM"
};
// All strategies of a file, or the built-in one of that name. kNotFound, kInvalid: what is wrong
// with the file or, naming the field, with `config`.
Result<std::vector<PluginSubject>> OpenSubjects(const std::string& file_or_name,
                                                const std::string& config,
                                                const SandboxLimits& limits = {});

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_PLUGIN_H_
