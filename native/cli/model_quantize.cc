// linnet model quantize: weights of 8 or 4 bits.
#include <numeric>

#include "model/compress_train.h"
#include "native/cli/model.h"
#include "native/cli/model_measure.h"
#include "native/cli/setup.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

Result<Model> TrainQuantized(Output& output, const Model& model, const Dataset& data,
                             const QuantizeCommand& command) {
  constexpr size_t kBatch = 32;
  ShuffledBatches batches(data, kBatch, command.seed);
  TrainOptions options;
  options.optimizer = TrainOptions::Optimizer::kMomentum;
  options.learning_rate = command.learning_rate;
  LINNET_TRY(const auto trainer, QuantizedTrainer::Create(model, options, kBatch, BestKernels(),
                                                          command.bits == 4 ? WeightFormat::kInt4
                                                                            : WeightFormat::kInt8));
  LINNET_TRY_STATUS(RunSteps(output, "training", batches.per_epoch() * command.epochs, [&] {
    const size_t batch = batches.Next();
    return trainer->Step(batches.x(), batches.y(), batch);
  }));
  return trainer->model();
}

}  // namespace

Result<int> Run(const QuantizeCommand& command) {
  Output output(command.json);
  LINNET_TRY(const Model model, OpenModel(command.model));
  LINNET_TRY(const TrainTest data, OpenLabelled(command.data, command.scale, model.graph));
  const Dataset& test = data.test != nullptr ? *data.test : *data.train;
  LINNET_TRY(const Measured before, MeasureModel(model, test));

  Model trained = model;
  if (command.epochs > 0) {
    LINNET_TRY(trained, TrainQuantized(output, model, *data.train, command));
  }
  Result<QuantizedModel> made = Fail(Code::kInternal, "");
  if (command.bits == 4) {
    made = QuantizeInt4(trained);
  } else {
    const Calibration calibration = command.calibration == "percentile" ? Calibration::kPercentile
                                    : command.calibration == "error"    ? Calibration::kMinError
                                                                        : Calibration::kBetter;
    made = QuantizeInt8(trained, CalibrationExamples(*data.train, command.examples), calibration,
                        BestKernels());
  }
  if (!made) return Annotate(made.error(), command.model);
  LINNET_TRY(const Measured after, MeasureQuantized(*made, test));
  const std::string form =
      command.bits == 4
          ? std::string(" with weights of 4 bits")
          : StrCat(" in 8 bits, ranges from ",
                   std::min<size_t>(command.examples, data.train->size()), " examples");
  const std::string title =
      StrCat(model.graph.name, form,
             command.epochs > 0 ? StrCat(", trained for ", command.epochs, " epochs") : "");
  PrintComparison(
      output, title, before, after,
      {{"model", model.graph.name}, {"bits", command.bits}, {"epochs", command.epochs}});
  if (!command.output.empty()) {
    LINNET_TRY_STATUS(ReplaceFile(command.output, SaveQuantizedModel(*made)));
    output.Line(StrCat("  saved as ", command.output));
  }
  return 0;
}

}  // namespace linnet
