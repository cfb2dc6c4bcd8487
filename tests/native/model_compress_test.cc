#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "gtest/gtest.h"
#include "model/prune.h"
#include "model/quantize.h"
#include "native/cli/command_line.h"
#include "native/cli/infer.h"
#include "native/cli/learn.h"
#include "native/cli/setup.h"
#include "native/folder.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr char kStrokes[] = "strokes?writers=0-1&per=40";

struct Ran {
  Result<int> code = 0;
  std::string out;
};
template <typename Command>
Ran RunCaptured(const Command& command) {
  Ran ran;
  testing::internal::CaptureStdout();
  ran.code = Run(command);
  ran.out = testing::internal::GetCapturedStdout();
  return ran;
}

TEST(ModelCompressTest, DataThatDoesNotFitTheModelIsAnError) {
  const TestFolder folder;
  const std::string csv = folder.path() + "/a.csv";
  const std::string text = "a,b,label\n1,2,x\n3,4,y\n";
  ASSERT_TRUE(ReplaceFile(csv, AsBytes(text)));
  QuantizeCommand command;
  command.model = "mlp-2nn";
  command.data = "csv:" + csv + "?label=label";
  const Ran ran = RunCaptured(command);
  ASSERT_FALSE(ran.code);
  EXPECT_NE(ran.code.error().message.find("2 features and 2 classes, the model wants 784"),
            std::string::npos)
      << ran.code.error().message;
}

TEST(ModelCompressTest, QuantizeWritesAModelAndSaysWhatItCosts) {
  const TestFolder folder;
  for (const uint32_t bits : {8u, 4u}) {
    QuantizeCommand command;
    command.model = "mlp-2nn";
    command.data = kStrokes;
    command.output = folder.path() + "/small.linnet";
    command.bits = bits;
    command.epochs = bits == 8 ? 1 : 0;
    command.json = true;
    const Ran ran = RunCaptured(command);
    ASSERT_TRUE(ran.code) << ran.code.error().message;
    const Result<Json> json = Json::Parse(ran.out);
    ASSERT_TRUE(json) << ran.out;
    for (const char* side : {"before", "after"}) {
      ASSERT_NE(json->Find(side), nullptr) << ran.out;
      EXPECT_GT(json->Find(side)->Find("batch1Seconds")->as_double(), 0);
    }
    const Bytes bytes = *ReadFile(command.output, size_t{1} << 20);
    EXPECT_TRUE(LoadQuantizedModel(bytes));
    EXPECT_EQ(json->Find("after")->Find("fileBytes")->as_double(),
              static_cast<double>(bytes.size()));
  }
}

// What linnet eval and linnet infer say of a file, as their last line of JSON.
template <typename Command>
Json LastLine(Command command) {
  command.json = true;
  const Ran ran = RunCaptured(command);
  EXPECT_TRUE(ran.code) << ran.code.error().message;
  const std::string lines = ran.out.substr(0, ran.out.rfind('\n'));
  return Json::Parse(lines.substr(lines.rfind('\n') + 1)).value_or(Json());
}

TEST(ModelCompressTest, QuantizedFilesAreEvaluatedAndAskedAsOthersAre) {
  const TestFolder folder;
  const std::string file = folder.path() + "/small.linnet";
  for (const uint32_t bits : {8u, 4u}) {
    QuantizeCommand quantize;
    quantize.model = "mlp-2nn";
    quantize.data = kStrokes;
    quantize.output = file;
    quantize.bits = bits;
    const Json made = LastLine(quantize);
    EvalCommand eval;
    eval.model = file;
    eval.data = kStrokes;
    for (const uint32_t threads : {1u, 2u}) {
      eval.threads = threads;
      const Json score = LastLine(eval);
      EXPECT_EQ(score.Find("accuracy")->as_double(),
                made.Find("after")->Find("accuracy")->as_double());
      EXPECT_EQ(score.Find("confusion")->as_array().size(), 10u);
    }
    InferCommand infer;
    infer.model = file;
    infer.data = kStrokes;
    EXPECT_EQ(LastLine(infer).Find("accuracy")->as_double(),
              LastLine(eval).Find("accuracy")->as_double());
    infer.data.clear();
    infer.input = folder.path() + "/rows.csv";
    std::string row = "0";
    for (int i = 1; i < 784; ++i) row += ",0.5";
    ASSERT_TRUE(ReplaceFile(infer.input, AsBytes(row)));
    EXPECT_LT(LastLine(infer).Find("class")->as_double(), 10);
  }
}

