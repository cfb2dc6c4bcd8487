// What a command prints: lines for people or JSON for machines; a live line on a terminal.
#ifndef LINNET_NATIVE_CLI_OUTPUT_H_
#define LINNET_NATIVE_CLI_OUTPUT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace linnet {

// One owner, one thread. Writes to stdout.
class Output {
 public:
  explicit Output(bool json);
  ~Output();

  bool json() const { return json_; }
  bool terminal() const { return terminal_; }
  // For people; nothing in JSON mode.
  void Line(std::string_view text);
  // Replaces the line at the bottom; only on a terminal.
  void Live(std::string_view text);
  // Takes the live line away, before somebody else writes to the terminal.
  void ClearLive();
  // For machines; nothing otherwise.
  void Object(const Json& value);

  // Marks for a terminal, plain text elsewhere.
  std::string Bold(std::string_view text) const { return Marked("\x1b[1m", text); }
  std::string Dim(std::string_view text) const { return Marked("\x1b[2m", text); }
  std::string Green(std::string_view text) const { return Marked("\x1b[32m", text); }
  std::string Red(std::string_view text) const { return Marked("\x1b[31m", text); }

 private:
  std::string Marked(std::string_view mark, std::string_view text) const;
  bool json_, terminal_, colours_;
  bool live_ = false;
};

// "1.2 MB": three digits, powers of 1000.
std::string HumanBytes(uint64_t bytes);
// "12.3 s", "850 ms", "3 min 20 s".
std::string HumanSeconds(double seconds);
// Fixed digits after the point; "-" for NaN.
std::string Fixed(double value, int digits);
// "95.31 %"; "-" for NaN.
std::string Percent(double fraction);
std::string PadLeft(std::string_view text, size_t width);
std::string PadRight(std::string_view text, size_t width);

// A plot of values over rounds in `rows` lines of block characters, at most `columns` wide, with
// the axis at the left. NaN values are skipped; empty when fewer than two are left.
std::vector<std::string> Plot(std::span<const double> values, size_t columns, size_t rows);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_OUTPUT_H_
