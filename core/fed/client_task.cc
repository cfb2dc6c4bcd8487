#include "fed/client_task.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace linnet {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"sgd", "prox", "scaffold", "dyn"};

Json LinksToJson(const std::vector<LinkedValue>& links) {
  Json::Array list;
  for (const LinkedValue& value : links)
    list.push_back(Json(Json::Object{{"like", value.like_parameters ? "parameters" : "scalar"},
                                     {"name", value.name}}));
  return Json(std::move(list));
}

Result<double> Number(const Json& config, std::string_view key) {
  const Json* value = config.Find(key);
  if (value == nullptr) return 0.0;
  if (!value->is_number() || !(value->as_double() >= 0 && value->as_double() <= 1000))
    return Fail(Code::kInvalid, "client.", key, " is ", value->Dump(),
                ", wanted a number from 0 to 1000");
  return value->as_double();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Result<Digest> ReadDigest(const std::string& text) {
  Digest digest;
  bool good = text.size() == 2 * digest.size();
  for (size_t i = 0; good && i < digest.size(); ++i) {
    const int high = HexDigit(text[2 * i]), low = HexDigit(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest[i] = static_cast<uint8_t>(16 * high + low);
  }
  if (!good)
    return Fail(Code::kInvalid, "client.values: wanted a digest of ", 2 * digest.size(),
                " hexadecimal digits");
  return digest;
}

}  // namespace

std::string_view ClientAlgorithmName(ClientAlgorithm algorithm) {
  return kNames[static_cast<size_t>(algorithm)];
}

std::string ClientTaskText(const ClientTask& task) {
  Json json = Json(Json::Object{});
  if (task.alpha > 0) json.Set("alpha", Json(double{task.alpha}));
  if (!task.downlink.empty()) json.Set("downlink", LinksToJson(task.downlink));
  if (task.loss_before) json.Set("lossBefore", Json(true));
  if (task.mu > 0) json.Set("mu", Json(double{task.mu}));
  if (!task.uplink.empty()) json.Set("uplink", LinksToJson(task.uplink));
  if (task.value_bytes > 0) {
    json.Set("valueBytes", Json(task.value_bytes));
    json.Set("values", Json(Hex(task.values)));
  }
  return json.as_object().empty() ? std::string() : json.Dump();
}

Result<ClientTask> ParseClientTask(std::string_view client, std::string_view config) {
  ClientTask task;
  const auto name = std::ranges::find(kNames, client);
  if (name == kNames.end())
    return Fail(Code::kUnsupported, "the strategy asks for client \"", client,
                "\"; this participant offers sgd, prox, scaffold and dyn");
  task.algorithm = static_cast<ClientAlgorithm>(name - kNames.begin());
  if (config.empty()) config = "{}";
  LINNET_TRY(const Json json, Json::Parse(config));
  if (!json.is_object())
    return Fail(Code::kInvalid, "client: found ", json.TypeName(), ", wanted an object");
  LINNET_TRY(const double mu, Number(json, "mu"));
  LINNET_TRY(const double alpha, Number(json, "alpha"));
  task.mu = static_cast<float>(mu);
  task.alpha = static_cast<float>(alpha);
  if (task.algorithm == ClientAlgorithm::kDyn && !(task.alpha > 0))
    return Fail(Code::kInvalid, "client.alpha: found none, dyn wants one above 0");
  if (const Json* loss = json.Find("lossBefore"))
    task.loss_before = loss->is_bool() && loss->as_bool();
  LINNET_TRY(task.uplink, ParseLinks(json.Find("uplink"), "client.uplink"));
  LINNET_TRY(task.downlink, ParseLinks(json.Find("downlink"), "client.downlink"));
  const LinkedValue control = {"c", true}, normalized = {"a", false};
  const bool scaffold = task.algorithm == ClientAlgorithm::kScaffold;
  for (const LinkedValue& value : task.uplink)
    if (value != normalized && !(scaffold && value == control))
      return Fail(Code::kUnsupported, "client.uplink: \"", value.name, "\" is not offered");
  for (const LinkedValue& value : task.downlink)
    if (!(scaffold && value == control))
      return Fail(Code::kUnsupported, "client.downlink: \"", value.name, "\" is not offered");
  if (scaffold && (std::ranges::find(task.uplink, control) == task.uplink.end() ||
                   std::ranges::find(task.downlink, control) == task.downlink.end()))
    return Fail(Code::kInvalid, "client: scaffold wants \"c\" in uplink and downlink");
  const Json* values = json.Find("values");
  const Json* bytes = json.Find("valueBytes");
  if (values != nullptr && bytes != nullptr && values->is_string() && bytes->is_int() &&
      bytes->as_int() > 0) {
    LINNET_TRY(task.values, ReadDigest(values->as_string()));
    task.value_bytes = static_cast<uint64_t>(bytes->as_int());
  }
  if (task.downlink.empty() != (task.value_bytes == 0))
    return Fail(Code::kInvalid, "client.values: wanted with downlink, and only then");
  return task;
}

double NormalizedSteps(uint64_t steps, double momentum, double learning_rate, double mu) {
  const double tau = static_cast<double>(steps);
  if (momentum > 0 && momentum < 1) {
    return (tau - momentum * (1 - std::pow(momentum, tau)) / (1 - momentum)) / (1 - momentum);
  }
  const double shrink = learning_rate * mu;
  return shrink > 0 ? (1 - std::pow(1 - shrink, tau)) / shrink : tau;
}

}  // namespace linnet
