// A program with a place in memory for every value: what executes.
#ifndef LINNET_MODEL_PLAN_H_
#define LINNET_MODEL_PLAN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "kernels/kernels.h"
#include "model/options.h"
#include "model/program.h"

namespace linnet {

struct ActivationCode;

// The areas of memory a plan works on.
enum class Area : uint8_t { kArena, kInput, kLabels, kParameters, kGradients, kLogits };
inline constexpr size_t kAreas = 6;

struct Slot {
  Area area = Area::kArena;
  uint64_t offset = 0;  // bytes from the start of the area
};

struct Plan {
  Program program;
  size_t max_batch = 0;
  std::vector<Slot> slots;          // of each value
  std::vector<uint64_t> workspace;  // of each step: bytes from the start of the arena
  uint64_t arena_bytes = 0;         // a multiple of 64
  // What the arena would need if no two values or workspaces shared memory.
  uint64_t unshared_bytes = 0;
};

// Packs temporaries and workspaces into an arena by their lifetimes: two of them share memory
// unless some step needs both. An output takes the place of an input that ends there where the
// step works in place. Offsets are multiples of 64 bytes. kLimit when the arena would exceed 1 GiB;
// max_batch, workers >= 1. Greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep
// Neural Net Inference" (2020), section 5.
Result<Plan> MakePlan(Program program, size_t max_batch, size_t workers = 1);

// What one run of a plan works on and gives.
struct PlanRun {
  std::array<std::byte*, kAreas> areas = {};  // null for those the program has no value in
  size_t batch = 0;                           // 1 to max_batch
  float loss_grad = 0;                        // the gradient of each example's loss by itself
  bool accumulate_gradients = false;          // add to kGradients instead of replacing it
  bool update_buffers = false;                // keep up the running statistics of batch norm
  uint64_t dropout_key = 0;                   // another for each step
  const OutputLoss* output_loss = nullptr;    // takes the place of the graph's loss
  Executor* executor = nullptr;               // null: this thread
  const ActivationCode* codes = nullptr;      // of each value of the graph, for kFakeQuantize
  double loss_sum = 0;                        // out: over the examples
};
// Runs the prepared steps (Program::prepared_steps) for these parameters: before the first Execute
// and whenever they change. A batch of 1.
void Prepare(const Plan& plan, const Kernels& kernels, PlanRun& run);
// Runs every other step once, in order. Allocates nothing; the same bits for any executor.
void Execute(const Plan& plan, const Kernels& kernels, PlanRun& run);

}  // namespace linnet

#endif  // LINNET_MODEL_PLAN_H_
