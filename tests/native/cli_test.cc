#include <cmath>
#include <fstream>
#include <limits>

#include "gtest/gtest.h"
#include "native/cli/command_line.h"
#include "native/cli/image.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/folder.h"

namespace linnet {
namespace {

// Parses "linnet WORDS"; keeps what was printed.
struct Parsed {
  std::variant<Command, int> result = 0;
  std::string out, err;
};
Parsed Parse(std::vector<const char*> words) {
  words.insert(words.begin(), "linnet");
  Parsed parsed;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  parsed.result = ParseCommandLine(int(words.size()), words.data());
  parsed.out = testing::internal::GetCapturedStdout();
  parsed.err = testing::internal::GetCapturedStderr();
  return parsed;
}

TEST(CommandLineTest, WrongUseIsOneLineAndCodeTwo) {
  const std::vector<std::vector<const char*>> rows = {
      {},
      {"fly"},
      {"serve"},
      {"serve", "a.json", "--nonsense"},
      {"join", "ws://host:1"},
      {"join", "--data", "strokes"},
      {"simulate", "a.json", "--data", "strokes", "--clients", "0"},
      {"simulate", "a.json", "--data", "strokes", "--drop", "1.5"},
      {"model", "quantize", "a.linnet"},
      {"model", "quantize", "a.linnet", "--data", "strokes", "--bits", "3"},
      {"model", "prune", "a.linnet", "--data", "strokes", "--sparsity", "1"},
      {"model", "prune", "a.linnet", "--data", "strokes", "--pruning", "random"},
      {"simulate", "a.json", "--data", "strokes", "--seed", "x"},
      {"infer", "m", "--data", "strokes", "--image", "x.pgm"},
      {"infer", "m", "--data", "strokes", "--scale", "log"},
      {"status"},
      {"train", "mlp-2nn"},
      {"train", "mlp-2nn", "--data", "strokes", "--batch", "0"},
      {"train", "mlp-2nn", "--data", "strokes", "--optimizer", "lion"},
      {"train", "mlp-2nn", "--data", "strokes", "--target", "97"},
      {"eval", "m.linnet"},
      {"infer", "m", "--input", "-", "--top", "0"},
      {"bench", "--seconds", "0"},
  };
  for (const auto& row : rows) {
    const Parsed parsed = Parse(row);
    ASSERT_TRUE(std::holds_alternative<int>(parsed.result));
    EXPECT_EQ(std::get<int>(parsed.result), kExitUsage);
    EXPECT_EQ(std::count(parsed.err.begin(), parsed.err.end(), '\n'), 1) << parsed.err;
    EXPECT_EQ(parsed.err.substr(0, 6), "linnet") << parsed.err;
  }
}

TEST(CommandLineTest, EachCommandHelpsWithAnExampleAndTheExitCodes) {
  for (const char* command :
       {"serve", "join", "simulate", "infer", "status", "train", "eval", "bench"}) {
    const Parsed parsed = Parse({command, "--help"});
    ASSERT_TRUE(std::holds_alternative<int>(parsed.result));
    EXPECT_EQ(std::get<int>(parsed.result), 0);
    EXPECT_NE(parsed.out.find(std::string("Example:\n  linnet ") + command), std::string::npos)
        << parsed.out;
    EXPECT_NE(parsed.out.find("--json"), std::string::npos) << parsed.out;
    EXPECT_NE(parsed.out.find("Exit codes: 0 good"), std::string::npos) << parsed.out;
  }
}

TEST(CommandLineTest, TheFederationFilesKeysAreListed) {
  const Parsed parsed = Parse({"serve", "--help-federation"});
  ASSERT_TRUE(std::holds_alternative<int>(parsed.result));
  EXPECT_EQ(std::get<int>(parsed.result), 0);
  EXPECT_NE(parsed.out.find("round.cohort"), std::string::npos) << parsed.out;
}

TEST(CommandLineTest, OptionsReachTheirCommand) {
  const Parsed parsed =
      Parse({"serve", "f.json", "--listen", "[::1]:1", "--plugin", "a#1", "--plugin", "b#2",
             "--once", "--expect", "9", "--allow-origin", "https://x"});
  const auto& serve = std::get<ServeCommand>(std::get<Command>(parsed.result));
  EXPECT_EQ(serve.federation_file, "f.json");
  EXPECT_EQ(serve.listen, "[::1]:1");
  EXPECT_EQ(serve.plugins, (std::vector<std::string>{"a#1", "b#2"}));
  EXPECT_EQ(serve.expect, 9u);
  EXPECT_TRUE(serve.once);
  EXPECT_FALSE(serve.json);
}

TEST(OutputTest, NumbersArePlain) {
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1.00 KB");
  EXPECT_EQ(HumanBytes(25466), "25.5 KB");
  EXPECT_EQ(HumanBytes(999600), "1.00 MB");
  EXPECT_EQ(HumanBytes(160000000), "160 MB");
  EXPECT_EQ(HumanSeconds(0.2504), "250 ms");
  EXPECT_EQ(HumanSeconds(12.34), "12.3 s");
  EXPECT_EQ(HumanSeconds(200), "3 min 20 s");
  EXPECT_EQ(HumanSeconds(7260), "2 h 1 min");
  EXPECT_EQ(Percent(0.9531), "95.31 %");
  EXPECT_EQ(Percent(std::nan("")), "-");
}

TEST(OutputTest, APlotRisesWithItsValues) {
  EXPECT_TRUE(Plot(std::vector<double>{0.5}, 10, 3).empty());
  const auto lines = Plot(std::vector<double>{0, std::nan(""), 0.5, 1}, 10, 2);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "  100.00 % │  █");
  EXPECT_EQ(lines[1], "    0.00 % │▁██");
}

TEST(SetupTest, ABuiltInModelTakesTheShapeOfTheData) {
  Federation federation;
  federation.model.builtin = "softmax-regression";
  Dataset like;
  like.shape = {4};
  like.classes = 3;
  const auto model = InitialModel(federation, "", SeedFromInt(1), &like);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->graph.InputCount(), 4u);
  EXPECT_EQ(model->graph.classes, 3u);
}

