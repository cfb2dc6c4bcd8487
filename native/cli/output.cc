#include "native/cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace linnet {

Output::Output(bool json)
    : json_(json),
      terminal_(!json && isatty(STDOUT_FILENO) == 1),
      colours_(terminal_ && std::getenv("NO_COLOR") == nullptr) {}

Output::~Output() { ClearLive(); }

void Output::ClearLive() {
  if (live_) std::fputs("\r\x1b[K", stdout);
  live_ = false;
  std::fflush(stdout);
}

std::string Output::Marked(std::string_view mark, std::string_view text) const {
  if (!colours_) return std::string(text);
  return StrCat(mark, text, "\x1b[0m");
}

void Output::Line(std::string_view text) {
  if (json_) return;
  ClearLive();
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void Output::Live(std::string_view text) {
  if (!terminal_) return;
  // A line that wraps could not be taken away again.
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1) {
    text = text.substr(0, window.ws_col - 1u);
  }
  std::fputs("\r\x1b[K", stdout);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  live_ = true;
}

void Output::Object(const Json& value) {
  if (!json_) return;
  const std::string line = value.Dump() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

std::string Fixed(double value, int digits) {
  if (std::isnan(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1000) return StrCat(bytes, " B");
  static constexpr const char* kUnits[] = {"KB", "MB", "GB", "TB"};
  double value = double(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return StrCat(Fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0), " ", kUnits[unit]);
}

std::string HumanSeconds(double seconds) {
  if (std::isnan(seconds)) return "-";
  if (seconds < 1) return StrCat(Fixed(seconds * 1000, 0), " ms");
  if (seconds < 100) return StrCat(Fixed(seconds, 1), " s");
  const int64_t whole = int64_t(seconds + 0.5);
  if (whole < 3600) return StrCat(whole / 60, " min ", whole % 60, " s");
  return StrCat(whole / 3600, " h ", whole / 60 % 60, " min");
}

std::string Percent(double fraction) {
  return std::isnan(fraction) ? "-" : Fixed(fraction * 100, 2) + " %";
}

std::string PadLeft(std::string_view text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + std::string(text);
}

std::string PadRight(std::string_view text, size_t width) {
  return std::string(text) + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

std::vector<std::string> Plot(std::span<const double> values, size_t columns, size_t rows) {
  std::vector<double> known;
  for (const double value : values) {
    if (!std::isnan(value)) known.push_back(value);
  }
  if (known.size() < 2 || rows == 0 || columns == 0) return {};
  // Each column shows the last value of its share of the rounds.
  const size_t width = std::min(columns, known.size());
  std::vector<double> shown(width);
  for (size_t i = 0; i < width; ++i) shown[i] = known[(i + 1) * known.size() / width - 1];
  const auto [least, most] = std::minmax_element(shown.begin(), shown.end());
  const double low = *least, high = *most;
  const double span = high > low ? high - low : 1;
  static constexpr const char* kBlocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<std::string> lines(rows);
  for (size_t row = 0; row < rows; ++row) {
    const std::string label = row == 0          ? Percent(high)
                              : row == rows - 1 ? Percent(low)
                                                : std::string();
    lines[row] = PadLeft(label, 10) + " │";
    const size_t below = (rows - 1 - row) * 8;
    for (const double value : shown) {
      const size_t level = 1 + size_t((value - low) / span * double(rows * 8 - 1));
      lines[row] += kBlocks[std::clamp<ptrdiff_t>(ptrdiff_t(level) - ptrdiff_t(below), 0, 8)];
    }
  }
  return lines;
}

}  // namespace linnet
