#include "model/schedule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "base/nearest.h"
#include "base/number.h"

namespace linnet {
namespace {

using Kind = Schedule::Kind;

constexpr uint64_t kMaxSteps = 1'000'000'000;
constexpr std::string_view kUsage =
    "constant, step:every=100,factor=0.5, exponential:every=100,factor=0.9 or "
    "cosine:steps=2000,end=0.1, each also with warmup=N and by=round";

struct Form {
  Kind kind;
  std::string_view name, steps_key, factor_key;
};
constexpr std::array<Form, 4> kForms = {{
    {Kind::kConstant, "constant", "", ""},
    {Kind::kStep, "step", "every", "factor"},
    {Kind::kExponential, "exponential", "every", "factor"},
    {Kind::kCosine, "cosine", "steps", "end"},
}};

std::unexpected<Error> Unwanted(std::string_view key, std::string_view value,
                                std::string_view wanted) {
  return Fail(Code::kInvalid, key, "=", value, ": ", wanted, " is wanted");
}

Status SetSteps(std::string_view key, std::string_view text, uint64_t least, uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error == std::errc() && end == text.data() + text.size() && out >= least && out <= kMaxSteps)
    return {};
  return Unwanted(key, text, StrCat("a whole number in ", least, "..", kMaxSteps));
}

Status SetFactor(std::string_view key, std::string_view text, float& out) {
  // JSON's numbers: no locale, no infinities.
  const auto number = Json::Parse(text);
  if (!number || !number->is_number() || !(number->as_double() >= 0 && number->as_double() <= 1))
    return Unwanted(key, text, "a number in 0..1");
  out = static_cast<float>(number->as_double());
  return {};
}

Status SetOption(const Form& form, std::string_view pair, Schedule& schedule) {
  const size_t equals = pair.find('=');
  const std::string_view key = pair.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  if (key == "warmup") return SetSteps(key, value, 0, schedule.warmup);
  if (key == "by") {
    if (value != "step" && value != "round") return Unwanted(key, value, "step or round");
    schedule.by_round = value == "round";
    return {};
  }
  if (!form.steps_key.empty()) {
    if (key == form.steps_key) return SetSteps(key, value, 1, schedule.steps);
    if (key == form.factor_key) return SetFactor(key, value, schedule.factor);
  }
  return Fail(Code::kInvalid, form.name, " has no \"", key, "\"; wanted is ", kUsage);
}

}  // namespace

float Schedule::At(uint64_t step) const {
  if (step < warmup) {
    return static_cast<float>(static_cast<double>(step + 1) / static_cast<double>(warmup + 1));
  }
  const uint64_t since = step - warmup;
  switch (kind) {
    case Kind::kConstant:
      return 1.0f;
    case Kind::kStep:
      return static_cast<float>(std::pow(double(factor), static_cast<double>(since / steps)));
    case Kind::kExponential:
      return static_cast<float>(
          std::pow(double(factor), static_cast<double>(since) / static_cast<double>(steps)));
    case Kind::kCosine: {
      const double part =
          std::min(1.0, static_cast<double>(since) / static_cast<double>(steps - warmup));
      const double high = 0.5 * (1 + std::cos(std::numbers::pi * part));
      return static_cast<float>(double(factor) + (1 - double(factor)) * high);
    }
  }
  return 1.0f;
}

Result<Schedule> ParseSchedule(std::string_view text) {
  Schedule schedule;
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto form = std::ranges::find(kForms, name, &Form::name);
  if (form == kForms.end()) {
    return Fail(Code::kInvalid, "found \"", text, "\", wanted ", kUsage);
  }
  schedule.kind = form->kind;
  if (form->kind != Kind::kConstant) schedule.steps = 0, schedule.factor = -1.0f;
  if (form->kind == Kind::kCosine) schedule.factor = 0.0f;
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    LINNET_TRY_STATUS(SetOption(*form, rest.substr(0, comma), schedule));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  if (schedule.steps == 0 || schedule.factor < 0) {
    return Fail(Code::kInvalid, text, " has no ",
                schedule.steps == 0 ? form->steps_key : form->factor_key, "; wanted is ", kUsage);
  }
  if (form->kind == Kind::kCosine && schedule.steps <= schedule.warmup) {
    return Fail(Code::kInvalid, "steps=", schedule.steps, ": more than the warm-up's ",
                schedule.warmup, " is wanted");
  }
  return schedule;
}

std::string ScheduleText(const Schedule& schedule) {
  if (schedule == Schedule()) return {};
  const auto form = std::ranges::find(kForms, schedule.kind, &Form::kind);
  std::string text(form->name);
  char mark = ':';
  const auto add = [&](std::string_view key, const auto& value) {
    text += StrCat(mark, key, "=", value);
    mark = ',';
  };
  if (!form->steps_key.empty()) {
    add(form->steps_key, schedule.steps);
    add(form->factor_key, ShortestText(schedule.factor));
  }
  if (schedule.warmup > 0) add("warmup", schedule.warmup);
  if (schedule.by_round) add("by", "round");
  return text;
}

}  // namespace linnet
