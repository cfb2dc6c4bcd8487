// linnet model prune: weights that are zero.
#include "model/compress_train.h"
#include "native/cli/model.h"
#include "native/cli/model_measure.h"
#include "native/cli/setup.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

Pruning PruningNamed(const std::string& name) {
  if (name == "layer") return Pruning::kLayer;
  if (name == "2:4") return Pruning::kTwoOfFour;
  if (name == "block") return Pruning::kBlock;
  return Pruning::kGlobal;
}

}  // namespace

Result<int> Run(const PruneCommand& command) {
  constexpr size_t kBatch = 32;
  Output output(command.json);
  LINNET_TRY(const Model model, OpenModel(command.model));
  LINNET_TRY(const TrainTest data, OpenLabelled(command.data, command.scale, model.graph));
  const Dataset& test = data.test != nullptr ? *data.test : *data.train;
  LINNET_TRY(const Measured before, MeasureModel(model, test));

  ShuffledBatches batches(*data.train, kBatch, command.seed);
  const uint64_t steps = batches.per_epoch() * command.epochs;
  PruningTrainer::Options pruning;
  pruning.pruning = PruningNamed(command.pruning);
  pruning.sparsity = command.sparsity;
  // The last third of the training is for the weights that are left.
  pruning.steps = steps * 2 / 3;
  TrainOptions options;
  options.optimizer = TrainOptions::Optimizer::kMomentum;
  options.learning_rate = command.learning_rate;
  Model pruned = model;
  if (steps > 0) {
    LINNET_TRY(const auto trainer,
               PruningTrainer::Create(model, pruning, options, kBatch, BestKernels()));
    LINNET_TRY_STATUS(RunSteps(output, "training", steps, [&] {
      const size_t batch = batches.Next();
      return trainer->Step(batches.x(), batches.y(), batch);
    }));
    pruned = trainer->model();
  } else {
    ApplyMask(PruneMask(model.graph, model.parameters, pruning.pruning, pruning.sparsity),
              pruned.parameters);
  }
  LINNET_TRY(const Measured after, MeasureSparse(pruned, test));
  const double sparsity = Sparsity(pruned.graph, pruned.parameters);
  PrintComparison(output,
                  StrCat(model.graph.name, " with ", Percent(sparsity), " of the weights zero (",
                         command.pruning, ")"),
                  before, after,
                  {{"model", model.graph.name},
                   {"pruning", command.pruning},
                   {"sparsity", sparsity},
                   {"epochs", command.epochs}});
  if (!command.output.empty()) {
    LINNET_TRY_STATUS(ReplaceFile(command.output, SaveModel(pruned)));
    output.Line(StrCat("  saved as ", command.output));
  }
  return 0;
}

}  // namespace linnet
