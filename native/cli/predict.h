// A model over a whole data set, and what is shown of it.
#ifndef LINNET_NATIVE_CLI_PREDICT_H_
#define LINNET_NATIVE_CLI_PREDICT_H_

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/executor.h"
#include "data/dataset.h"
#include "model/train.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"

namespace linnet {

struct Outcome {
  Metrics metrics;
  // Of models with one label for each example; else empty.
  std::vector<int32_t> predicted;
  std::vector<float> confidence;  // the probability of the predicted class
};

// outputs[batch, OutputCount()] for x[batch, inputs].
using RunModel = std::function<void(const float* x, size_t batch, float* outputs)>;
// For batches up to `max_batch`; model and executor (null: this thread) must outlive what it gives.
Result<RunModel> MakeRun(const AnyModel& model, size_t max_batch, Executor* executor = nullptr);

// kInvalid when the data does not fit the model. The executor (null: this thread) changes no bit.
Result<Outcome> Predict(const AnyModel& model, std::shared_ptr<const Dataset> data,
                        Executor* executor = nullptr);

// Loss, accuracy where there is one, and the confusion matrix of up to 20 classes.
void PrintScore(Output& output, const Graph& graph, const Dataset& data, const Outcome& outcome);

// The classes in order of falling probability, for one row of logits.
struct Ranked {
  uint32_t index;
  double probability;
};
std::vector<Ranked> Rank(std::span<const float> logits);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_PREDICT_H_
