#include "data/strokes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>

#include "base/random.h"
#include "data/glyphs.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

constexpr int kSide = 28;
constexpr size_t kPixels = kSide * kSide;
using Image = std::array<uint8_t, kPixels>;

Image Digit(uint32_t writer, uint32_t index, int digit) {
  Image image;
  DrawDigit(1, writer, index, digit, image.data());
  return image;
}

double Distance(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < kPixels; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST(StrokesTest, ASourceThatMakesNoSenseIsRefusedWithWhatWasWanted) {
  struct Row {
    const char* source;
    Code code;
    const char* words;
  };
  const Row rows[] = {
      {.source = "strokess", .code = Code::kInvalid, .words = "\"strokess\" is not strokes"},
      {.source = "strokes?writer=1", .code = Code::kInvalid, .words = "nearest: writers"},
      {.source = "strokes?writers", .code = Code::kInvalid, .words = "has no value"},
      {.source = "strokes?writers=",
       .code = Code::kInvalid,
       .words = "a whole number in 0..1048575"},
      {.source = "strokes?writers=3-", .code = Code::kInvalid, .words = "a whole number"},
      {.source = "strokes?writers=5-4", .code = Code::kInvalid, .words = "before the first"},
      {.source = "strokes?writers=0-1048576", .code = Code::kInvalid, .words = "0..1048575"},
      {.source = "strokes?per=0",
       .code = Code::kInvalid,
       .words = "per=0: a whole number in 1..10000"},
      {.source = "strokes?per=10001", .code = Code::kInvalid, .words = "1..10000"},
      {.source = "strokes?per=6 ", .code = Code::kInvalid, .words = "1..10000"},
      {.source = "strokes?seed=-1", .code = Code::kInvalid, .words = "seed=-1"},
      {.source = "strokes?seed=1&&per=2", .code = Code::kInvalid, .words = "has no value"},
      {.source = "strokes?writers=0-1048575&per=10000",
       .code = Code::kLimit,
       .words = "at most 1048576"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.source);
    const auto options = ParseStrokes(row.source);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, row.code);
    EXPECT_NE(options.error().message.find(row.words), std::string::npos)
        << options.error().message;
  }
}

TEST(StrokesTest, ASourceNamesItsWriters) {
  const StrokesOptions plain = ParseStrokes("strokes").value();
  EXPECT_EQ(plain.first_writer, 0u);
  EXPECT_EQ(plain.last_writer, 99u);
  EXPECT_EQ(plain.per_writer, 100u);
  const StrokesOptions all = ParseStrokes("strokes?writers=1000-1099&per=7&seed=9&first=3").value();
  EXPECT_EQ(all.first_writer, 1000u);
  EXPECT_EQ(all.last_writer, 1099u);
  EXPECT_EQ(all.per_writer, 7u);
  EXPECT_EQ(all.seed, 9u);
  EXPECT_EQ(all.first_index, 3u);
  EXPECT_EQ(ParseStrokes("strokes?writers=5")->last_writer, 5u);
}

TEST(StrokesTest, ADataSetHoldsTheImagesOfItsWritersInOrder) {
  const Dataset data = MakeStrokes(
      {.seed = 3, .first_writer = 7, .last_writer = 9, .per_writer = 5, .first_index = 2});
  ASSERT_EQ(data.size(), 15u);
  EXPECT_EQ(data.shape, (std::vector<uint32_t>{28, 28, 1}));
  EXPECT_EQ(data.classes, 10u);
  EXPECT_EQ(data.scale, std::vector<float>{1.0f / 255});
  for (uint32_t row = 0; row < 15; ++row) {
    Image one, chosen;
    const int32_t label = DrawStroke(3, 7 + row / 5, 2 + row % 5, one.data());
    EXPECT_EQ(label, data.labels[row]);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), data.u8.begin() + row * kPixels));
    DrawDigit(3, 7 + row / 5, 2 + row % 5, label, chosen.data());
    EXPECT_EQ(one, chosen);
  }
}

