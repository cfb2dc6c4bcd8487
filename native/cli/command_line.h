// The command line: what each subcommand takes, and who runs it.
#ifndef LINNET_NATIVE_CLI_COMMAND_LINE_H_
#define LINNET_NATIVE_CLI_COMMAND_LINE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "native/cli/infer.h"
#include "native/cli/learn.h"
#include "native/cli/model.h"
#include "native/cli/plugin.h"

namespace linnet {

// Exit codes: what a script may do next.
inline constexpr int kExitGood = 0;
inline constexpr int kExitMissed = 1;  // it ran, but the target was missed or the federation failed
inline constexpr int kExitUsage =
    2;  // arguments, federation file, data or plugin are wrong: fix them
inline constexpr int kExitSystem = 3;  // the system or the other side refused: try again
int ExitCode(Code code);

struct ServeCommand {
  std::string federation_file;
  std::string listen = "127.0.0.1:8787";
  std::string state, page_folder, evaluate, save, init;
  bool fresh = false, once = false, json = false;
  std::vector<std::string> plugins, allowed_origins;
  uint32_t threads = 0, expect = 0;
  SandboxLimits limits;
};
struct JoinCommand {
  std::string address, data, part, partition = "iid", name, federation, token_file, state;
  bool once = false, json = false;
};
struct SimulateCommand {
  std::string federation_file, data, partition = "iid", evaluate, save, init;
  uint32_t clients = 100, threads = 0;
  uint64_t seed = 1, rounds = 0;
  double drop = 0, restart = 0;
  uint64_t delay_ms = 0, hostile = 0;
  std::string attack = "scale:-4", hostile_mode = "every-round";
  std::vector<std::string> plugins;
  SandboxLimits limits;
  bool json = false;
};
struct StatusCommand {
  std::string address;
  bool json = false, watch = false;
};
using Command =
    std::variant<ServeCommand, JoinCommand, SimulateCommand, InferCommand, StatusCommand,
                 TrainCommand, EvalCommand, BenchCommand, ModelCommand, PluginCommand>;
// What stands below a command's options in its help: an example and the exit codes.
std::string CommandFooter(const std::string& example);

// The command, or, when there is nothing to run (--help, --version, wrong arguments), the exit
// code; what had to be said has been printed.
std::variant<Command, int> ParseCommandLine(int argc, const char* const* argv);

// Each returns the exit code; an error is printed by the caller as one line, "linnet serve: ...".
Result<int> Run(const ServeCommand& command);
Result<int> Run(const JoinCommand& command);
Result<int> Run(const SimulateCommand& command);
Result<int> Run(const StatusCommand& command);

int RunCommandLine(int argc, const char* const* argv);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_COMMAND_LINE_H_
