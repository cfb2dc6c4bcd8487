// Peak memory of `linnet serve` with mlp-2nn while many participants take part. Exit code 1 when a
// limit is missed.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "idle.h"

namespace {

using linnet::Json;

constexpr int kRounds = 4;

// Peak resident memory in KiB after `kRounds` rounds in which everybody takes part.
uint64_t PeakKiB(int participants, const char* codec, int bits) {
  Json upload = Json::Object{{"codec", codec}};
  if (bits > 0) upload.Set("bits", bits);
  const Json federation = Json::Object{{"name", "idle"},
                                       {"model", Json::Object{{"builtin", "mlp-2nn"}}},
                                       {"round", Json::Object{{"cohort", participants},
                                                              {"minimum", participants},
                                                              {"deadlineMs", 120000},
                                                              {"maxRounds", kRounds}}},
                                       {"evaluate", Json::Object{{"federated", false}}},
                                       {"limits", Json::Object{{"maxExamples", 1024}}},
                                       {"upload", upload}};
  linnet::ServeProcess serve(federation, {"--threads", "2"});
  serve.AddIdle(2, participants / 2);
  for (int round = 1; round <= kRounds; ++round) {
    const auto line = serve.Next("round");
    if (!line || line->Find("counted")->as_int() != participants) {
      std::printf("a round with %d participants failed: %s\n", participants,
                  line ? line->Dump().c_str() : "");
      std::exit(1);
    }
  }
  return serve.MemoryKiB("VmHWM");
}

bool Report(const char* what, double found, double limit, const char* unit) {
  std::printf("%-52s %8.1f %s (limit %.0f)%s\n", what, found, unit, limit,
              found <= limit ? "" : "  MISSED");
  std::fflush(stdout);
  return found <= limit;
}

}  // namespace

int main() {
  bool good = true;
  const double bit_200 = double(PeakKiB(200, "eden", 1));
  good &= Report("peak, 200 participants, 1 bit", bit_200 / 1024, 100, "MiB");
  const double f32_200 = double(PeakKiB(200, "f32", 0));
  good &= Report("peak, 200 participants, f32 (160 MB of uploads)", f32_200 / 1024, 150, "MiB");
  const double bit_1000 = double(PeakKiB(1000, "eden", 1));
  good &=
      Report("growth from 200 to 1000, 1 bit, each", (bit_1000 - bit_200) * 1.024 / 800, 40, "KB");
  const double f32_1000 = double(PeakKiB(1000, "f32", 0));
  good &=
      Report("growth from 200 to 1000, f32, each", (f32_1000 - f32_200) * 1.024 / 800, 40, "KB");
  return good ? 0 : 1;
}
