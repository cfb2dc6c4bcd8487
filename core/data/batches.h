// Batches of a data set, pass after pass: what training and evaluation loops read.
#ifndef LINNET_DATA_BATCHES_H_
#define LINNET_DATA_BATCHES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/crypto.h"
#include "data/dataset.h"

namespace linnet {

struct Batch {
  const float* x;         // [size, features]
  const int32_t* labels;  // [size, LabelsPerRow()]; null when the data has none
  const float* targets;   // [size, TargetsPerRow()]; x itself when the data has none
  size_t size;
};

// One owner; holds one batch. A pass ends with a smaller batch where the rows do not divide.
class Batches {
 public:
  // The rows of `view` (at least one), 1 <= batch rows at a time: in an order drawn anew for each
  // pass from stream `pass` of the seed, or in their own order without a seed.
  Batches(DataView view, size_t batch, std::optional<Seed> seed);

  // Good until the next call.
  Batch Next();
  // As so many calls of Next, without reading a row.
  void Skip(uint64_t batches);
  // Passes that have ended, and rows given of the current one.
  uint64_t pass() const { return pass_; }
  size_t position() const { return position_; }
  size_t rows() const { return view_.rows.size(); }
  size_t batch() const { return batch_; }

 private:
  // The rows of the next batch.
  std::span<const uint32_t> Advance();

  DataView view_;
  size_t batch_;
  std::optional<Seed> seed_;
  std::vector<float> x_, targets_;
  std::vector<int32_t> labels_;
  uint64_t pass_ = 0;
  size_t position_ = 0;
};

}  // namespace linnet

#endif  // LINNET_DATA_BATCHES_H_
