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
  if (federation.evaluate.data.empty()) {
    options.evaluation = data.test;
  } else {
    LINNET_TRY(options.evaluation, OpenEvaluation(federation.evaluate.data, federation));
  }
  LINNET_TRY(options.initial,
             InitialModel(federation, command.init, options.seed, data.train.get()));
  options.faults.drop = command.drop;
  options.faults.delay_ms = command.delay_ms;
  options.faults.restart = command.restart;
  const auto pool = MakePool(command.threads);
  options.executor = pool.get();

  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  double last = 0;
  const std::string head =
      StrCat(output.Bold(federation.name), ": ", DescribeModel(options.initial.graph), ", ",
             command.clients, " participants (", command.partition, "), seed ", command.seed, ", ",
             DescribeStrategy(federation), ", uploads as ", CodecName(federation.upload),
             ", target ", DescribeTarget(federation));
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
  LINNET_TRY(const SimulationResult result, Simulate(std::move(options)));

  const double seconds = elapsed();
  const bool wanted = federation.round.target_value.has_value();
  const RoundMetrics& closed = result.history.back();
  if (!command.save.empty()) LINNET_TRY_STATUS(ReplaceFile(command.save, *result.best_model));
  output.Object(Json::Object{{"done", true},
                             {"rounds", closed.round},
                             {"accuracy", closed.accuracy},
                             {"loss", closed.loss},
                             {"targetReached", result.target_reached},
                             {"uplinkBytes", result.uplink_bytes},
                             {"downlinkBytes", result.downlink_bytes},
                             {"seconds", seconds},
                             {"virtualSeconds", double(result.virtual_ms) / 1000},
                             {"restarts", result.restarts},
                             {"dropped", result.dropped},
                             {"model", Hex(closed.model)}});
  const std::string verdict = !wanted                 ? output.Green("all rounds are done")
                              : result.target_reached ? output.Green("the target is reached")
                                                      : output.Red("the target was missed");
  output.Line("");
  output.Line(StrCat(output.Bold(federation.name), ": ", verdict, ": ", ScoreText(closed),
                     " after ", closed.round, " rounds, ", HumanSeconds(seconds)));
  PrintAccuracy(output, result.history);
  output.Line(StrCat("  in all: up ", HumanBytes(result.uplink_bytes), ", down ",
                     HumanBytes(result.downlink_bytes), "; model ",
                     Hex(closed.model).substr(0, 16)));
  if (!command.save.empty()) output.Line(StrCat("  the best model is in ", command.save));
  return wanted && !result.target_reached ? kExitMissed : kExitGood;
}

}  // namespace linnet
