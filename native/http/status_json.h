// What the coordinator shows, as JSON: one vocabulary for HTTP, --json lines and the page.
#ifndef LINNET_NATIVE_HTTP_STATUS_JSON_H_
#define LINNET_NATIVE_HTTP_STATUS_JSON_H_

#include "base/json.h"
#include "fed/coordinator.h"

namespace linnet {

// {"round", "attempt", "invited", "counted", "refused", "late", "accuracy", "loss", "accuracyMean",
// "trainLoss", "uplinkBytes", "downlinkBytes", "seconds", "model"}; not measured = null. Of
// asynchronous rounds also "staleness".
Json MetricsJson(const RoundMetrics& metrics);

// {"federation", "phase", "finished", "targetReached", "target": {"metric", "value"}, "round",
// "maxRounds", "attempt", "connected", "invited", "received", "model", "modelBytes", "codec",
// "strategy", "mode", "uplinkBytes", "downlinkBytes", "inflightBytes", "history": [metrics of the
// last 1000], "participants": [{"device", "name", "runtime", "connected", "counted", "examples",
// "uplinkBytes", "downlinkBytes"}]}
Json StatusJson(const Federation& federation, const Coordinator& coordinator);

}  // namespace linnet

#endif  // LINNET_NATIVE_HTTP_STATUS_JSON_H_
