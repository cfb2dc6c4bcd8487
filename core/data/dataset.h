// A labelled data set as a value, and views into it.
#ifndef LINNET_DATA_DATASET_H_
#define LINNET_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace linnet {

// How features reach the model (federation key data.scale).
enum class Scaling { kNone, kUnit, kStandard };

// Rows of features with one class label each, or target values, or neither; or a text. Features are
// kept as they came (u8 pixels or f32) and scaled when a batch is gathered: out = raw * scale[j] +
// offset[j].
//
// A text keeps its bytes in u8 once: row i is the window of features() bytes from i * text_step on,
// unscaled, and each of its positions has the byte behind it as its label.
struct Dataset {
  std::vector<uint32_t> shape;       // of one example, e.g. {28, 28, 1}; product = features
  uint32_t classes = 0;              // labels are in [0, classes)
  std::vector<uint8_t> u8;           // rows x features, or empty
  std::vector<float> f32;            // rows x features, or empty (exactly one of the two is used)
  std::vector<int32_t> labels;       // rows, or empty
  std::vector<float> targets;        // rows x values of a regression, or empty
  size_t text_step = 0;              // > 0: a text
  std::vector<float> scale, offset;  // one value for all features, or one per feature
  std::string source;                // for messages: "mnist:DIR (train)"

  size_t size() const;
  size_t features() const;
  // Class labels, and target values, of one row.
  size_t LabelsPerRow() const;
  size_t TargetsPerRow() const { return targets.empty() ? 0 : targets.size() / size(); }
  // Writes the scaled features of the rows named by `indices` to x[indices.size(), features()] and
  // their labels, if there are any, to y[indices.size(), LabelsPerRow()].
  void Gather(std::span<const uint32_t> indices, float* x, int32_t* y) const;
};

// Sets scale and offset: kNone (1, 0), kUnit (u8: 1/255; f32: by each feature's range in `data`),
// kStandard (by each feature's mean and deviation, deviation floored at 1e-6 of the range). A
// feature that is constant in `data` becomes 0 by its range, mean or deviation alike. A text stays
// as it is.
void SetScaling(Dataset& data, Scaling scaling);
// out = (raw - mean[j]) / deviation[j], with one value for all features or one for each: the same
// for every participant of a federation. kInvalid names a wrong count or a deviation that is not
// positive, or a text.
Status SetFixedScaling(Dataset& data, std::span<const float> mean,
                       std::span<const float> deviation);
// Gives `to` the scale and offset of `from` (a test part is scaled as its training part).
void CopyScaling(const Dataset& from, Dataset& to);

// Some rows of a shared data set: what one participant holds.
struct DataView {
  std::shared_ptr<const Dataset> data;
  std::vector<uint32_t> rows;
  size_t size() const { return rows.size(); }
};
// All rows.
DataView WholeView(std::shared_ptr<const Dataset> data);

}  // namespace linnet

#endif  // LINNET_DATA_DATASET_H_
