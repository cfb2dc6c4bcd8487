#include "graphs.h"
#include "gtest/gtest.h"
#include "model/quantize.h"

namespace linnet {
namespace {

QuantizedModel Int8Model() {
  TestGraph t({6, 5, 2}, 3);
  t.Dense(t.Relu(t.Conv(0, {3, 3, 2, 7}, 1, 1)), 6 * 5 * 7, 3);
  Model model{.graph = t.graph_, .parameters = {}};
  RandomStream random(Seed{1}, 2);
  model.parameters.resize(model.graph.ParamCount());
  for (float& value : model.parameters) value = random.Uniform() - 0.5f;
  std::vector<float> x(4 * model.graph.InputCount());
  for (float& value : x) value = random.Uniform();
  return *QuantizeInt8(model, x, Calibration::kPercentile, BestKernels());
}

TEST(QuantizedFormatTest, TruncatedAndChangedFilesAreErrors) {
  const Bytes good = SaveQuantizedModel(Int8Model());
  for (size_t size = 0; size < good.size(); size += 1 + size / 40) {
    ASSERT_FALSE(LoadQuantizedModel(ByteSpan(good).first(size))) << size;
  }
  struct Row {
    const char* name;
    size_t at;
    uint8_t value;
    Code code;
    std::string_view message;
  };
  const Row rows[] = {
      {"magic", 1, 'X', Code::kData,
       "the quantized model: it does not start as a quantized .linnet file does"},
      {"version", 8, 9, Code::kVersion, "the quantized model: it has format version 9, wanted 1"},
      {"reserved", 24, 1, Code::kData,
       "the quantized model: its bytes are not those that saving its model gives"},
      {"padding", good.size() - 1, 1, Code::kData,
       "the quantized model: its bytes are not those that saving its model gives"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Bytes bad = good;
    bad[row.at] = row.value;
    const auto loaded = LoadQuantizedModel(bad);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, row.code);
    EXPECT_EQ(loaded.error().message, row.message);
  }
}

TEST(QuantizedFormatTest, EachKindOfFileNamesTheOther) {
  const Model model = *BuiltinModel("mlp-2nn", Seed{});
  const auto quantized = LoadQuantizedModel(SaveModel(model));
  ASSERT_FALSE(quantized);
  EXPECT_EQ(quantized.error().message,
            "the quantized model: it does not start as a quantized .linnet file does");
  const auto plain = LoadModel(SaveQuantizedModel(*QuantizeInt4(model)));
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().code, Code::kUnsupported);
  EXPECT_EQ(plain.error().message,
            "the model: it is quantized: it is run (linnet eval, linnet infer), not trained or "
            "shared; wanted "
            "a model in f32");
}

TEST(QuantizedFormatTest, WhatIsSavedIsLoaded) {
  const QuantizedModel models[] = {Int8Model(), *QuantizeInt4(*BuiltinModel("mlp-2nn", Seed{}))};
  for (const QuantizedModel& model : models) {
    const Bytes bytes = SaveQuantizedModel(model);
    const auto loaded = LoadQuantizedModel(bytes);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(*loaded, model);
  }
  // 199,210 parameters in 4.5 bits.
  EXPECT_LT(SaveQuantizedModel(models[1]).size(), 116000u);
}

}  // namespace
}  // namespace linnet
