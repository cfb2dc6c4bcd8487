#include "codec/eden.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "codec/codec.h"
#include "codec/vectors.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

// Encodes and decodes one block.
std::vector<float> RoundTrip(std::span<const float> x, int bits, int rotations, uint64_t seed,
                             const Kernels& kernels = BestKernels()) {
  Bytes bytes(EdenBlockBytes(x.size(), bits));
  std::vector<float> decoded(x.size());
  EXPECT_TRUE(EdenEncodeBlock(x, bits, rotations, SeedFromInt(seed), 0, kernels, bytes));
  EXPECT_TRUE(EdenDecodeBlock(bytes, bits, SeedFromInt(seed), 0, kernels, decoded));
  return decoded;
}

TEST(EdenTest, RefusesHeadersThatNoEncoderWrites) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const struct {
    const char* name;
    float scale;
    uint32_t rotations;
  } rows[] = {
      {"NaN scale", std::nanf(""), 1},       {"infinite scale", kInfinity, 1},
      {"negative scale", -1.0f, 1},          {"negative zero", -0.0f, 0},
      {"three rotations", 1.0f, 3},          {"scale without rotation", 1.0f, 0},
      {"rotation without a scale", 0.0f, 1}, {"huge number of rotations", 1.0f, 0xffffffffu},
  };
  for (const auto& row : rows) {
    Bytes bytes(EdenBlockBytes(100, 1));
    StoreLE(bytes.data(), row.scale);
    StoreLE(bytes.data() + 4, row.rotations);
    std::vector<float> out(100);
    const Status status = EdenDecodeBlock(bytes, 1, Seed{}, 7, BestKernels(), out);
    ASSERT_FALSE(status) << row.name;
    EXPECT_EQ(status.error().code, Code::kData) << row.name;
    EXPECT_TRUE(status.error().message.contains("block 7")) << status.error().message;
  }
}

TEST(EdenTest, RefusesABlockThatOverflowsTheRotation) {
  const std::vector<float> x(4096, 3e38f);
  Bytes bytes(EdenBlockBytes(x.size(), 1));
  const Status status = EdenEncodeBlock(x, 1, 2, Seed{}, 0, BestKernels(), bytes);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kData);
}

TEST(EdenTest, ErrorOfGaussianBlocksIsTheLimitOfThePaper) {
  // vNMSE for d large (ALGORITHMS section 5; pi/2 - 1 at 1 bit). At d = 4096 the measured means are
  // .5712, .1334, .0357, .0096: a thousandth above or below the limit, so that much is added to
  // five standard errors.
  const struct {
    int bits;
    double limit;
  } rows[] = {{1, 0.570796}, {2, 0.133121}, {3, 0.035784}, {4, 0.009592}};
  for (const auto& row : rows) {
    for (const int rotations : {1, 2}) {
      std::vector<double> errors;
      for (uint64_t seed = 0; seed < 120; ++seed) {
        const std::vector<float> x = NormalVector(1000 + seed, 4096);
        errors.push_back(RelativeError(RoundTrip(x, row.bits, rotations, seed), x));
      }
      const Estimate e = Summarize(errors);
      EXPECT_NEAR(e.mean, row.limit, 5 * e.standard_error + 0.003 * row.limit)
          << row.bits << " bits, " << rotations << " rotations";
      EXPECT_NEAR(e.mean, row.limit, 0.03 * row.limit);
    }
  }
}

TEST(EdenTest, ProjectionOnTheInputIsExact) {
  for (const int bits : {1, 2, 3, 4}) {
    for (const size_t n : {size_t{10}, size_t{64}, size_t{2602}, size_t{4096}}) {
      for (const int rotations : {1, 2}) {
        const std::vector<float> x = NormalVector(n, n, 0.01);
        const std::vector<float> decoded = RoundTrip(x, bits, rotations, n);
        const double wanted = Dot(x, x);
        EXPECT_NEAR(Dot(decoded, x), wanted, 1e-5 * wanted) << bits << " bits of " << n;
      }
    }
  }
}

TEST(EdenTest, MeanOverSeedsIsTheInput) {
  constexpr uint64_t kDraws = 400;
  const std::vector<float> x = NormalVector(3, 1024);
  for (const int bits : {1, 3}) {
    std::vector<double> sum(x.size());
    double single = 0;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      const std::vector<float> decoded = RoundTrip(x, bits, 1, seed);
      single += RelativeError(decoded, x) / kDraws;
      for (size_t i = 0; i < x.size(); ++i) sum[i] += decoded[i];
    }
    std::vector<float> mean(x.size());
    for (size_t i = 0; i < x.size(); ++i) mean[i] = static_cast<float>(sum[i] / kDraws);
    // Independent errors: vNMSE / n, and the sum of d squares of it varies by about sqrt(2 / d).
    const double wanted = single / kDraws;
    EXPECT_NEAR(RelativeError(mean, x), wanted, 5 * wanted * std::sqrt(2.0 / 1024));
  }
}

