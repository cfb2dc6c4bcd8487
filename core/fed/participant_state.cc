#include "fed/participant_state.h"

#include <algorithm>

namespace linnet {
namespace {

constexpr uint8_t kMagic[4] = {'L', 'N', 'P', 'S'};
// Version 1 had no values.
constexpr uint32_t kVersion = 2;
// magic, version, seed, two counters, staged id, staged examples
constexpr size_t kFixed = 4 + 4 + 32 + 8 + 8 + 16 + 8;
constexpr size_t kCheck = 32;
constexpr size_t kMaxName = 256;

using Values = std::map<std::string, std::vector<float>>;

void Append(Bytes& out, const Values& values) {
  AppendLE(out, uint32_t(values.size()));
  for (const auto& [name, list] : values) {
    AppendLE(out, uint32_t(name.size()));
    out.insert(out.end(), name.begin(), name.end());
    AppendLE(out, uint64_t{list.size()});
    const auto* bytes = reinterpret_cast<const uint8_t*>(list.data());
    out.insert(out.end(), bytes, bytes + list.size() * sizeof(float));
  }
}

// Takes what it reads off `left`; false when that is too short.
bool Take(ByteSpan& left, Values& values) {
  const auto take = [&](size_t n, ByteSpan& part) {
    if (left.size() < n) return false;
    part = left.first(n);
    left = left.subspan(n);
    return true;
  };
  ByteSpan part;
  if (!take(4, part)) return false;
  const uint32_t count = LoadLE<uint32_t>(part.data());
  if (count > ParticipantState::kMaxValues) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!take(4, part)) return false;
    const uint32_t size = LoadLE<uint32_t>(part.data());
    if (size > kMaxName || !take(size, part)) return false;
    std::string name(part.begin(), part.end());
    if (!take(8, part)) return false;
    const uint64_t elements = LoadLE<uint64_t>(part.data());
    if (elements > left.size() / sizeof(float) || !take(elements * sizeof(float), part))
      return false;
    std::vector<float> list(elements);
    std::copy(part.begin(), part.end(), reinterpret_cast<uint8_t*>(list.data()));
    values.emplace(std::move(name), std::move(list));
  }
  return true;
}

}  // namespace

ParticipantState ParticipantState::New() {
  ParticipantState state;
  state.device = SigningKey::Generate();
  return state;
}

void ParticipantState::Stage(const AssignmentId& assignment, uint64_t examples,
                             std::map<std::string, std::vector<float>> new_values) {
  staged_assignment = assignment;
  staged_examples = examples;
  staged_values = std::move(new_values);
}

bool ParticipantState::Commit(const AssignmentId& assignment) {
  if (staged_examples == 0 || staged_assignment != assignment) return false;
  ++rounds_counted;
  examples_counted += staged_examples;
  for (auto& [name, list] : staged_values)
    if (values.contains(name) || values.size() < kMaxValues) values[name] = std::move(list);
  Discard(assignment);
  return true;
}

void ParticipantState::Discard(const AssignmentId& assignment) {
  if (staged_assignment != assignment) return;
  staged_assignment = {};
  staged_examples = 0;
  staged_values.clear();
}

Bytes ParticipantState::Save() const {
  Bytes out(std::begin(kMagic), std::end(kMagic));
  AppendLE(out, kVersion);
  out.insert(out.end(), device.seed.begin(), device.seed.end());
  AppendLE(out, rounds_counted);
  AppendLE(out, examples_counted);
  out.insert(out.end(), staged_assignment.begin(), staged_assignment.end());
  AppendLE(out, staged_examples);
  Append(out, values);
  Append(out, staged_values);
  const Digest check = Blake2b(out);
  out.insert(out.end(), check.begin(), check.end());
  return out;
}

Result<ParticipantState> ParticipantState::Load(ByteSpan bytes) {
  if (bytes.size() < 8 || !std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin()))
    return Fail(Code::kData, "participant state: found ", bytes.size(),
                " bytes that do not start with \"LNPS\"");
  const uint32_t version = LoadLE<uint32_t>(bytes.data() + 4);
  if (version < 1 || version > kVersion)
    return Fail(Code::kVersion, "participant state: found version ", version, ", wanted 1 to ",
                kVersion);
  const size_t least = kFixed + kCheck + (version == 1 ? 0 : 8);
  if (bytes.size() < least || (version == 1 && bytes.size() != least))
    return Fail(Code::kData, "participant state: found ", bytes.size(), " bytes, wanted ",
                version == 1 ? "" : "at least ", least);
  const Digest check = Blake2b(bytes.first(bytes.size() - kCheck));
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
  if (version == 1) return state;
  ByteSpan left = bytes.subspan(kFixed, bytes.size() - kFixed - kCheck);
  if (!Take(left, state.values) || !Take(left, state.staged_values) || !left.empty())
    return Fail(Code::kData, "participant state: its values do not fit its length");
  return state;
}

}  // namespace linnet
