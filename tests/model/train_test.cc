#include "model/train.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/optimizer.h"
#include "reference.h"

namespace {

std::atomic<size_t> allocations = 0;
std::atomic<size_t> live_bytes = 0;

void* Allocate(size_t size, size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  live_bytes += malloc_usable_size(memory);
  return memory;
}

void Free(void* memory) {
  if (memory != nullptr) live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

// Every allocation of this program is counted.
void* operator new(size_t size) { return Allocate(std::max<size_t>(size, 1), 16); }
void* operator new[](size_t size) { return Allocate(std::max<size_t>(size, 1), 16); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(std::max<size_t>(size, 1), std::max<size_t>(16, size_t(alignment)));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return Allocate(std::max<size_t>(size, 1), std::max<size_t>(16, size_t(alignment)));
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { Free(memory); }

namespace linnet {
namespace {

using Optimizer_ = TrainOptions::Optimizer;

struct Data {
  std::vector<float> x;
  std::vector<int32_t> y;
};

// Points around three corners of a triangle.
Data Triangle(size_t count) {
  constexpr float kCorners[3][2] = {{0, 1}, {1, -1}, {-1, -1}};
  Data data{RandomFloats(3, 2 * count), RandomLabels(4, count, 3)};
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < 2; ++j) {
      data.x[2 * i + j] = kCorners[data.y[i]][j] + 0.4f * data.x[2 * i + j];
    }
  }
  return data;
}

// A bright row or a bright column somewhere in a noisy 8 x 8 image.
Data Bars(size_t count) {
  Data data{RandomFloats(5, 64 * count), RandomLabels(6, count, 2)};
  RandomStream random(SeedFromInt(7), 0);
  for (float& pixel : data.x) pixel = 0.15f * (1 + pixel);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = random.Below(8);
    for (size_t j = 0; j < 8; ++j)
      data.x[64 * i + (data.y[i] == 0 ? 8 * at + j : 8 * j + at)] += 0.7f;
  }
  return data;
}

struct Trained {
  double loss;
  Metrics metrics;
};

Trained TrainOn(const Data& data, const Model& model, const TrainOptions& options, size_t batch,
                int epochs) {
  auto trainer = Trainer::Create(model.graph, options, batch, BestKernels()).value();
  std::ranges::copy(model.parameters, trainer->parameters().begin());
  double loss = 0;
  const size_t inputs = model.graph.InputCount();
  for (int epoch = 0; epoch < epochs; ++epoch) {
    loss = 0;
    for (size_t at = 0; at < data.y.size(); at += batch) {
      const size_t rows = std::min(batch, data.y.size() - at);
      loss += trainer->Step(&data.x[at * inputs], &data.y[at], rows) * double(rows);
    }
  }
  Trained result{.loss = loss / double(data.y.size()), .metrics = {}};
  auto predictor = Predictor::Create(model.graph, data.y.size(), BestKernels()).value();
  std::vector<float> logits(data.y.size() * model.graph.classes);
  predictor->Run(trainer->parameters(), data.x.data(), data.y.size(), logits.data());
  Score(BestKernels(), logits.data(), data.y.data(), data.y.size(), model.graph.classes,
        result.metrics);
  return result;
}

TEST(TrainTest, OptionsThatMakeNoSenseAreRefusedByName) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  struct Row {
    TrainOptions options;
    std::string name;
  };
  const std::vector<Row> rows = {
      {{.learning_rate = -0.1f}, "learning rate"},
      {{.learning_rate = nan}, "learning rate"},
      {{.learning_rate = inf}, "learning rate"},
      {{.momentum = 1.0f}, "momentum"},
      {{.momentum = -0.5f}, "momentum"},
      {{.weight_decay = -1.0f}, "weight decay"},
      {{.weight_decay = nan}, "weight decay"},
      {{.clip_norm = -1.0f}, "clipping norm"},
      {{.clip_norm = inf}, "clipping norm"},
      {{.beta1 = 1.0f}, "beta1"},
      {{.beta2 = nan}, "beta2"},
      {{.epsilon = 0.0f}, "epsilon"},
      {{.clip_value = -1.0f}, "clipping value"},
      {{.proximal = inf}, "proximal weight"},
      {{.schedule = {.by_round = true}}, "by round"},
      {{.schedule = {.kind = Schedule::Kind::kCosine, .steps = 0}}, "schedule"},
  };
  const Graph graph = BuiltinModel("softmax-regression", SeedFromInt(1)).value().graph;
  for (const Row& row : rows) {
    const auto trainer = Trainer::Create(graph, row.options, 4, BestKernels());
    ASSERT_FALSE(trainer) << row.name;
    EXPECT_EQ(trainer.error().code, Code::kInvalid);
    EXPECT_TRUE(trainer.error().message.contains(row.name)) << trainer.error().message;
  }
}

TEST(TrainTest, ABatchOfZeroABadGraphAndAHugeArenaAreRefused) {
  const Graph graph = BuiltinModel("cnn-small", SeedFromInt(1)).value().graph;
  EXPECT_EQ(Trainer::Create(graph, {}, 0, BestKernels()).error().code, Code::kInvalid);
  EXPECT_EQ(Predictor::Create(graph, 0, BestKernels()).error().code, Code::kInvalid);
  EXPECT_EQ(Trainer::Create(graph, {}, 1 << 20, BestKernels()).error().code, Code::kLimit);
  EXPECT_EQ(Predictor::Create(graph, 1 << 20, BestKernels()).error().code, Code::kLimit);
  Graph bad = graph;
  bad.nodes[0].attributes = {0, 0};
  EXPECT_EQ(Trainer::Create(bad, {}, 1, BestKernels()).error().code, Code::kInvalid);
  EXPECT_EQ(Predictor::Create(bad, 1, BestKernels()).error().code, Code::kInvalid);
}

TEST(TrainTest, ASeparableTaskIsLearnedByEveryOptimizer) {
  struct Row {
    std::string name;
    TrainOptions options;
  };
  const std::vector<Row> rows = {
      {"sgd", {.optimizer = Optimizer_::kSgd, .learning_rate = 0.3f}},
      {"momentum", {.optimizer = Optimizer_::kMomentum, .learning_rate = 0.03f}},
      {"nesterov", {.optimizer = Optimizer_::kNesterov, .learning_rate = 0.03f}},
      {"decay and clipping",
       {.optimizer = Optimizer_::kSgd,
        .learning_rate = 0.3f,
        .weight_decay = 1e-4f,
        .clip_norm = 1.0f}},
      {"adam", {.optimizer = Optimizer_::kAdam, .learning_rate = 0.003f}},
      {"adamw with a schedule",
       {.optimizer = Optimizer_::kAdamW,
        .learning_rate = 0.006f,
        .weight_decay = 0.1f,
        .decay_weights_only = true,
        .schedule = {.kind = Schedule::Kind::kCosine, .warmup = 10, .steps = 400, .factor = 0}}},
  };
  const Data data = Triangle(150);
  const Model model = BuiltinModel("mlp-2nn", SeedFromInt(1), {2}, 3).value();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Trained trained = TrainOn(data, model, row.options, 16, 20);
    EXPECT_LT(trained.loss, 0.05);
    EXPECT_EQ(trained.metrics.accuracy(), 1.0);
    EXPECT_LT(trained.metrics.loss(), 0.05);
  }
}

