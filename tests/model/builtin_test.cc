// The builtin models: names, shapes, sizes and first weights.
#include <cmath>
#include <cstring>

#include "base/crypto.h"
#include "graphs.h"
#include "gtest/gtest.h"
#include "model/model.h"

namespace linnet {
namespace {

TEST(BuiltinTest, AnUnknownNameGetsTheKnownOnes) {
  const Result<Model> model = BuiltinModel("mlp", SeedFromInt(1));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kNotFound);
  EXPECT_EQ(model.error().message,
            "no builtin model is called mlp; there are mlp-2nn, mlp-256-128, cnn-small, "
            "softmax-regression, cnn-mnist, dscnn-small, lenet-niid, autoencoder, gru-char, "
            "transformer-tiny");
}

TEST(BuiltinTest, ShapesThatDoNotFitAreRefused) {
  struct Row {
    std::string name;
    std::vector<uint32_t> shape;
    uint32_t classes;
  };
  const std::vector<Row> rows = {
      {"cnn-small", {784}, 10},
      {"cnn-small", {28, 28}, 10},
      {"cnn-small", {5, 28, 1}, 10},
      {"cnn-small", {28, 5, 1}, 10},
      {"cnn-small", {28, 28, 0}, 10},
      {"cnn-small", {0x10000, 0x10000, 1}, 10},
      {"mlp-2nn", {}, 10},
      {"mlp-2nn", {0}, 10},
      {"mlp-2nn", {1 << 28}, 10},
      {"mlp-2nn", {0xffffffff, 0xffffffff}, 10},
      {"mlp-2nn", {784}, 0},
      {"mlp-2nn", {784}, 1},
      {"softmax-regression", {784}, 0xffffffff},
      {"softmax-regression", {1, 1, 1, 1, 1, 1, 1, 1, 1}, 10},
      {"lenet-niid", {15, 28, 1}, 10},
      {"dscnn-small", {28, 28}, 10},
      {"autoencoder:19-8-19", {20}, 10},
      {"gru-char", {28, 28, 1}, 65},
      {"gru-char", {64}, 1},
      {"gru-char", {0}, 65},
      {"transformer-tiny", {0xffffffff}, 65},
  };
  for (const Row& row : rows) {
    const Result<Model> model = BuiltinModel(row.name, SeedFromInt(1), row.shape, row.classes);
    ASSERT_FALSE(model) << row.name << " " << row.shape.size() << " " << row.classes;
    EXPECT_EQ(model.error().code, Code::kInvalid) << model.error().message;
    EXPECT_TRUE(model.error().message.contains(row.name)) << model.error().message;
  }
}

TEST(BuiltinTest, ModelsHaveThePublishedSizes) {
  struct Row {
    std::string name;
    uint64_t parameters;
  };
  const std::vector<Row> rows = {
      {"mlp-2nn", 199'210},  // McMahan et al. (2017), section 3
      {"mlp-256-128", 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10},
      {"cnn-small", 9 * 32 + 32 + 9 * 32 * 64 + 64 + 9216 * 128 + 128 + 128 * 10 + 10},
      {"softmax-regression", 7850},
      {"cnn-mnist", 1'663'370},  // McMahan et al. (2017), section 3
      // Convolutions 320, (9 + 1) * 32, 33 * 64, 640, 65 * 64, 640, 65 * 128; norms 4 * channels.
      {"dscnn-small",
       320 + 320 + 2112 + 640 + 4160 + 640 + 8320 + 4 * (32 + 32 + 64 + 64 + 64 + 64 + 128) + 1290},
      {"lenet-niid", 44'426},  // niid_bench of Flower's baselines
      {"autoencoder", 784 * 64 + 64 + 64 * 16 + 16 + 16 * 64 + 64 + 64 * 784 + 784},
      {"gru-char", 65 * 64 + 3 * 224 * (64 + 224 + 2) + 225 * 65},
      {"transformer-tiny", 2 * 64 * 64 + 64 + 4 * (12 * 64 * 64 + 13 * 64) + 2 * 64 + 65 * 65},
      {"autoencoder:19-20-8-20-19", 1147},
      // nanoGPT's 0.80 M for a CPU, with biases, positions and a head of its own.
      {"transformer-tiny:4-4-128",
       65 * 128 + 64 * 128 + 4 * (12 * 128 * 128 + 13 * 128) + 2 * 128 + 129 * 65},
  };
  ASSERT_EQ(BuiltinModelNames().size() + 2, rows.size());
  for (const Row& row : rows) {
    const Result<Model> model = BuiltinModel(row.name, SeedFromInt(1));
    ASSERT_TRUE(model);
    EXPECT_EQ(model->graph.ParamCount(), row.parameters);
    EXPECT_EQ(model->graph.name, row.name);
    EXPECT_TRUE(ValidateGraph(model->graph));
  }
}

TEST(BuiltinTest, WeightsFillTheirIntervalAndBiasesAreZero) {
  const Model model = BuiltinModel("mlp-256-128", SeedFromInt(3)).value();
  // sqrt(6 / fan in) before a relu, sqrt(6 / (fan in + fan out)) for the last.
  const float limits[] = {0.0874817f, 0, 0.1530931f, 0, 0.2085144f, 0};
  for (size_t i = 0; i < model.graph.params.size(); ++i) {
    const ParamInfo& param = model.graph.params[i];
    SCOPED_TRACE(param.name);
    float largest = 0;
    double sum = 0;
    for (uint64_t j = 0; j < param.count; ++j) {
      largest = std::max(largest, std::abs(model.parameters[param.offset + j]));
      sum += model.parameters[param.offset + j];
    }
    EXPECT_LE(largest, limits[i] * 1.00001f);
    EXPECT_GE(largest, limits[i] * 0.99f);
    EXPECT_LE(std::abs(sum), 4 * limits[i] * std::sqrt(double(param.count) / 3));
  }
}

// These weights are what every device of a federation starts from: natively and in WASM the same.
TEST(BuiltinTest, TheBytesOfASeedAreGolden) {
  const auto digest = [](std::string_view name, uint64_t seed) {
    const Model model = BuiltinModel(name, SeedFromInt(seed)).value();
    Bytes bytes(model.parameters.size() * 4);
    std::memcpy(bytes.data(), model.parameters.data(), bytes.size());
    return Hex(Blake2b(bytes)).substr(0, 16);
  };
  EXPECT_EQ(digest("mlp-2nn", 1), "5af1bf52e4c093a8");
  EXPECT_EQ(digest("cnn-small", 1), "2067eaffb17c162d");
  EXPECT_EQ(digest("dscnn-small", 1), "e3d379337fe9b68a");
  EXPECT_EQ(digest("gru-char", 1), "6b22f66229c511cb");
  EXPECT_EQ(digest("transformer-tiny", 1), "4e0380a3c4b2fc56");
  EXPECT_NE(digest("mlp-2nn", 1), digest("mlp-2nn", 2));
}

TEST(BuiltinTest, NumbersBehindANameAreCheckedAgainstWhatTheModelTakes) {
  struct Row {
    std::string name, found;
  };
  const std::vector<Row> rows = {
      {"mlp-2nn:3", "mlp-2nn takes nothing behind its name"},
      {"autoencoder:", "3 to 16 numbers in 1..65536 are wanted, as in autoencoder:19-20-8-20-19"},
      {"autoencoder:3-3", "3 to 16 numbers"},
      {"autoencoder:3-0-3", "3 to 16 numbers"},
      {"autoencoder:3--3-3", "3 to 16 numbers"},
      {"autoencoder:3-99999999999-3", "3 to 16 numbers"},
      {"autoencoder:3-2-3-", "3 to 16 numbers"},
      {"autoencoder:3-2-3x", "3 to 16 numbers"},
      {"autoencoder:1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "3 to 16 numbers"},
      {"autoencoder:4-2-5", "the first width is 4 and the last 5"},
      {"transformer-tiny:4-4", "as in transformer-tiny:LAYERS-HEADS-WIDTH"},
      {"transformer-tiny:4-3-64", "heads that divide the width"},
      {"transformer-tiny:65-4-64", "at most 64 layers"},
  };
  for (const Row& row : rows) {
    const Result<Model> model = BuiltinModel(row.name, SeedFromInt(1));
    ASSERT_FALSE(model) << row.name;
    EXPECT_EQ(model.error().code, Code::kInvalid);
    EXPECT_TRUE(model.error().message.contains(row.found)) << model.error().message;
  }
}

TEST(BuiltinTest, AModelOfSymbolsGivesLogitsForEachPosition) {
  for (const std::string name : {"gru-char", "transformer-tiny", "transformer-tiny:1-2-8"}) {
    const Model model = BuiltinModel(name, SeedFromInt(1), {16}, 27).value();
    EXPECT_EQ(InferShapes(model.graph).value().back(), (std::vector<uint32_t>{16, 27})) << name;
    EXPECT_EQ(model.graph.loss, Loss::kCrossEntropy);
  }
}

TEST(BuiltinTest, AnAutoencoderGivesItsInputBack) {
  const Model model = BuiltinModel("autoencoder", SeedFromInt(1), {4, 5}, 3).value();
  EXPECT_EQ(model.graph.classes, 20u);
  EXPECT_EQ(model.graph.loss, Loss::kMse);
}

TEST(BuiltinTest, ResidualPathsBeginSmallAndNormsAsTheIdentity) {
  const Model model = BuiltinModel("transformer-tiny", SeedFromInt(1)).value();
  for (const ParamInfo& param : model.graph.params) {
    double squares = 0, sum = 0;
    for (uint64_t i = 0; i < param.count; ++i) {
      const double value = model.parameters[param.offset + i];
      squares += value * value, sum += value;
    }
    const double count = double(param.count), deviation = std::sqrt(squares / count);
    const auto named = [&](std::string_view end) { return param.name.ends_with(end); };
    if (named(".bias") || named(".shift")) {
      EXPECT_EQ(squares, 0) << param.name;
    } else if (named(".scale")) {
      EXPECT_EQ(sum, count) << param.name;
    } else {
      const double wanted =
          named("projection.weight") || named("narrow.weight") ? 0.02 / std::sqrt(8.0) : 0.02;
      EXPECT_NEAR(deviation, wanted, wanted * 4 / std::sqrt(2 * count)) << param.name;
      EXPECT_LE(std::abs(sum), 4 * wanted * std::sqrt(count)) << param.name;
    }
  }
}

}  // namespace
}  // namespace linnet
