// ONNX files as PyTorch writes them (pytorch/make.py): the same outputs, and they train.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "native/onnx/onnx.h"
#include "native/store/state_folder.h"
#include "onnx_run.h"

namespace linnet {
namespace {

// What PyTorch said of three examples.
struct Answer {
  std::vector<uint32_t> shape;
  std::vector<float> x, y;
};

Answer ReadAnswer(const std::string& path) {
  const Bytes bytes = *ReadFile(path, size_t{1} << 20);
  const Json json = *Json::Parse(std::string(bytes.begin(), bytes.end()));
  Answer answer;
  for (const Json& size : json.Find("shape")->as_array())
    answer.shape.push_back(uint32_t(size.as_int()));
  for (const Json& value : json.Find("x")->as_array()) answer.x.push_back(float(value.as_double()));
  for (const Json& value : json.Find("y")->as_array()) answer.y.push_back(float(value.as_double()));
  return answer;
}

// [n, c, h, w] to [n, h, w, c].
std::vector<float> ChannelsLast(const Answer& answer) {
  const size_t c = answer.shape[0], area = size_t{answer.shape[1]} * answer.shape[2];
  std::vector<float> out(answer.x.size());
  for (size_t i = 0; i < out.size(); ++i)
    out[i / (c * area) * c * area + i % area * c + i / area % c] = answer.x[i];
  return out;
}

void Softmax(std::vector<float>& rows, size_t width) {
  for (size_t at = 0; at < rows.size(); at += width) {
    float sum = 0;
    for (size_t i = at; i < at + width; ++i) sum += std::exp(rows[i]);
    for (size_t i = at; i < at + width; ++i) rows[i] = std::exp(rows[i]) / sum;
  }
}

TEST(OnnxPytorchTest, FilesOfPytorchGiveItsOutputsAndLearn) {
  const std::filesystem::path folder = LINNET_SOURCE_DIR "/tests/native/pytorch";
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++files;
    const auto imported = ImportOnnx(*ReadFile(entry.path().string(), size_t{1} << 20));
    ASSERT_TRUE(imported) << imported.error().message;
    std::filesystem::path answers = entry.path();
    const Answer answer = ReadAnswer(answers.replace_extension(".json").string());
    const bool image = answer.shape.size() == 3;
    const std::vector<float> x = image ? ChannelsLast(answer) : answer.x;
    Model model = imported->model;
    std::vector<float> y = Outputs(model, x, 3);
    const bool softmax = std::ranges::any_of(
        imported->notes, [](const std::string& note) { return note.contains("Softmax"); });
    if (softmax) Softmax(y, model.graph.classes);
    ASSERT_EQ(y.size(), answer.y.size());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], answer.y[i], 1e-4) << i;

    TrainOptions options;
    options.optimizer = TrainOptions::Optimizer::kAdam;
    options.learning_rate = 0.01f;
    const auto trainer = Trainer::Create(model.graph, options, 3, BestKernels());
    ASSERT_TRUE(trainer) << trainer.error().message;
    std::ranges::copy(model.parameters, (*trainer)->parameters().begin());
    std::vector<int32_t> labels(answer.y.size() / model.graph.classes);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = int32_t(i % 3);
    double first = 0, last = 0;
    for (int step = 0; step < 60; ++step) {
      last = (*trainer)->Step(x.data(), labels.data(), 3);
      if (step == 0) first = last;
    }
    EXPECT_LT(last, 0.5 * first);

    // As trained, out and in again.
    std::ranges::copy((*trainer)->parameters(), model.parameters.begin());
    const auto bytes = ExportOnnx(model);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto again = ImportOnnx(*bytes);
    ASSERT_TRUE(again) << again.error().message;
    const std::vector<float> wanted = Outputs(model, x, 3), found = Outputs(again->model, x, 3);
    ASSERT_EQ(wanted.size(), found.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_NEAR(found[i], wanted[i], 1e-4 * (1 + std::abs(wanted[i])));
  }
  EXPECT_EQ(files, 13u);
}

}  // namespace
}  // namespace linnet