TEST(TrainTest, AConvolutionalModelTellsRowsFromColumns) {
  const Model model = BuiltinModel("cnn-small", SeedFromInt(2), {8, 8, 1}, 2).value();
  const Trained trained = TrainOn(Bars(64), model, {.learning_rate = 0.05f}, 16, 25);
  EXPECT_LT(trained.loss, 0.05);
  EXPECT_EQ(trained.metrics.accuracy(), 1.0);
}

TEST(TrainTest, AStepAllocatesNothing) {
  for (const Model& model : SmallClassifiers()) {
    const std::string& name = model.graph.name;
    const uint32_t classes = model.graph.classes;
    const std::vector<float> x = RandomFloats(1, 8 * model.graph.InputCount());
    const std::vector<int32_t> y = RandomLabels(2, 8, classes);
    std::vector<float> logits(8 * classes), gradient(model.parameters.size());
    Metrics metrics;
    for (const Kernels* kernels : AllKernels()) {
      for (const Optimizer_ optimizer :
           {Optimizer_::kSgd, Optimizer_::kNesterov, Optimizer_::kAdamW}) {
        SCOPED_TRACE(name + " on " + kernels->target);
        const float clip = optimizer == Optimizer_::kSgd ? 0.0f : 1.0f;
        auto trainer =
            Trainer::Create(model.graph, {.optimizer = optimizer, .clip_norm = clip}, 8, *kernels)
                .value();
        auto predictor = Predictor::Create(model.graph, 8, *kernels).value();
        const size_t before = allocations;
        for (const size_t batch : {8u, 3u, 1u}) {
          trainer->Step(x.data(), y.data(), batch);
          trainer->Gradient(x.data(), y.data(), batch, gradient);
          predictor->Run(model.parameters, x.data(), batch, logits.data());
          Score(*kernels, logits.data(), y.data(), batch, classes, metrics);
        }
        trainer->Reset();
        EXPECT_EQ(allocations, before);
      }
    }
  }
  const size_t before = allocations;
  const std::vector<int> one(1);
  ASSERT_GT(allocations, before) << "the counter counts nothing";
}

