// Passes over a participant's data with one optimizer: of one or several of these an assignment's
// training consists.
#ifndef LINNET_FED_LOCAL_TRAINING_H_
#define LINNET_FED_LOCAL_TRAINING_H_

#include <cstdint>
#include <memory>
#include <span>

#include "base/executor.h"
#include "data/batches.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/train.h"

namespace linnet {

class LocalTraining {
 public:
  struct Task {
    Graph graph;  // what is frozen in it stays
    TrainOptions options;
    GradientTerms terms;  // the caller's memory, until the end
    std::span<const float> start;
    DataView rows;
    size_t batch_size = 1;
    Seed shuffle{};
    uint64_t epochs = 1, max_steps = 0;  // 0: no limit
    const Kernels* kernels = nullptr;
    Executor* executor = nullptr;
  };
  // As Trainer::Create.
  static Result<std::unique_ptr<LocalTraining>> Create(Task task);

  // At most so many steps; false: that was the last one.
  bool Run(size_t max_steps);
  std::span<const float> parameters() const { return trainer_->parameters(); }
  uint64_t steps() const { return steps_; }
  // The mean loss of the first pass: the model was changing, but every example counted once. Of the
  // steps there were, when they were fewer than a pass; NaN before the first.
  double first_loss() const;
  double last_loss() const { return last_loss_; }
  // Done, with the share of the one under way.
  double passes() const;

 private:
  LocalTraining(Task task);

  Task task_;
  Batches batches_;
  std::unique_ptr<Trainer> trainer_;
  uint64_t steps_ = 0;
  double loss_sum_ = 0, last_loss_ = 0;
};

}  // namespace linnet

#endif  // LINNET_FED_LOCAL_TRAINING_H_