TEST(EdenTest, OneRotationDoesNotRandomizeASpike) {
  std::vector<float> x(4096, 0.0f);
  x[0] = 2;
  x[1] = 1;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> decoded = RoundTrip(x, 1, 1, seed);
    EXPECT_NEAR(decoded[0], 2.5, 1e-5);
    for (size_t i = 1; i < x.size(); ++i) ASSERT_NEAR(decoded[i], 0, 1e-6) << i;
  }
}

TEST(EdenTest, TwoRotationsBringASpikeBack) {
  std::vector<float> x(4096, 0.0f);
  x[0] = 2;
  x[1] = 1;
  EXPECT_EQ(EdenRotations(x), 2);
  std::vector<double> first, second, third;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const std::vector<float> decoded = RoundTrip(x, 1, 2, seed);
    first.push_back(decoded[0]);
    second.push_back(decoded[1]);
    third.push_back(decoded[2]);
  }
  EXPECT_NEAR(Summarize(first).mean, 2, 5 * Summarize(first).standard_error);
  EXPECT_NEAR(Summarize(second).mean, 1, 5 * Summarize(second).standard_error);
  EXPECT_NEAR(Summarize(third).mean, 0, 5 * Summarize(third).standard_error);
  // The bound itself can tell 2 from 2.5.
  EXPECT_LT(5 * Summarize(first).standard_error, 0.25);
}

TEST(EdenTest, SpreadBlocksTakeOneRotation) {
  EXPECT_EQ(EdenRotations(NormalVector(1, 4096)), 1);
  EXPECT_EQ(EdenRotations(std::vector<float>(4096, 0.0f)), 1);
  EXPECT_EQ(EdenRotations(NormalVector(1, 10)), 2);
}

TEST(EdenTest, ZerosAreAllZeroBytesAndDecodeToZeros) {
  for (const int bits : {1, 2, 3, 4}) {
    std::vector<float> x(300, 0.0f);
    x[7] = -0.0f;
    Bytes bytes(EdenBlockBytes(x.size(), bits), 0xee);
    ASSERT_TRUE(EdenEncodeBlock(x, bits, 1, Seed{}, 0, BestKernels(), bytes));
    EXPECT_EQ(bytes, Bytes(bytes.size(), 0));
    std::vector<float> out(300, 9.0f);
    ASSERT_TRUE(EdenDecodeBlock(bytes, bits, Seed{}, 0, BestKernels(), out));
    for (const float v : out) EXPECT_EQ(std::bit_cast<uint32_t>(v), 0u);
  }
}

TEST(EdenTest, ValuesBelowTheRangeOfTheScaleBecomeZeros) {
  const std::vector<float> decoded = RoundTrip(std::vector<float>(64, 1e-40f), 1, 1, 1);
  EXPECT_EQ(decoded, std::vector<float>(64, 0.0f));
}

TEST(EdenTest, BytesAndValuesAreTheSameOnEveryTarget) {
  for (const int bits : {1, 2, 3, 4}) {
    for (const size_t n : {size_t{1}, size_t{65}, size_t{2602}, size_t{4096}}) {
      for (const int rotations : {1, 2}) {
        const std::vector<float> x = NormalVector(n, n);
        Bytes first(EdenBlockBytes(n, bits));
        std::vector<float> decoded(n);
        ASSERT_TRUE(EdenEncodeBlock(x, bits, rotations, SeedFromInt(5), 3, BestKernels(), first));
        ASSERT_TRUE(EdenDecodeBlock(first, bits, SeedFromInt(5), 3, BestKernels(), decoded));
        for (const Kernels* kernels : AllKernels()) {
          Bytes other(first.size());
          std::vector<float> again(n);
          ASSERT_TRUE(EdenEncodeBlock(x, bits, rotations, SeedFromInt(5), 3, *kernels, other));
          ASSERT_TRUE(EdenDecodeBlock(other, bits, SeedFromInt(5), 3, *kernels, again));
          EXPECT_EQ(first, other) << kernels->target;
          EXPECT_TRUE(SameBits(decoded, again)) << kernels->target;
        }
      }
    }
  }
}

// Centroids of vectors/07 satisfy Lloyd's condition: each is the mean of the half-normal
// distribution between its thresholds, which pins them without any file.
TEST(EdenTest, CentroidsAreThoseOfTheHalfNormalDistribution) {
  const auto density = [](double z) { return std::exp(-z * z / 2) / std::sqrt(2 * M_PI); };
  const auto mass = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
  for (const int bits : {1, 2, 3, 4}) {
    const std::span<const float> c = EdenCentroids(bits);
    ASSERT_EQ(c.size(), size_t{1} << (bits - 1));
    for (size_t i = 0; i < c.size(); ++i) {
      const double low = i == 0 ? 0 : (double{c[i - 1]} + c[i]) / 2;
      const bool last = i + 1 == c.size();
      const double high = last ? 40 : (double{c[i]} + c[i + 1]) / 2;
      EXPECT_NEAR(c[i], (density(low) - density(high)) / (mass(high) - mass(low)), 1e-5);
    }
  }
}

}  // namespace
}  // namespace linnet
