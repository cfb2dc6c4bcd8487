#include "fed/federation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "base/nearest.h"
#include "fed/aggregation_host.h"
#include "fed/federation_keys.h"

namespace linnet {
namespace {

using federation_file::CheckRound;
using federation_file::Draft;
using federation_file::Key;
using federation_file::Keys;
using federation_file::Unwanted;

// What participants may see; a key is private unless it stands here.
bool IsPublic(std::string_view path) {
  constexpr std::string_view kPublic[] = {"name",   "model.",      "train.",  "data.",
                                          "round.", "strategy.id", "limits.", "upload."};
  return std::ranges::any_of(kPublic,
                             [&](std::string_view part) { return path.starts_with(part); });
}

// ---- Reading

// The words that may follow `prefix` ("" or "round."), in the table's order.
std::vector<std::string_view> WordsAfter(std::string_view prefix) {
  std::vector<std::string_view> words;
  for (const Key& key : Keys()) {
    if (!key.path.starts_with(prefix)) continue;
    std::string_view rest = key.path.substr(prefix.size());
    rest = rest.substr(0, rest.find('.'));
    if (std::ranges::find(words, rest) == words.end()) words.push_back(rest);
  }
  return words;
}

std::unexpected<Error> UnknownKey(std::string_view prefix, std::string_view word) {
  const std::vector<std::string_view> words = WordsAfter(prefix);
  std::string nearest = StrCat(prefix, NearestName(word, words));
  for (const Key& key : Keys()) {  // the right word in the wrong place, or a path in one word
    if (key.path.substr(key.path.rfind('.') + 1) == word || key.path == word) nearest = key.path;
  }
  std::string known;
  for (std::string_view each : words) known += StrCat(known.empty() ? "" : ", ", each);
  const std::string shown = Json(word.substr(0, 64)).Dump();  // escaped: it is a stranger's text
  return Fail(Code::kInvalid, prefix, shown.substr(1, shown.size() - 2),
              ": unknown key; the nearest known one is ", nearest, " (here: ", known, ")");
}

Status ReadObject(const Json& object, const std::string& prefix, Draft& draft,
                  std::set<std::string_view>& given) {
  for (const auto& [word, value] : object.as_object()) {
    const std::string path = prefix + word;
    const auto key = std::ranges::find(Keys(), path, &Key::path);
    const bool one_word = !word.contains('.');
    if (one_word && key != Keys().end()) {
      if (Status status = key->set(draft, value); !status) return Annotate(status.error(), path);
      given.insert(key->path);
    } else if (!one_word || WordsAfter(path + ".").empty()) {
      return UnknownKey(prefix, word);
    } else if (!value.is_object()) {
      return Annotate(Unwanted(value, "an object").error(), path);
    } else {
      LINNET_TRY_STATUS(ReadObject(value, path + ".", draft, given));
    }
  }
  return {};
}

Status ReadCodec(Draft& draft) {
  uint32_t bits = draft.bits;
  while (draft.bits == 0 && bits < 32 && !ParseCodec(draft.codec, static_cast<int>(++bits))) {
  }
  auto codec = ParseCodec(draft.codec, static_cast<int>(bits));
  if (!codec) return Annotate(codec.error(), "upload");
  draft.federation.upload = *codec;
  return {};
}

Status CheckTogether(const Federation& f, const std::set<std::string_view>& given) {
  if (f.name.empty())
    return Fail(Code::kInvalid, "name: missing, wanted 1 to 64 of A-Z a-z 0-9 . _ -");
  if (f.model.builtin.empty() == f.model.file.empty()) {
    return Fail(Code::kInvalid, "model: found ", f.model.file.empty() ? "neither" : "both",
                " of model.builtin and model.file, wanted one of them");
  }
  if (f.strategy.id.empty())
    return Fail(Code::kInvalid, "strategy.id: found an empty text, wanted a name");
  if (!f.strategy.chain.is_null() &&
      (given.contains("strategy.id") || given.contains("strategy.config"))) {
    return Fail(Code::kInvalid, "strategy.chain: found beside strategy.id or strategy.config, ",
                "wanted one or the other");
  }
  LINNET_TRY_STATUS(CheckRound(f, given));
  if (f.personal_epochs > 0 && f.personal.empty()) {
    return Fail(Code::kInvalid, "train.personalEpochs: found ", f.personal_epochs,
                " without train.personal, which says what they train");
  }
  if (f.ditto > 0 && !f.personal.empty()) {
    return Fail(Code::kInvalid,
                "train.ditto: found beside train.personal, wanted one or the other: ",
                "with train.ditto all of a participant's model is its own");
  }
  const bool token = f.admission.mode == Federation::Admission::Mode::kToken;
  if (token && f.admission.token_file.empty()) {
    return Fail(Code::kInvalid, "admission.tokenFile: missing, admission.mode token wants one");
  }
  if (!token && !f.admission.token_file.empty()) {
    return Fail(Code::kInvalid, "admission.tokenFile: given, but admission.mode is open");
  }
  if (f.mean.size() != f.deviation.size()) {
    return Fail(Code::kInvalid, "data.mean, data.deviation: found ", f.mean.size(), " and ",
                f.deviation.size(), " values, wanted as many in both");
  }
  if (!f.mean.empty() && f.scale != Scaling::kStandard) {
    return Fail(Code::kInvalid, "data.mean: given, but data.scale is not standard");
  }
  if (std::ranges::any_of(f.deviation, [](float d) { return !(d > 0); })) {
    return Fail(Code::kInvalid, "data.deviation: found a value that is not above 0");
  }
  auto grid = GridExponent(f.limits.max_abs, f.limits.max_examples, f.round.Invited());
  return grid ? Status() : std::unexpected(grid.error());
}

// ---- Writing

void Put(Json& object, std::string_view path, Json value) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return object.Set(path, std::move(value));
  const std::string_view section = path.substr(0, dot);
  if (object.Find(section) == nullptr) object.Set(section, Json(Json::Object{}));
  for (auto& [word, member] : object.as_object()) {
    if (word == section) return Put(member, path.substr(dot + 1), std::move(value));
  }
}

}  // namespace

