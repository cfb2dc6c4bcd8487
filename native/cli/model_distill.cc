// linnet model distill: a small model that learns from a large one.
#include <numeric>

#include "model/cost.h"
#include "model/distill.h"
#include "native/cli/model.h"
#include "native/cli/model_measure.h"
#include "native/cli/setup.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

Result<uint64_t> Flops(const Graph& graph) {
  LINNET_TRY(const std::vector<uint64_t> nodes, CountFlops(graph));
  return std::accumulate(nodes.begin(), nodes.end(), uint64_t{0});
}

// What the student is trained on: the training part of the unlabelled source if there is one,
// scaled as that of the labelled.
Result<std::shared_ptr<const Dataset>> TrainingData(const DistillCommand& command,
                                                    const TrainTest& labelled) {
  if (command.unlabelled.empty()) return std::shared_ptr<const Dataset>(labelled.train);
  LINNET_TRY(const TrainTest parts, OpenSource(command.unlabelled));
  Dataset& data = *parts.train;
  if (data.size() == 0 || data.text_step > 0 || data.features() != labelled.train->features()) {
    return Fail(Code::kInvalid, data.source, " has ", data.size(), " rows of ", data.features(),
                " features, wanted rows of ", labelled.train->features(), " as in ",
                labelled.train->source);
  }
  CopyScaling(*labelled.train, data);
  return std::shared_ptr<const Dataset>(parts.train);
}

}  // namespace

Result<int> Run(const DistillCommand& command) {
  constexpr size_t kBatch = 32;
  Output output(command.json);
  LINNET_TRY(const Model teacher, OpenModel(command.model));
  LINNET_TRY(const Model begin, OpenModel(command.student));
  LINNET_TRY(const TrainTest labelled, OpenLabelled(command.data, command.scale, teacher.graph));
  LINNET_TRY(const std::shared_ptr<const Dataset> data, TrainingData(command, labelled));
  const Dataset& test = labelled.test != nullptr ? *labelled.test : *labelled.train;
  const bool uses_labels = command.unlabelled.empty() && command.label_weight > 0;

  TrainOptions options;
  options.optimizer = TrainOptions::Optimizer::kAdam;
  options.learning_rate = command.learning_rate;
  const DistillOptions distill = {.temperature = command.temperature,
                                  .label_weight = command.label_weight};
  LINNET_TRY(const auto distiller,
             Distiller::Create(teacher, begin, distill, options, kBatch, BestKernels()));
  LINNET_TRY(const Measured before, MeasureModel(teacher, test));
  ShuffledBatches batches(*data, kBatch, command.seed);
  LINNET_TRY_STATUS(RunSteps(output, "training", batches.per_epoch() * command.epochs, [&] {
    const size_t batch = batches.Next();
    return distiller->Step(batches.x(), uses_labels ? batches.y() : nullptr, batch);
  }));
  const Model student = distiller->student();
  LINNET_TRY(const Measured after, MeasureModel(student, test));
  LINNET_TRY(const uint64_t teacher_flops, Flops(teacher.graph));
  LINNET_TRY(const uint64_t student_flops, Flops(student.graph));
  const double ratio = static_cast<double>(teacher_flops) / static_cast<double>(student_flops);
  PrintComparison(output,
                  StrCat(student.graph.name, " after ", teacher.graph.name, ", which computes ",
                         Fixed(ratio, 1), " times as much; ", command.epochs,
                         command.epochs == 1 ? " epoch on " : " epochs on ", data->size(),
                         uses_labels ? "" : " unlabelled", " examples"),
                  before, after,
                  {{"teacherModel", teacher.graph.name},
                   {"studentModel", student.graph.name},
                   {"teacherFlops", teacher_flops},
                   {"studentFlops", student_flops},
                   {"labels", uses_labels},
                   {"epochs", command.epochs}},
                  {.before = "teacher", .after = "student"});
  if (!command.output.empty()) {
    LINNET_TRY_STATUS(ReplaceFile(command.output, SaveModel(student)));
    output.Line(StrCat("  saved as ", command.output));
  }
  return 0;
}

}  // namespace linnet
