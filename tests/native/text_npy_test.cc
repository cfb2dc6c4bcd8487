// Texts and NumPy arrays as data sources.
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "native/data/npy.h"
#include "native/data/text.h"
#include "native/folder.h"

namespace linnet {
namespace {

// An array file with the header's dictionary as given.
std::string Npy(const std::string& dictionary, const std::string& data) {
  std::string header = dictionary + "\n";
  while ((10 + header.size()) % 64 != 0) header.insert(header.size() - 1, " ");
  std::string file = "\x93NUMPY";
  file += '\1';
  file += '\0';
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data;
}
std::string Dictionary(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}
template <typename T>
std::string Raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
Result<Dataset> Parse(const std::string& x, const std::string& y) {
  return ParseNpy(AsBytes(x), "x.npy", AsBytes(y), "y.npy");
}

const std::string kX = Npy(Dictionary("<f4", "(2, 3)"), Raw<float>({1, 2, 3, 4, 5, 6}));
const std::string kLabels = Npy(Dictionary("<i8", "(2,)"), Raw<int64_t>({3, 0}));

TEST(NpyTest, WhatIsWrongIsNamedWithWhatIsWanted) {
  struct Row {
    std::string x, y, message;
  };
  const std::vector<Row> rows = {
      {"", kLabels, "x.npy: no NumPy array file"},
      {"\x93NUMPX\1\0\0\0\0\0", kLabels, "x.npy: no NumPy array file"},
      {kX.substr(0, 50), kLabels, "x.npy: a header of"},
      {kX.substr(0, kX.size() - 1), kLabels, "23 bytes of data, the header announces 24"},
      {kX + "x", kLabels, "25 bytes of data, the header announces 24"},
      {Npy(Dictionary("<c8", "(2, 3)"), ""), kLabels, "the type of the elements"},
      {Npy(Dictionary(">f4", "(2, 3)"), ""), kLabels, "the type of the elements"},
      {Npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", ""), kLabels, "C order"},
      {Npy("{}", ""), kLabels, "the type of the elements"},
      {Npy(Dictionary("<f4", "()"), ""), kLabels, "the shape is not a tuple"},
      {Npy(Dictionary("<f4", "(2, x)"), ""), kLabels, "the shape is not a tuple"},
      {Npy(Dictionary("<f4", "(2, 3"), ""), kLabels, "the shape is not a tuple"},
      {Npy(Dictionary("<f4", "(-1, 3)"), ""), kLabels, "the shape is not a tuple"},
      {Npy(Dictionary("<f4", "(1,1,1,1,1,1,1,1,1)"), ""), kLabels, "the shape is not a tuple"},
      {Npy(Dictionary("<f4", "(0, 3)"), ""), kLabels, "empty or has more than"},
      {Npy(Dictionary("<f4", "(4294967295, 4294967295, 4294967295)"), ""), kLabels,
       "empty or has more than"},
      {Npy(Dictionary("<i4", "(2, 3)"), std::string(24, '\0')), kLabels, "wanted u1, f4 or f8"},
      {Npy(Dictionary("<f4", "(1,)"), Raw<float>({1})), kLabels, "2 rows for the 1 of x.npy"},
      {Npy(Dictionary("<f8", "(2,)"), Raw<double>({1, 1e300})), kLabels, "element 1 is"},
      {kX, Npy(Dictionary("<i4", "(2, 1)"), Raw<int32_t>({0, 1})), "labels of rank 2"},
      {kX, Npy(Dictionary("<i4", "(2,)"), Raw<int32_t>({0, -1})), "label -1 of row 1"},
      {kX, Npy(Dictionary("<u8", "(2,)"), Raw<uint64_t>({0, ~0ull})), "of row 1"},
      {kX, Npy(Dictionary("<i4", "(2,)"), Raw<int32_t>({65536, 0})), "label 65536 of row 0"},
  };
  for (const Row& row : rows) {
    const auto data = Parse(row.x, row.y);
    ASSERT_FALSE(data) << row.message;
    EXPECT_EQ(data.error().code, Code::kData);
    EXPECT_TRUE(data.error().message.contains(row.message)) << data.error().message;
  }
}

TEST(NpyTest, LabelsTargetsAndBytesAreRead) {
  const Dataset labelled = Parse(kX, kLabels).value();
  EXPECT_EQ(labelled.shape, std::vector<uint32_t>{3});
  EXPECT_EQ(labelled.classes, 4u);
  EXPECT_EQ(labelled.labels, (std::vector<int32_t>{3, 0}));
  EXPECT_EQ(labelled.f32, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  const Dataset regression =
      Parse(kX, Npy(Dictionary("<f8", "(2, 2)"), Raw<double>({0.5, 1, 2, -4}))).value();
  EXPECT_EQ(regression.targets, (std::vector<float>{0.5f, 1, 2, -4}));
  EXPECT_EQ(regression.TargetsPerRow(), 2u);
  EXPECT_EQ(regression.size(), 2u);
  const Dataset images = Parse(Npy(Dictionary("|u1", "(2, 1, 2)"), "abcd"), kLabels).value();
  EXPECT_EQ(images.shape, (std::vector<uint32_t>{1, 2, 1}));
  EXPECT_EQ(images.u8.size(), 4u);
}

TEST(TextTest, TheLastTenthOfTheBytesIsTheTestPart) {
  const TrainTest parts =
      ParseText(std::string(1009, 'a'), "t", {.context = 16, .step = 1}).value();
  EXPECT_EQ(parts.train->u8.size(), 908u);  // 9/10 rounded down
  EXPECT_EQ(parts.test->u8.size(), 101u);
  EXPECT_EQ(parts.train->size(), 908u - 16);
  EXPECT_EQ(parts.train->classes, 256u);
  const auto small = ParseText(std::string(160, 'a'), "t", {.context = 16});
  ASSERT_FALSE(small);
  EXPECT_TRUE(small.error().message.contains("more than the context of 16"))
      << small.error().message;
}

TEST(TextTest, OptionsAreChecked) {
  const TestFolder folder;
  const std::string file = folder.path() + "/t.txt";
  std::ofstream(file) << std::string(1000, 'x');
  EXPECT_EQ(OpenText(file).value().train->size(), 14u);  // 900 bytes, windows of 64 side by side
  EXPECT_EQ(OpenText(file + "?context=8&step=100").value().train->size(), 9u);
  struct Row {
    std::string rest, message;
  };
  const std::vector<Row> rows = {
      {"", "no file was named"},
      {file + "?context=0", "context=0: a whole number in 1..4096"},
      {file + "?context=5000", "context=5000"},
      {file + "?step=x", "step=x"},
      {file + "?contex=8", "the key \"contex\" is not known (nearest: context)"},
      {file + ".gone", "t.txt.gone"},
  };
  for (const Row& row : rows) {
    const auto parts = OpenText(row.rest);
    ASSERT_FALSE(parts) << row.rest;
    EXPECT_TRUE(parts.error().message.contains(row.message)) << parts.error().message;
  }
}

}  // namespace
}  // namespace linnet
