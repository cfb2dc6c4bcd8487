#include <cstring>
#include <functional>
#include <limits>

#include "graphs.h"
#include "gtest/gtest.h"
#include "model/model.h"

namespace linnet {
namespace {

Model SmallModel() {
  TestGraph g({6, 5, 2}, 3);
  g.Dense(g.Pool(g.Relu(g.Conv(0, {3, 3, 2, 3}, 1, 1)), 2), 18, 3);
  Model model{g.graph_, RandomFloats(1, g.graph_.ParamCount())};
  model.parameters[5] = -0.0f;
  model.parameters[6] = std::numeric_limits<float>::denorm_min();
  model.parameters[7] = std::numeric_limits<float>::max();
  return model;
}

template <typename T>
void Put(Bytes& bytes, size_t at, T value) {
  ASSERT_LE(at + sizeof(T), bytes.size());
  StoreLE<T>(&bytes[at], value);
}

size_t DataOffset(const Bytes& bytes) { return LoadLE<uint64_t>(&bytes[32]); }

TEST(FormatTest, BytesThatSaveModelDoesNotWriteAreRefused) {
  struct Row {
    std::string name;
    std::function<void(Bytes&)> change;
    std::string message;
    Code code = Code::kData;
  };
  // The graph section: "test" (8 bytes), rank 3 (16), classes, nodes; loss; the first node at 64
  // + 36.
  const std::vector<Row> rows = {
      {"empty", [](Bytes& b) { b.clear(); }, "0 bytes"},
      {"magic", [](Bytes& b) { b[0] ^= 0x80; }, "does not start"},
      {"line ends changed", [](Bytes& b) { b.erase(b.begin() + 4); }, "does not start"},
      {"later version", [](Bytes& b) { b[8] = 3; }, "version 3, wanted 2", Code::kVersion},
      {"tensor count", [](Bytes& b) { b[12] ^= 1; }, "header or graph section"},
      {"file size", [](Bytes& b) { b[16] ^= 64; }, "bytes, wanted the"},
      {"byte behind the end", [](Bytes& b) { b.push_back(0); }, "bytes, wanted the"},
      {"file size near 2^64", [](Bytes& b) { Put<uint64_t>(b, 16, ~uint64_t{0}); },
       "18446744073709551615"},
      {"graph section near 2^64", [](Bytes& b) { Put<uint64_t>(b, 24, ~uint64_t{0} - 63); },
       "more than the file"},
      {"graph section too short",
       [](Bytes& b) { Put<uint64_t>(b, 24, LoadLE<uint64_t>(&b[24]) - 4); }, "ends before"},
      {"graph section too long",
       [](Bytes& b) { Put<uint64_t>(b, 24, LoadLE<uint64_t>(&b[24]) + 4); }, "4 bytes too many"},
      {"data offset", [](Bytes& b) { b[32] ^= 64; }, "header or graph section"},
      {"parameter count", [](Bytes& b) { b[40] ^= 1; }, "header or graph section"},
      {"reserved bytes", [](Bytes& b) { b[48] = 1; }, "header or graph section"},
      {"long name", [](Bytes& b) { Put<uint32_t>(b, 64, 0xffffffff); }, "the graph's name"},
      {"name that is not ASCII", [](Bytes& b) { b[68] = 0xc3; }, "printable"},
      {"rank of nine", [](Bytes& b) { Put<uint32_t>(b, 72, 9); }, "the input's shape is 9"},
      {"huge input", [](Bytes& b) { Put<uint32_t>(b, 76, 0xffffffff); }, "the input is"},
      {"unknown loss", [](Bytes& b) { Put<uint32_t>(b, 92, 2); }, "the loss is 2"},
      {"classes", [](Bytes& b) { Put<uint32_t>(b, 88, 4); }, "wanted [4]"},
      {"four thousand million nodes", [](Bytes& b) { Put<uint32_t>(b, 96, 0xffffffff); },
       "the number of nodes is 4294967295"},
      {"unknown operator", [](Bytes& b) { Put<uint32_t>(b, 100, 999); }, "operator 999"},
      {"operator over 16 bits", [](Bytes& b) { Put<uint32_t>(b, 100, 0x10002); }, "an operator is"},
      {"huge list", [](Bytes& b) { Put<uint32_t>(b, 104, 0x10000000); }, "number of inputs"},
      {"zeros before the data", [](Bytes& b) { b[DataOffset(b) - 1] = 1; },
       "header or graph section"},
      {"zeros behind a tensor", [](Bytes& b) { b[DataOffset(b) + 54 * 4] = 1; }, "behind p0"},
      {"last byte", [](Bytes& b) { b.back() = 1; }, "behind p3"},
      {"NaN", [](Bytes& b) { Put<uint32_t>(b, DataOffset(b) + 8, 0x7fc00000); },
       "element 2 of p0 is not finite"},
      {"infinity", [](Bytes& b) { Put<uint32_t>(b, DataOffset(b), 0xff800000); },
       "element 0 of p0 is not finite"},
  };
  const Bytes good = SaveModel(SmallModel());
  ASSERT_TRUE(LoadModel(good));
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Bytes bytes = good;
    row.change(bytes);
    const Result<Model> model = LoadModel(bytes);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, row.code);
    EXPECT_TRUE(model.error().message.contains(row.message)) << model.error().message;
  }
}

