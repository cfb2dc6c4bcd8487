// linnet train, eval and bench: models on this machine, without a federation.
#ifndef LINNET_NATIVE_CLI_LEARN_H_
#define LINNET_NATIVE_CLI_LEARN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace linnet {

// `threads`: workers of a step or a prediction, 0 = one per core; changes no bit.
struct TrainCommand {
  std::string model;  // builtin, or a .linnet file
  std::string data, validate, scale = "unit", save;
  uint32_t epochs = 10, batch = 32;
  uint32_t threads = 1;
  uint64_t steps = 0, every = 0;  // 0: as epochs say, once an epoch
  uint64_t seed = 1;
  std::string optimizer = "adam", schedule = "constant";
  std::optional<float> learning_rate{};  // none: the optimizer's usual one
  float momentum = 0.9f, beta1 = 0.9f, beta2 = 0.999f;
  float weight_decay = 0, clip_norm = 0, clip_value = 0;
  std::optional<double> target{}, target_loss{};
  bool resume = false, json = false;
};
struct EvalCommand {
  std::string model, data, scale = "unit";
  uint32_t threads = 1;
  bool train_part = false, json = false;
};
struct BenchCommand {
  std::vector<std::string> models;  // none: all builtin ones
  uint32_t batch = 32, threads = 1;
  double seconds = 0.5;  // of each measurement
  bool json = false;
};

void AddTrain(CLI::App& app, TrainCommand& command);
void AddEval(CLI::App& app, EvalCommand& command);
void AddBench(CLI::App& app, BenchCommand& command);

Result<int> Run(const TrainCommand& command);
Result<int> Run(const EvalCommand& command);
Result<int> Run(const BenchCommand& command);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_LEARN_H_
