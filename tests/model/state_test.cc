// What training keeps beside weights: statistics, dropout's masks, frozen parameters; and that it
// does not matter how many threads compute.
#include <algorithm>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/train.h"

namespace linnet {
namespace {

using Floats = std::vector<float>;

// Runs tasks last to first, on workers in turn: an order that no thread pool is likelier to give.
class BackwardExecutor final : public Executor {
 public:
  explicit BackwardExecutor(size_t workers) : workers_(workers) {}
  size_t Workers() const override { return workers_; }
  void Run(size_t tasks, const std::function<void(size_t, size_t)>& body) override {
    for (size_t task = tasks; task-- > 0;) body(task, task % workers_);
  }

 private:
  const size_t workers_;
};

std::unique_ptr<Trainer> MakeTrainer(const Graph& graph, const Floats& start,
                                     Executor* executor = nullptr) {
  auto trainer =
      Trainer::Create(graph, {.learning_rate = 0.1f}, 8, BestKernels(), executor).value();
  std::ranges::copy(start, trainer->parameters().begin());
  return trainer;
}

Floats ParametersOf(Trainer& trainer) {
  return Floats(trainer.parameters().begin(), trainer.parameters().end());
}

TEST(StateTest, AnyNumberOfThreadsGivesTheSameBits) {
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const Floats start = RandomParameters(3, row.graph);
    const TestBatch data(4, row.graph, 8);
    const auto alone = MakeTrainer(row.graph, start);
    const double loss = data.Step(*alone, 8);
    for (const size_t workers : {1, 2, 3}) {
      BackwardExecutor executor(workers);
      const auto together = MakeTrainer(row.graph, start, &executor);
      EXPECT_EQ(data.Step(*together, 8), loss);
      EXPECT_EQ(ParametersOf(*together), ParametersOf(*alone)) << workers;
      const auto predict = [&](Executor* by) {
        Floats outputs(8 * OutputCount(row.graph));
        Predictor::Create(row.graph, 8, BestKernels(), by)
            .value()
            ->Run(start, data.x.data(), 8, outputs.data());
        return outputs;
      };
      EXPECT_EQ(predict(&executor), predict(nullptr)) << workers;
    }
  }
}

TEST(StateTest, BatchNormKeepsUpTheStatisticsInStepsOnly) {
  TestGraph g({2}, 2);
  g.Dense(g.Norm(Op::kBatchNorm, 0, 2, {Bits(1e-5f), Bits(0.25f)}), 2, 2);
  Floats start(g.graph_.ParamCount(), 1);
  const Floats x = {1, 10, 3, 30};  // two examples: means 2 and 20, variances of n - 1: 2 and 200
  const std::vector<int32_t> y = {0, 1};
  const auto trainer = MakeTrainer(g.graph_, start);
  Floats gradient(start.size());
  trainer->Gradient(x.data(), y.data(), 2, gradient);
  EXPECT_EQ(ParametersOf(*trainer), start);
  trainer->Step(x.data(), y.data(), 2);
  const Floats after = ParametersOf(*trainer);
  EXPECT_FLOAT_EQ(after[4], 0.75f * 1 + 0.25f * 2);
  EXPECT_FLOAT_EQ(after[5], 0.75f * 1 + 0.25f * 20);
  EXPECT_FLOAT_EQ(after[6], 0.75f * 1 + 0.25f * 2);
  EXPECT_FLOAT_EQ(after[7], 0.75f * 1 + 0.25f * 200);
}

TEST(StateTest, FrozenParametersStayAndTheRestIsTrained) {
  for (const auto optimizer : {TrainOptions::Optimizer::kSgd, TrainOptions::Optimizer::kAdamW}) {
    TestGraph g({4}, 3);
    g.Dense(g.Relu(g.Dense(0, 4, 5)), 5, 3);
    g.graph_.params[0].frozen = true;
    const Floats start = RandomParameters(1, g.graph_);
    auto trainer =
        Trainer::Create(g.graph_, {.optimizer = optimizer, .weight_decay = 0.1f}, 8, BestKernels())
            .value();
    std::ranges::copy(start, trainer->parameters().begin());
    TestBatch(2, g.graph_, 8).Step(*trainer, 8);
    for (const ParamInfo& param : g.graph_.params) {
      const auto at = std::ptrdiff_t(param.offset), end = at + std::ptrdiff_t(param.count);
      const bool same =
          std::equal(start.begin() + at, start.begin() + end, trainer->parameters().begin() + at);
      EXPECT_EQ(same, param.frozen) << param.name;
    }
  }
}

TEST(StateTest, AGraphWithNothingToTrainIsRefused) {
  TestGraph g({4}, 3);
  g.Dense(0, 4, 3);
  for (ParamInfo& param : g.graph_.params) param.frozen = true;
  const auto trainer = Trainer::Create(g.graph_, {}, 8, BestKernels());
  ASSERT_FALSE(trainer);
  EXPECT_EQ(trainer.error().message, "every parameter of test is frozen or a buffer");
}

TEST(StateTest, DropoutFollowsFromItsSeedAndTheStep) {
  TestGraph g({4}, 3);
  g.Dense(g.Add(Op::kDropout, {g.Dense(0, 4, 40)}, {}, {Bits(0.5f)}), 40, 3);
  const Floats start = RandomParameters(1, g.graph_);
  const TestBatch data(2, g.graph_, 8);
  const auto losses = [&](Trainer& trainer) {
    std::ranges::copy(start, trainer.parameters().begin());
    return std::pair(data.Step(trainer, 8), data.Step(trainer, 8));
  };
  const auto trainer = MakeTrainer(g.graph_, start);
  const auto first = losses(*trainer), going_on = losses(*trainer);
  EXPECT_NE(first, going_on) << "every step drops others";
  trainer->Reset();
  EXPECT_EQ(losses(*trainer), first);
  trainer->Reset();
  trainer->set_dropout_seed(1);
  EXPECT_NE(losses(*trainer), first);
  EXPECT_EQ(losses(*MakeTrainer(g.graph_, start)), first);
}

TEST(StateTest, DropoutPassesEverythingInInference) {
  TestGraph with({4}, 3), without({4}, 3);
  with.Dense(with.Add(Op::kDropout, {0}, {}, {Bits(0.9f)}), 4, 3);
  without.Dense(0, 4, 3);
  const Floats start = RandomParameters(1, with.graph_), x = RandomFloats(2, 4 * 8);
  Floats outputs(3 * 8), wanted(3 * 8);
  Predictor::Create(with.graph_, 8, BestKernels()).value()->Run(start, x.data(), 8, outputs.data());
  Predictor::Create(without.graph_, 8, BestKernels())
      .value()
      ->Run(start, x.data(), 8, wanted.data());
  EXPECT_EQ(outputs, wanted);
}

TEST(StateTest, ThePredictorTakesNewParameters) {
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const TestBatch data(4, row.graph, 2);
    auto predictor = Predictor::Create(row.graph, 2, BestKernels()).value();
    Floats outputs(2 * OutputCount(row.graph)), again(outputs.size());
    const Floats a = RandomParameters(1, row.graph), b = RandomParameters(2, row.graph);
    predictor->Run(a, data.x.data(), 2, outputs.data());
    predictor->SetParameters(b);
    predictor->Run(data.x.data(), 2, again.data());
    EXPECT_NE(outputs, again);
    predictor->SetParameters(a);
    predictor->Run(data.x.data(), 2, again.data());
    EXPECT_EQ(outputs, again);
  }
}

}  // namespace
}  // namespace linnet
