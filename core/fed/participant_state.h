// What a participant keeps over restarts.
#ifndef LINNET_FED_PARTICIPANT_STATE_H_
#define LINNET_FED_PARTICIPANT_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"

namespace linnet {

// Written by Participant::Persist, given back at the next start. What an assignment would change is
// staged under its id and becomes real only on `counted` or `already counted` (DESIGN section 6).
struct ParticipantState {
  SigningKey device;  // made on first use
  // What was really counted.
  uint64_t rounds_counted = 0, examples_counted = 0;
  // What the strategy keeps here between rounds, by federation and name ("digits/control": c_k or
  // h_k, "digits/personal": the tensors that never leave, or Ditto's own model); at most
  // kMaxValues.
  std::map<std::string, std::vector<float>> values;
  // Staged; staged_examples = 0: nothing.
  AssignmentId staged_assignment{};
  uint64_t staged_examples = 0;
  std::map<std::string, std::vector<float>> staged_values;  // replace those of the same name
  static constexpr size_t kMaxValues = 64;

  // A new device.
  static ParticipantState New();

  void Stage(const AssignmentId& assignment, uint64_t examples,
             std::map<std::string, std::vector<float>> new_values = {});
  // The staged part of this assignment becomes real; false when another or none is staged.
  bool Commit(const AssignmentId& assignment);
  void Discard(const AssignmentId& assignment);

  // "LNPS", version, fields, the values and those staged, BLAKE2b of all that.
  Bytes Save() const;
  // kData (length, magic, check), kVersion.
  static Result<ParticipantState> Load(ByteSpan bytes);
};

}  // namespace linnet

#endif  // LINNET_FED_PARTICIPANT_STATE_H_
