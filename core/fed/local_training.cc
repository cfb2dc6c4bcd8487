#include "fed/local_training.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "fed/learning.h"

namespace linnet {

LocalTraining::LocalTraining(Task task)
    : task_(std::move(task)), batches_(task_.rows, task_.batch_size, task_.shuffle) {}

Result<std::unique_ptr<LocalTraining>> LocalTraining::Create(Task task) {
  std::unique_ptr<LocalTraining> made(new LocalTraining(std::move(task)));
  const Task& t = made->task_;
  LINNET_TRY(made->trainer_, Trainer::Create(t.graph, t.options, made->batches_.batch(),
                                             t.kernels ? *t.kernels : BestKernels(), t.executor));
  std::ranges::copy(t.start, made->trainer_->parameters().begin());
  made->trainer_->SetTerms(t.terms);
  return made;
}

bool LocalTraining::Run(size_t max_steps) {
  for (size_t step = 0; step < max_steps; ++step) {
    const bool first_pass = batches_.pass() == 0;
    const Batch batch = batches_.Next();
    last_loss_ = StepOn(*trainer_, task_.graph.loss, batch);
    if (first_pass) loss_sum_ += last_loss_ * double(batch.size);
    ++steps_;
    const bool limited = task_.max_steps > 0 && steps_ >= task_.max_steps;
    if (batches_.pass() >= task_.epochs || limited) return false;
  }
  return true;
}

double LocalTraining::first_loss() const {
  const size_t seen = batches_.pass() > 0 ? batches_.rows() : batches_.position();
  return seen > 0 ? loss_sum_ / double(seen) : std::numeric_limits<double>::quiet_NaN();
}

double LocalTraining::passes() const {
  return double(batches_.pass()) + double(batches_.position()) / double(batches_.rows());
}

}  // namespace linnet
