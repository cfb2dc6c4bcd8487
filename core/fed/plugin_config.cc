#include "fed/plugin_config.h"

#include <algorithm>
#include <cmath>

#include "base/nearest.h"

namespace linnet {
namespace {

std::string_view TypeOf(const Json& schema) {
  const Json* type = schema.Find("type");
  return type != nullptr && type->is_string() ? std::string_view(type->as_string()) : "object";
}

bool Matches(std::string_view type, const Json& value) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "boolean") return value.is_bool();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") {
    return value.is_int() ||
           (value.is_number() && std::trunc(value.as_double()) == value.as_double() &&
            std::fabs(value.as_double()) < 0x1p53);
  }
  return false;
}

// "a number from 0 to 1", "one of "a", "b"".
std::string Admitted(const Json& schema) {
  if (const Json* values = schema.Find("enum"); values != nullptr && values->is_array()) {
    std::string text = "one of ";
    for (const Json& value : values->as_array()) {
      text += StrCat(&value == values->as_array().data() ? "" : ", ", value.Dump());
    }
    return text;
  }
  const std::string_view type = TypeOf(schema);
  std::string text =
      StrCat(type == "object" || type == "array" || type == "integer" ? "an " : "a ", type);
  const Json* minimum = schema.Find("minimum");
  const Json* maximum = schema.Find("maximum");
  if (minimum != nullptr && maximum != nullptr) {
    text += StrCat(" from ", minimum->Dump(), " to ", maximum->Dump());
  } else if (minimum != nullptr) {
    text += StrCat(" of at least ", minimum->Dump());
  } else if (maximum != nullptr) {
    text += StrCat(" of at most ", maximum->Dump());
  }
  return text;
}

bool InRange(const Json& schema, const Json& value) {
  if (const Json* values = schema.Find("enum"); values != nullptr && values->is_array()) {
    const Json::Array& known = values->as_array();
    return std::find(known.begin(), known.end(), value) != known.end();
  }
  if (!value.is_number()) return true;
  const Json* minimum = schema.Find("minimum");
  const Json* maximum = schema.Find("maximum");
  return (minimum == nullptr || !minimum->is_number() ||
          value.as_double() >= minimum->as_double()) &&
         (maximum == nullptr || !maximum->is_number() || value.as_double() <= maximum->as_double());
}

Result<Json> CheckObject(const Json& schema, const Json& value, std::string_view where) {
  const Json* properties = schema.Find("properties");
  const Json::Object none;
  const Json::Object& known =
      properties != nullptr && properties->is_object() ? properties->as_object() : none;
  for (const auto& [key, unused] : value.as_object()) {
    if (properties != nullptr && properties->Find(key) != nullptr) continue;
    std::vector<std::string_view> names;
    for (const auto& member : known) names.push_back(member.first);
    if (names.empty())
      return Fail(Code::kInvalid, where, ".", key, " is not known: there are no settings");
    return Fail(Code::kInvalid, where, ".", key, " is not known, did you mean \"",
                NearestName(key, names), "\"?");
  }
  const Json* required = schema.Find("required");
  Json::Object checked;
  for (const auto& [key, inner] : known) {
    const std::string path = StrCat(where, ".", key);
    if (const Json* member = value.Find(key)) {
      LINNET_TRY(Json member_checked, CheckConfig(inner, *member, path));
      checked.emplace_back(key, std::move(member_checked));
    } else if (const Json* fallback = inner.Find("default")) {
      checked.emplace_back(key, *fallback);
    } else if (required != nullptr && required->is_array() &&
               std::find(required->as_array().begin(), required->as_array().end(), Json(key)) !=
                   required->as_array().end()) {
      return Fail(Code::kInvalid, path, " is missing, wanted ", Admitted(inner));
    }
  }
  std::sort(checked.begin(), checked.end(),
            [](const Json::Member& a, const Json::Member& b) { return a.first < b.first; });
  return Json(std::move(checked));
}

}  // namespace

Result<Json> CheckConfig(const Json& schema, const Json& value, std::string_view where) {
  const std::string_view type = TypeOf(schema);
  // No settings at all may be written as null or left out.
  if (type == "object" && value.is_null()) return CheckObject(schema, Json(Json::Object{}), where);
  if (!Matches(type, value) || !InRange(schema, value)) {
    return Fail(Code::kInvalid, where, " is ", value.Dump(), ", wanted ", Admitted(schema));
  }
  if (type == "object") return CheckObject(schema, value, where);
  if (type == "array") {
    const Json* items = schema.Find("items");
    Json::Array checked;
    for (size_t i = 0; i < value.as_array().size(); ++i) {
      if (items == nullptr) {
        checked.push_back(value.as_array()[i]);
        continue;
      }
      LINNET_TRY(Json item, CheckConfig(*items, value.as_array()[i], StrCat(where, "[", i, "]")));
      checked.push_back(std::move(item));
    }
    return Json(std::move(checked));
  }
  // One number, one text: 1 and 1.0 are the same number.
  if (type == "number") return Json(value.as_double());
  if (type == "integer") return Json(static_cast<int64_t>(value.as_double()));
  return value;
}

}  // namespace linnet
