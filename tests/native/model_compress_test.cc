#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "gtest/gtest.h"
#include "model/prune.h"
#include "model/quantize.h"
#include "native/cli/command_line.h"
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
  EXPECT_NE(ran.code.error().message.find("784 labels for each example, wanted 1"),
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