TEST(StrokesTest, LabelsAreNearlyUniform) {
  const Dataset data = MakeStrokes({.last_writer = 99, .per_writer = 50});
  int counts[kDigits] = {};
  for (const int32_t label : data.labels) ++counts[label];
  // 500 expected, deviation 21.
  for (const int count : counts) EXPECT_NEAR(count, 500, 106);
}

TEST(StrokesTest, EveryImageIsInkInTheMiddleOfPaper) {
  for (uint32_t writer = 0; writer < 200; ++writer) {
    for (int digit = 0; digit < kDigits; ++digit) {
      SCOPED_TRACE(StrCat("writer ", writer, ", digit ", digit));
      const Image image = Digit(writer, writer, digit);
      double mass = 0, x = 0, y = 0, border = 0;
      for (int i = 0; i < kSide; ++i) {
        for (int j = 0; j < kSide; ++j) {
          const double ink = image[static_cast<size_t>(i * kSide + j)];
          mass += ink;
          x += ink * (j + 0.5);
          y += ink * (i + 0.5);
          if (i == 0 || j == 0 || i == kSide - 1 || j == kSide - 1) border += ink;
        }
      }
      // From a thin bar of 18 pixels to a thick 8.
      EXPECT_GT(mass / 255, 12);
      EXPECT_LT(mass / 255, 330);
      EXPECT_GE(*std::max_element(image.begin(), image.end()), 100);
      EXPECT_NEAR(x / mass, 14.5, 4.5);
      EXPECT_NEAR(y / mass, 14.5, 4.5);
      EXPECT_LT(border, 0.05 * mass);
    }
  }
}

TEST(StrokesTest, AWritersImagesAreMoreAlikeThanThoseOfTwoWriters) {
  double own = 0, others = 0;
  for (uint32_t writer = 0; writer < 100; ++writer) {
    for (int digit = 0; digit < kDigits; ++digit) {
      const Image image = Digit(writer, 0, digit);
      own += Distance(image, Digit(writer, 1, digit));
      others += Distance(image, Digit(writer + 100, 1, digit));
    }
  }
  EXPECT_GT(own, 0);
  EXPECT_LT(own, 0.85 * others);
}

TEST(StrokesTest, TheBitsAreTheSameOnEveryTarget) {
  struct Row {
    uint64_t seed;
    uint32_t writer, index;
    int32_t label;
    const char* digest;
  };
  const Row rows[] = {
      {.seed = 1,
       .writer = 0,
       .index = 0,
       .label = 1,
       .digest = "4229131794ce724c14d89b9249d98f532a720d15a979daba7a656bb6de3a934d"},
      {.seed = 1,
       .writer = 0,
       .index = 1,
       .label = 2,
       .digest = "125e0964cc6bffde1a8c637114f7eff309119fb6fb37da78428208c68d829323"},
      {.seed = 1,
       .writer = 7,
       .index = 3,
       .label = 6,
       .digest = "b313c2297a1554e397d811e25106b3e31b67b40783d677f3b223b7bc5f19386e"},
      {.seed = 1,
       .writer = 1000,
       .index = 0,
       .label = 2,
       .digest = "94a00e0c17fb1860e59d3e220ea4cf97fb1e2a047c7b9193a60ad5eff0fecf21"},
      {.seed = 2,
       .writer = 0,
       .index = 0,
       .label = 3,
       .digest = "4eb1a5ebc26bb8038a16fe4544f518c3cd6e60a87f80f9c112ba7331c1766d54"},
      {.seed = uint64_t{1} << 63,
       .writer = 1048575,
       .index = 2147483648,
       .label = 1,
       .digest = "6119e062e602ca1a0a0557439013f7170437943d45c2aba184bc02ae8b74630e"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(StrCat("seed ", row.seed, ", writer ", row.writer, ", index ", row.index));
    Image image;
    EXPECT_EQ(DrawStroke(row.seed, row.writer, row.index, image.data()), row.label);
    EXPECT_EQ(Hex(Blake2b(image)), row.digest);
  }
  EXPECT_EQ(Hex(Blake2b(MakeStrokes({.last_writer = 99, .per_writer = 20}).u8)),
            "7aa14a221db1e5379cd68bccab0a0bdd74a72d40b54aa71b19e6b60f949387ff");
}

// A look at them: rows are digits, columns writers.
TEST(StrokesTest, AContactSheetIsKept) {
  constexpr uint32_t kWriters = 32;
  const std::string path = StrCat(LINNET_BINARY_DIR, "/strokes.pgm");
  Bytes sheet(kDigits * kWriters * kPixels);
  for (int digit = 0; digit < kDigits; ++digit) {
    for (uint32_t writer = 0; writer < kWriters; ++writer) {
      const Image image = Digit(writer, 0, digit);
      for (size_t row = 0; row < kSide; ++row) {
        for (size_t column = 0; column < kSide; ++column) {
          // Ink is dark on paper.
          sheet[((static_cast<size_t>(digit) * kSide + row) * kWriters + writer) * kSide + column] =
              static_cast<uint8_t>(255 - image[row * kSide + column]);
        }
      }
    }
  }
  std::FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr) << path;
  std::fprintf(file, "P5\n%u %d\n255\n", kWriters * kSide, kDigits * kSide);
  EXPECT_EQ(std::fwrite(sheet.data(), 1, sheet.size(), file), sheet.size());
  EXPECT_EQ(std::fclose(file), 0);
}

