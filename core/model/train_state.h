// A training that was stopped: what the steps to come depend on.
#ifndef LINNET_MODEL_TRAIN_STATE_H_
#define LINNET_MODEL_TRAIN_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace linnet {

// With the graph, the options, the dropout seed and the data it decides every bit of the next step.
struct TrainState {
  uint64_t steps = 0;             // made so far
  std::vector<float> parameters;  // in layout order, as are
  std::vector<float> first;       // the velocity or first moments; empty for plain SGD
  std::vector<float> second;      // the second moments of Adam; else empty
  std::string note;               // the caller's, kept with it
  friend bool operator==(const TrainState&, const TrainState&) = default;
};

// A file of its own: little-endian, one state, one byte string.
Bytes SaveTrainState(const TrainState& state);
// kData for malformed or truncated bytes and values that are not finite.
Result<TrainState> LoadTrainState(ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_MODEL_TRAIN_STATE_H_
