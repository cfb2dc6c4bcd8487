#include "fed/federation_keys.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fed/federation_key_kinds.h"
#include "model/schedule.h"

namespace linnet::federation_file {
namespace {

std::string Found(const Json& value) {
  if (value.is_object() || value.is_array() || value.is_null()) {
    return std::string(value.TypeName());
  }
  const std::string text = value.Dump();
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace

std::unexpected<Error> Unwanted(const Json& value, std::string_view wanted) {
  return Fail(Code::kInvalid, "found ", Found(value), ", wanted ", wanted);
}

namespace {

// Understood, but only as it is in a federation without it.
Key OnlyOff(std::string_view path, Json off, std::string_view meaning) {
  const auto set = [=](Draft&, const Json& value) -> Status {
    const bool same =
        off.is_number() && value.is_number() ? off.as_double() == value.as_double() : off == value;
    if (same) return {};
    return Fail(Code::kUnsupported, "found ", Found(value), ", wanted ", off.Dump(),
                ": differential privacy and secure aggregation are not supported by this version");
  };
  return {
      path, off.Dump() + " only", off.Dump(), meaning, set, [=](const Federation&) { return off; }};
}

Key NameKey() {
  const std::string wanted = "1 to 64 of A-Z a-z 0-9 . _ -";
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_string() || value.as_string().empty() || value.as_string().size() > 64 ||
        !std::ranges::all_of(value.as_string(), good)) {
      return Unwanted(value, wanted);
    }
    draft.federation.name = value.as_string();
    return {};
  };
  return {"name",     wanted,
          "required", "what participants ask for",
          set,        [](const Federation& f) { return Json(f.name); }};
}

Key ScheduleKey() {
  const std::string wanted = "constant, step, exponential or cosine with its settings";
  const auto set = [](Draft& draft, const Json& value) -> Status {
    if (!value.is_string() || value.as_string().size() > 256 || HasControl(value.as_string()))
      return Unwanted(value, "a text such as cosine:steps=100,end=0.1,by=round");
    LINNET_TRY(const Schedule schedule, ParseSchedule(value.as_string()));
    draft.federation.train.schedule = ScheduleText(schedule);
    return {};
  };
  const auto get = [](const Federation& f) {
    return f.train.schedule.empty() ? Json() : Json(f.train.schedule);
  };
  return {"train.schedule",
          wanted,
          "constant",
          "of the learning rate, by=step of each round or by=round",
          set,
          get};
}

// At most 64 values, so that what participants are told fits into its message.
template <typename Field>
Key Numbers(std::string_view path, Field field, std::string_view meaning) {
  const std::string wanted = "a list of 1 to 64 numbers";
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_array() || value.as_array().empty() || value.as_array().size() > 64)
      return Unwanted(value, wanted);
    std::vector<float> numbers;
    for (const Json& number : value.as_array()) {
      if (!number.is_number() || !(std::abs(number.as_double()) <= 1e30))
        return Unwanted(number, "a number in -1e30..1e30");
      numbers.push_back(static_cast<float>(number.as_double()));
    }
    field(draft.federation) = std::move(numbers);
    return {};
  };
  const auto get = [=](const Federation& f) {
    if (field(f).empty()) return Json();
    Json::Array numbers;
    for (const float number : field(f)) numbers.push_back(Number(number));
    return Json(std::move(numbers));
  };
  return {path, wanted, "of each source", meaning, set, get};
}

Key StrategyConfigKey() {
  const auto set = [](Draft& draft, const Json& value) -> Status {
    if (!value.is_object()) return Unwanted(value, "an object");
    draft.federation.strategy.config = value;
    return {};
  };
  return {"strategy.config",
          "an object",
          "{}",
          "the strategy's own settings",
          set,
          [](const Federation& f) { return f.strategy.config; }};
}

Key StrategyChainKey() {
  const std::string wanted = "a list: {\"clip\": {\"norm\": N}}, a reducer, a server optimizer";
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_array() || value.as_array().empty()) return Unwanted(value, wanted);
    draft.federation.strategy.chain = value;
    return {};
  };
  return {"strategy.chain",
          wanted,
          "none",
          "stages instead of one strategy; the first and the last may be missing",
          set,
          [](const Federation& f) { return f.strategy.chain; }};
}

