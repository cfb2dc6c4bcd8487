// Training that a smaller model needs: with quantized weights, and while weights go.
#ifndef LINNET_MODEL_COMPRESS_TRAIN_H_
#define LINNET_MODEL_COMPRESS_TRAIN_H_

#include <memory>
#include <vector>

#include "model/optimizer.h"
#include "model/plan.h"
#include "model/prune.h"
#include "model/quantize.h"
#include "model/train.h"

namespace linnet {

// Quantization-aware training (Jacob et al. 2018): the forward pass and the gradient are taken at
// the weights, and in 8 bits also the activations, as their codes keep them; the step is made in
// f32 (straight through). The ranges of activations are those of the newest examples, taken anew
// every hundred steps.
class QuantizedTrainer {
 public:
  // Trains `model`, for kInt8 with its batch norm folded, for kInt4 with rounded weights alone. One
  // owner; not thread-safe. kUnsupported as QuantizeInt8 and for Loss::kMse.
  static Result<std::unique_ptr<QuantizedTrainer>> Create(
      const Model& model, const TrainOptions& options, size_t max_batch, const Kernels& kernels,
      WeightFormat format = WeightFormat::kInt8);
  // As Trainer::Step; not a number when a value of the model is none.
  double Step(const float* x, const int32_t* y, size_t batch);
  // The weights in f32, to be quantized.
  const Model& model() const { return model_; }

 private:
  QuantizedTrainer(Model model, Plan plan, const TrainOptions& options, const Kernels& kernels,
                   WeightFormat format);
  // Keeps the examples, and has codes for activations ready. False: the ranges are not finite.
  bool Calibrate(const float* x, size_t batch);

  const Kernels& kernels_;
  const WeightFormat format_;
  Model model_;
  const Plan plan_;
  Optimizer optimizer_;
  AlignedBuffer<float> rounded_, gradient_;  // parameters as the format keeps them
  AlignedBuffer<std::byte> arena_;
  std::vector<ActivationCode> codes_;
  std::vector<float> examples_;  // the newest, a ring
  size_t next_example_ = 0;
  uint64_t steps_ = 0;
};

// Gradual pruning (Zhu and Gupta 2017): from time to time the smallest weights are taken away, ever
// more by the cubic law, and training goes on with the others.
class PruningTrainer {
 public:
  struct Options {
    Pruning pruning = Pruning::kGlobal;
    double sparsity = 0.8;   // [0, 1)
    uint64_t steps = 1000;   // after so many the sparsity is reached
    uint64_t interval = 50;  // steps from one taking away to the next, at least 1
  };
  static Result<std::unique_ptr<PruningTrainer>> Create(const Model& model, const Options& pruning,
                                                        const TrainOptions& options,
                                                        size_t max_batch, const Kernels& kernels);
  // As Trainer::Step.
  double Step(const float* x, const int32_t* y, size_t batch);
  // What is trained, with its zeros; the full sparsity from `steps` steps on.
  Model model() const;

 private:
  PruningTrainer(const Model& model, const Options& pruning, std::unique_ptr<Trainer> trainer);
  Graph graph_;
  Options pruning_;
  std::unique_ptr<Trainer> trainer_;
  Mask mask_;
  uint64_t step_ = 0;
};

}  // namespace linnet

#endif  // LINNET_MODEL_COMPRESS_TRAIN_H_
