// How the learning rate goes on: a value that federation files, command lines and messages share.
#ifndef LINNET_MODEL_SCHEDULE_H_
#define LINNET_MODEL_SCHEDULE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace linnet {

// A factor on the learning rate for each step (or each round of a federation), counted from 0.
struct Schedule {
  enum class Kind : uint8_t { kConstant, kStep, kExponential, kCosine } kind = Kind::kConstant;
  // Steps at the beginning in which the factor grows from 1 / (warmup + 1) by equal parts towards
  // 1; the rest counts from their end.
  uint64_t warmup = 0;
  // kStep, kExponential: steps per `factor`; kCosine: the step (warm-up included) at which the
  // factor has fallen to `factor`. >= 1, for kCosine > warmup.
  uint64_t steps = 1;
  float factor = 1.0f;  // [0, 1]
  // The count is of the federation's rounds instead of a trainer's steps: the coordinator applies
  // it.
  bool by_round = false;

  // The factor at `step`, in [0, 1].
  float At(uint64_t step) const;
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// "constant", "step:every=100,factor=0.5", "exponential:every=100,factor=0.9",
// "cosine:steps=2000,end=0.1", each also with warmup=N and by=round. kInvalid names what was found
// and what is wanted.
Result<Schedule> ParseSchedule(std::string_view text);
// The canonical text: what ParseSchedule reads as the same value. Empty for Schedule().
std::string ScheduleText(const Schedule& schedule);

}  // namespace linnet

#endif  // LINNET_MODEL_SCHEDULE_H_
