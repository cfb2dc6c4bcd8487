// A federation as a value, and its JSON file: what the operator wants trained, by whom and until
// when.
#ifndef LINNET_FED_FEDERATION_H_
#define LINNET_FED_FEDERATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "codec/codec.h"
#include "data/dataset.h"
#include "wire/messages.h"

namespace linnet {

// Everything but `name` and `model` has the default shown here. Keys of the file are the same words
// in camelCase; ranges and meanings are in the one table of federation.cc (FederationHelp prints
// it).
struct Federation {
  std::string name;  // 1 to 64 of A-Z a-z 0-9 . _ -

  struct ModelSource {  // exactly one is not empty
    std::string builtin;
    std::string file;  // a .linnet file: warm start
  } model;

  // Tensors that stay with each participant: "norm" (every normalisation layer), names, or prefixes
  // that end in '*' (see MakeUpdateLayout).
  std::vector<std::string> personal;
  // What participants train for themselves beside (PersonalTraining, work.h); 0 = not.
  uint32_t personal_epochs = 0;  // FedRep: passes for the personal tensors alone
  float ditto = 0;               // lambda of a whole model of their own, not beside `personal`
  TrainSettings train;  // `client` and `client_config` come from the strategy, not from the file
  Scaling scale = Scaling::kUnit;
  // With kStandard: the mean and deviation of every feature (or one for all), the same for all
  // participants. Empty: each source's own.
  std::vector<float> mean, deviation;

  struct Strategy {
    std::string id = "fedavg";
    Json config = Json(Json::Object{});  // checked by the strategy's own schema
    Json chain;                          // instead of both, see FindStrategy; null = none
    double max_step_norm = 0;            // a round may move the weights so far at most; 0 = off
  } strategy;

  // Synchronous: everybody of a cohort trains from the same model, and all wait for the slowest.
  // Asynchronous (FedBuff): whoever is done gets the newest model to go on from, and every `buffer`
  // updates make a new one, whatever model they began from; `cohort` is then the buffer.
  struct Round {
    enum class Mode : uint8_t { kSynchronous, kAsynchronous } mode = Mode::kSynchronous;
    bool asynchronous() const { return mode == Mode::kAsynchronous; }
    uint32_t buffer = 10, concurrency = 20;
    uint32_t max_staleness = 20;  // versions that the model may have moved on meanwhile
    uint32_t cohort = 10;
    uint32_t minimum = 8;  // default: 80 % of the cohort, rounded up
    double over_select = 1.0;
    uint32_t deadline_ms = 60000;
    uint32_t interval_ms = 0;  // least time from one round's invitations to the next's
    uint64_t max_rounds = 200;
    std::string target_metric = "accuracy";  // accuracy (at least) or loss (at most)
    std::optional<double> target_value{};    // none: run max_rounds
    // How many are invited when enough are connected: ceil(cohort * over_select).
    uint32_t Invited() const;
  } round;

  // A round whose model is worse on evaluate.data than the one before by more is given up.
  struct Gate {
    std::optional<double> max_drop{};  // of the accuracy
    std::optional<double> max_rise{};  // of the loss
    bool on() const { return max_drop || max_rise; }
  } gate;

  struct Limits {
    float max_abs = 64;             // no update element beyond
    uint64_t max_examples = 65536;  // no update weight beyond
  } limits;

  struct Evaluate {
    std::string data;       // a data source for central evaluation, or empty
    uint32_t every = 1;     // rounds
    bool federated = true;  // on the participants' held-out data; default: when `data` is empty
  } evaluate;

  CodecSpec upload{CodecKind::kEden, 1};

  struct Admission {
    enum class Mode : uint8_t { kOpen, kToken } mode = Mode::kOpen;  // open: loopback only
    std::string token_file;  // with kToken: one enrolment token a line
  } admission;
};

// Reads the file's text. kInvalid for what is wrong (unknown keys with the nearest known one, wrong
// types and ranges with what was found and wanted, the keys' full path, caps whose exact-mean grid
// would be too coarse); kUnsupported for what this version does not offer (privacy).
Result<Federation> ParseFederation(std::string_view json);

// The strategy in a few words: "fedavg", "clip -> median -> fedadam".
std::string DescribeStrategy(const Federation& federation);

// Canonical: all keys in the table's order, defaults filled in. Parses to the same value.
Json FederationToJson(const Federation& federation);

// What participants may know: name, model (a file's name without its folder), train, data,
// strategy.id, round, limits, upload. Is itself a federation file.
Json PublicFederation(const Federation& federation);

// Gives data the federation's scaling (data.scale, data.mean, data.deviation). kInvalid when the
// lists have another number of features than the data.
Status ScaleAsTold(const Federation& federation, Dataset& data);

// A text table for people: key, what is admitted, default, meaning.
std::string FederationHelp();

}  // namespace linnet

#endif  // LINNET_FED_FEDERATION_H_
