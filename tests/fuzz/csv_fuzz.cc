// Any text as a training part and a test part (cut at the first zero byte) with the label column
// "y": refused with a file, or two data sets that hold together.
#include <cmath>
#include <cstdint>

#include "base/bytes.h"
#include "native/data/csv.h"

namespace {

void CheckPart(const linnet::Dataset& part, const linnet::Dataset& train) {
  LINNET_CHECK(part.size() > 0 && part.f32.size() == part.size() * part.features());
  LINNET_CHECK(part.features() == train.features() && part.classes == train.classes);
  for (const float value : part.f32) LINNET_CHECK(std::isfinite(value));
  for (const int32_t label : part.labels) {
    LINNET_CHECK(label >= 0 && static_cast<uint32_t>(label) < part.classes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  const std::string_view text = AsText({data, size});
  const size_t zero = text.find('\0');
  std::string_view test;
  if (zero != std::string_view::npos) test = text.substr(zero + 1);
  const auto parts = ParseCsv(text.substr(0, zero), "train.csv", "y",
                              zero == std::string_view::npos ? nullptr : &test, "test.csv");
  if (!parts) {
    const std::string& message = parts.error().message;
    LINNET_CHECK(message.starts_with("train.csv: ") || message.starts_with("test.csv: "));
    LINNET_CHECK(message.find('\n') == std::string::npos);
    return 0;
  }
  CheckPart(*parts->train, *parts->train);
  if (parts->test) CheckPart(*parts->test, *parts->train);
  return 0;
}
