#include "base/json.h"

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

namespace linnet {
namespace {

using Backend = nlohmann::ordered_json;

constexpr size_t kMaxTextBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 64;

// Reads characters and tells how far the parser has come, for line and column.
class TrackingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  TrackingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  TrackingIterator operator++(int) {
    TrackingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const TrackingIterator& a, const TrackingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  const char** reached_;
};

// "line 3, column 7" of the last character before `at`.
std::string Position(std::string_view text, const char* at) {
  const size_t end = static_cast<size_t>(at - text.data());
  size_t line = 1;
  size_t column = 0;
  for (size_t i = 0; i < end && i < text.size(); ++i) {
    if (i > 0 && text[i - 1] == '\n') {
      ++line;
      column = 0;
    }
    ++column;
  }
  return StrCat("line ", line, ", column ", column == 0 ? 1 : column);
}

// Builds a Json from the parser's events. An event that returns false ends the parse.
class Builder {
 public:
  bool null() { return Add(Json()); }
  bool boolean(bool value) { return Add(Json(value)); }
  bool number_integer(int64_t value) { return Add(Json(value)); }
  bool number_unsigned(uint64_t value) {
    // Beyond int64 only the nearest double is kept.
    return value <= INT64_MAX ? Add(Json(static_cast<int64_t>(value)))
                              : Add(Json(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) { return Add(Json(value)); }
  bool string(std::string& value) { return Add(Json(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) { return false; }

  bool start_object(size_t) { return Open(Json(Json::Object())); }
  bool key(std::string& name) {
    if (!open_.back().keys.insert(name).second) {
      message_ = StrCat("the key ", Json(name).Dump(), " was given before in the same object");
      return false;
    }
    open_.back().value.as_object().emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() { return Close(); }
  bool start_array(size_t) { return Open(Json(Json::Array())); }
  bool end_array() { return Close(); }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    message_ = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: the words we want"
    if (const size_t bracket = message_.find("] "); bracket != std::string::npos) {
      message_.erase(0, bracket + 2);
    }
    if (message_.starts_with("parse error at line")) {
      if (const size_t colon = message_.find(": "); colon != std::string::npos) {
        message_.erase(0, colon + 2);
      }
    }
    return false;
  }

  Json root;
  const std::string& message() const { return message_; }

 private:
  struct Container {
    Json value;
    std::set<std::string> keys;
  };

  bool Add(Json value) {
    if (open_.empty()) {
      root = std::move(value);
    } else if (Json& parent = open_.back().value; parent.is_array()) {
      parent.as_array().push_back(std::move(value));
    } else {
      parent.as_object().back().second = std::move(value);
    }
    return true;
  }
  bool Open(Json value) {
    if (open_.size() == kMaxDepth) {
      message_ = StrCat("more than ", kMaxDepth, " levels of arrays and objects");
      return false;
    }
    open_.push_back({std::move(value), {}});
    return true;
  }
  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  std::vector<Container> open_;
  std::string message_;
};

Backend ToBackend(const Json& json) {
  if (json.is_bool()) return json.as_bool();
  if (json.is_int()) return json.as_int();
  if (json.is_number()) return json.as_double();
  if (json.is_string()) return json.as_string();
  if (json.is_array()) {
    Backend out = Backend::array();
    for (const Json& element : json.as_array()) out.push_back(ToBackend(element));
    return out;
  }
  if (json.is_object()) {
    Backend out = Backend::object();
    auto& members = out.get_ref<Backend::object_t&>();
    for (const auto& [key, value] : json.as_object()) members.emplace_back(key, ToBackend(value));
    return out;
  }
  return nullptr;
}

}  // namespace

Result<Json> Json::Parse(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return Fail(Code::kInvalid, "line 1, column 1: ", text.size(), " bytes of JSON, at most ",
                kMaxTextBytes, " are read");
  }
  // The parser takes a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Fail(Code::kInvalid, Position(text, text.data() + zero + 1),
                ": a zero byte does not belong in JSON");
  }
  const char* reached = text.data();
  Builder builder;
  const bool parsed =
      nlohmann::json::sax_parse(TrackingIterator(text.data(), &reached),
                                TrackingIterator(text.data() + text.size(), &reached), &builder);
  if (!parsed) {
    return Fail(Code::kInvalid, Position(text, reached), ": ", builder.message());
  }
  return std::move(builder.root);
}

std::string Json::Dump(int indent) const {
  // Text that is not UTF-8 is repaired, not refused: messages may quote hostile bytes.
  return ToBackend(*this).dump(indent > 0 ? indent : -1, ' ', false,
                               Backend::error_handler_t::replace);
}

std::string_view Json::TypeName() const {
  if (is_bool()) return "a boolean";
  if (is_number()) return "a number";
  if (is_string()) return "a string";
  if (is_array()) return "an array";
  if (is_object()) return "an object";
  return "null";
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : as_object()) {
    if (name == key) return &value;
  }
  return nullptr;
}

void Json::Set(std::string_view key, Json value) {
  if (is_null()) value_ = Object();
  LINNET_CHECK(is_object());
  for (auto& [name, old] : as_object()) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  as_object().emplace_back(std::string(key), std::move(value));
}

}  // namespace linnet
