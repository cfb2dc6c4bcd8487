#include "data/fixed_math.h"

#include <numbers>

#include "gtest/gtest.h"

namespace linnet {
namespace {

// The C library is right to within one unit of the last place: a fair judge of 1e-14.
constexpr double kTolerance = 1e-14;

void ExpectRelative(double found, double wanted, double at) {
  EXPECT_LE(std::abs(found - wanted), kTolerance * std::abs(wanted)) << "at " << at;
}

TEST(FixedMathTest, ExpAgreesWithTheLibraryOverItsRange) {
  for (double x = -700; x <= 709; x += 0.37) ExpectRelative(FixedExp(x), std::exp(x), x);
  for (double x = -2; x <= 2; x += 0.001) ExpectRelative(FixedExp(x), std::exp(x), x);
  EXPECT_EQ(FixedExp(0), 1);
  EXPECT_EQ(FixedExp(-701), 0);
  EXPECT_EQ(FixedExp(710), std::numeric_limits<double>::infinity());
}

TEST(FixedMathTest, LogAgreesWithTheLibraryOverItsRange) {
  for (double x = 1e-300; x < 1e300; x *= 1.9) ExpectRelative(FixedLog(x), std::log(x), x);
  for (double x = 0.5; x < 2; x += 0.001) ExpectRelative(FixedLog(x), std::log(x), x);
  EXPECT_EQ(FixedLog(1), 0);
}

TEST(FixedMathTest, SineAndCosineAgreeWithTheLibraryInAQuarterTurn) {
  const double quarter = std::numbers::pi / 2;
  for (double x = -quarter; x <= quarter; x += 0.001) {
    EXPECT_NEAR(FixedSin(x), std::sin(x), kTolerance) << x;
    EXPECT_NEAR(FixedCos(x), std::cos(x), kTolerance) << x;
  }
}

TEST(FixedMathTest, NormalDrawsHaveTheirMomentsAndTails) {
  RandomStream random(SeedFromInt(1), 0);
  constexpr int kDraws = 40000;
  double sum = 0, square = 0;
  int beyond_two = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = FixedNormal(random);
    sum += x;
    square += x * x;
    beyond_two += std::abs(x) > 2;
  }
  // Five deviations of each estimate.
  EXPECT_NEAR(sum / kDraws, 0, 0.025);
  EXPECT_NEAR(square / kDraws, 1, 0.036);
  EXPECT_NEAR(beyond_two / static_cast<double>(kDraws), 0.0455, 0.0053);
}

TEST(FixedMathTest, GammaDrawsHaveTheirMeanAndVariance) {
  for (const double shape : {0.1, 0.5, 1.0, 3.0, 50.0}) {
    RandomStream random(SeedFromInt(2), 0);
    constexpr int kDraws = 40000;
    double sum = 0, square = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = FixedExp(FixedLogGammaDraw(random, shape));
      sum += x;
      square += x * x;
    }
    const double mean = sum / kDraws;
    // Mean and variance of Gamma(shape, 1) are both `shape`.
    EXPECT_NEAR(mean, shape, 5 * std::sqrt(shape / kDraws)) << shape;
    const double variance = square / kDraws - mean * mean;
    EXPECT_NEAR(variance, shape, 5 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws)) << shape;
  }
}

TEST(FixedMathTest, TinyGammaShapesDoNotUnderflowToOneValue) {
  RandomStream random(SeedFromInt(5), 0);
  double lowest = 0;
  for (int i = 0; i < 100; ++i) lowest = std::min(lowest, FixedLogGammaDraw(random, 0.001));
  EXPECT_LT(lowest, -800);
  EXPECT_TRUE(std::isfinite(lowest));
}

TEST(FixedMathTest, TheBitsAreTheSameOnEveryTarget) {
  Blake2bHasher hasher;
  const auto add = [&hasher](double value) {
    uint8_t bytes[8];
    StoreLE(bytes, value);
    hasher.Add(bytes);
  };
  for (double x = -30; x < 30; x += 0.0625) {
    add(FixedExp(x));
    add(FixedSin(x / 20));
    add(FixedCos(x / 20));
    add(FixedLog(x + 31));
  }
  RandomStream random(SeedFromInt(6), 0);
  for (int i = 0; i < 1000; ++i) add(FixedLogGammaDraw(random, 0.01 * (i + 1)));
  EXPECT_EQ(Hex(hasher.Finish()),
            "3c0b2738626fdbb95fa0d12b070279b21e83f8cec59d986690b11682d432d4d2");
}

}  // namespace
}  // namespace linnet
