#include <algorithm>

#include "kernels/guarded.h"

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
     .kernel_w = 3,
     .out_channels = 64},
    {.batch = 2,
     .height = 7,
     .width = 6,
     .in_channels = 4,
     .kernel_h = 3,
     .kernel_w = 2,
     .out_channels = 17,
     .stride = 1,
     .pad = 1},
    {.batch = 1,
     .height = 28,
     .width = 28,
     .in_channels = 1,
     .kernel_h = 5,
     .kernel_w = 5,
     .out_channels = 33,
     .stride = 1,
     .pad = 2},
    {.batch = 3,
     .height = 11,
     .width = 10,
     .in_channels = 2,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 8,
     .stride = 2,
     .pad = 1},
    {.batch = 1,
     .height = 10,
     .width = 13,
     .in_channels = 5,
     .kernel_h = 2,
     .kernel_w = 4,
     .out_channels = 6,
     .stride = 3,
     .pad = 0},
    {.batch = 2,
     .height = 4,
     .width = 4,
     .in_channels = 7,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 16},
    {.batch = 1,
     .height = 3,
     .width = 3,
     .in_channels = 2,
     .kernel_h = 1,
     .kernel_w = 1,
     .out_channels = 3,
     .stride = 1,
     .pad = 2},
    {.batch = 1,
     .height = 5,
     .width = 5,
     .in_channels = 3,
     .kernel_h = 5,
     .kernel_w = 5,
     .out_channels = 130},
    {.batch = 1,
     .height = 5,
     .width = 40,
     .in_channels = 130,
     .kernel_h = 2,
     .kernel_w = 2,
     .out_channels = 4,
     .stride = 2,
     .pad = 1},
    {.batch = 0,
     .height = 5,
     .width = 5,
     .in_channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .out_channels = 2},
};

std::string Name(const Conv2dShape& s) {
  return testing::PrintToString(std::vector<size_t>{s.batch, s.height, s.width, s.in_channels,
                                                    s.kernel_h, s.kernel_w, s.out_channels,
                                                    s.stride, s.pad});
}

// Calls body(x index, w index, y index) for every product of the convolution.
template <typename Body>
void ForEachTerm(const Conv2dShape& s, const Body& body) {
  for (size_t b = 0; b < s.batch; ++b)
    for (size_t oh = 0; oh < s.OutHeight(); ++oh)
      for (size_t ow = 0; ow < s.OutWidth(); ++ow)
        for (size_t kh = 0; kh < s.kernel_h; ++kh)
          for (size_t kw = 0; kw < s.kernel_w; ++kw) {
            const size_t ih = oh * s.stride + kh - s.pad, iw = ow * s.stride + kw - s.pad;
            if (ih >= s.height || iw >= s.width) continue;  // padding; negative wraps round
            for (size_t ic = 0; ic < s.in_channels; ++ic)
              for (size_t oc = 0; oc < s.out_channels; ++oc)
                body(((b * s.height + ih) * s.width + iw) * s.in_channels + ic,
                     ((kh * s.kernel_w + kw) * s.in_channels + ic) * s.out_channels + oc,
                     ((b * s.OutHeight() + oh) * s.OutWidth() + ow) * s.out_channels + oc);
          }
}

struct Arrays {
  Arrays(const Conv2dShape& s, Random& random)
      : x(s.batch * s.height * s.width * s.in_channels, 1,
          [&](size_t) { return Whole(random, 4); }),
        w(s.kernel_h * s.kernel_w * s.in_channels * s.out_channels, 2,
          [&](size_t) { return Whole(random, 4); }),
        y(s.batch * s.OutHeight() * s.OutWidth() * s.out_channels, 3,
          [&](size_t) { return Whole(random, 4); }),
        workspace(Conv2dWorkspace(s), 0, [](size_t) { return 1e30f; }) {}
  Guarded<float> x, w, y, workspace;
};

TEST_P(ConvTest, ForwardIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    for (unsigned form = 0; form < 4; ++form) {
      SCOPED_TRACE(Name(s));
      Arrays arrays(s, random);
      Guarded<float> bias(s.out_channels, 1, [&](size_t) { return Whole(random); });
      std::vector<float> expected(arrays.y.Values().size());
      ForEachTerm(s,
                  [&](size_t x, size_t w, size_t y) { expected[y] += arrays.x[x] * arrays.w[w]; });
      for (size_t i = 0; i < expected.size(); ++i) {
        if (form & 1) expected[i] += bias[i % s.out_channels];
        if (form & 2) expected[i] = std::max(0.0f, expected[i]);
      }
      k.conv2d(s, arrays.x.data(), arrays.w.data(), form & 1 ? bias.data() : nullptr,
               (form & 2) != 0, arrays.y.data(), arrays.workspace.data());
      ASSERT_EQ(arrays.y.Values(), expected);
    }
  }
}

TEST_P(ConvTest, GradientOfWeightsIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(Name(s));
      Arrays arrays(s, random);
      std::vector<float> expected = arrays.w.Values();
      if (!accumulate) std::fill(expected.begin(), expected.end(), 0.0f);
      ForEachTerm(s,
                  [&](size_t x, size_t w, size_t y) { expected[w] += arrays.x[x] * arrays.y[y]; });
      k.conv2d_grad_weights(s, arrays.x.data(), arrays.y.data(), accumulate, arrays.w.data(),
                            arrays.workspace.data());
      ASSERT_EQ(arrays.w.Values(), expected);
    }
  }
}

TEST_P(ConvTest, GradientOfInputIsExactOnWholeNumbers) {
  for (const Conv2dShape& s : kShapes) {
    SCOPED_TRACE(Name(s));
    Arrays arrays(s, random);
    std::vector<float> expected(arrays.x.Values().size());
    ForEachTerm(s, [&](size_t x, size_t w, size_t y) { expected[x] += arrays.w[w] * arrays.y[y]; });
    k.conv2d_grad_input(s, arrays.w.data(), arrays.y.data(), arrays.x.data(),
                        arrays.workspace.data());
    ASSERT_EQ(arrays.x.Values(), expected);
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
