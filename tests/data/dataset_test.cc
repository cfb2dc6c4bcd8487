#include "data/dataset.h"

#include <numeric>

#include "gtest/gtest.h"

namespace linnet {
namespace {

Dataset Floats() {
  Dataset data;
  data.shape = {3};
  data.classes = 2;
  // The last feature is constant.
  data.f32 = {-1, 10, 5, 3, 20, 5, 1, 60, 5};
  data.labels = {0, 1, 1};
  return data;
}

Dataset Pixels() {
  Dataset data;
  data.shape = {1, 2, 1};
  data.classes = 3;
  data.u8 = {0, 255, 51, 102};
  data.labels = {2, 0};
  return data;
}

std::vector<float> GatherAll(const Dataset& data) {
  std::vector<uint32_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0u);
  std::vector<float> x(data.size() * data.features());
  std::vector<int32_t> y(data.size());
  data.Gather(rows, x.data(), y.data());
  return x;
}

TEST(DatasetTest, GatherTakesTheRowsNamedInTheirOrder) {
  Dataset data = Floats();
  SetScaling(data, Scaling::kNone);
  const uint32_t rows[] = {2, 0, 2};
  float x[9];
  int32_t y[3];
  data.Gather(rows, x, y);
  EXPECT_EQ(std::vector<float>(x, x + 9), (std::vector<float>{1, 60, 5, -1, 10, 5, 1, 60, 5}));
  EXPECT_EQ(std::vector<int32_t>(y, y + 3), (std::vector<int32_t>{1, 0, 1}));
}

TEST(DatasetTest, UnitScalingMapsBytesAndRangesToZeroAndOne) {
  Dataset pixels = Pixels();
  SetScaling(pixels, Scaling::kUnit);
  const auto x = GatherAll(pixels);
  EXPECT_EQ(x[0], 0);
  EXPECT_EQ(x[1], 1);
  EXPECT_FLOAT_EQ(x[2], 0.2f);
  Dataset floats = Floats();
  SetScaling(floats, Scaling::kUnit);
  const auto y = GatherAll(floats);
  const float wanted[] = {0, 0, 0, 1, 0.2f, 0, 0.5f, 1, 0};
  // Scale and offset are rounded to f32 apart.
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(y[i], wanted[i], 1e-6) << i;
  EXPECT_EQ(y[2], 0) << "a feature without a range becomes 0";
}

TEST(DatasetTest, StandardScalingGivesMeanZeroAndDeviationOne) {
  Dataset floats = Floats();
  SetScaling(floats, Scaling::kStandard);
  const auto x = GatherAll(floats);
  for (size_t j = 0; j < 2; ++j) {
    EXPECT_NEAR(x[j] + x[3 + j] + x[6 + j], 0, 1e-5);
    EXPECT_NEAR(x[j] * x[j] + x[3 + j] * x[3 + j] + x[6 + j] * x[6 + j], 3, 1e-5);
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(x[3 * i + 2], 0) << "a constant feature becomes 0";
  Dataset pixels = Pixels();
  SetScaling(pixels, Scaling::kStandard);
  EXPECT_NEAR(GatherAll(pixels)[0], -1, 1e-5);
}

TEST(DatasetTest, FixedScalingIsTheSameWhateverTheDataHolds) {
  Dataset data = Floats();
  const float one = data.f32[0], two = data.f32[1];
  const float mean[] = {1, 2, 3}, deviation[] = {2, 4, 8};
  ASSERT_TRUE(SetFixedScaling(data, mean, deviation));
  const auto x = GatherAll(data);
  EXPECT_FLOAT_EQ(x[0], (one - 1) / 2);
  EXPECT_FLOAT_EQ(x[1], (two - 2) / 4);
  const float zero[] = {1, 0, 1};
  EXPECT_FALSE(SetFixedScaling(data, mean, zero));
  EXPECT_FALSE(SetFixedScaling(data, std::span(mean, 2), std::span(deviation, 2)));
  EXPECT_EQ(GatherAll(data), x) << "a refused scaling leaves the old one";
}

TEST(DatasetTest, ATestPartIsScaledAsItsTrainingPart) {
  Dataset train = Floats();
  SetScaling(train, Scaling::kUnit);
  Dataset test = Floats();
  test.f32[0] = 7;
  CopyScaling(train, test);
  EXPECT_EQ(GatherAll(test)[0], 2);
}

TEST(DatasetTest, AWholeViewHoldsEveryRow) {
  const auto data = std::make_shared<Dataset>(Floats());
  const DataView view = WholeView(data);
  EXPECT_EQ(view.data, data);
  EXPECT_EQ(view.rows, (std::vector<uint32_t>{0, 1, 2}));
}

TEST(DatasetDeathTest, ARowThatIsNotThereIsOurOwnMistake) {
#ifdef __EMSCRIPTEN__
  GTEST_SKIP() << "WebAssembly has no processes to die in";
#else
  Dataset data = Floats();
  const uint32_t rows[] = {3};
  float x[3];
  int32_t y[1];
  EXPECT_DEATH(data.Gather(rows, x, y), "SetScaling comes before Gather");
  SetScaling(data, Scaling::kNone);
  EXPECT_DEATH(data.Gather(rows, x, y), "check failed: indices");
#endif
}

}  // namespace
}  // namespace linnet