TEST(SetupTest, LayoutsDifferByGraphAndNotByWeights) {
  Federation federation;
  federation.model.builtin = "softmax-regression";
  const Model a = *InitialModel(federation, "", SeedFromInt(1), nullptr);
  const Model b = *InitialModel(federation, "", SeedFromInt(2), nullptr);
  federation.model.builtin = "mlp-256-128";
  const Model c = *InitialModel(federation, "", SeedFromInt(1), nullptr);
  EXPECT_NE(a.parameters, b.parameters);
  EXPECT_EQ(LayoutDigest(a), LayoutDigest(b));
  EXPECT_NE(LayoutDigest(a), LayoutDigest(c));
}

TEST(SetupTest, ARelativeModelFileIsFoundBesideItsFederation) {
  TestFolder folder;
  const Model model = *BuiltinModel("softmax-regression", SeedFromInt(3));
  const Bytes bytes = SaveModel(model);
  std::ofstream(folder.path() + "/start.linnet", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  std::ofstream(folder.path() + "/fed.json")
      << R"({"name": "warm", "model": {"file": "start.linnet"}})";
  const auto federation = LoadFederation(folder.path() + "/fed.json");
  ASSERT_TRUE(federation) << federation.error().message;
  const auto loaded = InitialModel(*federation, "", SeedFromInt(1), nullptr);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->parameters, model.parameters);
}

struct PgmRow {
  const char* name;
  std::string bytes;
  Code code;
};

TEST(ImageTest, WhatIsNoImageOfTheRightSizeIsRefused) {
  const Graph graph = BuiltinModel("softmax-regression", Seed{}, {2, 2, 1}, 2)->graph;
  const PgmRow rows[] = {
      {"empty", "", Code::kData},
      {"text", "P2 2 2 255 1 2 3 4", Code::kData},
      {"no size", "P5", Code::kData},
      {"16 bits", "P5 2 2 65535 12345678", Code::kData},
      {"cut short", "P5 2 2 255 123", Code::kData},
      {"other size", "P5 3 2 255 123456", Code::kInvalid},
      {"huge size", "P5 99999999 99999999 255 1", Code::kInvalid},
  };
  TestFolder folder;
  for (const PgmRow& row : rows) {
    const std::string path = folder.path() + "/image.pgm";
    std::ofstream(path, std::ios::trunc) << row.bytes;
    const auto image = LoadPgm(path, graph);
    ASSERT_FALSE(image) << row.name;
    EXPECT_EQ(image.error().code, row.code) << row.name << ": " << image.error().message;
  }
}

TEST(ImageTest, PixelsComeScaled) {
  const Graph graph = BuiltinModel("softmax-regression", Seed{}, {2, 2, 1}, 2)->graph;
  TestFolder folder;
  const std::string path = folder.path() + "/image.pgm";
  std::ofstream(path) << "P5\n# a comment\n2 2\n100\n" << '\0' << '\x32' << '\x64' << '\x19';
  const auto image = LoadPgm(path, graph);
  ASSERT_TRUE(image) << image.error().message;
  std::vector<float> x(4);
  int32_t y = 0;
  const uint32_t row = 0;
  image->Gather({&row, 1}, x.data(), &y);
  EXPECT_FLOAT_EQ(x[1], 0.5f);
  EXPECT_FLOAT_EQ(x[2], 1.0f);
  EXPECT_FLOAT_EQ(x[3], 0.25f);
}

}  // namespace
}  // namespace linnet
