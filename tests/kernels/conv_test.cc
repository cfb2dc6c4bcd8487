#include <algorithm>

#include "kernels/conv_reference.h"
#include "kernels/guarded.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

using ConvTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ConvTest);

const Conv2dShape kShapes[] = {
    {.batch = 2,
     .height = 8,
     .width = 9,
     .in_channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 5},
    {.batch = 1,
     .height = 28,
     .width = 28,
     .in_channels = 1,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 32},
    {.batch = 2,
     .height = 12,
     .width = 12,
     .in_channels = 32,
     .kernel_h = 3,
     .kernel_w = 2,
     .out_channels = 64},
    {.batch = 2,
     .height = 7,
     .width = 6,
     .in_channels = 4,
     .kernel_h = 3,
     .kernel_w = 2,
     .out_channels = 17,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.batch = 1,
     .height = 28,
     .width = 28,
     .in_channels = 1,
     .kernel_h = 5,
     .kernel_w = 5,
     .out_channels = 33,
     .pad_top = 2,
     .pad_left = 2,
     .pad_bottom = 2,
     .pad_right = 2},
    {.batch = 1,
     .height = 14,
     .width = 14,
     .in_channels = 9,
     .kernel_h = 5,
     .kernel_w = 5,
     .out_channels = 20,
     .pad_top = 2,
     .pad_left = 2,
     .pad_bottom = 2,
     .pad_right = 2},
    {.batch = 2,
     .height = 9,
     .width = 8,
     .in_channels = 2,
     .kernel_h = 4,
     .kernel_w = 3,
     .out_channels = 6,
     .pad_top = 1,
     .pad_left = 0,
     .pad_bottom = 2,
     .pad_right = 3},
    {.batch = 3,
     .height = 11,
     .width = 10,
     .in_channels = 2,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 8,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.batch = 2,
     .height = 11,
     .width = 10,
     .in_channels = 12,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 8,
     .stride_h = 1,
     .stride_w = 2,
     .pad_top = 0,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 0},
    {.batch = 1,
     .height = 10,
     .width = 13,
     .in_channels = 5,
     .kernel_h = 2,
     .kernel_w = 4,
     .out_channels = 6,
     .stride_h = 3,
     .stride_w = 3},
    // Input positions that no window sees.
    {.batch = 2,
     .height = 11,
     .width = 9,
     .in_channels = 3,
     .kernel_h = 2,
     .kernel_w = 1,
     .out_channels = 4,
     .stride_h = 4,
     .stride_w = 3},
    {.batch = 2,
     .height = 15,
     .width = 14,
     .in_channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 5,
     .pad_top = 2,
     .pad_left = 2,
     .pad_bottom = 2,
     .pad_right = 2,
     .dilation_h = 2,
     .dilation_w = 2},
    {.batch = 1,
     .height = 17,
     .width = 19,
     .in_channels = 10,
     .kernel_h = 3,
     .kernel_w = 4,
     .out_channels = 5,
     .stride_h = 2,
     .stride_w = 4,
     .pad_top = 3,
     .pad_left = 1,
     .pad_bottom = 0,
     .pad_right = 5,
     .dilation_h = 3,
     .dilation_w = 2},
    {.batch = 1,
     .height = 16,
     .width = 16,
     .in_channels = 4,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 6,
     .stride_h = 6,
     .stride_w = 4,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .dilation_h = 4,
     .dilation_w = 4},
    {.batch = 2,
     .height = 7,
     .width = 7,
     .in_channels = 6,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 10,
     .stride_h = 2,
     .stride_w = 1,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .groups = 2},
    {.batch = 2,
     .height = 5,
     .width = 6,
     .in_channels = 32,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 64,
     .groups = 2},
    {.batch = 2,
     .height = 6,
     .width = 6,
     .in_channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 6,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .groups = 3},
    // Depthwise.
    {.batch = 2,
     .height = 14,
     .width = 15,
     .in_channels = 37,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 37,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .groups = 37},
    {.batch = 1,
     .height = 25,
     .width = 5,
     .in_channels = 64,
     .kernel_h = 10,
     .kernel_w = 4,
     .out_channels = 64,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 5,
     .pad_left = 1,
     .pad_bottom = 4,
     .pad_right = 2,
     .groups = 64},
    {.batch = 2,
     .height = 12,
     .width = 11,
     .in_channels = 6,
     .kernel_h = 3,
     .kernel_w = 2,
     .out_channels = 6,
     .stride_h = 3,
     .stride_w = 2,
     .pad_top = 0,
     .pad_left = 2,
     .pad_bottom = 3,
     .pad_right = 1,
     .dilation_h = 2,
     .dilation_w = 3,
     .groups = 6},
    {.batch = 2,
     .height = 4,
     .width = 4,
     .in_channels = 7,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 16},
    {.batch = 2,
     .height = 5,
     .width = 7,
     .in_channels = 7,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 16,
     .stride_h = 2,
     .stride_w = 2},
    {.batch = 1,
     .height = 3,
     .width = 3,
     .in_channels = 2,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 3,
     .pad_top = 2,
     .pad_left = 2,
     .pad_bottom = 2,
     .pad_right = 2},
    {.batch = 1,
     .height = 5,
     .width = 5,
     .in_channels = 3,
     .kernel_h = 5,
     .kernel_w = 5,
     .out_channels = 130},
    // Fewer outputs than lanes.
    {.batch = 5,
     .height = 3,
     .width = 3,
     .in_channels = 2,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 1},
    {.batch = 3,
     .height = 30,
     .width = 3,
     .in_channels = 1,
     .kernel_h = 2,
     .kernel_w = 3,
     .out_channels = 1},
    {.batch = 1,
     .height = 5,
     .width = 40,
     .in_channels = 130,
     .kernel_h = 2,
     .kernel_w = 2,
     .out_channels = 4,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.batch = 0,
     .height = 5,
     .width = 5,
     .in_channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 2},
};

