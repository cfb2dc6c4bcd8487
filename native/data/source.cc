#include "native/data/source.h"

#include <array>
#include <string>

#include "base/nearest.h"
#include "data/strokes.h"
#include "native/data/csv.h"
#include "native/data/idx.h"
#include "native/data/npy.h"
#include "native/data/text.h"

namespace linnet {
namespace {

constexpr std::array<std::string_view, 5> kKinds = {"strokes", "mnist", "csv", "npy", "text"};
constexpr std::array<std::string_view, 2> kCsvKeys = {"label", "test"};
constexpr std::string_view kCsvUsage = "csv:TRAIN?label=NAME&test=TEST";

Result<TrainTest> OpenCsv(std::string_view rest) {
  const size_t question = rest.find('?');
  const std::string train(rest.substr(0, question));
  std::string label, test;
  std::string_view options =
      question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
  while (!options.empty()) {
    const size_t ampersand = options.find('&');
    const std::string_view pair = options.substr(0, ampersand);
    options =
        ampersand == std::string_view::npos ? std::string_view() : options.substr(ampersand + 1);
    const size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (key == "label") {
      label = value;
    } else if (key == "test") {
      test = value;
    } else {
      return Fail(Code::kInvalid, "csv: the key \"", key,
                  "\" is not known (nearest: ", NearestName(key, kCsvKeys), "); wanted is ",
                  kCsvUsage);
    }
  }
  if (train.empty() || label.empty()) {
    return Fail(Code::kInvalid, "csv: ", train.empty() ? "no file" : "no label column",
                " was named; wanted is ", kCsvUsage);
  }
  return OpenCsvFiles(train, label, test);
}

Result<TrainTest> OpenStrokes(std::string_view source) {
  LINNET_TRY(const StrokesOptions options, ParseStrokes(source));
  return TrainTest{std::make_shared<Dataset>(MakeStrokes(options)), nullptr};
}

}  // namespace

Result<TrainTest> OpenSource(std::string_view source) {
  const size_t end = source.find_first_of(":?");
  const std::string_view kind = source.substr(0, end);
  const std::string_view rest =
      end == std::string_view::npos ? std::string_view() : source.substr(end + 1);
  const bool colon = end != std::string_view::npos && source[end] == ':';
  if (kind == "strokes" && !colon) return OpenStrokes(source);
  if (kind == "mnist" && colon && !rest.empty()) return OpenMnist(std::string(rest));
  if (kind == "csv" && colon) return OpenCsv(rest);
  if (kind == "npy" && colon) return OpenNpy(rest);
  if (kind == "text" && colon) return OpenText(rest);
  return Fail(Code::kInvalid, "data source \"", source,
              "\" is not known (nearest: ", NearestName(kind, kKinds),
              "); strokes?writers=0-99&per=100&seed=1, mnist:DIR, ", kCsvUsage,
              ", npy:X.npy,Y.npy or text:FILE?context=64 is wanted");
}

}  // namespace linnet
