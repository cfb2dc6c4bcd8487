#include "model/safetensors.h"

#include <gtest/gtest.h>

#include "base/half.h"
#include "graphs.h"

namespace linnet {
namespace {

Bytes File(std::string_view header, size_t data_bytes) {
  Bytes bytes;
  AppendLE<uint64_t>(bytes, header.size());
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

// w[2, 3], b[3]
Graph Small() {
  TestGraph g({2}, 3);
  g.Dense(0, 2, 3);
  g.graph_.params[0].name = "fc.weight";
  g.graph_.params[1].name = "fc.bias";
  return g.graph_;
}

TEST(SafetensorsTest, BytesThatAreNoSuchFileAreAnError) {
  struct Row {
    std::string name;
    Bytes bytes;
    std::string message;
  };
  const std::string bias = R"("fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[24,36]})";
  const auto weight = [](std::string_view entry) { return StrCat(R"({"fc.weight":)", entry, ","); };
  const std::string good =
      weight(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})") + bias + "}";
  const std::vector<Row> rows = {
      {"nothing", {}, "wanted a header's length"},
      {"length beyond the file", Bytes(8, 0xff), "its header is said to have"},
      {"no JSON", File("{\"a\":", 0), "its header: "},
      {"no object", File("[1]", 0), "wanted an object"},
      {"no dtype", File(weight(R"({"shape":[2,3],"data_offsets":[0,24]})") + bias + "}", 36),
       "\"fc.weight\": it wants dtype"},
      {"negative size",
       File(weight(R"({"dtype":"F32","shape":[-2,3],"data_offsets":[0,24]})") + bias + "}", 36),
       "whole numbers"},
      {"huge size",
       File(weight(R"({"dtype":"F32","shape":[99999999999,3],"data_offsets":[0,24]})") + bias + "}",
            36),
       "99999999999"},
      {"offsets backwards",
       File(weight(R"({"dtype":"F32","shape":[2,3],"data_offsets":[24,0]})") + bias + "}", 36),
       "data_offsets are 24 and 0"},
      {"offsets beyond the file", File(good, 35),
       "\"fc.bias\": its data_offsets are 24 and 36 of 35"},
      {"a hole",
       File(weight(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,20]})") + bias + "}", 36),
       "begins at byte 24, wanted 20"},
      {"an overlap",
       File(weight(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,28]})") + bias + "}", 36),
       "begins at byte 24, wanted 28"},
      {"bytes behind", File(good, 40), "4 bytes behind the last tensor"},
      {"other size than the shape's",
       File(weight(R"({"dtype":"F16","shape":[2,3],"data_offsets":[0,24]})") + bias + "}", 36),
       "\"fc.weight\" has 24 bytes, wanted 12"},
      {"other dtype",
       File(weight(R"({"dtype":"I64","shape":[2,3],"data_offsets":[0,24]})") + bias + "}", 36),
       "\"fc.weight\" is I64, supported are F32, F16 and BF16"},
      {"other shape",
       File(weight(R"({"dtype":"F32","shape":[3,2],"data_offsets":[0,24]})") + bias + "}", 36),
       "\"fc.weight\" is [3, 2], wanted [2, 3]"},
      {"missing tensor",
       File(R"({"fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", 24),
       "no tensor for the parameter \"fc.bias\" [3]; there are fc.weight"},
      {"a tensor too many",
       File(good.substr(0, good.size() - 1) +
                R"(,"x":{"dtype":"F32","shape":[0],"data_offsets":[36,36]}})",
            36),
       "\"x\" is no parameter"},
  };
  ASSERT_TRUE(ReadSafetensors(File(good, 36), Small()));
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto model = ReadSafetensors(row.bytes, Small());
    ASSERT_FALSE(model);
    EXPECT_TRUE(model.error().message.contains(row.message)) << model.error().message;
  }
  Bytes infinite = File(good, 36);
  StoreLE<uint32_t>(&infinite[infinite.size() - 4], 0x7f800000);
  EXPECT_EQ(ReadSafetensors(infinite, Small()).error().message,
            "the safetensors file: element 2 of tensor \"fc.bias\" is not finite");
}

