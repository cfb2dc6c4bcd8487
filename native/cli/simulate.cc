// linnet simulate: a whole federation in one process.
#include <chrono>
#include <cmath>
#include <utility>

#include "data/partition.h"
#include "kernels/pool.h"
#include "native/cli/command_line.h"
#include "native/cli/log.h"
#include "native/cli/output.h"
#include "native/cli/report.h"
#include "native/cli/setup.h"
#include "native/http/status_json.h"
#include "native/store/state_folder.h"
#include "sim/simulation.h"

namespace linnet {
namespace {

// A model that has diverged trains nobody any more: its rounds would be tried for virtual days.
constexpr uint32_t kMaxAttempts = 10;

std::string DescribeHostility(const SimulateCommand& command) {
  if (command.hostile == 0) return {};
  return StrCat(", ", command.hostile,
                command.hostile_mode == "random" ? " of them" : " of each round", " hostile (",
                command.attack, ")");
}

}  // namespace

Result<int> Run(const SimulateCommand& command) {
  Output output(command.json);
  LINNET_TRY(Federation federation, LoadFederation(command.federation_file));
  if (!command.evaluate.empty()) federation.evaluate.data = command.evaluate;
  if (command.rounds > 0) federation.round.max_rounds = command.rounds;
  LINNET_TRY(const PluginTable plugins, MakePluginTable(command.plugins, command.limits));
  LINNET_TRY(const TrainTest data, OpenScaled(command.data, federation));

  SimulationOptions options;
  LINNET_TRY(options.strategy, FindStrategy(plugins, federation.strategy.id,
                                            federation.strategy.config, federation.strategy.chain));
  options.seed = SeedFromInt(command.seed);
  LINNET_TRY(options.clients, Partition(data.train, command.partition, command.clients,
                                        DeriveSeed(options.seed, "partition")));
  // What is each participant's own has no score on data of nobody.
  const bool personal = !federation.personal.empty() || federation.ditto > 0;
  if (federation.evaluate.data.empty()) {
    if (!personal) options.evaluation = data.test;
  } else {
    LINNET_TRY(options.evaluation, OpenEvaluation(federation.evaluate.data, federation));
  }
  LINNET_TRY(options.initial,
             InitialModel(federation, command.init, options.seed, data.train.get()));
  options.faults.drop = command.drop;
  options.faults.delay_ms = command.delay_ms;
  options.faults.restart = command.restart;
  LINNET_TRY(options.hostility.attack, ParseAttack(command.attack));
  options.hostility.count = command.hostile;
  options.hostility.every_round = command.hostile_mode == "every-round";
  options.max_attempts = kMaxAttempts;
  const auto pool = MakePool(command.threads);
  options.executor = pool.get();

  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  double last = 0;
  const std::string head =
      StrCat(output.Bold(federation.name), ": ", DescribeModel(options.initial.graph), ", ",
             command.clients, " participants (", command.partition, ")", DescribeHostility(command),
             ", seed ", command.seed, ", ", DescribeStrategy(federation), ", uploads as ",
             CodecName(federation.upload), ", target ", DescribeTarget(federation));
  // Behind the errors of a configuration that cannot work.
  bool begun = false;
  options.on_notice = [&](const Notice&) {
    if (!begun) output.Line(head);
    begun = true;
  };
  options.federation = federation;
  options.strategy_log = LogStrategy;
  options.on_round = [&](const RoundMetrics& metrics) {
    RoundMetrics shown = metrics;
    const double now = elapsed();
    shown.seconds = now - last;  // of this machine, not of the virtual clock
    last = now;
    Json line = MetricsJson(shown);
    line.Set("virtualSeconds", metrics.seconds);
    output.Object(line);
    output.Line(RoundLine(shown));
    output.Live(StrCat("round ", metrics.round + 1));
    return true;
  };
  const Hostility hostility = options.hostility;
  LINNET_TRY(const SimulationResult result, Simulate(std::move(options)));

  const double seconds = elapsed();
  const bool wanted = federation.round.target_value.has_value();
  const bool failed = !result.failure.empty();
  RoundMetrics closed;  // the last round
  closed.accuracy = closed.loss = std::nan("");
  if (!result.history.empty()) closed = result.history.back();
  closed.model = Blake2b(*result.model);
  if (!command.save.empty()) LINNET_TRY_STATUS(ReplaceFile(command.save, *result.best_model));
  Json done(Json::Object{{"done", true},
                         {"rounds", closed.round},
                         {"accuracy", closed.accuracy},
                         {"loss", closed.loss},
                         {"targetReached", result.target_reached},
                         {"failed", failed},
                         {"failure", failed ? Json(result.failure) : Json()},
                         {"uplinkBytes", result.uplink_bytes},
                         {"downlinkBytes", result.downlink_bytes},
                         {"seconds", seconds},
                         {"virtualSeconds", double(result.virtual_ms) / 1000},
                         {"restarts", result.restarts},
                         {"dropped", result.dropped},
                         {"model", Hex(closed.model)}});
  if (hostility.count > 0) {
    done.Set("hostile", Json::Object{{"participants", hostility.count},
                                     {"mode", command.hostile_mode},
                                     {"attack", AttackText(hostility.attack)},
                                     {"updatesCounted", result.HostileCounted()}});
  }
  output.Object(done);
  if (failed) LogError(result.failure);
  const std::string verdict = failed                  ? output.Red("the federation failed")
                              : !wanted               ? output.Green("all rounds are done")
                              : result.target_reached ? output.Green("the target is reached")
                                                      : output.Red("the target was missed");
  output.Line("");
  output.Line(StrCat(output.Bold(federation.name), ": ", verdict, ": ", ScoreText(closed),
                     " after ", closed.round, " rounds, ", HumanSeconds(seconds)));
  PrintAccuracy(output, result.history);
  output.Line(StrCat("  in all: up ", HumanBytes(result.uplink_bytes), ", down ",
                     HumanBytes(result.downlink_bytes), "; model ",
                     Hex(closed.model).substr(0, 16)));
  if (hostility.count > 0)
    output.Line(StrCat("  hostile: ", result.HostileCounted(), " of ", result.claims.size(),
                       " updates that counted"));
  if (!command.save.empty()) output.Line(StrCat("  the best model is in ", command.save));
  return failed || (wanted && !result.target_reached) ? kExitMissed : kExitGood;
}

}  // namespace linnet
