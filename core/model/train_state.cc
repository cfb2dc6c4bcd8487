// The file of a training state, version 1. All integers are little-endian.
//
//   offset  0  8 bytes  magic
//           8  u32      version
//          12  u32      bytes of the note, which starts at 64
//          16  u64      steps
//          24  u64      parameters
//          32  u64      values of `first`
//          40  u64      values of `second`
//          48  16 bytes zero
//   the note, zeros up to a multiple of 64, then f32 parameters, first and second.
#include "model/train_state.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/aligned.h"

namespace linnet {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {0xec, 'L', 'N', 'S', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;

uint64_t FloatsBegin(uint64_t note_bytes) {
  return (kHeaderBytes + note_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Result<TrainState> Decode(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes || !std::ranges::equal(bytes.first(kMagic.size()), kMagic)) {
    return Fail(Code::kData, "it does not start as the state of a training does");
  }
  if (const auto version = LoadLE<uint32_t>(&bytes[8]); version != kVersion) {
    return Fail(Code::kVersion, "it has format version ", version, ", wanted ", kVersion);
  }
  TrainState state;
  const auto note_bytes = LoadLE<uint32_t>(&bytes[12]);
  state.steps = LoadLE<uint64_t>(&bytes[16]);
  const uint64_t begin = FloatsBegin(note_bytes);
  uint64_t wanted = begin;
  std::vector<float>* const lists[] = {&state.parameters, &state.first, &state.second};
  uint64_t counts[3];
  for (size_t i = 0; i < 3; ++i) {
    counts[i] = LoadLE<uint64_t>(&bytes[24 + 8 * i]);
    if (counts[i] > bytes.size() / sizeof(float)) wanted = bytes.size() + 1;
    wanted += sizeof(float) * std::min<uint64_t>(counts[i], bytes.size());
  }
  if (wanted != bytes.size()) {
    return Fail(Code::kData, "it has ", bytes.size(), " bytes, which is not what its header says");
  }
  state.note.assign(reinterpret_cast<const char*>(bytes.data()) + kHeaderBytes, note_bytes);
  const uint8_t* at = bytes.data() + begin;
  for (size_t i = 0; i < 3; ++i) {
    lists[i]->resize(counts[i]);
    if (counts[i] > 0) std::memcpy(lists[i]->data(), at, counts[i] * sizeof(float));
    at += counts[i] * sizeof(float);
    if (!std::ranges::all_of(*lists[i], [](float value) { return std::isfinite(value); })) {
      return Fail(Code::kData, "it has a value that is not finite");
    }
  }
  if (!std::ranges::equal(SaveTrainState(state), bytes)) {
    return Fail(Code::kData, "its bytes are not those that saving its state gives");
  }
  return state;
}

}  // namespace

Bytes SaveTrainState(const TrainState& state) {
  Bytes out(FloatsBegin(state.note.size()));
  std::ranges::copy(kMagic, out.begin());
  StoreLE<uint32_t>(&out[8], kVersion);
  StoreLE<uint32_t>(&out[12], static_cast<uint32_t>(state.note.size()));
  StoreLE<uint64_t>(&out[16], state.steps);
  StoreLE<uint64_t>(&out[24], state.parameters.size());
  StoreLE<uint64_t>(&out[32], state.first.size());
  StoreLE<uint64_t>(&out[40], state.second.size());
  std::ranges::copy(state.note, out.begin() + kHeaderBytes);
  for (const std::vector<float>* list : {&state.parameters, &state.first, &state.second}) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(list->data());
    out.insert(out.end(), bytes, bytes + list->size() * sizeof(float));
  }
  return out;
}

Result<TrainState> LoadTrainState(ByteSpan bytes) {
  Result<TrainState> state = Decode(bytes);
  if (!state) return Annotate(state.error(), "the state of the training");
  return state;
}

}  // namespace linnet
