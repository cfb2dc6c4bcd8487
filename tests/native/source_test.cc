#include "native/data/source.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "base/random.h"
#include "gtest/gtest.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/train.h"
#include "native/data/csv.h"
#include "native/data/file.h"
#include "native/data/idx.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

std::string Number(uint32_t value) {
  std::string out(4, '\0');
  StoreLE(out.data(), std::byteswap(value));
  return out;
}

std::string Images(uint32_t count, uint32_t side, uint32_t magic = 2051) {
  std::string out = Number(magic) + Number(count) + Number(side) + Number(side);
  for (uint32_t i = 0; i < count * side * side; ++i) out += static_cast<char>(i);
  return out;
}

std::string Labels(std::string_view labels, uint32_t magic = 2049) {
  return Number(magic) + Number(static_cast<uint32_t>(labels.size())) + std::string(labels);
}

std::string Gzip(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream{};
  // 16 added to the window's size asks for a gzip header.
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A folder of its own for each test.
class SourceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        StrCat("linnet_source_", testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& contents) {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
    return folder_ / name;
  }
  void ExpectError(const Result<TrainTest>& parts, Code code, const std::string& words) {
    ASSERT_FALSE(parts);
    EXPECT_EQ(CodeName(parts.error().code), CodeName(code)) << parts.error().message;
    EXPECT_NE(parts.error().message.find(words), std::string::npos) << parts.error().message;
    EXPECT_EQ(parts.error().message.find('\n'), std::string::npos);
  }

  fs::path folder_;
};

TEST_F(SourceTest, AKindThatIsNotKnownIsAnsweredWithTheNearest) {
  ExpectError(OpenSource("mnits:dir"), Code::kInvalid, "nearest: mnist");
  ExpectError(OpenSource("stroke"), Code::kInvalid, "nearest: strokes");
  ExpectError(OpenSource(""), Code::kInvalid,
              "csv:TRAIN?label=NAME&test=TEST, npy:X.npy,Y.npy or text:FILE?context=64 is wanted");
  ExpectError(OpenSource("mnist"), Code::kInvalid, "mnist:DIR");
  ExpectError(OpenSource("mnist:"), Code::kInvalid, "mnist:DIR");
  ExpectError(OpenSource("strokes:x"), Code::kInvalid, "strokes?writers=");
  ExpectError(OpenSource("strokes?per=x"), Code::kInvalid, "per=x");
  ExpectError(OpenSource("csv:x"), Code::kInvalid, "no label column was named");
  ExpectError(OpenSource("csv:?label=y"), Code::kInvalid, "no file was named");
  ExpectError(OpenSource("csv:x?lable=y"), Code::kInvalid, "nearest: label");
}

TEST_F(SourceTest, StrokesAreOneTrainingPart) {
  const auto parts = OpenSource("strokes?writers=3-4&per=6");
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->train->size(), 12u);
  EXPECT_EQ(parts->test, nullptr);
}

