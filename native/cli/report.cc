#include "native/cli/report.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"

namespace linnet {
namespace {

constexpr size_t kPlotColumns = 60, kPlotRows = 6;
constexpr size_t kShownParticipants = 40;

}  // namespace

std::string RoundLine(const RoundMetrics& metrics) {
  std::string line =
      StrCat("round ", PadLeft(std::to_string(metrics.round), 3), "  accuracy ",
             PadLeft(Percent(metrics.accuracy), 8), "  loss ", PadLeft(Fixed(metrics.loss, 4), 7),
             "  ", metrics.counted, " of ", metrics.invited, " counted");
  if (metrics.refused > 0) line += StrCat(", ", metrics.refused, " refused");
  if (metrics.late > 0) line += StrCat(", ", metrics.late, " late");
  if (std::isfinite(metrics.staleness))
    line += StrCat(", ", Fixed(metrics.staleness, 1), " versions old");
  return line + StrCat("  up ", HumanBytes(metrics.uplink_bytes), "  down ",
                       HumanBytes(metrics.downlink_bytes), "  ", HumanSeconds(metrics.seconds));
}

std::string ScoreText(const RoundMetrics& metrics) {
  if (!std::isfinite(metrics.accuracy) && std::isfinite(metrics.loss))
    return StrCat("loss ", Fixed(metrics.loss, 4));
  return StrCat("accuracy ", Percent(metrics.accuracy));
}

void PrintAccuracy(Output& output, const std::vector<RoundMetrics>& history) {
  std::vector<double> values;
  for (const RoundMetrics& metrics : history) values.push_back(metrics.accuracy);
  const auto lines = Plot(values, kPlotColumns, kPlotRows);
  if (lines.empty()) return;
  output.Line(StrCat("  accuracy by round, 1 to ", history.size()));
  for (const std::string& line : lines) output.Line(line);
}

void PrintParticipants(Output& output, const std::vector<CoordinatorStatus::Person>& participants) {
  if (participants.empty()) return;
  auto sorted = participants;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.name != b.name ? a.name < b.name : a.key < b.key;
  });
  size_t width = 11;
  for (const auto& person : sorted) width = std::max(width, person.name.size());
  output.Line(StrCat("  ", PadRight("participant", width),
                     "  device    counted  examples        up", "      down  runs on"));
  for (size_t i = 0; i < std::min(sorted.size(), kShownParticipants); ++i) {
    const auto& person = sorted[i];
    output.Line(StrCat("  ", PadRight(person.name, width), "  ", Hex(person.key).substr(0, 8), "  ",
                       PadLeft(std::to_string(person.counted), 7), "  ",
                       PadLeft(std::to_string(person.examples), 8), "  ",
                       PadLeft(HumanBytes(person.uplink_bytes), 8), "  ",
                       PadLeft(HumanBytes(person.downlink_bytes), 8), "  ", person.runtime));
  }
  if (sorted.size() > kShownParticipants) {
    output.Line(StrCat("  and ", sorted.size() - kShownParticipants, " more"));
  }
}

std::string DescribeTarget(const Federation& federation) {
  if (!federation.round.target_value) return "none, all rounds are done";
  const bool loss = federation.round.target_metric == "loss";
  return StrCat(federation.round.target_metric, loss ? " at most " : " at least ",
                *federation.round.target_value);
}

}  // namespace linnet
