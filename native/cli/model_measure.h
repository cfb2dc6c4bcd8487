// A model's size, accuracy and latency, before and after it was made smaller.
#ifndef LINNET_NATIVE_CLI_MODEL_MEASURE_H_
#define LINNET_NATIVE_CLI_MODEL_MEASURE_H_

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "model/quantize.h"
#include "native/cli/output.h"
#include "native/cli/predict.h"
#include "native/data/source.h"

namespace linnet {

inline constexpr size_t kMeasureBatch = 32;

struct Measured {
  uint64_t file_bytes = 0, weight_bytes = 0;
  double accuracy = 0;
  double batch1_seconds = 0, batch32_seconds = 0;  // of one call, the fastest of ten
};

// Accuracy on all of `data`; each batch is timed with a predictor made for it.
Result<Measured> MeasureModel(const Model& model, const Dataset& data);
Result<Measured> MeasureQuantized(const QuantizedModel& model, const Dataset& data);
// With weights in the sparse forms that are fastest.
Result<Measured> MeasureSparse(const Model& model, const Dataset& data);

// Opens a source and scales it; kInvalid unless it is what the model takes, with a class label for
// each row of the model's output.
Result<TrainTest> OpenLabelled(const std::string& source, const std::string& scale,
                               const Graph& graph);

// Scaled examples spread evenly over the data, at most `count`.
std::vector<float> CalibrationExamples(const Dataset& data, size_t count);

// Draws batches from shuffled data, epoch after epoch.
class ShuffledBatches {
 public:
  ShuffledBatches(const Dataset& data, size_t batch, uint64_t seed);
  uint64_t per_epoch() const { return (order_.size() + batch_ - 1) / batch_; }
  // The number of examples in the batch.
  size_t Next();
  const float* x() const { return x_.data(); }
  const int32_t* y() const { return y_.data(); }

 private:
  const Dataset& data_;
  const size_t batch_;
  uint64_t seed_, epoch_ = 0;
  std::vector<uint32_t> order_;
  size_t at_ = 0;
  std::vector<float> x_;
  std::vector<int32_t> y_;
};

// Calls step() for each of the steps with a live line of their progress and mean loss. kData when a
// loss is not finite.
Status RunSteps(Output& output, std::string_view what, uint64_t steps,
                const std::function<double()>& step);

struct ComparisonNames {
  std::string before = "before", after = "after";
};
// A table of both and their ratio, or the object {.., "before": {..}, "after": {..}}.
void PrintComparison(Output& output, const std::string& title, const Measured& before,
                     const Measured& after, std::vector<std::pair<std::string, Json>> extra,
                     const ComparisonNames& names = {});

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_MODEL_MEASURE_H_
