// A round's own cost: 8 processes that train nothing, mlp-2nn, one bit per weight up, the model
// down, the commit on the disk. Prints the times from the first invitation to the commit; the
// median of 100 rounds must stay below 25 ms (exit code 1 otherwise).
#include <algorithm>
#include <cstdio>
#include <vector>

#include "idle.h"

int main() {
  using linnet::Json;
  constexpr int kParticipants = 8, kRounds = 110, kWarmUp = 10;
  constexpr double kLimitMs = 25;
  const Json federation = Json::Object{
      {"name", "idle"},
      {"model", Json::Object{{"builtin", "mlp-2nn"}}},
      {"round",
       Json::Object{{"cohort", kParticipants}, {"minimum", kParticipants}, {"maxRounds", kRounds}}},
      {"evaluate", Json::Object{{"federated", false}}},
      {"upload", Json::Object{{"codec", "eden"}, {"bits", 1}}}};
  linnet::ServeProcess serve(federation, {});
  serve.AddIdle(kParticipants, 1);
  std::vector<double> ms;
  for (int round = 1; round <= kRounds; ++round) {
    const auto line = serve.Next("round");
    if (!line) return 1;
    if (round > kWarmUp) ms.push_back(line->Find("seconds")->as_double() * 1000);
  }
  std::sort(ms.begin(), ms.end());
  const double median = ms[ms.size() / 2];
  std::printf(
      "round of %d idle processes, mlp-2nn, 1 bit: median %.0f ms, p90 %.0f ms, p99 %.0f ms, "
      "%zu rounds (limit: median %.0f ms)\n",
      kParticipants, median, ms[ms.size() * 9 / 10], ms[ms.size() * 99 / 100], ms.size(), kLimitMs);
  return median < kLimitMs ? 0 : 1;
}
