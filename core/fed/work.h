// Training and evaluating as values (see machine.h).
#ifndef LINNET_FED_WORK_H_
#define LINNET_FED_WORK_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "codec/codec.h"
#include "data/batches.h"
#include "data/dataset.h"
#include "fed/client_task.h"
#include "fed/local_training.h"
#include "fed/machine.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/train.h"
#include "wire/messages.h"

namespace linnet {

class EvaluateWork;

// What a participant trains for itself beside its update (Federation::personalization).
struct PersonalTraining {
  // FedRep (Collins 2021): so many passes with all but the personal tensors frozen come first, the
  // settings' passes then leave the personal ones as they are. 0: all are trained together.
  uint32_t head_epochs = 0;
  // Ditto (Li 2021): a model v of the participant's own, v -= lr (g(v) + lambda (v - w)), w the
  // round's model, for the settings' passes. 0: none.
  float ditto = 0;
};

// Local training of one assignment: parameters and settings in; new parameters, examples, steps and
// metrics out. Run trains with the built-in engine on `train`; a host with its own training fills
// the outputs instead and calls Finish.
class TrainWork : public Work {
 public:
  TrainWork();
  ~TrainWork() override;

  // ---- in
  std::shared_ptr<const Model> base;
  TrainSettings settings;
  CodecSpec codec;
  CodecSeed codec_seed;
  Seed shuffle_seed{};
  float max_abs = 64;
  uint64_t max_examples = 0;
  DataView train;
  uint64_t round = 0;
  AssignmentId assignment{};
  const Kernels* kernels = nullptr;
  Executor* executor = nullptr;  // null: this thread; changes no bit
  bool hold = false;  // Run ends with `parameters`: Finish is the driver's, who looks at them first
  // What the strategy wants beside, and what travels (of the whole model when not set).
  ClientTask task;
  std::optional<UpdateLayout> layout;
  std::vector<float> downlink;  // scaffold: c, a value per travelling weight
  std::vector<float> control;   // scaffold: c_k, dyn: h_k; empty: zeros
  // A whole parameter vector, empty at first: the personal tensors of it are used; Ditto: all.
  std::vector<float> personal;
  PersonalTraining own;
  // ---- out
  std::vector<float> next_control;   // what `control` is once the update counted
  std::vector<float> next_personal;  // and `personal`
  std::vector<float> parameters;     // trained, layout order
  uint64_t examples = 0, steps = 0;
  double loss_before = 0, loss_after = 0, train_seconds = 0;  // NaN = unknown
  Bytes encoded;  // the update: codec(parameters - base)
  Status status;

  Kind kind() const override { return Kind::kTrain; }
  bool Run(size_t max_steps) override;
  double Cost() const override;
  // After `parameters`, `examples` and `steps` are set from outside: checks and encodes.
  void Finish();
  // Before training: makes start() and terms() of what came in. Run calls it; a host with its own
  // training that wants more than sgd calls it and does what they say. kInvalid.
  Status Prepare();
  // The parameters to start from: the base, with the participant's own where tensors do not travel.
  std::span<const float> start() const { return start_; }
  // What the strategy's algorithm adds to each gradient (options.h), with Options().proximal.
  const GradientTerms& terms() const { return terms_; }
  // With the engine's options: what the strategy's algorithm makes of them.
  static Result<TrainOptions> Options(const TrainSettings& settings, const ClientTask& task);
  // Examples trained so far over all epochs, and how many in all: for progress.
  double progress() const;

 private:
  // In this order; not every training has all.
  enum class Stage : uint8_t { kHead, kShared, kOwn };

  Status Begin();
  Status BeginStage(Stage stage);
  // Takes what the stage has trained and begins the next one, if any.
  Status EndStage();
  // The values behind the encoded weights, and what the participant keeps.
  Status FinishExtras(std::span<const float> delta);
  double Passes() const;  // of all stages

  bool begun_ = false;
  Stage stage_ = Stage::kShared;
  std::unique_ptr<LocalTraining> training_;  // of the stage
  double passes_done_ = 0;                   // by earlier stages
  DataView rows_;                            // of `train`, at most max_examples
  std::vector<float> start_, constant_;      // whole parameter vectors
  GradientTerms terms_;
  std::unique_ptr<EvaluateWork> before_;
  double loss_at_start_ = std::numeric_limits<double>::quiet_NaN();
};

// Metrics of a model on rows of data.
class EvaluateWork : public Work {
 public:
  std::shared_ptr<const Model> model;
  DataView data;
  uint64_t round = 0;
  const Kernels* kernels = nullptr;
  Executor* executor = nullptr;  // null: this thread; changes no bit
  Metrics metrics;
  Status status;

  Kind kind() const override { return Kind::kEvaluate; }
  bool Run(size_t max_steps) override;
  double Cost() const override;

 private:
  Status Begin();
  std::unique_ptr<Predictor> predictor_;
  std::optional<Batches> batches_;
  std::vector<float> outputs_;
};

// The rows of `all` that stay out of training for federated evaluation: a tenth (at least one where
// there are two rows), fixed by the seed. The rest is moved to `train`.
void SplitHoldout(const DataView& all, const Seed& seed, DataView& train, DataView& holdout);

// What the participants of a round are told: a schedule by round (counted from 1) has become part
// of the learning rate.
TrainSettings TrainOfRound(const TrainSettings& settings, uint64_t round);

// The optimizer's options of `settings`; kUnsupported names an unknown optimizer or client.
Result<TrainOptions> MakeTrainOptions(const TrainSettings& settings);

}  // namespace linnet

#endif  // LINNET_FED_WORK_H_
