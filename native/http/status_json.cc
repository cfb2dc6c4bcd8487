#include "native/http/status_json.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/bytes.h"
#include "codec/codec.h"

namespace linnet {
namespace {

constexpr size_t kShownRounds = 1000;

}  // namespace

Json MetricsJson(const RoundMetrics& metrics) {
  Json json = Json::Object{
      {"round", metrics.round},
      {"attempt", metrics.attempt},
      {"invited", metrics.invited},
      {"counted", metrics.counted},
      {"refused", metrics.refused},
      {"late", metrics.late},
      {"accuracy", metrics.accuracy},
      {"loss", metrics.loss},
      {"accuracyMean", metrics.accuracy_mean},
      {"trainLoss", metrics.train_loss},
      {"uplinkBytes", metrics.uplink_bytes},
      {"downlinkBytes", metrics.downlink_bytes},
      {"seconds", metrics.seconds},
      {"model", Hex(metrics.model)},
  };
  if (std::isfinite(metrics.staleness)) json.Set("staleness", metrics.staleness);
  return json;
}

Json StatusJson(const Federation& federation, const Coordinator& coordinator) {
  const CoordinatorStatus status = coordinator.Status();
  Json target;
  if (federation.round.target_value) {
    target = Json::Object{{"metric", federation.round.target_metric},
                          {"value", *federation.round.target_value}};
  }
  Json::Array history, participants;
  const size_t skipped = status.history.size() - std::min(status.history.size(), kShownRounds);
  for (const RoundMetrics& metrics : std::span(status.history).subspan(skipped)) {
    history.push_back(MetricsJson(metrics));
  }
  for (const CoordinatorStatus::Person& person : status.participants) {
    participants.push_back(Json::Object{
        {"device", Hex(person.key)},
        {"name", person.name},
        {"runtime", person.runtime},
        {"connected", person.connected},
        {"counted", person.counted},
        {"examples", person.examples},
        {"uplinkBytes", person.uplink_bytes},
        {"downlinkBytes", person.downlink_bytes},
    });
  }
  return Json::Object{
      {"federation", federation.name},
      {"phase", status.phase},
      {"finished", coordinator.finished()},
      {"targetReached", coordinator.target_reached()},
      {"target", std::move(target)},
      {"round", status.round},
      {"maxRounds", federation.round.max_rounds},
      {"attempt", status.attempt},
      {"connected", status.connected},
      {"invited", status.invited},
      {"received", status.received},
      {"model", Hex(status.model)},
      {"modelBytes", status.model_bytes},
      {"codec", CodecName(federation.upload)},
      {"strategy", DescribeStrategy(federation)},
      {"mode", federation.round.asynchronous() ? "asynchronous" : "synchronous"},
      {"uplinkBytes", status.uplink_bytes},
      {"downlinkBytes", status.downlink_bytes},
      {"inflightBytes", status.inflight_bytes},
      {"history", std::move(history)},
      {"participants", std::move(participants)},
  };
}

}  // namespace linnet
