// Networks on images in ONNX: as tf2onnx writes them, group norms, and what cannot be read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "native/onnx/onnx.h"
#include "onnx_file.h"
#include "onnx_run.h"

namespace linnet {
namespace {

using Strings = std::vector<std::string>;

// [channels, height, width]
struct Picture {
  size_t c, h, w;
  std::vector<float> values;
  float at(size_t i, size_t y, size_t x) const {  // -1 wraps beyond the picture
    return y < h && x < w ? values[(i * h + y) * w + x] : 0;
  }
};

// 3 x 3, weights [out, in / groups, 3, 3], with `before` rows and columns of zeros before.
Picture Convolve(const Picture& x, const std::vector<float>& weights, size_t out, size_t groups,
                 size_t stride, size_t before) {
  Picture y{out, (x.h + stride - 1) / stride, (x.w + stride - 1) / stride, {}};
  const size_t each = x.c / groups;
  for (size_t o = 0; o < out; ++o) {
    for (size_t row = 0; row < y.h; ++row) {
      for (size_t column = 0; column < y.w; ++column) {
        float sum = 0;
        for (size_t k = 0; k < each * 9; ++k) {
          sum += weights[o * each * 9 + k] * x.at(o / (out / groups) * each + k / 9,
                                                  row * stride + k / 3 % 3 - before,
                                                  column * stride + k % 3 - before);
        }
        y.values.push_back(sum);
      }
    }
  }
  return y;
}

// Keras through tf2onnx: auto_pad in place of pads, biases as an Add behind, a pool to one value
// whose axes are squeezed away.
TEST(OnnxImagesTest, ASeparableNetworkOfKerasHasOneNodeForEachLayer) {
  const std::vector<float> w = Counting(54), depthwise = Counting(27, 7), v = Counting(6);
  const std::vector<float> scale = {1, 2, 3}, shift = {1, 0, -1}, mean = {0, 1, 2},
                           variance = {1, 4, 9}, bias = {0.5f, -0.5f, 1};
  const Message same = Message().Text(1, "auto_pad").Varint(20, 3).Text(4, "SAME_UPPER");
  const std::vector<Message> first = {IntsAttribute("perm", {0, 3, 1, 2})},
                             last = {IntsAttribute("perm", {0, 2, 3, 1})};
  OnnxFile file;
  file.Input("x", {4, 4, 2})
      .Floats("w", {3, 2, 3, 3}, w)
      .Floats("d", {3, 1, 3, 3}, depthwise)
      .Floats("v", {3, 2}, v)
      .Floats("c", {2}, {1, 2})
      .Floats("scale", {3}, scale)
      .Floats("shift", {3}, shift)
      .Floats("mean", {3}, mean)
      .Floats("variance", {3}, variance)
      .Floats("bias", {1, 3, 1, 1}, bias)
      .Floats("zero", {}, {0})
      .Floats("six", {}, {6})
      .Integers("axes", {1, 2});
  file.Node("Transpose", {"x"}, {"1"}, first)
      .Node("Conv", {"1", "w"}, {"2"}, {same, IntsAttribute("strides", {2, 2})})
      .Node("BatchNormalization", {"2", "scale", "shift", "mean", "variance"}, {"3"},
            {FloatAttribute("epsilon", 1e-6f)})
      .Node("Clip", {"3", "zero", "six"}, {"4"})
      .Node("Conv", {"4", "d"}, {"5"}, {same, IntAttribute("group", 3)})
      .Node("Add", {"5", "bias"}, {"6"})
      .Node("Relu", {"6"}, {"7"})
      .Node("GlobalAveragePool", {"7"}, {"8"})
      .Node("Transpose", {"8"}, {"9"}, last)
      .Node("Squeeze", {"9", "axes"}, {"10"})
      .Node("MatMul", {"10", "v"}, {"11"})
      .Node("Add", {"11", "c"}, {"12"})
      .Node("Softmax", {"12"}, {"y"})
      .Output("y");
  const auto imported = ImportOnnx(file.Save());
  ASSERT_TRUE(imported) << imported.error().message;
  const Graph& graph = imported->model.graph;
  EXPECT_EQ(Operators(graph), (Strings{"conv2d", "batch_norm", "clip", "conv2d", "relu",
                                       "global_avg_pool", "dense"}));
  EXPECT_EQ(graph.input_shape, (std::vector<uint32_t>{4, 4, 2}));

  const std::vector<float> x = Counting(32, 9);  // [h, w, c]
  Picture picture{2, 4, 4, std::vector<float>(32)};
  for (size_t i = 0; i < 32; ++i) picture.values[i % 2 * 16 + i / 2] = x[i];
  Picture h = Convolve(picture, w, 3, 1, 2, 0);
  for (size_t i = 0; i < h.values.size(); ++i) {
    const size_t c = i / 4;
    h.values[i] = std::clamp((h.values[i] - mean[c]) / std::sqrt(variance[c]) * scale[c] + shift[c],
                             0.0f, 6.0f);
  }
  h = Convolve(h, depthwise, 3, 3, 1, 1);
  std::vector<float> wanted = {1, 2};
  for (size_t i = 0; i < h.values.size(); ++i) {
    const float pooled = std::max(h.values[i] + bias[i / 4], 0.0f) / 4;
    for (size_t k = 0; k < 2; ++k) wanted[k] += pooled * v[i / 4 * 2 + k];
  }
  const std::vector<float> found = Outputs(imported->model, x, 1);
  for (size_t k = 0; k < 2; ++k) EXPECT_NEAR(found[k], wanted[k], 1e-4);
}

// [4, 2, 3] in two groups, behind it a dense layer that shows one value at a time.
OnnxFile GroupNorm(size_t scales) {
  std::vector<float> scale = {1, 2, 3, 4}, shift = {5, 6, 7, 8}, identity(24 * 24);
  scale.resize(scales);
  shift.resize(scales);
  for (size_t i = 0; i < 24; ++i) identity[i * 25] = 1;
  const auto count = static_cast<int64_t>(scales);
  OnnxFile file;
  file.Input("x", {4, 2, 3})
      .Floats("scale", {count}, scale)
      .Floats("shift", {count}, shift)
      .Floats("w", {24, 24}, identity);
  file.Node("GroupNormalization", {"x", "scale", "shift"}, {"1"}, {IntAttribute("num_groups", 2)})
      .Node("Flatten", {"1"}, {"2"})
      .Node("Gemm", {"2", "w"}, {"y"})
      .Output("y");
  return file;
}

TEST(OnnxImagesTest, AGroupNormalizationHasAScaleForEachGroupOrChannel) {
  for (const auto& [opset, scales] : {std::pair<int64_t, size_t>{18, 2}, {21, 4}}) {
    OnnxImportOptions options;
    options.layout = OnnxImportOptions::Layout::kChannelsFirst;
    const auto imported = ImportOnnx(GroupNorm(scales).Save(opset), options);
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_EQ(Operators(imported->model.graph), (Strings{"group_norm", "dense"}));
    const std::vector<float> x = Counting(24, 11);  // [c, h, w]
    std::vector<float> moved(24);
    for (size_t i = 0; i < 24; ++i) moved[i % 6 * 4 + i / 6] = x[i];
    const std::vector<float> found = Outputs(imported->model, moved, 1);
    for (size_t group = 0; group < 2; ++group) {
      double mean = 0, variance = 0;
      for (size_t i = 0; i < 12; ++i) mean += x[group * 12 + i] / 12.0;
      for (size_t i = 0; i < 12; ++i) variance += std::pow(x[group * 12 + i] - mean, 2) / 12.0;
      for (size_t i = 0; i < 12; ++i) {
        const size_t at = group * 12 + i, row = scales == 2 ? group : at / 6;
        const double wanted =
            (x[at] - mean) / std::sqrt(variance + 1e-5) * double(row + 1) + double(row + 5);
        EXPECT_NEAR(found[at], wanted, 1e-4) << "opset " << opset << ", element " << at;
      }
    }
  }
}

TEST(OnnxImagesTest, WhatCannotBeReadIsNamed) {
  struct Row {
    std::string name;
    Bytes bytes;
    Code code;
    std::string message;
  };
  const auto with = [](auto build) {
    OnnxFile file;
    file.Input("x", {4, 6, 6})
        .Floats("w", {3, 4, 3, 3}, Counting(108))
        .Floats("one", {2}, {1, 1})
        .Floats("none", {2}, {0, 0})
        .Integers("split", {0, 2, -1});
    build(file);
    return file.Output("y").Save();
  };
  const std::vector<Row> rows = {
      {"an image beyond all memory",
       OnnxFile().Input("x", {1 << 20, 1 << 20, 3}).Node("Relu", {"x"}, {"y"}).Output("y").Save(),
       Code::kLimit, "input \"x\" is [1048576, 1048576, 3], wanted at most"},
      {"an axis beyond all numbers",
       OnnxFile().Input("x", {int64_t{1} << 62, 3}).Node("Relu", {"x"}, {"y"}).Output("y").Save(),
       Code::kLimit, "input \"x\": its axis 1 is 4611686018427387904"},
      {"other channels", with([](OnnxFile& f) {
         f.Floats("v", {3, 2, 3, 3}, Counting(54)).Node("Conv", {"x", "v"}, {"y"});
       }),
       Code::kInvalid, "node 0 (Conv, \"the y\")"},
      {"a kernel larger than the image", with([](OnnxFile& f) {
         f.Floats("v", {1, 4, 7, 7}, Counting(196)).Node("Conv", {"x", "v"}, {"y"});
       }),
       Code::kInvalid, "node 0 (Conv, \"the y\")"},
      {"groups that do not divide",
       with([](OnnxFile& f) { f.Node("Conv", {"x", "w"}, {"y"}, {IntAttribute("group", 3)}); }),
       Code::kInvalid, "node 0 (Conv, \"the y\")"},
      {"a group of none",
       with([](OnnxFile& f) { f.Node("Conv", {"x", "w"}, {"y"}, {IntAttribute("group", 0)}); }),
       Code::kInvalid, "node 0 (Conv, \"the y\"): its group is 0"},
      {"strides of zero", with([](OnnxFile& f) {
         f.Node("Conv", {"x", "w"}, {"y"}, {IntsAttribute("strides", {0, 1})});
       }),
       Code::kUnsupported, "node 0 (Conv, \"the y\"): its strides"},
      {"pads of gigabytes", with([](OnnxFile& f) {
         f.Node("Conv", {"x", "w"}, {"y"}, {IntsAttribute("pads", {1 << 30, 0, 0, 0})});
       }),
       Code::kUnsupported, "node 0 (Conv, \"the y\"): its pads"},
      {"a window without a size", with([](OnnxFile& f) { f.Node("MaxPool", {"x"}, {"y"}); }),
       Code::kInvalid, "node 0 (MaxPool, \"the y\"): its kernel_shape has 0 values"},
      {"groups of channels that do not divide", with([](OnnxFile& f) {
         f.Node("GroupNormalization", {"x", "one", "none"}, {"y"}, {IntAttribute("num_groups", 3)});
       }),
       Code::kInvalid, "node 0 (GroupNormalization, \"the y\"): it has 3 groups for 4 channels"},
      {"scales of other channels",
       with([](OnnxFile& f) { f.Node("InstanceNormalization", {"x", "one", "none"}, {"y"}); }),
       Code::kInvalid, "its scale is [2], wanted 4 values"},
      {"a group norm that becomes another shape", with([](OnnxFile& f) {
         f.Integers("s", {0, 6, 4, 6})
             .Node("Reshape", {"x", "split"}, {"1"})
             .Node("InstanceNormalization", {"1", "one", "none"}, {"2"})
             .Node("Reshape", {"2", "s"}, {"y"});
       }),
       Code::kUnsupported,
       "node 2 (Reshape, \"the y\"): it reshapes the groups of [batch, 4, 6, 6] to another shape"},
      {"a group norm scaled by columns", with([](OnnxFile& f) {
         f.Integers("s", {0, 4, 6, 6})
             .Floats("columns", {6}, Counting(6))
             .Node("Reshape", {"x", "split"}, {"1"})
             .Node("InstanceNormalization", {"1", "one", "none"}, {"2"})
             .Node("Reshape", {"2", "s"}, {"3"})
             .Node("Mul", {"3", "columns"}, {"y"});
       }),
       Code::kUnsupported, "node 3 (Mul, \"the y\"): it scales or shifts groups by [6]"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto imported = ImportOnnx(row.bytes);
    ASSERT_FALSE(imported);
    EXPECT_EQ(imported.error().code, row.code) << imported.error().message;
    EXPECT_TRUE(imported.error().message.contains(row.message)) << imported.error().message;
  }
}

// Bytes that make a careless reader allocate or recurse.
TEST(OnnxImagesTest, HostileProtocolBuffersAreNoOnnxFile) {
  Bytes endless = {0x3a, 0xff, 0xff, 0xff, 0xff, 0x07};  // a graph of 2 GiB in six bytes
  Bytes nested;
  for (int i = 0; i < 100000; ++i) nested.push_back(0x0b);  // groups in groups
  Message deep;
  for (int i = 0; i < 200; ++i) deep = Message().Add(7, deep);  // graphs in graphs
  const Bytes graphs(deep.bytes().begin(), deep.bytes().end());
  for (const Bytes& bytes : {endless, nested, graphs}) {
    const auto imported = ImportOnnx(bytes);
    ASSERT_FALSE(imported);
    EXPECT_EQ(imported.error().code, Code::kData) << imported.error().message;
  }
}

}  // namespace
}  // namespace linnet