TEST(TrainTest, AStepWithTheGraphsOwnLossWrittenOutGivesTheSameBits) {
  for (const Model& model : SmallClassifiers()) {
    SCOPED_TRACE(model.graph.name);
    const uint32_t classes = model.graph.classes;
    const std::vector<float> x = RandomFloats(1, 8 * model.graph.InputCount());
    const std::vector<int32_t> y = RandomLabels(2, 8, classes);
    const auto loss = [&](const float* outputs, size_t batch, float scale, float* gradient) {
      return BestKernels().softmax_cross_entropy(outputs, y.data(), batch, classes, scale,
                                                 gradient);
    };
    for (const Optimizer_ optimizer : {Optimizer_::kSgd, Optimizer_::kAdamW}) {
      std::unique_ptr<Trainer> plain, with;
      for (std::unique_ptr<Trainer>* made : {&plain, &with}) {
        *made = Trainer::Create(model.graph, {.optimizer = optimizer}, 8, BestKernels()).value();
        std::ranges::copy(model.parameters, (*made)->parameters().begin());
      }
      for (const size_t batch : {8u, 3u}) {
        EXPECT_EQ(with->StepWith(x.data(), batch, loss), plain->Step(x.data(), y.data(), batch));
      }
      EXPECT_TRUE(std::ranges::equal(with->parameters(), plain->parameters()));
      // The graph's loss is back.
      EXPECT_EQ(with->Step(x.data(), y.data(), 8), plain->Step(x.data(), y.data(), 8));
    }
  }
}

TEST(TrainTest, AStepHoldsWhatTheReportSays) {
  for (const std::string_view name : {"mlp-256-128", "cnn-small"}) {
    const Model model = BuiltinModel(name, SeedFromInt(1)).value();
    const std::vector<float> x = RandomFloats(1, 32 * model.graph.InputCount());
    const std::vector<int32_t> y = RandomLabels(2, 32, model.graph.classes);
    for (const Optimizer_ optimizer :
         {Optimizer_::kSgd, Optimizer_::kNesterov, Optimizer_::kAdamW}) {
      SCOPED_TRACE(name);
      const size_t before = live_bytes;
      const auto trainer =
          Trainer::Create(model.graph, {.optimizer = optimizer}, 32, BestKernels()).value();
      const size_t created = allocations;
      trainer->Step(x.data(), y.data(), 32);
      ASSERT_EQ(allocations, created);  // so that the peak is what is held now
      const double held = double(live_bytes - before);
      const double reported = double(trainer->memory().total());
      EXPECT_GE(held, reported);
      EXPECT_LE(held, 1.3 * reported);
    }
  }
}

TEST(TrainTest, ABatchSmallerThanTheLargestGivesTheSameBits) {
  for (const NamedGraph& row : EveryOperatorGraph()) {
    const TestBatch data(1, row.graph, 12);
    const std::vector<float> start = RandomParameters(3, row.graph);
    const size_t outputs = OutputCount(row.graph);
    for (const Kernels* kernels : TestedKernels()) {
      SCOPED_TRACE(row.name + " on " + kernels->target);
      auto exact = Trainer::Create(row.graph, {}, 5, *kernels).value();
      auto larger = Trainer::Create(row.graph, {}, 12, *kernels).value();
      std::ranges::copy(start, larger->parameters().begin());
      // What an earlier, larger batch left in the arena must not matter.
      data.Step(*larger, 12);
      std::ranges::copy(start, exact->parameters().begin());
      std::ranges::copy(start, larger->parameters().begin());
      EXPECT_EQ(data.Step(*exact, 5), data.Step(*larger, 5));
      EXPECT_TRUE(std::ranges::equal(exact->parameters(), larger->parameters()));
      std::vector<float> few(5 * outputs), many(12 * outputs);
      auto five = Predictor::Create(row.graph, 5, *kernels).value();
      auto twelve = Predictor::Create(row.graph, 12, *kernels).value();
      twelve->Run(start, data.x.data(), 12, many.data());
      five->Run(start, data.x.data(), 5, few.data());
      twelve->Run(start, data.x.data(), 5, many.data());
      EXPECT_TRUE(std::ranges::equal(few, std::span(many).first(few.size())));
    }
  }
}

