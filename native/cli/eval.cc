// linnet eval: a model's score on data.
#include <chrono>

#include "kernels/pool.h"
#include "native/cli/command_line.h"
#include "native/cli/learn.h"
#include "native/cli/output.h"
#include "native/cli/predict.h"
#include "native/cli/setup.h"

namespace linnet {

Result<int> Run(const EvalCommand& command) {
  Output output(command.json);
  LINNET_TRY(const AnyModel model, LoadAnyModelFile(command.model));
  Federation as;  // the scaling as a federation would tell it
  as.scale = ParseScaling(command.scale);
  LINNET_TRY(const TrainTest parts, OpenScaled(command.data, as));
  const auto& data = parts.test && !command.train_part ? parts.test : parts.train;
  const auto pool = MakePool(command.threads);
  const auto begin = std::chrono::steady_clock::now();
  LINNET_TRY(const Outcome outcome, Predict(model, data, pool.get()));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  PrintScore(output, GraphOf(model), *data, outcome);
  output.Line(output.Dim(StrCat("  ", DescribeModel(GraphOf(model)), ", ",
                                Fixed(double(data->size()) / seconds, 0), " examples/s")));
  return kExitGood;
}

}  // namespace linnet
