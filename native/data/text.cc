#include "native/data/text.h"

#include <array>
#include <charconv>

#include "base/nearest.h"
#include "native/data/file.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxContext = 4096;
constexpr uint32_t kMaxStep = uint32_t{1} << 20;
constexpr size_t kMaxTextBytes = size_t{1} << 28;
constexpr uint32_t kSymbols = 256;
constexpr std::array<std::string_view, 2> kKeys = {"context", "step"};
constexpr std::string_view kUsage = "text:FILE?context=64&step=64";

std::shared_ptr<Dataset> Part(std::string_view text, const std::string& name,
                              const TextOptions& options, std::string_view part) {
  auto data = std::make_shared<Dataset>();
  data->shape = {options.context};
  data->classes = kSymbols;
  data->u8.assign(text.begin(), text.end());
  data->text_step = options.step;
  data->source = StrCat("text:", name, " (", part, ")");
  SetScaling(*data, Scaling::kNone);
  return data;
}

Result<uint32_t> ParseNumber(std::string_view key, std::string_view text, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most) {
    return Fail(Code::kInvalid, "text: ", key, "=", text, ": a whole number in 1..", most,
                " is wanted");
  }
  return value;
}

}  // namespace

Result<TrainTest> ParseText(std::string_view text, const std::string& name,
                            const TextOptions& options) {
  const std::string_view train = text.substr(0, text.size() / 10 * 9 + text.size() % 10 * 9 / 10);
  const std::string_view test = text.substr(train.size());
  if (test.size() <= options.context) {
    return Fail(Code::kData, name, ": ", text.size(), " bytes, the last tenth of them is ",
                test.size(), "; more than the context of ", options.context, " is wanted there");
  }
  return TrainTest{Part(train, name, options, "train"), Part(test, name, options, "test")};
}

Result<TrainTest> OpenText(std::string_view rest) {
  const size_t question = rest.find('?');
  const std::string file(rest.substr(0, question));
  if (file.empty()) return Fail(Code::kInvalid, "text: no file was named; wanted is ", kUsage);
  TextOptions options;
  options.step = 0;
  std::string_view pairs =
      question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
  while (!pairs.empty()) {
    const size_t ampersand = pairs.find('&');
    const std::string_view pair = pairs.substr(0, ampersand);
    pairs = ampersand == std::string_view::npos ? std::string_view() : pairs.substr(ampersand + 1);
    const size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (key == "context") {
      LINNET_TRY(options.context, ParseNumber(key, value, kMaxContext));
    } else if (key == "step") {
      LINNET_TRY(options.step, ParseNumber(key, value, kMaxStep));
    } else {
      return Fail(Code::kInvalid, "text: the key \"", key,
                  "\" is not known (nearest: ", NearestName(key, kKeys), "); wanted is ", kUsage);
    }
  }
  if (options.step == 0) options.step = options.context;
  LINNET_TRY(const Bytes bytes, ReadDataFile(file, kMaxTextBytes));
  return ParseText(AsText(bytes), file, options);
}

}  // namespace linnet