TEST(ModelCompressTest, AQuantizedModelOfATextIsEvaluatedAndGoesOn) {
  const TestFolder folder;
  const std::string text = folder.path() + "/a.txt", file = folder.path() + "/small.linnet";
  std::string fox;
  for (int i = 0; i < 20; ++i) fox += "the quick brown fox jumps over the lazy dog.\n";
  ASSERT_TRUE(ReplaceFile(text, AsBytes(fox)));
  const std::string data = "text:" + text + "?context=16";
  const std::string begin = folder.path() + "/begin.linnet";
  ASSERT_TRUE(ReplaceFile(begin, SaveModel(*BuiltinModel("gru-char", SeedFromInt(1), {16}, 256))));
  QuantizeCommand quantize;
  quantize.model = begin;
  quantize.data = data;
  quantize.output = file;
  const Ran refused = RunCaptured(quantize);
  ASSERT_FALSE(refused.code);
  EXPECT_NE(refused.code.error().message.find("is not computed in 8 bits"), std::string::npos)
      << refused.code.error().message;
  quantize.bits = 4;
  const Json made = LastLine(quantize);
  EvalCommand eval;
  eval.model = file;
  eval.data = data;
  const Json score = LastLine(eval);
  EXPECT_EQ(score.Find("accuracy")->as_double(), made.Find("after")->Find("accuracy")->as_double());
  InferCommand infer;
  infer.model = file;
  infer.text = "the";
  infer.length = 5;
  EXPECT_EQ(LastLine(infer).Find("prompt")->as_string(), "the");
}

TEST(ModelCompressTest, PruneWritesAModelWithItsZeros) {
  const TestFolder folder;
  for (const char* pruning : {"global", "layer", "2:4", "block"}) {
    PruneCommand command;
    command.model = "mlp-2nn";
    command.data = kStrokes;
    command.output = folder.path() + "/sparse.linnet";
    command.pruning = pruning;
    command.epochs = 2;
    const Ran ran = RunCaptured(command);
    ASSERT_TRUE(ran.code) << ran.code.error().message;
    EXPECT_NE(ran.out.find("of the weights zero"), std::string::npos) << ran.out;
    const Result<Model> model = LoadModel(*ReadFile(command.output, size_t{1} << 20));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_NEAR(Sparsity(model->graph, model->parameters),
                std::string_view(pruning) == "2:4" ? 0.5 : 0.8, 0.005);
  }
}

TEST(ModelCompressTest, ASourceWithoutOneLabelPerExampleIsAnError) {
  const TestFolder folder;
  const std::string text = folder.path() + "/a.txt";
  ASSERT_TRUE(ReplaceFile(text, AsBytes(std::string(20000, 'a'))));
  PruneCommand command;
  command.model = "mlp-2nn";
  command.data = "text:" + text + "?context=784";
  const Ran ran = RunCaptured(command);
  ASSERT_FALSE(ran.code);
  EXPECT_NE(ran.code.error().message.find("784 labels for each example, mlp-2nn wants 1"),
            std::string::npos)
      << ran.code.error().message;
}

TEST(ModelCompressTest, DistillRefusesUnlabelledDataOfAnotherWidth) {
  const TestFolder folder;
  const std::string csv = folder.path() + "/a.csv";
  const std::string text = "a,b,label\n1,2,x\n3,4,y\n";
  ASSERT_TRUE(ReplaceFile(csv, AsBytes(text)));
  DistillCommand command;
  command.model = "mlp-256-128";
  command.student = "mlp-2nn";
  command.data = kStrokes;
  command.unlabelled = "csv:" + csv + "?label=label";
  const Ran ran = RunCaptured(command);
  ASSERT_FALSE(ran.code);
  EXPECT_NE(ran.code.error().message.find("has 2 rows of 2 features, wanted rows of 784"),
            std::string::npos)
      << ran.code.error().message;
}

TEST(ModelCompressTest, DistillWritesAStudentAndComparesItWithItsTeacher) {
  const TestFolder folder;
  for (const char* unlabelled : {"", "strokes?writers=2-3&per=40"}) {
    DistillCommand command;
    command.model = "mlp-256-128";
    command.student = "softmax-regression";
    command.data = kStrokes;
    command.unlabelled = unlabelled;
    command.output = folder.path() + "/student.linnet";
    command.epochs = 1;
    command.json = true;
    const Ran ran = RunCaptured(command);
    ASSERT_TRUE(ran.code) << ran.code.error().message;
    const Result<Json> json = Json::Parse(ran.out);
    ASSERT_TRUE(json) << ran.out;
    EXPECT_EQ(json->Find("labels")->as_bool(), std::string_view(unlabelled).empty());
    EXPECT_GT(json->Find("teacherFlops")->as_double(), json->Find("studentFlops")->as_double());
    for (const char* side : {"teacher", "student"}) {
      ASSERT_NE(json->Find(side), nullptr) << ran.out;
      EXPECT_GT(json->Find(side)->Find("batch1Seconds")->as_double(), 0);
    }
    const Result<Model> student = LoadModel(*ReadFile(command.output, size_t{1} << 20));
    ASSERT_TRUE(student) << student.error().message;
    EXPECT_EQ(student->graph.name, "softmax-regression");
    EXPECT_NE(student->parameters, OpenModel("softmax-regression")->parameters);
  }
}

}  // namespace
}  // namespace linnet
