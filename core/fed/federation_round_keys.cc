// The keys of `round`, which has two modes with keys of their own.
#include "fed/federation_key_kinds.h"

namespace linnet::federation_file {
namespace {

using Mode = Federation::Round::Mode;

constexpr std::string_view kSynchronousOnly[] = {"round.cohort", "round.minimum",
                                                 "round.overSelect", "round.intervalMs"};
constexpr std::string_view kAsynchronousOnly[] = {"round.buffer", "round.concurrency",
                                                  "round.maxStaleness"};

// Stays out of a file of the other mode.
Key Only(Mode mode, Key key) {
  key.get = [mode, get = std::move(key.get)](const Federation& f) {
    return f.round.mode == mode ? get(f) : Json();
  };
  return key;
}

Key MinimumKey() {
  Key key = Integer("round.minimum", 1, 100000, LINNET_FIELD(round.minimum),
                    "fewer at the deadline: the round is tried again");
  key.fallback = "80 % of the cohort";
  return key;
}

Key TargetKey() {
  const std::string wanted = "a number above 0 (accuracy: at most 1)";
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_number() || !(value.as_double() > 0)) return Unwanted(value, wanted);
    draft.federation.round.target_value = value.as_double();
    return {};
  };
  const auto get = [](const Federation& f) {
    return f.round.target_value ? Json(*f.round.target_value) : Json();
  };
  return {"round.target.value", wanted, "none", "done when it is reached", set, get};
}

Key TargetMetricKey() {
  Key key = Choice<std::string>("round.target.metric", {{"accuracy", "accuracy"}, {"loss", "loss"}},
                                LINNET_FIELD(round.target_metric),
                                "accuracy: at least the value; loss (nats per example): at most");
  key.get = [](const Federation& f) {
    return f.round.target_value ? Json(f.round.target_metric) : Json();
  };
  return key;
}

}  // namespace

std::vector<Key> RoundKeys() {
  return {
      Choice<Mode>("round.mode",
                   {{"synchronous", Mode::kSynchronous}, {"asynchronous", Mode::kAsynchronous}},
                   LINNET_FIELD(round.mode),
                   "asynchronous: nobody waits, every round.buffer updates make a model"),
      Only(Mode::kSynchronous, Integer("round.cohort", 1, 100000, LINNET_FIELD(round.cohort),
                                       "updates that count per round")),
      Only(Mode::kSynchronous, MinimumKey()),
      Only(Mode::kSynchronous, Real("round.overSelect", 1, 10, LINNET_FIELD(round.over_select),
                                    "invited = cohort * this, rounded up")),
      Only(Mode::kAsynchronous, Integer("round.buffer", 1, 100000, LINNET_FIELD(round.buffer),
                                        "updates that make a new model")),
      Only(Mode::kAsynchronous,
           Integer("round.concurrency", 1, 100000, LINNET_FIELD(round.concurrency),
                   "participants at work at a time")),
      Only(Mode::kAsynchronous,
           Integer("round.maxStaleness", 0, 1000000, LINNET_FIELD(round.max_staleness),
                   "an update of a model that is older by more versions does not count")),
      Integer("round.deadlineMs", 100, 86400000, LINNET_FIELD(round.deadline_ms),
              "from invitation to the end of the upload"),
      Only(Mode::kSynchronous,
           Integer("round.intervalMs", 0, 86400000, LINNET_FIELD(round.interval_ms),
                   "least time from one round's invitations to the next's")),
      Integer("round.maxRounds", 1, 1000000, LINNET_FIELD(round.max_rounds), "done after so many"),
      TargetMetricKey(),
      TargetKey(),
  };
}

Status CheckRound(const Federation& f, const std::set<std::string_view>& given) {
  const bool asynchronous = f.round.mode == Mode::kAsynchronous;
  const std::span<const std::string_view> others =
      asynchronous ? std::span<const std::string_view>(kSynchronousOnly) : kAsynchronousOnly;
  for (const std::string_view path : others) {
    if (!given.contains(path)) continue;
    return Fail(Code::kInvalid, path, ": given, but round.mode is ",
                asynchronous ? "asynchronous, which has round.buffer, round.concurrency and "
                               "round.maxStaleness"
                             : "synchronous, which has round.cohort, round.minimum and "
                               "round.overSelect (round.mode \"asynchronous\" has this key)");
  }
  if (f.round.minimum > f.round.cohort) {
    return Fail(Code::kInvalid, "round.minimum: found ", f.round.minimum,
                ", wanted at most round.cohort, which is ", f.round.cohort);
  }
  if (given.contains("round.target.metric") && !f.round.target_value) {
    return Fail(Code::kInvalid, "round.target.value: missing, round.target.metric wants one");
  }
  if (f.round.target_value && f.round.target_metric == "accuracy" && *f.round.target_value > 1) {
    return Fail(Code::kInvalid, "round.target.value: found ", *f.round.target_value,
                ", wanted an accuracy in 0..1");
  }
  if (f.round.target_value && !f.evaluate.federated && f.evaluate.data.empty()) {
    return Fail(Code::kInvalid,
                "round.target: nothing measures it: give evaluate.data or set "
                "evaluate.federated to true");
  }
  return {};
}

}  // namespace linnet::federation_file