Key PersonalKey() {
  const std::string wanted =
      "at most 8 of \"norm\", names, prefixes with *, each of at most 48 bytes";
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_array() || value.as_array().size() > 8) return Unwanted(value, wanted);
    std::vector<std::string> names;
    for (const Json& name : value.as_array()) {
      if (!name.is_string() || name.as_string().empty() || name.as_string().size() > 48 ||
          HasControl(name.as_string()))
        return Unwanted(name, wanted);
      names.push_back(name.as_string());
    }
    draft.federation.personal = std::move(names);
    return {};
  };
  const auto get = [](const Federation& f) {
    if (f.personal.empty()) return Json();
    Json::Array names;
    for (const std::string& name : f.personal) names.push_back(Json(name));
    return Json(std::move(names));
  };
  return {"train.personal", wanted, "none", "tensors that stay with each participant", set, get};
}

// Stays out of the file where it is zero, which is its default.
Key UnlessZero(Key key) {
  key.get = [get = std::move(key.get)](const Federation& f) {
    Json value = get(f);
    return value.as_double() == 0 ? Json() : value;
  };
  return key;
}

Key CodecKey() {
  const auto set = [](Draft& draft, const Json& value) -> Status {
    if (!value.is_string() || value.as_string().size() > 64 || HasControl(value.as_string())) {
      return Unwanted(value, "the name of a codec");
    }
    draft.codec = value.as_string();
    return {};
  };
  const auto get = [](const Federation& f) {
    const std::string name = CodecName(f.upload);
    return Json(name.substr(0, name.find('/')));
  };
  return {
      "upload.codec", "f32, bf16, int8, eden", "\"eden\"", "how updates are compressed", set, get};
}

Key CodecBitsKey() {
  const std::string wanted = "an integer in 1..32";
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_int() || value.as_int() < 1 || value.as_int() > 32)
      return Unwanted(value, wanted);
    draft.bits = static_cast<uint32_t>(value.as_int());
    return {};
  };
  return {"upload.bits",
          "eden 1..4; f32 32, bf16 16, int8 8",
          "the fewest the codec has",
          "bits per parameter",
          set,
          [](const Federation& f) { return Json(f.upload.bits); }};
}

}  // namespace