TEST_F(SourceTest, BrokenIdxFilesAreRefusedSayingWhatWasFoundAndWanted) {
  struct Row {
    const char* name;
    std::string images, labels;
    const char* words;
    Code code = Code::kData;
  };
  const std::string good_images = Images(3, 2), good_labels = Labels({"\1\2\3", 3});
  const Row rows[] = {
      {.name = "empty",
       .images = "",
       .labels = good_labels,
       .words = "images-idx3-ubyte: 0 bytes, an IDX header of 16 is wanted"},
      {.name = "labels as images",
       .images = good_labels + good_labels,
       .labels = good_labels,
       .words = "the IDX magic number is 2049, 2051 (images of bytes) is wanted"},
      {.name = "images as labels",
       .images = good_images,
       .labels = good_images,
       .words = "the IDX magic number is 2051, 2049 (labels of one byte) is wanted"},
      {.name = "truncated images",
       .images = good_images.substr(0, 27),
       .labels = good_labels,
       .words = "27 bytes, its header announces 28: the file is truncated"},
      {.name = "too long",
       .images = good_images + "x",
       .labels = good_labels,
       .words = "29 bytes, its header announces 28: the file is too long"},
      {.name = "announces gigabytes",
       .images = Number(2051) + Number(~0u) + Number(4096) + Number(4096),
       .labels = good_labels,
       .words = "the file is truncated"},
      {.name = "no side",
       .images = Number(2051) + Number(3) + Number(0) + Number(2),
       .labels = good_labels,
       .words = "images of 0 x 2"},
      {.name = "truncated labels",
       .images = good_images,
       .labels = good_labels.substr(0, 10),
       .words = "10 bytes, its header announces 11"},
      {.name = "other count",
       .images = good_images,
       .labels = Labels("\1"),
       .words = "1 labels for the 3 images of"},
      {.name = "label outside",
       .images = good_images,
       .labels = Labels("\1\12\3"),
       .words = "label 10 of example 1, 0..9 is wanted"},
      {.name = "no example", .images = Images(0, 2), .labels = Labels(""), .words = "no image"},
      {.name = "truncated gzip",
       .images = Gzip(Images(50, 20)).substr(0, 300),
       .labels = good_labels,
       .words = "images-idx3-ubyte: the gzip stream is truncated"},
      {.name = "broken gzip",
       .images = Gzip(good_images).substr(0, 12) + "xxxxxxxxxxxxxxxxxxxxxxxx",
       .labels = good_labels,
       .words = "images-idx3-ubyte: the gzip stream is broken"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Write("train-images-idx3-ubyte", row.images);
    Write("train-labels-idx1-ubyte", row.labels);
    ExpectError(OpenSource("mnist:" + folder_.string()), row.code, row.words);
  }
}

TEST_F(SourceTest, MissingIdxFilesAreNamed) {
  ExpectError(OpenSource("mnist:/no/such/folder"), Code::kNotFound,
              "neither /no/such/folder/train-images-idx3-ubyte nor");
  Write("train-images-idx3-ubyte", Images(1, 2));
  ExpectError(OpenSource("mnist:" + folder_.string()), Code::kNotFound,
              "train-labels-idx1-ubyte.gz");
  Write("train-labels-idx1-ubyte", Labels("\1"));
  Write("t10k-labels-idx1-ubyte", Labels("\1"));
  ExpectError(OpenSource("mnist:" + folder_.string()), Code::kNotFound, "t10k-images-idx3-ubyte");
  fs::create_directories(folder_ / "t10k-images-idx3-ubyte");
  ExpectError(OpenSource("mnist:" + folder_.string()), Code::kIo, "not a regular file");
}

TEST_F(SourceTest, IdxFilesAreReadPlainAndGzippedWithOrWithoutATestPart) {
  Write("train-images-idx3-ubyte.gz", Gzip(Images(3, 2)));
  Write("train-labels-idx1-ubyte", Labels("\7\1\3"));
  auto parts = OpenSource("mnist:" + folder_.string());
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->test, nullptr);
  EXPECT_EQ(parts->train->labels, (std::vector<int32_t>{7, 1, 3}));
  EXPECT_EQ(parts->train->u8, (Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(parts->train->shape, (std::vector<uint32_t>{2, 2, 1}));
  Write("t10k-images-idx3-ubyte", Images(1, 2));
  Write("t10k-labels-idx1-ubyte.gz", Gzip(Labels("\5")));
  parts = OpenSource("mnist:" + folder_.string());
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->test->labels, std::vector<int32_t>{5});
  Write("t10k-images-idx3-ubyte", Images(1, 3));
  ExpectError(OpenSource("mnist:" + folder_.string()), Code::kData, "images of 3 x 3");
}

TEST_F(SourceTest, AFileThatUnpacksToMoreThanTheLimitIsRefused) {
  const std::string path = Write("bomb.gz", Gzip(std::string(1 << 22, '\0')));
  const auto bytes = ReadDataFile(path, 1 << 20);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, Code::kLimit);
  EXPECT_EQ(ReadDataFile(path, 1 << 22)->size(), size_t{1} << 22);
}

