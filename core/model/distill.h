// A small model that learns from a large one (Hinton, Vinyals and Dean 2015).
#ifndef LINNET_MODEL_DISTILL_H_
#define LINNET_MODEL_DISTILL_H_

#include <memory>
#include <vector>

#include "model/train.h"

namespace linnet {

struct DistillOptions {
  float temperature = 4;      // > 0: higher shows more of what the teacher thinks of wrong classes
  float label_weight = 0.1f;  // a, [0, 1]: the share of the labels' loss; 0 without labels
};

// The sum over rows of a CE(labels, student) + (1 - a) T^2 KL(softmax(teacher / T), softmax(student
// / T)) in nats, and its gradient by the student's outputs times `scale`. Outputs are [rows,
// classes]; labels may be null, then a = 0.
double DistillationLoss(const DistillOptions& options, const float* teacher, const float* student,
                        const int32_t* labels, size_t rows, size_t classes, float scale,
                        float* gradient);

// Trains a student on the outputs of a teacher, which stays as it is. One owner; not thread-safe.
class Distiller {
 public:
  // Both take the same input and give the same classes, one row for each example; kInvalid says
  // what differs or which option is out of range.
  static Result<std::unique_ptr<Distiller>> Create(const Model& teacher, const Model& student,
                                                   const DistillOptions& distill,
                                                   const TrainOptions& options, size_t max_batch,
                                                   const Kernels& kernels);
  // One step on x[batch, InputCount()]: the mean loss before it. y may be null (unlabelled data).
  double Step(const float* x, const int32_t* y, size_t batch);
  // The student as it is now.
  Model student() const;

 private:
  Distiller(const Model& teacher, const Graph& student, const DistillOptions& options,
            std::unique_ptr<Predictor> predictor, std::unique_ptr<Trainer> trainer,
            size_t max_batch);
  const Model teacher_;
  const Graph graph_;
  const DistillOptions options_;
  std::unique_ptr<Predictor> predictor_;
  std::unique_ptr<Trainer> trainer_;
  std::vector<float> outputs_;  // of the teacher
};

}  // namespace linnet

#endif  // LINNET_MODEL_DISTILL_H_
