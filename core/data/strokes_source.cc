// How people name strokes: "strokes?writers=0-99&per=100&seed=1".
#include <array>
#include <charconv>

#include "base/nearest.h"
#include "data/strokes.h"

namespace linnet {
namespace {

constexpr uint32_t kWriters = uint32_t{1} << 20;
constexpr uint32_t kMaxPerWriter = 10000;
// A gigabyte of pixels.
constexpr uint64_t kMaxImages = uint64_t{1} << 20;
constexpr std::array<std::string_view, 4> kKeys = {"writers", "per", "seed", "first"};
constexpr std::string_view kUsage = "strokes?writers=0-99&per=100&seed=1&first=0";

Result<uint64_t> ParseNumber(std::string_view key, std::string_view text, uint64_t low,
                             uint64_t high) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return Fail(Code::kInvalid, "strokes: ", key, "=", text, ": a whole number in ", low, "..",
                high, " is wanted");
  }
  return value;
}

Status SetOption(std::string_view key, std::string_view value, StrokesOptions& options) {
  if (key == "writers") {
    const size_t dash = value.find('-');
    LINNET_TRY(options.first_writer, ParseNumber(key, value.substr(0, dash), 0, kWriters - 1));
    options.last_writer = options.first_writer;
    if (dash != std::string_view::npos) {
      LINNET_TRY(options.last_writer, ParseNumber(key, value.substr(dash + 1), 0, kWriters - 1));
    }
    if (options.last_writer < options.first_writer) {
      return Fail(Code::kInvalid, "strokes: writers=", value,
                  ": the last writer comes before the first");
    }
  } else if (key == "per") {
    LINNET_TRY(options.per_writer, ParseNumber(key, value, 1, kMaxPerWriter));
  } else if (key == "seed") {
    LINNET_TRY(options.seed, ParseNumber(key, value, 0, UINT64_MAX));
  } else if (key == "first") {
    LINNET_TRY(options.first_index, ParseNumber(key, value, 0, uint64_t{1} << 31));
  } else {
    return Fail(Code::kInvalid, "strokes: the key \"", key,
                "\" is not known (nearest: ", NearestName(key, kKeys),
                "); writers, per, seed and first are, as in ", kUsage);
  }
  return {};
}

}  // namespace

Result<StrokesOptions> ParseStrokes(std::string_view source) {
  StrokesOptions options;
  options.last_writer = 99;
  const size_t question = source.find('?');
  if (source.substr(0, question) != "strokes") {
    return Fail(Code::kInvalid, "\"", source, "\" is not strokes; wanted is ", kUsage);
  }
  std::string_view rest =
      question == std::string_view::npos ? std::string_view() : source.substr(question + 1);
  while (!rest.empty()) {
    const size_t ampersand = rest.find('&');
    const std::string_view pair = rest.substr(0, ampersand);
    rest = ampersand == std::string_view::npos ? std::string_view() : rest.substr(ampersand + 1);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) {
      return Fail(Code::kInvalid, "strokes: \"", pair, "\" has no value; wanted is ", kUsage);
    }
    LINNET_TRY_STATUS(SetOption(pair.substr(0, equals), pair.substr(equals + 1), options));
  }
  const uint64_t images =
      (uint64_t{options.last_writer} - options.first_writer + 1) * options.per_writer;
  if (images > kMaxImages) {
    return Fail(Code::kLimit, "strokes: ", images, " images, at most ", kMaxImages,
                " are held at a time: fewer writers or a smaller per is wanted");
  }
  return options;
}

}  // namespace linnet