namespace {

std::vector<Key> MakeKeys() {
  std::vector<Key> keys = {
      NameKey(),
      Text("model.builtin", 64, LINNET_FIELD(model.builtin), "this or model.file",
           "mlp-2nn, cnn-mnist, autoencoder:19-8-19, ...: see linnet train --help"),
      Text("model.file", 1024, LINNET_FIELD(model.file), "this or model.builtin",
           "a .linnet file to start from"),
      Choice<std::string>("train.optimizer",
                          {{"sgd", "sgd"},
                           {"momentum", "momentum"},
                           {"nesterov", "nesterov"},
                           {"adam", "adam"},
                           {"adamw", "adamw"}},
                          LINNET_FIELD(train.optimizer), "of the participants"),
      Real("train.learningRate", 0, 1000, LINNET_FIELD(train.learning_rate), "of the participants"),
      ScheduleKey(),
      Real("train.momentum", 0, 1, LINNET_FIELD(train.momentum), "for momentum and nesterov"),
      Real("train.beta1", 0, 0.99999, LINNET_FIELD(train.beta1), "for adam and adamw"),
      Real("train.beta2", 0, 0.99999, LINNET_FIELD(train.beta2), "for adam and adamw"),
      Real("train.epsilon", 1e-30, 1, LINNET_FIELD(train.epsilon), "for adam and adamw"),
      Real("train.weightDecay", 0, 1, LINNET_FIELD(train.weight_decay),
           "gradient + this * weight; adamw: beside the gradient"),
      Flag("train.decayWeightsOnly", LINNET_FIELD(train.decay_weights_only), "false",
           "no decay of biases, nor of norms"),
      Real("train.clipNorm", 0, 1e9, LINNET_FIELD(train.clip_norm), "of the gradient, 0 = off"),
      Real("train.clipValue", 0, 1e9, LINNET_FIELD(train.clip_value),
           "of each element of the gradient, 0 = off"),
      Real("train.proximal", 0, 1e6, LINNET_FIELD(train.proximal),
           "FedProx: gradient + this * (weight - the round's weight)"),
      Integer("train.batchSize", 1, 65536, LINNET_FIELD(train.batch_size), "examples per step"),
      Integer("train.epochs", 1, 1000, LINNET_FIELD(train.epochs),
              "passes over own data per round"),
      Integer("train.maxSteps", 0, 1000000000, LINNET_FIELD(train.max_steps),
              "steps per round at most, 0 = no limit"),
      PersonalKey(),
      UnlessZero(Integer("train.personalEpochs", 0, 1000, LINNET_FIELD(personal_epochs),
                         "FedRep: passes that train the personal tensors alone; then the others "
                         "alone, 0 = all together")),
      UnlessZero(Real("train.ditto", 0, 1000, LINNET_FIELD(ditto),
                      "Ditto: each participant trains a model of its own beside, gradient + this * "
                      "(weight - the round's weight), 0 = off")),
      Choice<Scaling>(
          "data.scale",
          {{"none", Scaling::kNone}, {"unit", Scaling::kUnit}, {"standard", Scaling::kStandard}},
          LINNET_FIELD(scale), "features as they are, to 0..1 by range, or by mean and deviation"),
      Numbers("data.mean", LINNET_FIELD(mean), "with standard: of each feature, or one for all"),
      Numbers("data.deviation", LINNET_FIELD(deviation), "with standard: as data.mean, above 0"),
      Text("strategy.id", 128, LINNET_FIELD(strategy.id), "\"fedavg\"",
           "how updates become a model"),
      StrategyConfigKey(),
      StrategyChainKey(),
      Real("strategy.maxStepNorm", 0, 1e9, LINNET_FIELD(strategy.max_step_norm),
           "a round that moves the weights further is given up, 0 = off"),
      Optional("gate.maxDrop", 0, 1, LINNET_FIELD(gate.max_drop),
               "a round whose model's accuracy on evaluate.data is lower by more is given up"),
      Optional("gate.maxRise", 0, 1e6, LINNET_FIELD(gate.max_rise),
               "the same for a loss that is higher by more"),
      Real("limits.maxAbs", 1e-6, 1e9, LINNET_FIELD(limits.max_abs),
           "an update with a larger element is refused"),
      Integer("limits.maxExamples", 1, (1 << 29) - 1, LINNET_FIELD(limits.max_examples),
              "an update that claims more is refused"),
      Text("evaluate.data", 4096, LINNET_FIELD(evaluate.data), "none",
           "data source for evaluation at the coordinator"),
      Integer("evaluate.every", 1, 1000000, LINNET_FIELD(evaluate.every), "rounds"),
      Flag("evaluate.federated", LINNET_FIELD(evaluate.federated), "true without evaluate.data",
           "on data that participants hold back"),
      CodecKey(),
      CodecBitsKey(),
      OnlyOff("privacy.clipNorm", 0, "clipping of each decoded update"),
      OnlyOff("privacy.noiseMultiplier", 0, "Gaussian noise"),
      OnlyOff("privacy.delta", 1e-6, "of (epsilon, delta)"),
      OnlyOff("privacy.secureAggregation", false, "masks, so that only the sum is seen"),
      Choice<Federation::Admission::Mode>("admission.mode",
                                          {{"open", Federation::Admission::Mode::kOpen},
                                           {"token", Federation::Admission::Mode::kToken}},
                                          LINNET_FIELD(admission.mode),
                                          "open: everybody, on loopback only"),
      Text("admission.tokenFile", 1024, LINNET_FIELD(admission.token_file), "none",
           "with token: a file, one token a line"),
  };
  const auto limits = std::ranges::find(keys, "limits.maxAbs", &Key::path);
  const std::vector<Key> round = RoundKeys();
  keys.insert(limits, round.begin(), round.end());
  return keys;
}

}  // namespace

const std::vector<Key>& Keys() {
  static const std::vector<Key> keys = MakeKeys();
  return keys;
}

}  // namespace linnet::federation_file
