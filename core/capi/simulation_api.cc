// The functions of linnet/simulate.h.
#include <cmath>
#include <deque>
#include <string>

#include "capi/handles.h"
#include "data/partition.h"
#include "data/strokes.h"
#include "fed/federation.h"
#include "fed/plugin_config.h"
#include "linnet/simulate.h"
#include "model/builtin.h"
#include "sim/simulation.h"

using linnet::Json;
using linnet::Report;

struct linnet_simulation {
  std::unique_ptr<linnet::StepwiseSimulation> machine;
  std::deque<Json> events;
  std::string text;  // what was handed out last
  linnet::SharedBytes model;
};

namespace linnet {
namespace {

const Json& Schema() {
  static const Json schema = *Json::Parse(R"({"type":"object","required":["federation"],
    "properties":{
      "federation":{"type":"object"},
      "participants":{"type":"integer","minimum":1,"maximum":100000,"default":10},
      "partition":{"type":"string","default":"iid"},
      "data":{"type":"string","default":"strokes?writers=0-99"},
      "seed":{"type":"integer","minimum":0,"default":1}}})");
  return schema;
}

Result<std::shared_ptr<Dataset>> Draw(const Federation& federation, const std::string& source,
                                      const Dataset* scaled_like) {
  LINNET_TRY(const StrokesOptions strokes, ParseStrokes(source));
  auto data = std::make_shared<Dataset>(MakeStrokes(strokes));
  if (scaled_like != nullptr) {
    CopyScaling(*scaled_like, *data);
  } else {
    LINNET_TRY_STATUS(ScaleAsTold(federation, *data));
  }
  return data;
}

// As `linnet simulate` does: the same options give the same federation.
Result<SimulationOptions> ReadOptions(const char* text, const linnet_strategy* strategies,
                                      size_t count) {
  LINNET_TRY(const Json given, Json::Parse(text));
  const Json* federation = given.is_object() ? given.Find("federation") : nullptr;
  if (federation == nullptr || !federation->is_object())
    return Fail(Code::kInvalid, "options.federation: wanted an object as in a federation file");
  Json rest = given;
  rest.Set("federation", Json(Json::Object{}));
  LINNET_TRY(const Json options, CheckConfig(Schema(), rest, "options"));

  SimulationOptions out;
  LINNET_TRY(out.federation, ParseFederation(federation->Dump()));
  PluginTable table;
  for (size_t i = 0; i < count; ++i)
    LINNET_TRY_STATUS(table.Add(strategies[i], StrCat("strategy ", i)));
  const Federation::Strategy& strategy = out.federation.strategy;
  LINNET_TRY(out.strategy, FindStrategy(table, strategy.id, strategy.config, strategy.chain));
  out.seed = SeedFromInt(static_cast<uint64_t>(options.Find("seed")->as_int()));
  LINNET_TRY(const std::shared_ptr<Dataset> data,
             Draw(out.federation, options.Find("data")->as_string(), nullptr));
  LINNET_TRY(out.clients, Partition(data, options.Find("partition")->as_string(),
                                    static_cast<size_t>(options.Find("participants")->as_int()),
                                    DeriveSeed(out.seed, "partition")));
  if (const std::string& source = out.federation.evaluate.data; !source.empty()) {
    LINNET_TRY(out.evaluation, Draw(out.federation, source, data.get()));
  }
  if (!out.federation.model.file.empty())
    return Fail(Code::kUnsupported, "model.file: wanted model.builtin, no file is opened here");
  LINNET_TRY(out.initial,
             BuiltinModel(out.federation.model.builtin, DeriveSeed(out.seed, "weights"),
                          data->shape, data->classes));
  out.max_attempts = 10;
  return out;
}

Json OrNull(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json RoundJson(const RoundMetrics& metrics) {
  return Json::Object{{"round", metrics.round},
                      {"accuracy", OrNull(metrics.accuracy)},
                      {"loss", OrNull(metrics.loss)},
                      {"invited", metrics.invited},
                      {"counted", metrics.counted},
                      {"uplinkBytes", metrics.uplink_bytes},
                      {"downlinkBytes", metrics.downlink_bytes},
                      {"virtualSeconds", metrics.seconds},
                      {"model", Hex(metrics.model)}};
}

}  // namespace
}  // namespace linnet

linnet_simulation* linnet_create_simulation(const char* options_json,
                                            const linnet_strategy* strategies, size_t count) {
  auto options = linnet::ReadOptions(options_json, strategies, count);
  if (!options) {
    Report(options.error());
    return nullptr;
  }
  auto simulation = std::make_unique<linnet_simulation>();
  std::deque<Json>& events = simulation->events;
  options->on_round = [&events](const linnet::RoundMetrics& metrics) {
    events.push_back(linnet::RoundJson(metrics));
    return true;
  };
  options->strategy_log = [&events](uint32_t level, std::string_view line) {
    events.push_back(Json::Object{{"level", level}, {"line", std::string(line)}});
  };
  auto machine = linnet::StepwiseSimulation::Create(std::move(*options));
  if (!machine) {
    Report(machine.error());
    return nullptr;
  }
  simulation->machine = std::move(*machine);
  return simulation.release();
}

void linnet_destroy_simulation(linnet_simulation* simulation) { delete simulation; }

linnet_status linnet_run_simulation(linnet_simulation* simulation, uint32_t max_events) {
  const auto more = simulation->machine->Run(max_events);
  if (!more) return Report(more.error());
  return *more ? 1 : 0;
}

const char* linnet_next_simulation_event(linnet_simulation* simulation) {
  if (simulation->events.empty()) return nullptr;
  simulation->text = simulation->events.front().Dump();
  simulation->events.pop_front();
  return simulation->text.c_str();
}

const char* linnet_finish_simulation(linnet_simulation* simulation) {
  auto result = simulation->machine->Finish();
  if (!result) {
    Report(result.error());
    return nullptr;
  }
  simulation->model = result->model;
  if (!result->failure.empty()) {
    Report(linnet::Code::kUnavailable, result->failure);
    return nullptr;
  }
  const linnet::RoundMetrics& last = result->history.back();
  simulation->text =
      Json(Json::Object{{"rounds", last.round},
                        {"accuracy", linnet::OrNull(last.accuracy)},
                        {"loss", linnet::OrNull(last.loss)},
                        {"targetReached", result->target_reached},
                        {"uplinkBytes", result->uplink_bytes},
                        {"downlinkBytes", result->downlink_bytes},
                        {"virtualSeconds", static_cast<double>(result->virtual_ms) / 1000},
                        {"model", linnet::Hex(last.model)}})
          .Dump();
  return simulation->text.c_str();
}

linnet_model* linnet_simulation_model(linnet_simulation* simulation) {
  if (!simulation->model) {
    Report(linnet::Code::kState, "the simulation has not been finished");
    return nullptr;
  }
  return linnet_load_model(simulation->model->data(), simulation->model->size());
}
