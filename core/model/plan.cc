#include "model/plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "base/aligned.h"
#include "model/steps.h"

namespace linnet {
namespace {

constexpr uint64_t kMaxArenaBytes = uint64_t{1} << 30;
constexpr uint32_t kNone = ~uint32_t{0};

uint64_t RoundUp(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Bytes that are needed from step `first` to step `last`.
struct Block {
  uint64_t bytes = 0;
  size_t first = 0, last = 0;
  uint64_t offset = 0;
};

// Gives every block an offset and returns the end of the highest. Largest first, each into the
// smallest gap between the blocks that live at the same time.
uint64_t Pack(std::vector<Block>& blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return blocks[a].bytes != blocks[b].bytes ? blocks[a].bytes > blocks[b].bytes : a < b;
  });
  std::vector<const Block*> placed;  // by offset
  uint64_t end = 0;
  for (const size_t index : order) {
    Block& block = blocks[index];
    uint64_t gap_start = 0, best_gap = std::numeric_limits<uint64_t>::max();
    std::optional<uint64_t> best;
    for (const Block* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (other->offset > gap_start) {
        const uint64_t gap = other->offset - gap_start;
        if (gap >= block.bytes && gap < best_gap) {
          best_gap = gap;
          best = gap_start;
        }
      }
      gap_start = std::max(gap_start, other->offset + other->bytes);
    }
    block.offset = best.value_or(gap_start);
    end = std::max(end, block.offset + block.bytes);
    const auto at = std::ranges::upper_bound(placed, block.offset, std::less{}, &Block::offset);
    placed.insert(at, &block);
  }
  return end;
}

// Whether the sizes of all matrices a kernel may make of a convolution can be counted in a size_t
// of this machine (32 bits in WASM).
bool FitsAddresses(const Conv2dShape& s, size_t max_batch) {
  const auto product = [](auto... factors) { return (static_cast<double>(factors) * ... * 1.0); };
  const double channels = static_cast<double>(s.in_channels) + static_cast<double>(s.out_channels);
  const double windows = product(max_batch, s.OutHeight(), s.OutWidth(), s.kernel_h, s.kernel_w);
  const double images = product(max_batch, s.height, s.width);
  return std::max(windows, images) * channels <
         static_cast<double>(std::numeric_limits<size_t>::max() / sizeof(float));
}

// The most workspace the step needs for any batch up to `max_batch`, in bytes.
Result<uint64_t> WorkspaceBytes(const Step& step, size_t max_batch, size_t workers) {
  const StepTraits& traits = TraitsOf(step.op);
  if (traits.workspace == nullptr) return 0;
  if (const auto* s = std::get_if<Conv2dShape>(&step.shape); s && !FitsAddresses(*s, max_batch)) {
    return Fail(Code::kLimit, "a convolution of ", s->height, " x ", s->width, " x ",
                s->in_channels, " with a batch of ", max_batch,
                " is too large for this machine's addresses");
  }
  uint64_t floats = 0;
  for (size_t batch = 1; batch <= max_batch; ++batch) {
    floats = std::max(floats, traits.workspace(step, batch, workers));
  }
  if (floats > kMaxArenaBytes / 4) {
    return Fail(Code::kLimit, "a workspace of ", floats, " floats, wanted at most ",
                kMaxArenaBytes / 4);
  }
  return RoundUp(floats * 4);
}

Area AreaOf(Role role) {
  switch (role) {
    case Role::kInput:
      return Area::kInput;
    case Role::kLabels:
      return Area::kLabels;
    case Role::kParameter:
      return Area::kParameters;
    case Role::kGradient:
      return Area::kGradients;
    case Role::kLogits:
      return Area::kLogits;
    case Role::kTemporary:
      break;
  }
  return Area::kArena;
}

}  // namespace

Result<Plan> MakePlan(Program program, size_t max_batch, size_t workers) {
  LINNET_CHECK(max_batch >= 1 && workers >= 1);
  const auto too_large = [&](uint64_t bytes) {
    return Fail(Code::kLimit, "the arena for a batch of ", max_batch, " has ", bytes,
                " bytes or more, wanted at most ", kMaxArenaBytes);
  };
  if (max_batch > kMaxArenaBytes / 4) return too_large(uint64_t{max_batch} * 4);

  std::vector<size_t> last_read(program.values.size(), 0);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    for (const uint32_t input : program.steps[i].inputs) last_read[input] = i;
  }

  // What is prepared for the other steps stays, and so does its memory.
  for (size_t i = 0; i < program.prepared_steps; ++i) {
    for (const uint32_t output : program.steps[i].outputs) {
      if (last_read[output] >= program.prepared_steps) last_read[output] = program.steps.size();
    }
  }

  Plan plan;
  plan.max_batch = max_batch;
  plan.slots.resize(program.values.size());
  plan.workspace.resize(program.steps.size());
  std::vector<Block> blocks;
  std::vector<uint32_t> block_of(program.values.size(), kNone);
  std::vector<uint32_t> workspace_of(program.steps.size(), kNone);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    LINNET_TRY(const uint64_t workspace, WorkspaceBytes(step, max_batch, workers));
    if (workspace > 0) {
      workspace_of[i] = static_cast<uint32_t>(blocks.size());
      blocks.push_back({.bytes = workspace, .first = i, .last = i});
      plan.unshared_bytes += workspace;
    }
    for (size_t o = 0; o < step.outputs.size(); ++o) {
      const uint32_t output = step.outputs[o];
      const Value& value = program.values[output];
      if (value.role != Role::kTemporary) continue;
      const uint64_t examples = value.per_example ? max_batch : 1;
      if (value.count > kMaxArenaBytes / (examples * uint64_t{value.element_bytes})) {
        return too_large(value.count * value.element_bytes);
      }
      const uint64_t bytes = RoundUp(value.count * value.element_bytes * examples);
      plan.unshared_bytes += bytes;
      const size_t last = std::max(i, last_read[output]);
      for (const InPlace& in_place : TraitsOf(step.op).in_place) {
        const uint32_t input = step.inputs[in_place.input];
        if (in_place.output != o || block_of[input] == kNone || last_read[input] != i) continue;
        block_of[output] = block_of[input];
        blocks[block_of[output]].last = last;
        break;
      }
      if (block_of[output] != kNone) continue;
      block_of[output] = static_cast<uint32_t>(blocks.size());
      blocks.push_back({.bytes = bytes, .first = i, .last = last});
    }
  }
  plan.arena_bytes = Pack(blocks);
  if (plan.arena_bytes > kMaxArenaBytes) return too_large(plan.arena_bytes);

  for (size_t i = 0; i < program.values.size(); ++i) {
    const Value& value = program.values[i];
    plan.slots[i].area = AreaOf(value.role);
    plan.slots[i].offset =
        block_of[i] != kNone ? blocks[block_of[i]].offset : value.offset * value.element_bytes;
  }
  for (size_t i = 0; i < program.steps.size(); ++i) {
    if (workspace_of[i] != kNone) plan.workspace[i] = blocks[workspace_of[i]].offset;
  }
  plan.program = std::move(program);
  return plan;
}

}  // namespace linnet
