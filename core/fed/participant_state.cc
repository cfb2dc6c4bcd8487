#include "fed/participant_state.h"

#include <algorithm>

namespace linnet {
namespace {

constexpr uint8_t kMagic[4] = {'L', 'N', 'P', 'S'};
constexpr uint32_t kVersion = 1;
// magic, version, seed, two counters, staged id, staged examples, check
constexpr size_t kSize = 4 + 4 + 32 + 8 + 8 + 16 + 8 + 32;

}  // namespace

ParticipantState ParticipantState::New() {
  ParticipantState state;
  state.device = SigningKey::Generate();
  return state;
}

void ParticipantState::Stage(const AssignmentId& assignment, uint64_t examples) {
  staged_assignment = assignment;
  staged_examples = examples;
}

bool ParticipantState::Commit(const AssignmentId& assignment) {
  if (staged_examples == 0 || staged_assignment != assignment) return false;
  ++rounds_counted;
  examples_counted += staged_examples;
  Discard(assignment);
  return true;
}

void ParticipantState::Discard(const AssignmentId& assignment) {
  if (staged_assignment != assignment) return;
  staged_assignment = {};
  staged_examples = 0;
}

Bytes ParticipantState::Save() const {
  Bytes out(std::begin(kMagic), std::end(kMagic));
  AppendLE(out, kVersion);
  out.insert(out.end(), device.seed.begin(), device.seed.end());
  AppendLE(out, rounds_counted);
  AppendLE(out, examples_counted);
  out.insert(out.end(), staged_assignment.begin(), staged_assignment.end());
  AppendLE(out, staged_examples);
  const Digest check = Blake2b(out);
  out.insert(out.end(), check.begin(), check.end());
  return out;
}

Result<ParticipantState> ParticipantState::Load(ByteSpan bytes) {
  if (bytes.size() < 8 || !std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin()))
    return Fail(Code::kData, "participant state: found ", bytes.size(),
                " bytes that do not start with \"LNPS\"");
  const uint32_t version = LoadLE<uint32_t>(bytes.data() + 4);
  if (version != kVersion)
    return Fail(Code::kVersion, "participant state: found version ", version, ", wanted ",
                kVersion);
  if (bytes.size() != kSize)
    return Fail(Code::kData, "participant state: found ", bytes.size(), " bytes, wanted ", kSize);
  const Digest check = Blake2b(bytes.first(kSize - 32));
  if (!ConstantTimeEqual(check, bytes.last(32)))
    return Fail(Code::kData, "participant state: its check does not fit, the file is damaged");
  ParticipantState state;
  Seed seed;
  const uint8_t* at = bytes.data() + 8;
  std::copy_n(at, seed.size(), seed.begin());
  state.device = SigningKey::FromSeed(seed);
  state.rounds_counted = LoadLE<uint64_t>(at + 32);
  state.examples_counted = LoadLE<uint64_t>(at + 40);
  std::copy_n(at + 48, state.staged_assignment.size(), state.staged_assignment.begin());
  state.staged_examples = LoadLE<uint64_t>(at + 64);
  return state;
}

}  // namespace linnet
