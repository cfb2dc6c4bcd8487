#include "native/onnx/onnx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "kernels/kernels.h"
#include "model/graphs.h"
#include "model/train.h"
#include "onnx_file.h"
#include "onnx_run.h"

namespace linnet {
namespace {

// [2] -> 3
OnnxFile Gemm() {
  OnnxFile file;
  file.Input("x", {2}).Floats("w", {2, 3}, Counting(6)).Floats("b", {3}, {1, 2, 3});
  file.Node("Gemm", {"x", "w", "b"}, {"y"}).Output("y");
  return file;
}

TEST(OnnxImportTest, WhatCannotBeReadIsNamed) {
  struct Row {
    std::string name;
    Bytes bytes;
    Code code;
    std::string message;
  };
  const auto with = [](auto build) {
    OnnxFile file;
    file.Input("x", {2}).Floats("w", {2, 3}, Counting(6));
    build(file);
    return file.Save();
  };
  const float infinite[] = {std::numeric_limits<float>::infinity(), 0, 0, 0, 0, 0};
  const std::vector<Row> rows = {
      {"no protobuf", Bytes(100, 0xff), Code::kData, "damaged or no ONNX file"},
      {"nothing", {}, Code::kData, "damaged or no ONNX file"},
      {"no nodes", OnnxFile().Save(), Code::kData, "no nodes"},
      {"old opset", Gemm().Save(6), Code::kVersion, "opset 6, supported are 7 to 21"},
      {"new opset", Gemm().Save(99), Code::kVersion, "opset 99"},
      {"unknown operator", with([&](auto& f) {
         f.Node("Gemm", {"x", "w"}, {"h"}).Node("Einsum", {"h"}, {"y"}).Output("y");
       }),
       Code::kUnsupported,
       "node 1 (Einsum, \"the y\"): the operator Einsum is not supported; supported are Add, "
       "AveragePool"},
      {"a cycle", with([&](auto& f) {
         f.Node("Add", {"x", "b"}, {"a"}).Node("Relu", {"a"}, {"b"}).Output("b");
       }),
       Code::kInvalid, "node 0 (Add, \"the a\"): its input \"b\" is made by no node before it"},
      {"a value made twice",
       with([&](auto& f) { f.Node("Relu", {"x"}, {"a"}).Node("Relu", {"x"}, {"a"}).Output("a"); }),
       Code::kInvalid, "node 1 (Relu, \"the a\"): its output \"a\" was already made"},
      {"no such output", with([&](auto& f) { f.Node("Relu", {"x"}, {"a"}).Output("z"); }),
       Code::kNotFound, "no node makes the output \"z\""},
      {"no output", with([&](auto& f) { f.Node("Relu", {"x"}, {"a"}); }), Code::kData, "no output"},
      {"two inputs",
       with([&](auto& f) { f.Input("z", {2}).Node("Add", {"x", "z"}, {"y"}).Output("y"); }),
       Code::kUnsupported, "the inputs x, z, supported is one"},
      {"an open axis", OnnxFile().Input("x", {-1}).Node("Relu", {"x"}, {"y"}).Output("y").Save(),
       Code::kInvalid, "axis 1 has no size"},
      {"no parameters", with([&](auto& f) { f.Node("Relu", {"x"}, {"y"}).Output("y"); }),
       Code::kInvalid, "no parameters"},
      {"weights that do not fit", with([&](auto& f) {
         f.Floats("v", {4, 3}, Counting(12)).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kInvalid,
       "node 0 (Gemm, \"the y\"): it multiplies [batch, 2] by a constant of [4, 3]"},
      {"computed weights", with([&](auto& f) {
         f.Node("Relu", {"x"}, {"v"}).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kUnsupported, "node 1 (Gemm, \"the y\"): its matrix is computed"},
      {"data of another size", with([&](auto& f) {
         f.Tensor("v", {2, 3}, 1, infinite, 20).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kData, "tensor \"v\": it has 20 bytes of data, wanted 6 x 4"},
      {"a huge tensor", with([&](auto& f) {
         f.Tensor("v", {1 << 20, 1 << 20}, 1, infinite, 4)
             .Node("Gemm", {"x", "v"}, {"y"})
             .Output("y");
       }),
       Code::kLimit, "tensor \"v\": it is [1048576, 1048576]"},
      {"a negative size", with([&](auto& f) {
         f.Tensor("v", {-2, 3}, 1, infinite, 24).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kLimit, "tensor \"v\": it is [-2, 3]"},
      {"strings", with([&](auto& f) {
         f.Tensor("v", {2, 3}, 8, infinite, 24).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kUnsupported, "its element type is 8"},
      {"infinite weights", with([&](auto& f) {
         f.Tensor("v", {2, 3}, 1, infinite, 24).Node("Gemm", {"x", "v"}, {"y"}).Output("y");
       }),
       Code::kData, "element 0 of v is not finite"},
      {"a softmax in the middle of nowhere", with([&](auto& f) {
         f.Node("LogSoftmax", {"x"}, {"a"}).Node("Gemm", {"a", "w"}, {"y"}).Output("y");
       }),
       Code::kUnsupported, "node 0 (LogSoftmax, \"the a\"): it is not the output"},
      {"a reshape of other size", with([&](auto& f) {
         f.Integers("s", {-1, 3})
             .Node("Reshape", {"x", "s"}, {"a"})
             .Node("Gemm", {"a", "w"}, {"y"})
             .Output("y");
       }),
       Code::kInvalid, "it reshapes [batch, 2]"},
      {"a fill of the whole memory", with([&](auto& f) {
         f.Integers("s", {1 << 14, 1 << 14})
             .Node("ConstantOfShape", {"s"}, {"v"})
             .Node("MatMul", {"x", "v"}, {"y"})
             .Output("y");
       }),
       Code::kLimit, "all of one value"},
  };
  ASSERT_TRUE(ImportOnnx(Gemm().Save()));
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto imported = ImportOnnx(row.bytes);
    ASSERT_FALSE(imported);
    EXPECT_EQ(imported.error().code, row.code) << imported.error().message;
    EXPECT_TRUE(imported.error().message.contains(row.message)) << imported.error().message;
  }
}

TEST(OnnxImportTest, EveryPrefixOfAFileIsAnErrorOrAValidModel) {
  const Bytes good = Gemm().Save();
  for (size_t size = 0; size < good.size(); ++size) {
    const auto imported = ImportOnnx(ByteSpan(good).first(size));
    if (imported) EXPECT_TRUE(ValidateGraph(imported->model.graph)) << size;
  }
}

TEST(OnnxImportTest, AGemmIsADenseLayerWithItsBias) {
  const auto imported = ImportOnnx(Gemm().Save());
  ASSERT_TRUE(imported) << imported.error().message;
  const Model& model = imported->model;
  EXPECT_EQ(Operators(model.graph), std::vector<std::string>({"dense"}));
  EXPECT_EQ(model.graph.params[0].name, "w");
  EXPECT_EQ(model.graph.params[1].name, "b");
  EXPECT_EQ(model.graph.classes, 3u);
  const std::vector<float> w = Counting(6);
  EXPECT_EQ(Outputs(model, {10, 100}, 1),
            std::vector<float>({1 + 10 * w[0] + 100 * w[3], 2 + 10 * w[1] + 100 * w[4],
                                3 + 10 * w[2] + 100 * w[5]}));
}

TEST(OnnxImportTest, AFinalSoftmaxIsLeftToTheLoss) {
  OnnxFile file;
  file.Input("x", {2}).Floats("w", {3, 2}, Counting(6)).Floats("b", {3}, {0, 0, 0});
  file.Node("Gemm", {"x", "w", "b"}, {"h"}, {IntAttribute("transB", 1)})
      .Node("Softmax", {"h"}, {"y"})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(Operators(imported->model.graph), std::vector<std::string>({"dense"}));
  ASSERT_EQ(imported->notes.size(), 1u);
  EXPECT_TRUE(imported->notes[0].contains("logits"));
  const std::vector<float> w = Counting(6);
  EXPECT_EQ(Outputs(imported->model, {1, 10}, 1),
            std::vector<float>({w[0] + 10 * w[1], w[2] + 10 * w[3], w[4] + 10 * w[5]}));
}

// A convolution, a pool and a dense layer, interpreted as the file has them: channels first.
struct Cnn {
  static constexpr size_t kIn = 2, kOut = 3, kSize = 4, kClasses = 2;
  std::vector<float> w = Counting(kOut * kIn * 9), b = {1, -1, 2};
  std::vector<float> v = Counting(kClasses * kOut * 4, 7), c = {1, 2};

  std::vector<float> Expected(const std::vector<float>& x) const {
    std::vector<float> pooled(kOut * 4, 0);
    for (size_t o = 0; o < kOut; ++o) {
      for (size_t y = 0; y < kSize; ++y) {
        for (size_t z = 0; z < kSize; ++z) {
          float sum = b[o];
          for (size_t i = 0; i < kIn; ++i) {
            for (size_t ky = 0; ky < 3; ++ky) {
              for (size_t kx = 0; kx < 3; ++kx) {
                const size_t row = y + ky - 1, column = z + kx - 1;  // -1 wraps beyond the image
                if (row < kSize && column < kSize)
                  sum +=
                      x[(i * kSize + row) * kSize + column] * w[((o * kIn + i) * 3 + ky) * 3 + kx];
              }
            }
          }
          float& best = pooled[o * 4 + y / 2 * 2 + z / 2];
          best = std::max(best, sum);  // relu: the least is 0
        }
      }
    }
    std::vector<float> out = c;
    for (size_t k = 0; k < kClasses; ++k) {
      for (size_t i = 0; i < pooled.size(); ++i) out[k] += v[k * pooled.size() + i] * pooled[i];
    }
    return out;
  }
  void Weights(OnnxFile& file) const {
    file.Floats("w", {kOut, kIn, 3, 3}, w)
        .Floats("b", {kOut}, b)
        .Floats("v", {kClasses, kOut * 4}, v)
        .Floats("c", {kClasses}, c);
  }
};

const std::vector<Message>& ConvAttributes() {
  static const std::vector<Message> attributes = {IntsAttribute("pads", {1, 1, 1, 1}),
                                                  IntsAttribute("kernel_shape", {3, 3})};
  return attributes;
}
const std::vector<Message>& PoolAttributes() {
  static const std::vector<Message> attributes = {IntsAttribute("kernel_shape", {2, 2}),
                                                  IntsAttribute("strides", {2, 2})};
  return attributes;
}

std::vector<float> ChannelsLast(const std::vector<float>& x, size_t channels) {
  std::vector<float> moved(x.size());
  const size_t area = x.size() / channels;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < area; ++i) moved[i * channels + c] = x[c * area + i];
  }
  return moved;
}

TEST(OnnxImportTest, AnImageNetworkOfPytorchBecomesChannelsLast) {
  const Cnn cnn;
  OnnxFile file;
  file.Input("x", {2, 4, 4});
  cnn.Weights(file);
  file.Node("Conv", {"x", "w", "b"}, {"1"}, ConvAttributes()).Node("Relu", {"1"}, {"2"});
  file.Node("MaxPool", {"2"}, {"3"}, PoolAttributes()).Node("Flatten", {"3"}, {"4"});
  file.Node("Gemm", {"4", "v", "c"}, {"y"}, {IntAttribute("transB", 1)}).Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  const Model& model = imported->model;
  EXPECT_EQ(Operators(model.graph),
            std::vector<std::string>({"conv2d", "relu", "max_pool", "dense"}));
  EXPECT_EQ(model.graph.input_shape, std::vector<uint32_t>({4, 4, 2}));
  const std::vector<float> x = Counting(32, 9);
  EXPECT_EQ(Outputs(model, ChannelsLast(x, 2), 1), cnn.Expected(x));
}

// The same with the flatten written as a reshape by the batch, which PyTorch's view does.
TEST(OnnxImportTest, ShapesComputedFromTheBatchAreFolded) {
  const Cnn cnn;
  OnnxFile file;
  file.Input("x", {2, 4, 4}).Integers("rest", {-1}).Integers("axes", {0});
  cnn.Weights(file);
  const int64_t zero = 0;
  file.Tensor("zero", {}, 7, &zero, 8);
  file.Node("Conv", {"x", "w", "b"}, {"1"}, ConvAttributes()).Node("Relu", {"1"}, {"2"});
  file.Node("MaxPool", {"2"}, {"3"}, PoolAttributes());
  file.Node("Shape", {"3"}, {"s"}).Node("Gather", {"s", "zero"}, {"n"}, {IntAttribute("axis", 0)});
  file.Node("Unsqueeze", {"n", "axes"}, {"u"})
      .Node("Concat", {"u", "rest"}, {"t"}, {IntAttribute("axis", 0)});
  file.Node("Reshape", {"3", "t"}, {"4"})
      .Node("Gemm", {"4", "v", "c"}, {"y"}, {IntAttribute("transB", 1)})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(Operators(imported->model.graph),
            std::vector<std::string>({"conv2d", "relu", "max_pool", "dense"}));
  const std::vector<float> x = Counting(32, 9);
  EXPECT_EQ(Outputs(imported->model, ChannelsLast(x, 2), 1), cnn.Expected(x));
}

// Keras: channels last outside, a transpose before and behind each convolution, the weights of the
// dense layer in the order [h, w, c].
TEST(OnnxImportTest, TransposesAroundConvolutionsLeaveNoNode) {
  const Cnn cnn;
  std::vector<float> v(cnn.v.size());
  for (size_t k = 0; k < 2; ++k) {
    for (size_t c = 0; c < 3; ++c) {
      for (size_t i = 0; i < 4; ++i) v[(i * 3 + c) * 2 + k] = cnn.v[k * 12 + c * 4 + i];
    }
  }
  const std::vector<Message> first = {IntsAttribute("perm", {0, 3, 1, 2})},
                             last = {IntsAttribute("perm", {0, 2, 3, 1})};
  OnnxFile file;
  file.Input("x", {4, 4, 2})
      .Floats("w", {3, 2, 3, 3}, cnn.w)
      .Floats("b", {3}, cnn.b)
      .Floats("v", {12, 2}, v)
      .Floats("c", {2}, cnn.c);
  file.Node("Transpose", {"x"}, {"1"}, first).Node("Conv", {"1", "w"}, {"2"}, ConvAttributes());
  file.Node("Transpose", {"2"}, {"3"}, last)
      .Node("Add", {"3", "b"}, {"4"})
      .Node("Relu", {"4"}, {"5"});
  file.Node("Transpose", {"5"}, {"6"}, first).Node("MaxPool", {"6"}, {"7"}, PoolAttributes());
  file.Node("Transpose", {"7"}, {"8"}, last)
      .Integers("flat", {-1, 12})
      .Node("Reshape", {"8", "flat"}, {"9"});
  file.Node("MatMul", {"9", "v"}, {"10"}).Node("Add", {"10", "c"}, {"y"}).Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(Operators(imported->model.graph),
            std::vector<std::string>({"conv2d", "relu", "max_pool", "dense"}));
  EXPECT_EQ(imported->model.graph.input_shape, std::vector<uint32_t>({4, 4, 2}));
  const std::vector<float> x = Counting(32, 9);
  EXPECT_EQ(Outputs(imported->model, ChannelsLast(x, 2), 1), cnn.Expected(x));
}

TEST(OnnxImportTest, PatternsBecomeOneOperator) {
  OnnxFile file;
  file.Input("x", {4})
      .Floats("w", {4, 4}, Counting(16))
      .Floats("half", {}, {0.5f})
      .Floats("one", {}, {1});
  file.Floats("root", {}, {1.4142135f}).Floats("two", {}, {2}).Floats("eps", {}, {1e-5f});
  file.Floats("scale", {4}, Counting(4)).Floats("shift", {4}, Counting(4));
  const std::vector<Message> last = {IntsAttribute("axes", {-1})};
  file.Node("ReduceMean", {"x"}, {"m"}, last)
      .Node("Sub", {"x", "m"}, {"d"})
      .Node("Pow", {"d", "two"}, {"q"});
  file.Node("ReduceMean", {"q"}, {"var"}, last)
      .Node("Add", {"var", "eps"}, {"e"})
      .Node("Sqrt", {"e"}, {"s"});
  file.Node("Div", {"d", "s"}, {"n"})
      .Node("Mul", {"n", "scale"}, {"ns"})
      .Node("Add", {"ns", "shift"}, {"norm"});
  file.Node("MatMul", {"norm", "w"}, {"h"})
      .Node("Div", {"h", "root"}, {"r"})
      .Node("Erf", {"r"}, {"f"});
  file.Node("Add", {"f", "one"}, {"p"})
      .Node("Mul", {"h", "p"}, {"hp"})
      .Node("Mul", {"hp", "half"}, {"g"});
  file.Node("Sigmoid", {"g"}, {"gate"}).Node("Mul", {"g", "gate"}, {"y"}).Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(Operators(imported->model.graph),
            std::vector<std::string>({"layer_norm", "linear", "gelu", "silu"}));
}

TEST(OnnxImportTest, ATensorReadTwiceIsOneParameter) {
  OnnxFile file;
  file.Input("x", {2}).Floats("w", {2, 2}, Counting(4)).Floats("b", {2}, {1, 2});
  file.Node("Gemm", {"x", "w", "b"}, {"1"})
      .Node("Relu", {"1"}, {"2"})
      .Node("Gemm", {"2", "w", "b"}, {"y"})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->model.graph.params.size(), 2u);
}

TEST(OnnxImportTest, AnotherValueMayBeTheOutput) {
  OnnxFile file = Gemm();
  file.Node("Einsum", {"y"}, {"z"});
  const auto imported = ImportOnnx(
      file.Save(),
      {.name = "cut", .input_shape = {}, .output = "y", .layout = {}, .loss = Loss::kMse});
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->model.graph.name, "cut");
  EXPECT_EQ(imported->model.graph.loss, Loss::kMse);
}

// What is written and read again computes the same.
TEST(OnnxRoundTripTest, ModelsComeBackWithTheSameFunction) {
  for (const NamedGraph& row : OperatorGraphs()) {
    SCOPED_TRACE(row.name);
    const Model model{row.graph, RandomFloats(3, row.graph.ParamCount())};
    const auto bytes = ExportOnnx(model);
    ASSERT_TRUE(bytes) << bytes.error().message;
    // Written with the graph's own layout: channels last.
    const auto imported = ImportOnnx(*bytes, {.name = {},
                                              .input_shape = {},
                                              .output = {},
                                              .layout = OnnxImportOptions::Layout::kChannelsLast,
                                              .loss = model.graph.loss});
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_EQ(imported->model.graph.input_shape, model.graph.input_shape);
    EXPECT_EQ(imported->model.graph.classes, model.graph.classes);
    const std::vector<float> x = RandomFloats(4, 2 * model.graph.InputCount());
    const std::vector<float> wanted = Outputs(model, x, 2), found = Outputs(imported->model, x, 2);
    ASSERT_EQ(wanted.size(), found.size());
    // The same sums, but perhaps through another kernel.
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_NEAR(found[i], wanted[i], 1e-5 * (1 + std::abs(wanted[i])));
  }
}

}  // namespace
}  // namespace linnet