TEST(TrainTest, AConstantTermIsAddedToEveryGradient) {
  const Model model = BuiltinModel("softmax-regression", SeedFromInt(1), {4}, 3).value();
  const std::vector<float> x = RandomFloats(1, 4);
  const int32_t y = 1;
  const std::vector<float> constant(model.parameters.size(), 2.0f);
  const auto step = [&](bool with) {
    auto trainer = Trainer::Create(model.graph, {.learning_rate = 0.5f}, 1, BestKernels()).value();
    std::ranges::copy(model.parameters, trainer->parameters().begin());
    if (with) trainer->SetTerms({.anchor = {}, .constant = constant});
    trainer->Step(x.data(), &y, 1);
    return std::vector<float>(trainer->parameters().begin(), trainer->parameters().end());
  };
  const std::vector<float> without = step(false), with = step(true);
  for (size_t i = 0; i < with.size(); ++i) EXPECT_NEAR(with[i], without[i] - 1.0f, 1e-6f);
}

TEST(TrainTest, ALearningRateSetLaterTakesEffect) {
  const Model model = BuiltinModel("softmax-regression", SeedFromInt(1), {4}, 3).value();
  const std::vector<float> x = RandomFloats(1, 4);
  const int32_t y = 1;
  for (const float clip : {0.0f, 100.0f}) {
    auto trainer =
        Trainer::Create(model.graph, {.learning_rate = 0.5f, .clip_norm = clip}, 1, BestKernels())
            .value();
    std::ranges::copy(model.parameters, trainer->parameters().begin());
    trainer->set_learning_rate(0.0f);
    trainer->Step(x.data(), &y, 1);
    EXPECT_TRUE(std::ranges::equal(trainer->parameters(), model.parameters));
    trainer->set_learning_rate(0.1f);
    trainer->Step(x.data(), &y, 1);
    EXPECT_FALSE(std::ranges::equal(trainer->parameters(), model.parameters));
  }
}

TEST(TrainTest, ResetForgetsTheMomentum) {
  const Model model = BuiltinModel("mlp-2nn", SeedFromInt(1), {4}, 3).value();
  const std::vector<float> x = RandomFloats(1, 16);
  const std::vector<int32_t> y = RandomLabels(2, 4, 3);
  auto trainer =
      Trainer::Create(model.graph, {.optimizer = Optimizer_::kMomentum}, 4, BestKernels()).value();
  const auto first_step = [&] {
    std::ranges::copy(model.parameters, trainer->parameters().begin());
    trainer->Step(x.data(), y.data(), 4);
    return std::vector<float>(trainer->parameters().begin(), trainer->parameters().end());
  };
  const std::vector<float> fresh = first_step();
  EXPECT_NE(first_step(), fresh);
  trainer->Reset();
  EXPECT_EQ(first_step(), fresh);
}

TEST(ScoreTest, CountsAndLossesAreThoseOfTheRows) {
  // Row i has its largest logit at i % 3; the labels say so for all but every fifth.
  constexpr size_t kRows = 600;
  std::vector<float> logits(kRows * 3, 0.0f);
  std::vector<int32_t> labels(kRows);
  double loss = 0;
  for (size_t i = 0; i < kRows; ++i) {
    logits[3 * i + i % 3] = 2.0f;
    labels[i] = int32_t(i % 5 == 0 ? (i + 1) % 3 : i % 3);
    loss += std::log(std::exp(2.0) + 2) - (i % 5 == 0 ? 0.0 : 2.0);
  }
  for (const Kernels* kernels : TestedKernels()) {
    SCOPED_TRACE(kernels->target);
    Metrics metrics;
    Score(*kernels, logits.data(), labels.data(), 400, 3, metrics);
    Score(*kernels, logits.data() + 3 * 400, labels.data() + 400, 200, 3, metrics);
    EXPECT_EQ(metrics.examples, kRows);
    EXPECT_EQ(metrics.correct, kRows * 4 / 5);
    EXPECT_NEAR(metrics.loss_sum, loss, 1e-4 * loss);
    EXPECT_NEAR(metrics.loss(), loss / kRows, 1e-4);
    EXPECT_DOUBLE_EQ(metrics.accuracy(), 0.8);
  }
}

TEST(ScoreTest, NothingScoredIsZeroNotNan) {
  EXPECT_EQ(Metrics{}.accuracy(), 0.0);
  EXPECT_EQ(Metrics{}.loss(), 0.0);
}

}  // namespace
}  // namespace linnet