Arrays WholeNumbers(const Conv2dShape& s, Random& random) {
  return Arrays(s, [&](size_t) { return Whole(random, 4); });
}

TEST_P(ConvTest, ForwardIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    for (unsigned form = 0; form < 8; ++form) {
      SCOPED_TRACE(Name(s));
      Arrays arrays = WholeNumbers(s, random);
      Guarded<float> bias(s.out_channels, 1, [&](size_t) { return Whole(random); });
      Guarded<float> packed(Conv2dPackedSize(s));
      k.pack_conv2d(s, arrays.w.data(), packed.data());
      std::vector<float> expected(arrays.y.Values().size());
      ForEachTerm(s,
                  [&](size_t x, size_t w, size_t y) { expected[y] += arrays.x[x] * arrays.w[w]; });
      for (size_t i = 0; i < expected.size(); ++i) {
        if (form & 1) expected[i] += bias[i % s.out_channels];
        if (form & 2) expected[i] = std::max(0.0f, expected[i]);
      }
      k.conv2d({.shape = s,
                .x = arrays.x.data(),
                .w = form & 4 ? packed.data() : arrays.w.data(),
                .packed_w = (form & 4) != 0,
                .bias = form & 1 ? bias.data() : nullptr,
                .relu = (form & 2) != 0,
                .y = arrays.y.data(),
                .workspace = arrays.workspace.data()});
      ASSERT_EQ(arrays.y.Values(), expected);
    }
  }
}

TEST_P(ConvTest, GradientOfWeightsIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(Name(s));
      Arrays arrays = WholeNumbers(s, random);
      std::vector<float> expected = arrays.w.Values();
      if (!accumulate) std::fill(expected.begin(), expected.end(), 0.0f);
      ForEachTerm(s,
                  [&](size_t x, size_t w, size_t y) { expected[w] += arrays.x[x] * arrays.y[y]; });
      k.conv2d_grad_weights({.shape = s,
                             .x = arrays.x.data(),
                             .dy = arrays.y.data(),
                             .accumulate = accumulate,
                             .dw = arrays.w.data(),
                             .workspace = arrays.workspace.data()});
      ASSERT_EQ(arrays.w.Values(), expected);
    }
  }
}

TEST_P(ConvTest, GradientOfInputIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    SCOPED_TRACE(Name(s));
    Arrays arrays = WholeNumbers(s, random);
    std::vector<float> expected(arrays.x.Values().size());
    ForEachTerm(s, [&](size_t x, size_t w, size_t y) { expected[x] += arrays.w[w] * arrays.y[y]; });
    k.conv2d_grad_input({.shape = s,
                         .w = arrays.w.data(),
                         .dy = arrays.y.data(),
                         .dx = arrays.x.data(),
                         .workspace = arrays.workspace.data()});
    ASSERT_EQ(arrays.x.Values(), expected);
  }
}

