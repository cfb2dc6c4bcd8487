// ONNX files in 8 bits: QuantizeLinear and DequantizeLinear.
#include <gtest/gtest.h>

#include <cmath>

#include "model/graphs.h"
#include "model/quantize.h"
#include "native/onnx/onnx.h"
#include "onnx_file.h"
#include "onnx_run.h"

namespace linnet {
namespace {

using Strings = std::vector<std::string>;

// A graph of [2] -> 3 with weights in 8 bits, w = code / 4, and a zero point for activations.
OnnxFile Quantized(uint8_t zero_point) {
  static constexpr int8_t kCodes[] = {4, -8, 12, 0, 2, -4}, kNone[] = {0, 0, 0};
  OnnxFile file;
  file.Input("x", {2})
      .Tensor("codes", {2, 3}, 3, kCodes, 6)
      .Floats("scales", {3}, {0.25f, 0.25f, 0.5f})
      .Tensor("zeros", {3}, 3, kNone, 3)
      .Floats("scale", {}, {0.5f})
      .Tensor("zero", {}, 2, &zero_point, 1);
  file.Node("DequantizeLinear", {"codes", "scales", "zeros"}, {"w"}, {IntAttribute("axis", 1)});
  return file;
}

TEST(OnnxQuantizedTest, WhatCannotBeReadIsNamed) {
  struct Row {
    std::string name;
    Bytes bytes;
    Code code;
    std::string message;
  };
  const auto with = [](auto build) {
    OnnxFile file = Quantized(3);
    build(file);
    return file.Output("y").Save();
  };
  const std::vector<Row> rows = {
      {"arithmetic with codes", with([](OnnxFile& f) {
         f.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"}).Node("Add", {"q", "q"}, {"y"});
       }),
       Code::kUnsupported,
       "node 2 (Add, \"the y\"): it takes the codes of a QuantizeLinear; supported there are "
       "DequantizeLinear, Clip, Flatten"},
      {"integer operators", with([](OnnxFile& f) {
         f.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"})
             .Node("MatMulInteger", {"q", "codes"}, {"y"});
       }),
       Code::kUnsupported, "node 2 (MatMulInteger, \"the y\"): it takes the codes"},
      {"a dequantized input",
       with([](OnnxFile& f) { f.Node("DequantizeLinear", {"x", "scale"}, {"y"}); }),
       Code::kUnsupported, "not made by a QuantizeLinear"},
      {"too many scales", with([](OnnxFile& f) {
         f.Node("DequantizeLinear", {"codes", "scales"}, {"v"}, {IntAttribute("axis", 0)})
             .Node("MatMul", {"x", "v"}, {"y"});
       }),
       Code::kInvalid,
       "node 1 (DequantizeLinear, \"the v\"): it has 3 scales for axis 0 of [2, 3]"},
      {"an axis there is not", with([](OnnxFile& f) {
         f.Node("DequantizeLinear", {"codes", "scales"}, {"v"}, {IntAttribute("axis", 2)})
             .Node("MatMul", {"x", "v"}, {"y"});
       }),
       Code::kInvalid, "its axis is 2"},
      {"blocks", with([](OnnxFile& f) {
         f.Node("DequantizeLinear", {"codes", "scales"}, {"v"}, {IntAttribute("block_size", 2)})
             .Node("MatMul", {"x", "v"}, {"y"});
       }),
       Code::kUnsupported, "it has block_size"},
      {"a computed scale", with([](OnnxFile& f) { f.Node("QuantizeLinear", {"x", "x"}, {"y"}); }),
       Code::kUnsupported, "its scale is computed from the graph's input"},
      {"scales as a matrix",
       with([](OnnxFile& f) { f.Node("QuantizeLinear", {"x", "codes"}, {"y"}); }),
       Code::kUnsupported, "its scale is [2, 3], supported is one number or a vector"},
      {"no scale", with([](OnnxFile& f) { f.Node("QuantizeLinear", {"x"}, {"y"}); }),
       Code::kInvalid, "it has no input 1 (scale)"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto imported = ImportOnnx(row.bytes);
    ASSERT_FALSE(imported);
    EXPECT_EQ(imported.error().code, row.code) << imported.error().message;
    EXPECT_TRUE(imported.error().message.contains(row.message)) << imported.error().message;
  }
}

TEST(OnnxQuantizedTest, WeightsAreWhatTheirCodesMeanAndAreTrained) {
  OnnxFile file = Quantized(3);
  file.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"})
      .Node("DequantizeLinear", {"q", "scale", "zero"}, {"d"})
      .Node("MatMul", {"d", "w"}, {"y"})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(Operators(imported->model.graph), Strings{"linear"});
  EXPECT_EQ(imported->model.parameters, (std::vector<float>{1, -2, 6, 0, 0.5f, -2}));
  EXPECT_EQ(imported->model.graph.params[0].name, "codes");
  EXPECT_FALSE(imported->model.graph.params[0].frozen);
  ASSERT_FALSE(imported->notes.empty());
  EXPECT_EQ(
      imported->notes.back(),
      "it is quantized: 6 parameters are in f32 what their codes mean, 1 values are no longer "
      "rounded to codes");
}

TEST(OnnxQuantizedTest, CodesThatBeginAtZeroStandForARectifier) {
  for (const bool by_clip : {false, true}) {
    const uint8_t zero_point = by_clip ? 3 : 0, most = 200;
    OnnxFile file = Quantized(zero_point);
    file.Floats("v", {3, 2}, {1, 2, 3, 4, 5, 6}).Tensor("most", {}, 2, &most, 1);
    file.Node("MatMul", {"x", "w"}, {"h"}).Node("QuantizeLinear", {"h", "scale", "zero"}, {"q"});
    if (by_clip) file.Node("Clip", {"q", "zero", "most"}, {"c"});
    file.Node("Flatten", {by_clip ? "c" : "q"}, {"f"})
        .Node("DequantizeLinear", {"f", "scale", "zero"}, {"d"})
        .Node("MatMul", {"d", "v"}, {"y"})
        .Output("y");
    const auto imported = ImportOnnx(file.Save());
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_EQ(Operators(imported->model.graph), (Strings{"linear", "relu", "linear"}));
  }
}

TEST(OnnxQuantizedTest, WeightsThatTheFileQuantizesItselfAreRounded) {
  OnnxFile file = Quantized(0);
  file.Floats("v", {2, 3}, {1.1f, 0.3f, 500, 0, 0, -1})
      .Node("QuantizeLinear", {"v", "scales", "zeros"}, {"q"}, {IntAttribute("axis", 1)})
      .Node("DequantizeLinear", {"q", "scales", "zeros"}, {"d"}, {IntAttribute("axis", 1)})
      .Node("MatMul", {"x", "d"}, {"y"})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->model.parameters, (std::vector<float>{1, 0.25f, 63.5f, 0, 0, -1}));
}

// What is written in 8 bits comes back as the function in f32 of the same weights; biases are
// rounded to whole units.
TEST(OnnxQuantizedTest, ModelsInEightBitsComeBackAsWhatTheirCodesMean) {
  size_t written = 0;
  for (const NamedGraph& row : OperatorGraphs()) {
    SCOPED_TRACE(row.name);
    const Model model{row.graph, RandomFloats(3, row.graph.ParamCount())};
    const std::vector<float> x = RandomFloats(4, 2 * model.graph.InputCount());
    const auto quantized = QuantizeInt8(model, x, Calibration::kPercentile, BestKernels());
    if (!quantized) continue;
    const auto bytes = ExportOnnx(*quantized);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto imported = ImportOnnx(*bytes, {.name = {},
                                              .input_shape = {},
                                              .output = {},
                                              .layout = OnnxImportOptions::Layout::kChannelsLast,
                                              .loss = model.graph.loss});
    ASSERT_TRUE(imported) << imported.error().message;
    const std::vector<float> wanted = Outputs(Dequantize(*quantized), x, 2);
    const std::vector<float> found = Outputs(imported->model, x, 2);
    ASSERT_EQ(wanted.size(), found.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_NEAR(found[i], wanted[i], 1e-2 * (1 + std::abs(wanted[i])));
    ++written;
  }
  EXPECT_GE(written, 5u);
}

TEST(OnnxQuantizedTest, WeightsOfFourBitsAreWrittenInF32) {
  const Model model = *BuiltinModel("softmax-regression", SeedFromInt(1));
  const QuantizedModel quantized = *QuantizeInt4(model);
  EXPECT_EQ(*ExportOnnx(quantized), *ExportOnnx(Dequantize(quantized)));
}

}  // namespace
}  // namespace linnet
