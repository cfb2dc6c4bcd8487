// Where a model meets data: whether they fit, a step on a batch, the score of a batch.
#ifndef LINNET_FED_LEARNING_H_
#define LINNET_FED_LEARNING_H_

#include <cstdint>

#include "data/batches.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/train.h"

namespace linnet {

// What a model may be trained on and scored by. Cross-entropy: one class label for each row of the
// model's output, of at most its classes. Squared error: as many target values as outputs, or
// neither labels nor targets are looked at and the model is to give back its input. kInvalid says
// what the data has and what the model wants.
Status CheckFit(const Graph& graph, const Dataset& data);

// Values of the model's output for one example.
uint64_t OutputCount(const Graph& graph);

// One step on a batch of data that fits; the mean loss before it.
double StepOn(Trainer& trainer, Loss loss, const Batch& batch);

// Adds the metrics of outputs[batch.size, OutputCount()]. An example of a sequence counts once for
// each of its labels; one of squared error counts its mean over the outputs, and is never correct.
void ScoreBatch(const Kernels& kernels, const Graph& graph, const float* outputs,
                const Batch& batch, size_t labels_per_row, Metrics& metrics);

}  // namespace linnet

#endif  // LINNET_FED_LEARNING_H_