// Multinomial logistic regression, trained as simply as can be.
class Softmax {
 public:
  void Train(const Dataset& data, int epochs) {
    RandomStream random(SeedFromInt(7), 0);
    std::vector<uint32_t> order = WholeView(std::make_shared<Dataset>(data)).rows;
    for (int epoch = 0; epoch < epochs; ++epoch) {
      random.Shuffle(std::span<uint32_t>(order));
      for (const uint32_t row : order) Step(data, row);
    }
  }
  double Accuracy(const Dataset& data) {
    size_t right = 0;
    for (uint32_t row = 0; row < data.size(); ++row) {
      const auto z = Scores(data, row);
      right += std::max_element(z.begin(), z.end()) - z.begin() == data.labels[row];
    }
    return static_cast<double>(right) / static_cast<double>(data.size());
  }

 private:
  static constexpr float kRate = 0.01f;
  std::array<float, kDigits> Scores(const Dataset& data, uint32_t row) {
    data.Gather({&row, 1}, x_.data(), &label_);
    std::array<float, kDigits> z = bias_;
    for (size_t j = 0; j < kPixels; ++j) {
      if (x_[j] == 0) continue;
      for (size_t k = 0; k < kDigits; ++k) z[k] += x_[j] * weights_[j][k];
    }
    return z;
  }
  void Step(const Dataset& data, uint32_t row) {
    auto z = Scores(data, row);
    const float largest = *std::max_element(z.begin(), z.end());
    float sum = 0;
    for (float& value : z) sum += value = std::exp(value - largest);
    for (size_t k = 0; k < kDigits; ++k) {
      z[k] = kRate * (z[k] / sum - (label_ == static_cast<int32_t>(k)));
      bias_[k] -= z[k];
    }
    for (size_t j = 0; j < kPixels; ++j) {
      if (x_[j] == 0) continue;
      for (size_t k = 0; k < kDigits; ++k) weights_[j][k] -= x_[j] * z[k];
    }
  }

  std::vector<std::array<float, kDigits>> weights_{kPixels, std::array<float, kDigits>{}};
  std::array<float, kDigits> bias_{};
  std::array<float, kPixels> x_{};
  int32_t label_ = 0;
};

TEST(StrokesTest, ALinearModelLearnsTheTaskButStaysBelowNinetyPercent) {
  const Dataset train = MakeStrokes({.last_writer = 79, .per_writer = 100});
  const Dataset unseen = MakeStrokes({.first_writer = 1000, .last_writer = 1099, .per_writer = 40});
  Softmax model;
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    model.Train(train, 2);
    best = std::max(best, model.Accuracy(unseen));
  }
  RecordProperty("best_accuracy", StrCat(best));
  EXPECT_GT(best, 0.8);
  EXPECT_LT(best, 0.9);
}

}  // namespace
}  // namespace linnet
