#include "model/distill.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "model/quantize.h"
#include "quadrants.h"

namespace linnet {
namespace {

TEST(DistillTest, OptionsOutOfRangeAndModelsThatDoNotMatchAreRefused) {
  const Model model = QuadrantModel(8);
  const auto distill = [&](const Model& student, const DistillOptions& options) {
    const auto made =
        Distiller::Create(model, student, options, Options(), Quadrants::kBatch, BestKernels());
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(distill(model, {.temperature = 0}),
            "the temperature is 0, wanted more than 0 and at most 1000");
  EXPECT_EQ(distill(model, {.label_weight = 2}), "the weight of the labels is 2, wanted 0 to 1");
  TestGraph other({3}, 4);
  other.Dense(0, 3, 4);
  EXPECT_EQ(distill({.graph = other.graph_, .parameters = std::vector<float>(16)}, {}),
            "the teacher takes [2] and gives 4 classes, the student takes [3] and gives 4, wanted "
            "the same");
}

TEST(DistillTest, TheGradientIsThatOfTheLoss) {
  const size_t rows = 3, classes = 5;
  RandomStream random(Seed{1}, 3);
  std::vector<float> teacher(rows * classes), student(teacher.size()), gradient(teacher.size()),
      unused(teacher.size());
  for (float& value : teacher) value = 6 * random.Uniform() - 3;
  for (float& value : student) value = 6 * random.Uniform() - 3;
  const int32_t labels[rows] = {4, 0, 2};
  for (const int32_t* y : {static_cast<const int32_t*>(nullptr), labels}) {
    const DistillOptions options = {.temperature = 2.5f, .label_weight = 0.3f};
    const auto loss = [&](std::vector<float>& to) {
      return DistillationLoss(options, teacher.data(), student.data(), y, rows, classes, 1,
                              to.data());
    };
    loss(gradient);
    for (size_t i = 0; i < student.size(); ++i) {
      const float kept = student[i];
      student[i] = kept + 0x1p-10f;
      const double above = loss(unused);
      student[i] = kept - 0x1p-10f;
      const double below = loss(unused);
      student[i] = kept;
      ASSERT_NEAR(gradient[i], (above - below) * 0x1p+9, 1e-5);
    }
  }
}

TEST(DistillTest, AStudentThatAgreesHasNoLossWithoutLabels) {
  const float outputs[] = {1, 2, -3, 0.5f};
  float gradient[4];
  EXPECT_NEAR(DistillationLoss({}, outputs, outputs, nullptr, 2, 2, 1, gradient), 0, 1e-12);
  for (const float value : gradient) EXPECT_NEAR(value, 0, 1e-7);
}

TEST(DistillTest, AStudentLearnsFromItsTeacherWithoutLabels) {
  auto teacher_trainer =
      Trainer::Create(QuadrantModel(32).graph, Options(), Quadrants::kBatch, BestKernels());
  Model teacher = QuadrantModel(32);
  std::ranges::copy(teacher.parameters, (*teacher_trainer)->parameters().begin());
  Quadrants data;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*teacher_trainer)->Step(data.x.data(), data.y.data(), Quadrants::kBatch);
  }
  std::ranges::copy((*teacher_trainer)->parameters(), teacher.parameters.begin());
  TrainOptions options = Options();
  options.learning_rate = 0.05f;
  auto distiller =
      Distiller::Create(teacher, QuadrantModel(8), {}, options, Quadrants::kBatch, BestKernels());
  ASSERT_TRUE(distiller) << distiller.error().message;
  for (int i = 0; i < 1500; ++i) {
    data.Draw();
    (*distiller)->Step(data.x.data(), nullptr, Quadrants::kBatch);
  }
  auto predictor =
      QuantizedPredictor::CreateSparse((*distiller)->student(), Quadrants::kBatch, BestKernels());
  EXPECT_GT(Accuracy([&](const float* x, float* outputs) {
              (*predictor)->Run(x, Quadrants::kBatch, outputs);
            }),
            0.93);
}

}  // namespace
}  // namespace linnet