TEST_F(SourceTest, BrokenTablesAreRefusedNamingFileAndLine) {
  struct Row {
    const char* name;
    std::string train, test;
    const char* words;
  };
  const Row rows[] = {
      {.name = "empty", .train = "\n \n", .test = "", .words = "train.csv: empty, a header row"},
      {.name = "header only", .train = "a,y\n", .test = "", .words = "train.csv: no row under"},
      {.name = "no label column",
       .train = "a,z\n1,2\n",
       .test = "",
       .words = "train.csv: line 1: no column is named \"y\" (nearest: \"a\")"},
      {.name = "label only", .train = "y\n1\n", .test = "", .words = "line 1: no column beside"},
      {.name = "same name twice",
       .train = "a,a,y\n",
       .test = "",
       .words = "two columns are named \"a\""},
      {.name = "short row",
       .train = "a,b,y\n1,2,0\n1,0\n",
       .test = "",
       .words = "train.csv: line 3: 2 fields, the header has 3"},
      {.name = "long row", .train = "a,y\n\n1,0,\n", .test = "", .words = "line 3: 3 fields"},
      {.name = "word",
       .train = "a,y\n1,0\nx1,0\n",
       .test = "",
       .words = "line 3: column \"a\" holds \"x1\", a number is wanted"},
      {.name = "hole", .train = "a,y\n,0\n", .test = "", .words = "holds \"\", a number"},
      {.name = "NaN",
       .train = "a,y\nnan,0\n",
       .test = "",
       .words = "line 2: column \"a\" holds \"nan\", a finite number"},
      {.name = "infinity", .train = "a,y\n-inf,0\n", .test = "", .words = "a finite number"},
      {.name = "beyond f64", .train = "a,y\n1e999,0\n", .test = "", .words = "a finite number"},
      {.name = "beyond f32", .train = "a,y\n1e39,0\n", .test = "", .words = "32-bit floats"},
      {.name = "no label", .train = "a,y\n1,\n", .test = "", .words = "line 2: the label is empty"},
      {.name = "open quote",
       .train = "a,y\n\"1,0\n2,1\n",
       .test = "",
       .words = "line 2: a quoted field"},
      {.name = "behind a quote",
       .train = "a,y\n\"1\"2,0\n",
       .test = "",
       .words = "a comma is wanted"},
      {.name = "other columns",
       .train = "a,y\n1,0\n",
       .test = "b,y\n1,0\n",
       .words = "test.csv: line 1: no column is named \"a\""},
      {.name = "new word",
       .train = "a,y\n1,x\n",
       .test = "a,y\n1,x\n2,z\n",
       .words = "test.csv: line 3: the label \"z\" is not one of the 1 classes"},
      {.name = "label beyond",
       .train = "a,y\n1,0\n2,3\n",
       .test = "a,y\n1,4\n",
       .words = "line 2: the label \"4\" is not one of the 4 classes"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const std::string_view test = row.test;
    ExpectError(
        ParseCsv(row.train, "train.csv", "y", row.test.empty() ? nullptr : &test, "test.csv"),
        Code::kData, row.words);
  }
}

TEST_F(SourceTest, MissingTablesAreNamed) {
  const std::string train = Write("train.csv", "a,y\n1,0\n");
  ExpectError(OpenSource("csv:/no/such.csv?label=y"), Code::kNotFound,
              "/no/such.csv: No such file");
  ExpectError(OpenSource("csv:" + train + "?label=y&test=/no/such.csv"), Code::kNotFound,
              "/no/such.csv: No such file");
}

TEST_F(SourceTest, TablesAreReadWithTheTestPartsColumnsByName) {
  const std::string train =
      Write("train.csv",
            "\xef\xbb\xbf\"a,\"\"b\" , c,kind\r\n1, 2.5 ,dog\r\n\r\n+3,-1e1,\"cat\"\r\n2,0,dog");
  const std::string test = Write("test.csv.gz", Gzip("kind,c,extra,\"a,\"\"b\"\ncat,7,x,8\n"));
  const auto parts = OpenSource("csv:" + train + "?label=kind&test=" + test);
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->train->shape, std::vector<uint32_t>{2});
  EXPECT_EQ(parts->train->classes, 2u);
  EXPECT_EQ(parts->train->f32, (std::vector<float>{1, 2.5, 3, -10, 2, 0}));
  EXPECT_EQ(parts->train->labels, (std::vector<int32_t>{1, 0, 1}));
  EXPECT_EQ(parts->test->f32, (std::vector<float>{8, 7}));
  EXPECT_EQ(parts->test->labels, std::vector<int32_t>{0});
  EXPECT_EQ(parts->test->scale, parts->train->scale);
}

TEST_F(SourceTest, WholeNumbersAsLabelsKeepTheirValues) {
  const auto parts = ParseCsv("y,a\n5,1\n2,2\n", "t", "y", nullptr, "");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->train->labels, (std::vector<int32_t>{5, 2}));
  EXPECT_EQ(parts->train->classes, 6u);
  // Negative numbers are names like others.
  const auto signs = ParseCsv("y,a\n1,1\n-1,2\n", "t", "y", nullptr, "");
  ASSERT_TRUE(signs);
  EXPECT_EQ(signs->train->labels, (std::vector<int32_t>{1, 0}));
}

