#include "data/batches.h"

#include <algorithm>

#include "base/random.h"

namespace linnet {

Batches::Batches(DataView view, size_t batch, std::optional<Seed> seed)
    : view_(std::move(view)), batch_(std::min(batch, view_.rows.size())), seed_(seed) {
  LINNET_CHECK(batch_ > 0);
  const Dataset& data = *view_.data;
  x_.resize(batch_ * data.features());
  labels_.resize(batch_ * data.LabelsPerRow());
  targets_.resize(batch_ * data.TargetsPerRow());
}

std::span<const uint32_t> Batches::Advance() {
  if (position_ == 0 && seed_) RandomStream(*seed_, pass_).Shuffle(std::span(view_.rows));
  const size_t size = std::min(batch_, view_.rows.size() - position_);
  const std::span<const uint32_t> rows = std::span(view_.rows).subspan(position_, size);
  position_ += size;
  if (position_ == view_.rows.size()) {
    position_ = 0;
    ++pass_;
  }
  return rows;
}

void Batches::Skip(uint64_t batches) {
  for (uint64_t i = 0; i < batches; ++i) Advance();
}

Batch Batches::Next() {
  const Dataset& data = *view_.data;
  const std::span<const uint32_t> rows = Advance();
  data.Gather(rows, x_.data(), labels_.data());
  const size_t per_row = data.TargetsPerRow();
  for (size_t i = 0; i < rows.size() && per_row > 0; ++i) {
    const float* target = data.targets.data() + rows[i] * per_row;
    std::copy(target, target + per_row, targets_.data() + i * per_row);
  }
  return {x_.data(), labels_.empty() ? nullptr : labels_.data(),
          targets_.empty() ? x_.data() : targets_.data(), rows.size()};
}

}  // namespace linnet
