#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace linnet {
namespace {

constexpr double kDeviationFloor = 1e-6;

// Adds the rows of `raw` feature by feature in row order: the sums are the same on every target.
template <typename T>
struct FeatureStatistics {
  std::vector<double> mean, deviation, low, high;

  FeatureStatistics(const std::vector<T>& raw, size_t features)
      : mean(features), deviation(features), low(features), high(features) {
    const size_t rows = raw.size() / features;
    if (rows == 0) return;
    for (size_t j = 0; j < features; ++j) low[j] = high[j] = raw[j];
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < features; ++j) {
        const double value = raw[i * features + j];
        mean[j] += value;
        low[j] = std::min(low[j], value);
        high[j] = std::max(high[j], value);
      }
    }
    for (double& m : mean) m /= static_cast<double>(rows);
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < features; ++j) {
        const double d = raw[i * features + j] - mean[j];
        deviation[j] += d * d;
      }
    }
    for (double& d : deviation) d = std::sqrt(d / static_cast<double>(rows));
  }
};

template <typename T>
void ScaleByRange(const std::vector<T>& raw, size_t features, Dataset& data) {
  const FeatureStatistics<T> statistics(raw, features);
  for (size_t j = 0; j < features; ++j) {
    const double range = statistics.high[j] - statistics.low[j];
    const double scale = range > 0 ? 1 / range : 0;
    data.scale[j] = static_cast<float>(scale);
    data.offset[j] = static_cast<float>(-statistics.low[j] * scale);
  }
}

template <typename T>
void ScaleToStandard(const std::vector<T>& raw, size_t features, Dataset& data) {
  const FeatureStatistics<T> statistics(raw, features);
  for (size_t j = 0; j < features; ++j) {
    const double range = statistics.high[j] - statistics.low[j];
    // 1 / 1e-6 would turn the smallest change of a constant feature elsewhere into a huge value.
    const double scale =
        range > 0 ? 1 / std::max(statistics.deviation[j], kDeviationFloor * range) : 0;
    data.scale[j] = static_cast<float>(scale);
    data.offset[j] = static_cast<float>(-statistics.mean[j] * scale);
  }
}

template <typename T>
void GatherRows(const Dataset& data, const std::vector<T>& raw, std::span<const uint32_t> indices,
                float* x) {
  const size_t features = data.features();
  const float* scale = data.scale.data();
  const float* offset = data.offset.data();
  const bool one_for_all = data.scale.size() == 1;
  const size_t step = data.text_step > 0 ? data.text_step : features;
  for (const uint32_t index : indices) {
    const T* row = raw.data() + index * step;
    if (one_for_all) {
      const float s = scale[0], o = offset[0];
      for (size_t j = 0; j < features; ++j) x[j] = static_cast<float>(row[j]) * s + o;
    } else {
      for (size_t j = 0; j < features; ++j)
        x[j] = static_cast<float>(row[j]) * scale[j] + offset[j];
    }
    x += features;
  }
}

}  // namespace

size_t Dataset::features() const {
  return std::accumulate(shape.begin(), shape.end(), size_t{1},
                         [](size_t product, uint32_t extent) { return product * extent; });
}

size_t Dataset::size() const {
  if (!labels.empty()) return labels.size();
  const size_t row = features(), elements = u8.size() + f32.size();
  if (text_step > 0) return elements <= row ? 0 : (elements - 1 - row) / text_step + 1;
  return row == 0 ? 0 : elements / row;
}

size_t Dataset::LabelsPerRow() const {
  if (text_step > 0) return features();
  return labels.empty() ? 0 : 1;
}

void Dataset::Gather(std::span<const uint32_t> indices, float* x, int32_t* y) const {
  LINNET_CHECK_MSG(
      scale.size() == offset.size() && (scale.size() == 1 || scale.size() == features()),
      "SetScaling comes before Gather");
  const size_t rows = size(), per_row = LabelsPerRow();
  LINNET_CHECK(u8.empty() || f32.empty());
  LINNET_CHECK(text_step > 0 || u8.size() + f32.size() == rows * features());
  for (size_t i = 0; i < indices.size(); ++i) {
    LINNET_CHECK(indices[i] < rows);
    if (text_step > 0) {
      const uint8_t* next = u8.data() + indices[i] * text_step + 1;
      std::copy(next, next + per_row, y + i * per_row);
    } else if (per_row == 1) {
      y[i] = labels[indices[i]];
    }
  }
  if (!u8.empty()) {
    GatherRows(*this, u8, indices, x);
  } else {
    GatherRows(*this, f32, indices, x);
  }
}

void SetScaling(Dataset& data, Scaling scaling) {
  const size_t features = data.features();
  const bool as_it_is = scaling == Scaling::kNone || data.text_step > 0;
  if (as_it_is || (scaling == Scaling::kUnit && data.f32.empty())) {
    data.scale = {as_it_is ? 1.0f : 1.0f / 255};
    data.offset = {0.0f};
    return;
  }
  data.scale.assign(features, 1.0f);
  data.offset.assign(features, 0.0f);
  if (scaling == Scaling::kUnit) {
    ScaleByRange(data.f32, features, data);
  } else if (data.f32.empty()) {
    ScaleToStandard(data.u8, features, data);
  } else {
    ScaleToStandard(data.f32, features, data);
  }
}

Status SetFixedScaling(Dataset& data, std::span<const float> mean,
                       std::span<const float> deviation) {
  const size_t features = data.features();
  if (mean.size() != deviation.size() || (mean.size() != 1 && mean.size() != features))
    return Fail(Code::kInvalid, "data.mean and data.deviation have ", mean.size(), " and ",
                deviation.size(), " values, wanted 1 or ", features, " (the features) in both");
  if (data.text_step > 0)
    return Fail(Code::kInvalid, "data.mean and data.deviation are given, a text has neither");
  std::vector<float> scale(mean.size()), offset(mean.size());
  for (size_t j = 0; j < mean.size(); ++j) {
    scale[j] = 1.0f / deviation[j];
    offset[j] = -mean[j] * scale[j];
    if (!(deviation[j] > 0) || !std::isfinite(scale[j]) || !std::isfinite(offset[j]))
      return Fail(Code::kInvalid, "data.mean and data.deviation of feature ", j, ": found ",
                  mean[j], " and ", deviation[j],
                  ", wanted finite numbers and a deviation above 0");
  }
  data.scale = std::move(scale);
  data.offset = std::move(offset);
  return {};
}

void CopyScaling(const Dataset& from, Dataset& to) {
  LINNET_CHECK(from.features() == to.features());
  to.scale = from.scale;
  to.offset = from.offset;
}

DataView WholeView(std::shared_ptr<const Dataset> data) {
  DataView view;
  view.rows.resize(data->size());
  std::iota(view.rows.begin(), view.rows.end(), 0u);
  view.data = std::move(data);
  return view;
}

}  // namespace linnet