uint32_t Federation::Round::Invited() const {
  // 100 * 1.1 is a little more than 110 in binary, and not meant so.
  return static_cast<uint32_t>(std::ceil(cohort * over_select - 1e-6));
}

Result<Federation> ParseFederation(std::string_view text) {
  LINNET_TRY(const Json json, Json::Parse(text));
  if (!json.is_object()) {
    return Annotate(Unwanted(json, "an object").error(), "the federation");
  }
  Draft draft;
  Federation& f = draft.federation;
  std::set<std::string_view> given;
  LINNET_TRY_STATUS(ReadObject(json, "", draft, given));
  if (f.round.asynchronous()) f.round.cohort = f.round.buffer;
  if (!given.contains("round.minimum")) f.round.minimum = (f.round.cohort * 4 + 4) / 5;
  if (!given.contains("evaluate.federated")) f.evaluate.federated = f.evaluate.data.empty();
  LINNET_TRY_STATUS(ReadCodec(draft));
  LINNET_TRY_STATUS(CheckTogether(f, given));
  return f;
}

Json FederationToJson(const Federation& federation) {
  Json json = Json(Json::Object{});
  for (const Key& key : Keys()) {
    if (Json value = key.get(federation); !value.is_null()) Put(json, key.path, std::move(value));
  }
  return json;
}

Json PublicFederation(const Federation& federation) {
  Federation shown = federation;
  const std::string& file = federation.model.file;
  shown.strategy.id = DescribeStrategy(federation).substr(0, 128);
  shown.model.file = file.substr(file.rfind('/') + 1);
  size_t bytes = 128;  // for people: cut between characters
  while (bytes < shown.model.file.size() && bytes > 0 && (shown.model.file[bytes] & 0xC0) == 0x80)
    --bytes;
  if (bytes < shown.model.file.size()) shown.model.file.resize(bytes);
  Json json = Json(Json::Object{});
  for (const Key& key : Keys()) {
    if (!IsPublic(key.path)) continue;
    if (Json value = key.get(shown); !value.is_null()) Put(json, key.path, std::move(value));
  }
  return json;
}

std::string DescribeStrategy(const Federation& federation) {
  const Json& chain = federation.strategy.chain;
  if (!chain.is_array()) return federation.strategy.id;
  std::string text;
  for (const Json& stage : chain.as_array()) {
    const Json* id = stage.is_object() ? stage.Find("id") : nullptr;
    if (!text.empty()) text += " -> ";
    text += id != nullptr && id->is_string() ? id->as_string() : "clip";
  }
  return text;
}

Status ScaleAsTold(const Federation& federation, Dataset& data) {
  if (!federation.mean.empty()) return SetFixedScaling(data, federation.mean, federation.deviation);
  SetScaling(data, federation.scale);
  return {};
}

std::string FederationHelp() {
  std::vector<std::array<std::string, 4>> rows = {{"KEY", "WANTED", "DEFAULT", "MEANING"}};
  for (const Key& key : Keys()) {
    rows.push_back({std::string(key.path), key.wanted, key.fallback, std::string(key.meaning)});
  }
  std::array<size_t, 3> widths{};
  for (const auto& row : rows) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < widths.size(); ++i)
      out += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    out += row[3] + "\n";
  }
  return out;
}

}  // namespace linnet