std::string SharedMnist() {
  const char* shared = std::getenv("LINNET_SHARED");
  return (shared != nullptr ? std::string(shared) : LINNET_SOURCE_DIR "/../shared") + "/data/mnist";
}

class MnistTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::is_directory(SharedMnist())) {
      GTEST_SKIP() << SharedMnist() << " is missing: what MNIST's files hold, and how well a model "
                   << "trained on strokes reads them, was not checked";
    }
    auto parts = OpenSource("mnist:" + SharedMnist());
    ASSERT_TRUE(parts) << parts.error().message;
    mnist_ = *std::move(parts);
  }
  TrainTest mnist_;
};

TEST_F(MnistTest, LabelCountsAndMeanAreThosePublished) {
  const auto counts = [](const Dataset& data) {
    std::vector<int> out(10);
    for (const int32_t label : data.labels) ++out[static_cast<size_t>(label)];
    return out;
  };
  EXPECT_EQ(counts(*mnist_.train),
            (std::vector<int>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
  EXPECT_EQ(counts(*mnist_.test),
            (std::vector<int>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}));
  double sum = 0, square = 0;
  for (const uint8_t pixel : mnist_.train->u8) {
    sum += pixel;
    square += pixel * pixel;
  }
  const auto pixels = static_cast<double>(mnist_.train->u8.size());
  const double mean = sum / pixels / 255;
  EXPECT_NEAR(mean, 0.130660, 1e-6);
  EXPECT_NEAR(std::sqrt(square / pixels / 255 / 255 - mean * mean), 0.308108, 1e-6);
}

double Accuracy(const Graph& graph, std::span<const float> parameters, const Dataset& data,
                const Kernels& kernels) {
  constexpr size_t kBatch = 100;
  auto predictor = Predictor::Create(graph, kBatch, kernels).value();
  std::vector<uint32_t> rows(kBatch);
  std::vector<float> x(kBatch * data.features()), logits(kBatch * data.classes);
  std::vector<int32_t> y(kBatch);
  Metrics metrics;
  for (size_t at = 0; at + kBatch <= data.size(); at += kBatch) {
    std::iota(rows.begin(), rows.end(), static_cast<uint32_t>(at));
    data.Gather(rows, x.data(), y.data());
    predictor->Run(parameters, x.data(), kBatch, logits.data());
    Score(kernels, logits.data(), y.data(), kBatch, data.classes, metrics);
  }
  return metrics.accuracy();
}

// Strokes are handwriting enough that what is learnt from them alone reads real digits.
TEST_F(MnistTest, AModelTrainedOnStrokesAloneReadsIt) {
  constexpr size_t kBatch = 20;
  constexpr int kEpochs = 8;
  const TrainTest strokes = OpenSource("strokes?writers=0-79&per=100").value();
  const TrainTest unseen = OpenSource("strokes?writers=1000-1099&per=40").value();
  const Kernels& kernels = BestKernels();
  const Model model = BuiltinModel("mlp-2nn", SeedFromInt(1)).value();
  auto trainer = Trainer::Create(model.graph, {.learning_rate = 0.1f}, kBatch, kernels).value();
  std::copy(model.parameters.begin(), model.parameters.end(), trainer->parameters().begin());
  RandomStream random(SeedFromInt(2), 0);
  std::vector<uint32_t> rows = WholeView(strokes.train).rows;
  std::vector<float> x(kBatch * 784);
  std::vector<int32_t> y(kBatch);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    random.Shuffle(std::span<uint32_t>(rows));
    for (size_t at = 0; at + kBatch <= rows.size(); at += kBatch) {
      strokes.train->Gather(std::span<uint32_t>(rows).subspan(at, kBatch), x.data(), y.data());
      trainer->Step(x.data(), y.data(), kBatch);
    }
  }
  const double on_unseen = Accuracy(model.graph, trainer->parameters(), *unseen.train, kernels);
  const double on_mnist = Accuracy(model.graph, trainer->parameters(), *mnist_.test, kernels);
  RecordProperty("unseen_writers", StrCat(on_unseen));
  RecordProperty("mnist", StrCat(on_mnist));
  EXPECT_GT(on_unseen, 0.95);
  EXPECT_GT(on_mnist, 0.80);
}

}  // namespace
}  // namespace linnet