TEST(FormatTest, TruncationAtEveryByteIsAnError) {
  const Bytes good = SaveModel(SmallModel());
  for (size_t size = 0; size < good.size(); ++size) {
    const Bytes bytes(good.begin(), good.begin() + std::ptrdiff_t(size));
    ASSERT_FALSE(LoadModel(bytes)) << size;
    // Also when the header says that this is all.
    Bytes consistent = bytes;
    if (size >= 64) {
      StoreLE<uint64_t>(&consistent[16], size);
      ASSERT_FALSE(LoadModel(consistent)) << size;
    }
  }
}

TEST(FormatTest, AFlippedBitIsAnErrorOrAnotherModelWithTheseVeryBytes) {
  const Bytes good = SaveModel(SmallModel());
  size_t loaded = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bytes = good;
    bytes[bit / 8] ^= uint8_t(1 << bit % 8);
    const Result<Model> model = LoadModel(bytes);
    if (!model) continue;
    ++loaded;
    ASSERT_EQ(SaveModel(*model), bytes) << "bit " << bit;
  }
  EXPECT_GT(loaded, 54u * 20) << "most bits of a float may change";
}

TEST(FormatTest, ModelsComeBackAndSoDoTheirBytes) {
  std::vector<Model> models = {SmallModel()};
  for (const NamedGraph& row : EveryOperatorGraph()) {
    models.push_back({row.graph, RandomFloats(2, row.graph.ParamCount())});
  }
  for (const Model& model : models) {
    SCOPED_TRACE(model.graph.name);
    const Bytes bytes = SaveModel(model);
    const Result<Model> loaded = LoadModel(bytes);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->graph, model.graph);
    ASSERT_EQ(loaded->parameters.size(), model.parameters.size());
    EXPECT_EQ(std::memcmp(loaded->parameters.data(), model.parameters.data(),
                          model.parameters.size() * sizeof(float)),
              0);
    EXPECT_EQ(SaveModel(*loaded), bytes);
  }
}

TEST(FormatTest, TensorsAreAligned) {
  const Model model = BuiltinModel("mlp-2nn", SeedFromInt(1)).value();
  const Bytes bytes = SaveModel(model);
  EXPECT_EQ(bytes.size() % 64, 0u);
  size_t at = DataOffset(bytes);
  for (const ParamInfo& param : model.graph.params) {
    EXPECT_EQ(at % 64, 0u);
    EXPECT_EQ(std::memcmp(&bytes[at], &model.parameters[param.offset], param.count * 4), 0);
    at += (param.count * 4 + 63) / 64 * 64;
  }
  EXPECT_EQ(at, bytes.size());
}

}  // namespace
}  // namespace linnet
