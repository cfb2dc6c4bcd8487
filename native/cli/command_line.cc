#include "native/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string_view>

#include "fed/federation.h"
#include "linnet/version.h"

namespace linnet {
namespace {

constexpr char kCodes[] =
    "\nExit codes: 0 good, 1 the target was missed or the federation failed, 2 arguments, "
    "federation "
    "file,\ndata or plugin are wrong, 3 the system or the other side refused.\n";

constexpr char kHelpFederation[] = "--help-federation";

void AddServe(CLI::App& app, ServeCommand& c) {
  CLI::App* sub = app.add_subcommand("serve", "Coordinate a federation");
  sub->add_option("FED.json", c.federation_file, "The federation file")->required();
  sub->add_option("--listen", c.listen, "HOST:PORT; port 0 takes a free one")
      ->capture_default_str();
  sub->add_option("--state", c.state,
                  "Folder that survives restarts (default: below $XDG_STATE_HOME/linnet/serve)");
  sub->add_flag("--fresh", c.fresh, "Forget what the state folder holds and begin anew");
  sub->add_option("--web", c.page_folder, "Folder of the page (default: found beside the program)");
  sub->add_option("--plugin", c.plugins, "PATH#SHA256 of a strategy; may be given several times");
  AddSandboxLimits(*sub, c.limits);
  sub->add_option("--evaluate", c.evaluate, "Data source for evaluation instead of evaluate.data");
  sub->add_option("--save", c.save, "Write the best model to this .linnet file at the end");
  sub->add_option("--init", c.init, "Begin with the weights of this .linnet file");
  sub->add_option("--threads", c.threads, "Workers that fold and evaluate (default: one per core)");
  sub->add_option("--expect", c.expect, "Wait for so many participants before the first round");
  sub->add_option("--allow-origin", c.allowed_origins,
                  "Origin of another page that may join, e.g. https://example.org");
  sub->add_flag("--once", c.once, "End after the summary: 0 when the target was reached, else 1");
  sub->add_flag("--json", c.json, "One JSON object a line instead of text");
  sub->add_flag_function(
      kHelpFederation, [](int64_t) {}, "Print what a federation file may say and exit");
  sub->footer(CommandFooter("linnet serve native/examples/strokes.json --listen 127.0.0.1:8787"));
}

void AddJoin(CLI::App& app, JoinCommand& c) {
  CLI::App* sub = app.add_subcommand("join", "Take part in a federation with this machine's data");
  sub->add_option("ADDRESS", c.address, "ws://HOST:PORT or wss://HOST:PORT")->required();
  sub->add_option("--data", c.data,
                  "Data source: strokes?writers=0-24, mnist:DIR, csv:FILE?label=NAME")
      ->required();
  sub->add_option("--part", c.part, "INDEX/COUNT: only this part of the data, e.g. 0/8");
  sub->add_option("--partition", c.partition,
                  "How --part divides: iid, shards:N or dirichlet:ALPHA")
      ->capture_default_str();
  sub->add_option("--name", c.name, "Name for people (default: the host's)");
  sub->add_option("--federation", c.federation, "Federation wanted (default: the only one)");
  sub->add_option("--token-file", c.token_file, "File with the enrolment token");
  sub->add_option("--state", c.state,
                  "Folder of the device key (default: below $XDG_STATE_HOME/linnet/join)");
  sub->add_flag("--once", c.once, "End with 0 when the federation has finished");
  sub->add_flag("--json", c.json, "One JSON object a line instead of text");
  sub->footer(
      CommandFooter("linnet join ws://127.0.0.1:8787 --data 'strokes?writers=0-24' --name pen-1"));
}

void AddSimulate(CLI::App& app, SimulateCommand& c) {
  CLI::App* sub = app.add_subcommand(
      "simulate", "Run a whole federation in this process under a virtual clock");
  sub->add_option("FED.json", c.federation_file, "The federation file")->required();
  sub->add_option("--data", c.data, "Data source that is divided over the participants")
      ->required();
  sub->add_option("--clients", c.clients, "Number of participants")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  sub->add_option("--partition", c.partition, "iid, shards:N or dirichlet:ALPHA")
      ->capture_default_str();
  sub->add_option("--seed", c.seed, "The same seed gives the same bits")->capture_default_str();
  sub->add_option("--threads", c.threads, "Default: one per core; changes no bit");
  sub->add_option("--rounds", c.rounds, "At most so many rounds, instead of round.maxRounds");
  sub->add_option("--evaluate", c.evaluate, "Data source for evaluation instead of evaluate.data");
  sub->add_option("--save", c.save, "Write the best model to this .linnet file at the end");
  sub->add_option("--init", c.init, "Begin with the weights of this .linnet file");
  sub->add_option("--plugin", c.plugins, "PATH#SHA256 of a strategy; may be given several times");
  AddSandboxLimits(*sub, c.limits);
  sub->add_option("--drop", c.drop, "Probability that a frame is lost")
      ->check(CLI::Range(0.0, 1.0));
  sub->add_option("--delay", c.delay_ms, "Frames take up to so many ms longer");
  sub->add_option("--restart", c.restart,
                  "Probability per round that the coordinator dies and starts again")
      ->check(CLI::Range(0.0, 1.0));
  CLI::Option* hostile =
      sub->add_option("--hostile", c.hostile,
                      "So many participants are hostile: what they train they send changed");
  sub->add_option("--attack", c.attack,
                  "scale:F (F times the update), sign-flip (scale:-1), gaussian:S (noise instead), "
                  "alie:Z (mean - Z deviations of the honest updates), inner-product:E (-E times "
                  "their mean), mimic (one of them again), label-flip (trained on wrong labels)")
      ->needs(hostile)
      ->capture_default_str();
  sub->add_option("--hostile-mode", c.hostile_mode,
                  "every-round: so many of those invited, drawn anew for each round; random: so "
                  "many of all participants, drawn once")
      ->needs(hostile)
      ->check(CLI::IsMember({"every-round", "random"}))
      ->capture_default_str();
  sub->add_flag("--json", c.json, "One JSON object a line instead of text");
  sub->footer(
      CommandFooter("linnet simulate native/examples/mnist.json --data mnist:DIR --clients 100 "
                    "--partition iid --seed 1"));
}

void AddStatus(CLI::App& app, StatusCommand& c) {
  CLI::App* sub = app.add_subcommand("status", "Show what a coordinator is doing");
  sub->add_option("ADDRESS", c.address, "HOST:PORT or http://HOST:PORT")->required();
  sub->add_flag("--watch", c.watch, "Go on showing it, once a second");
  sub->add_flag("--json", c.json, "The coordinator's JSON, one line");
  sub->footer(CommandFooter("linnet status 127.0.0.1:8787"));
}

// A message of several lines becomes one.
std::string OneLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace

int ExitCode(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kNotFound:
    case Code::kUnsupported:
    case Code::kData:
    case Code::kLimit:
    case Code::kVersion:
    case Code::kPermission:
      return kExitUsage;
    case Code::kIo:
    case Code::kUnavailable:
    case Code::kState:
    case Code::kInternal:
      return kExitSystem;
  }
  return kExitSystem;
}

std::string CommandFooter(const std::string& example) {
  return "\nExample:\n  " + example + "\n" + kCodes;
}

std::variant<Command, int> ParseCommandLine(int argc, const char* const* argv) {
  ServeCommand serve;
  JoinCommand join;
  SimulateCommand simulate;
  InferCommand infer;
  StatusCommand status;
  TrainCommand train;
  EvalCommand eval;
  BenchCommand bench;
  ModelCommand model;
  PluginCommand plugin;
  CLI::App app(
      "Linnet trains small models where the data is: in daemons and browser tabs, together.",
      "linnet");
  app.set_version_flag("--version", std::string("linnet ") + LINNET_VERSION_STRING);
  app.require_subcommand(1);
  app.footer("\nlinnet COMMAND --help shows a command's options and an example.\n");
  AddServe(app, serve);
  AddJoin(app, join);
  AddSimulate(app, simulate);
  AddStatus(app, status);
  AddTrain(app, train);
  AddEval(app, eval);
  AddInfer(app, infer);
  AddBench(app, bench);
  AddModel(app, model);
  AddPlugin(app, plugin);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != kHelpFederation) continue;
    std::cout << FederationHelp();
    return kExitGood;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::string command = "linnet";
    for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
      at = at->get_subcommands().front();
      command += " " + at->get_name();
    }
    std::cerr << command << ": " << OneLine(error.what()) << " (" << command << " --help)\n";
    return kExitUsage;
  }
  if (app.got_subcommand("serve")) return Command(serve);
  if (app.got_subcommand("join")) return Command(join);
  if (app.got_subcommand("simulate")) return Command(simulate);
  if (app.got_subcommand("infer")) return Command(infer);
  if (app.got_subcommand("train")) return Command(train);
  if (app.got_subcommand("eval")) return Command(eval);
  if (app.got_subcommand("bench")) return Command(bench);
  if (app.got_subcommand("model")) return Command(model);
  if (app.got_subcommand("plugin")) return Command(plugin);
  return Command(status);
}

int RunCommandLine(int argc, const char* const* argv) {
  const auto parsed = ParseCommandLine(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  static constexpr std::string_view kNames[] = {"serve",  "join",  "simulate", "infer",
                                                "status", "train", "eval",     "bench"};
  const Command& command = std::get<Command>(parsed);
  const auto* model = std::get_if<ModelCommand>(&command);
  const auto* plugin = std::get_if<PluginCommand>(&command);
  const std::string_view name = model    ? CommandName(*model)
                                : plugin ? CommandName(*plugin)
                                         : kNames[command.index()];
  Result<int> result = kExitGood;
  try {
    result = std::visit([](const auto& c) { return Run(c); }, command);
  } catch (const std::exception& error) {  // out of memory, mostly
    result = Fail(Code::kInternal, error.what());
  }
  if (result) return *result;
  std::cerr << "linnet " << name << ": " << OneLine(result.error().message) << "\n";
  return ExitCode(result.error().code);
}

}  // namespace linnet