// Real numbers, whose sums depend on the order of their terms.
TEST_P(ConvTest, BitsDoNotDependOnTheNumberOfThreads) {
  constexpr size_t kWorkers = 3;
  const auto pool = MakePool(kWorkers);
  const Conv2dShape shapes[] = {
      {.batch = 3,
       .height = 26,
       .width = 26,
       .in_channels = 16,
       .kernel_h = 3,
       .kernel_w = 2,
       .out_channels = 40},
      // Winograd, with sums in several parts.
      {.batch = 17,
       .height = 26,
       .width = 26,
       .in_channels = 16,
       .kernel_h = 3,
       .kernel_w = 3,
       .out_channels = 40},
      {.batch = 16,
       .height = 21,
       .width = 20,
       .in_channels = 3,
       .kernel_h = 5,
       .kernel_w = 5,
       .out_channels = 36,
       .stride_h = 2,
       .stride_w = 2,
       .pad_top = 2,
       .pad_left = 2,
       .pad_bottom = 2,
       .pad_right = 2},
      {.batch = 16,
       .height = 32,
       .width = 32,
       .in_channels = 72,
       .kernel_h = 3,
       .kernel_w = 3,
       .out_channels = 72,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1,
       .groups = 72},
      {.batch = 8,
       .height = 16,
       .width = 16,
       .in_channels = 64,
       .kernel_h = 1,
       .kernel_w = 1,
       .out_channels = 72},
  };
  for (const Conv2dShape& s : shapes) {
    SCOPED_TRACE(Name(s));
    std::vector<float> results[2];
    for (Executor* executor : {static_cast<Executor*>(nullptr), pool.get()}) {
      Random same(5);
      Arrays arrays(s, [&](size_t) { return Spread(same, -8, 0); }, kWorkers);
      Guarded<float> y(arrays.y.Values().size()), dx(arrays.x.Values().size());
      Guarded<float> dw(arrays.w.Values().size());
      k.conv2d({.shape = s,
                .x = arrays.x.data(),
                .w = arrays.w.data(),
                .bias = nullptr,
                .relu = false,
                .y = y.data(),
                .workspace = arrays.workspace.data(),
                .executor = executor});
      k.conv2d_grad_input({.shape = s,
                           .w = arrays.w.data(),
                           .dy = arrays.y.data(),
                           .dx = dx.data(),
                           .workspace = arrays.workspace.data(),
                           .executor = executor});
      k.conv2d_grad_weights({.shape = s,
                             .x = arrays.x.data(),
                             .dy = arrays.y.data(),
                             .accumulate = false,
                             .dw = dw.data(),
                             .workspace = arrays.workspace.data(),
                             .executor = executor});
      for (Guarded<float>* result : {&y, &dx, &dw}) {
        const std::vector<float> values = result->Values();
        std::vector<float>& all = results[executor != nullptr];
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    ASSERT_EQ(results[0], results[1]);
  }
}

const PoolShape kPools[] = {
    {.batch = 2, .height = 6, .width = 6, .channels = 5, .size = 2},
    {.batch = 1, .height = 7, .width = 9, .channels = 64, .size = 2},
    {.batch = 2, .height = 8, .width = 10, .channels = 33, .size = 3},
    {.batch = 1, .height = 5, .width = 5, .channels = 1, .size = 1},
    {.batch = 1, .height = 33, .width = 17, .channels = 3, .size = 16},
    {.batch = 1, .height = 2, .width = 9, .channels = 3, .size = 3},
};

TEST_P(ConvTest, MaxPoolKeepsTheFirstMaximumAndItsGradientGoesThere) {
  for (const PoolShape& s : kPools) {
    const size_t out_height = s.height / s.size, out_width = s.width / s.size;
    const size_t in = s.batch * s.height * s.width * s.channels;
    const size_t out = s.batch * out_height * out_width * s.channels;
    // Few distinct values: many ties.
    Guarded<float> x(in, 1, [&](size_t) { return Whole(random, 2); });
    Guarded<float> dy(out, 3, [&](size_t) { return Whole(random); });
    Guarded<float> y(out, 2), dx(in, 1, [](size_t) { return 7; });
    Guarded<uint8_t> argmax(out, 1);
    std::vector<float> expected_y(out), expected_dx(in);
    std::vector<uint8_t> expected_argmax(out);
    for (size_t i = 0; i < out; ++i) {
      const size_t c = i % s.channels, column = i / s.channels % out_width;
      const size_t row = i / s.channels / out_width % out_height,
                   b = i / s.channels / out_width / out_height;
      size_t best = 0, best_at = 0;
      for (size_t w = 0; w < s.size * s.size; ++w) {
        const size_t at =
            ((b * s.height + row * s.size + w / s.size) * s.width + column * s.size + w % s.size) *
                s.channels +
            c;
        if (w == 0 || x[at] > x[best_at]) best = w, best_at = at;
      }
      expected_y[i] = x[best_at];
      expected_argmax[i] = static_cast<uint8_t>(best);
      expected_dx[best_at] = dy[i];
    }
    k.max_pool(s, x.data(), y.data(), argmax.data());
    ASSERT_EQ(y.Values(), expected_y);
    ASSERT_EQ(argmax.Values(), expected_argmax);
    k.max_pool_grad(s, dy.data(), argmax.data(), dx.data());
    ASSERT_EQ(dx.Values(), expected_dx);
  }
}

}  // namespace
}  // namespace linnet