TEST(SafetensorsTest, EveryPrefixOfAFileIsAnError) {
  const Bytes good = WriteSafetensors({Small(), RandomFloats(1, 9)});
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_FALSE(ReadSafetensors(ByteSpan(good).first(size), Small())) << size;
  }
}

TEST(SafetensorsTest, ModelsComeBackInBothLayouts) {
  for (const NamedGraph& row : EveryOperatorGraph()) {
    SCOPED_TRACE(row.name);
    const Model model{row.graph, RandomFloats(2, row.graph.ParamCount())};
    for (const TensorLayout layout : {TensorLayout::kLinnet, TensorLayout::kPytorch}) {
      const auto read = ReadSafetensors(WriteSafetensors(model, layout), row.graph,
                                        {.layout = layout, .renames = {}});
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(read->parameters, model.parameters);
    }
  }
}

// y = W x of an image that PyTorch made flat as [c, h, w]: element (c, y, x) of output o.
TEST(SafetensorsTest, PytorchMatricesAreTransposedAndRowsBehindAnImagePermuted) {
  TestGraph g({1, 2, 3}, 2);  // height 1, width 2, 3 channels
  g.Dense(g.Add(Op::kFlatten, {0}), 6, 2);
  std::vector<float> file(12 + 2);
  for (size_t i = 0; i < file.size(); ++i) file[i] = float(i);
  Bytes bytes = File(
      R"({"p0":{"dtype":"F32","shape":[2,6],"data_offsets":[0,48]},"p1":{"dtype":"F32","shape":[2],"data_offsets":[48,56]}})",
      0);
  for (const float value : file) AppendLE(bytes, value);
  const auto model =
      ReadSafetensors(bytes, g.graph_, {.layout = TensorLayout::kPytorch, .renames = {}});
  ASSERT_TRUE(model) << model.error().message;
  for (size_t o = 0; o < 2; ++o) {
    for (size_t x = 0; x < 2; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        EXPECT_EQ(model->parameters[(x * 3 + c) * 2 + o], file[o * 6 + c * 2 + x]);
      }
    }
  }
}

TEST(SafetensorsTest, TensorsAreRenamed) {
  Graph graph = Small();
  const Bytes bytes = WriteSafetensors({graph, RandomFloats(1, 9)});
  graph.params[0].name = "dense.weight";
  EXPECT_FALSE(ReadSafetensors(bytes, graph));
  EXPECT_TRUE(ReadSafetensors(
      bytes, graph, {.layout = TensorLayout::kLinnet, .renames = {{"fc.weight", "dense.weight"}}}));
  const auto unknown = ReadSafetensors(
      bytes, graph, {.layout = TensorLayout::kLinnet, .renames = {{"fc", "dense.weight"}}});
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.contains("no tensor \"fc\"; there are fc.weight, fc.bias"))
      << unknown.error().message;
}

TEST(SafetensorsTest, SixteenBitValuesAreRead) {
  struct Row {
    uint16_t half, bfloat;
    float value;
  };
  for (const Row row : {Row{0x3c00, 0x3f80, 1}, Row{0xc000, 0xc000, -2},
                        Row{0x0001, 0x3380, 0x1p-24f}, Row{0x7bff, 0x4780, 65504}, Row{0, 0, 0}}) {
    EXPECT_EQ(HalfToFloat(row.half), row.value);
    EXPECT_NEAR(Bfloat16ToFloat(row.bfloat), row.value, std::abs(row.value) / 256);
  }
  EXPECT_EQ(FloatToBfloat16(1.00390625f), 0x3f80) << "a tie goes to the even one";
  EXPECT_EQ(FloatToBfloat16(1.01171875f), 0x3f82);
  const Model model{Small(), RandomFloats(1, 9)};
  const auto read =
      ReadSafetensors(WriteSafetensors(model, TensorLayout::kLinnet, true), model.graph);
  ASSERT_TRUE(read);
  for (size_t i = 0; i < 9; ++i)
    EXPECT_EQ(read->parameters[i], Bfloat16ToFloat(FloatToBfloat16(model.parameters[i])));
}

}  // namespace
}  // namespace linnet
