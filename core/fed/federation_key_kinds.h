// Kinds of keys of a federation file. `field` takes a Federation and gives the member; the default
// is that of the struct.
#ifndef LINNET_FED_FEDERATION_KEY_KINDS_H_
#define LINNET_FED_FEDERATION_KEY_KINDS_H_

#include <algorithm>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/number.h"
#include "fed/federation_keys.h"

namespace linnet::federation_file {

// 0.1f is written 0.1, not 0.10000000149011612.
inline Json Number(double value) { return Json(value); }
inline Json Number(float value) { return Json(std::strtod(ShortestText(value).c_str(), nullptr)); }

template <typename Field>
Key Integer(std::string_view path, int64_t min, int64_t max, Field field,
            std::string_view meaning) {
  std::string wanted = StrCat("an integer in ", min, "..", max);
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_int() || value.as_int() < min || value.as_int() > max) {
      return Unwanted(value, wanted);
    }
    auto& to = field(draft.federation);
    to = static_cast<std::remove_reference_t<decltype(to)>>(value.as_int());
    return {};
  };
  const auto get = [=](const Federation& f) { return Json(field(f)); };
  return {path, wanted, get(Federation()).Dump(), meaning, set, get};
}

template <typename Field>
Key Real(std::string_view path, double min, double max, Field field, std::string_view meaning) {
  std::string wanted = StrCat("a number in ", min, "..", max);
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_number() || !(value.as_double() >= min && value.as_double() <= max)) {
      return Unwanted(value, wanted);
    }
    auto& to = field(draft.federation);
    to = static_cast<std::remove_reference_t<decltype(to)>>(value.as_double());
    return {};
  };
  const auto get = [=](const Federation& f) { return Number(field(f)); };
  return {path, wanted, get(Federation()).Dump(), meaning, set, get};
}

// Of a std::optional<double>; not set, it stays out of the file.
template <typename Field>
Key Optional(std::string_view path, double min, double max, Field field, std::string_view meaning) {
  std::string wanted = StrCat("a number in ", min, "..", max);
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_number() || !(value.as_double() >= min && value.as_double() <= max))
      return Unwanted(value, wanted);
    field(draft.federation) = value.as_double();
    return {};
  };
  const auto get = [=](const Federation& f) { return field(f) ? Json(*field(f)) : Json(); };
  return {path, wanted, "none", meaning, set, get};
}

template <typename Field>
Key Flag(std::string_view path, Field field, std::string_view fallback, std::string_view meaning) {
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_bool()) return Unwanted(value, "true or false");
    field(draft.federation) = value.as_bool();
    return {};
  };
  const auto get = [=](const Federation& f) { return Json(field(f)); };
  return {path, "true or false", std::string(fallback), meaning, set, get};
}

inline bool HasControl(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<uint8_t>(c) < 0x20; });
}

// Empty is as good as not given.
template <typename Field>
Key Text(std::string_view path, size_t max_bytes, Field field, std::string_view fallback,
         std::string_view meaning) {
  std::string wanted = StrCat("a text of at most ", max_bytes, " bytes without control characters");
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (!value.is_string() || value.as_string().size() > max_bytes ||
        HasControl(value.as_string())) {
      return Unwanted(value, wanted);
    }
    field(draft.federation) = value.as_string();
    return {};
  };
  const auto get = [=](const Federation& f) { return field(f).empty() ? Json() : Json(field(f)); };
  return {path, wanted, std::string(fallback), meaning, set, get};
}

template <typename Value>
using Names = std::vector<std::pair<std::string_view, Value>>;

template <typename Value, typename Field>
Key Choice(std::string_view path, Names<Value> names, Field field, std::string_view meaning) {
  std::string wanted;
  for (const auto& [name, value] : names) wanted += StrCat(wanted.empty() ? "" : ", ", name);
  const auto set = [=](Draft& draft, const Json& value) -> Status {
    if (value.is_string()) {
      for (const auto& [name, meant] : names) {
        if (value.as_string() != name) continue;
        field(draft.federation) = meant;
        return {};
      }
    }
    return Unwanted(value, "one of " + wanted);
  };
  const auto get = [=](const Federation& f) {
    for (const auto& [name, value] : names) {
      if (field(f) == value) return Json(name);
    }
    return Json();
  };
  return {path, wanted, get(Federation()).Dump(), meaning, set, get};
}

// Of a Federation or a const one.
#define LINNET_FIELD(member) [](auto& f) -> auto& { return f.member; }

}  // namespace linnet::federation_file

#endif  // LINNET_FED_FEDERATION_KEY_KINDS_H_
