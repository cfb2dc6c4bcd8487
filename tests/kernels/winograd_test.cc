// 3x3 convolutions by Winograd's algorithm, against the definition in f64.
#include "kernels/winograd.h"

#include <algorithm>

#include "kernels/conv_reference.h"
#include "kernels/guarded.h"

namespace linnet {
namespace {

using WinogradTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(WinogradTest);

constexpr Conv2dShape Shape(size_t batch, size_t height, size_t width, size_t in, size_t out,
                            size_t top, size_t left, size_t bottom, size_t right) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .in_channels = in,
          .kernel_h = 3,
          .kernel_w = 3,
          .out_channels = out,
          .pad_top = top,
          .pad_left = left,
          .pad_bottom = bottom,
          .pad_right = right};
}
constexpr Conv2dShape kShapes[] = {
    Shape(2, 26, 26, 32, 64, 0, 0, 0, 0),  // whole tiles, whole vectors
    Shape(1, 6, 6, 16, 16, 0, 0, 0, 0),    // one tile
    Shape(3, 8, 8, 16, 48, 1, 1, 1, 1),
    Shape(2, 7, 9, 17, 35, 1, 1, 1, 1),  // parts of tiles, parts of vectors
    Shape(5, 14, 11, 20, 16, 0, 1, 2, 0),
    Shape(2, 5, 8, 33, 18, 2, 2, 2, 2),
    Shape(1, 9, 10, 16, 19, 3, 1, 4, 0),    // windows that see padding alone
    Shape(1, 40, 3, 16, 16, 0, 1, 0, 1),    // narrower than a tile
    Shape(40, 12, 12, 16, 16, 1, 1, 1, 1),  // many blocks
};

// Of 6 decimal digits the algorithm loses one: errors are below 1e-5 of the largest result.
void ExpectNear(const std::vector<float>& values, const std::vector<double>& expected) {
  double largest = 0, error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    error = std::max(error, std::abs(static_cast<double>(values[i]) - expected[i]));
  }
  EXPECT_LE(error, 1e-5 * largest);
}

class Real {
 public:
  explicit Real(Random& random) : random_(random) {}
  float operator()(size_t) const { return static_cast<float>(random_() % 20001) * 1e-4f - 1; }

 private:
  Random& random_;
};

TEST_P(WinogradTest, ForwardIsNearTheDefinition) {
  for (const Conv2dShape& s : kShapes) {
    SCOPED_TRACE(Name(s));
    ASSERT_TRUE(IsWinograd(s));
    for (unsigned form = 0; form < 8; ++form) {
      Arrays arrays(s, Real(random));
      Guarded<float> bias(s.out_channels, 1, Real(random));
      Guarded<float> packed(Conv2dPackedSize(s));
      k.pack_conv2d(s, arrays.w.data(), packed.data());
      std::vector<double> expected(arrays.y.Values().size());
      ForEachTerm(s, [&](size_t x, size_t w, size_t y) {
        expected[y] += double{arrays.x[x]} * double{arrays.w[w]};
      });
      for (size_t i = 0; i < expected.size(); ++i) {
        if (form & 1) expected[i] += double{bias[i % s.out_channels]};
        if (form & 2) expected[i] = std::max(0.0, expected[i]);
      }
      Guarded<float> workspace(form & 4 ? Conv2dPackedWorkspace(s) : Conv2dWorkspace(s));
      k.conv2d({.shape = s,
                .x = arrays.x.data(),
                .w = form & 4 ? packed.data() : arrays.w.data(),
                .packed_w = (form & 4) != 0,
                .bias = form & 1 ? bias.data() : nullptr,
                .relu = (form & 2) != 0,
                .y = arrays.y.data(),
                .workspace = workspace.data()});
      ExpectNear(arrays.y.Values(), expected);
    }
  }
}

TEST_P(WinogradTest, GradientOfWeightsIsNearTheDefinition) {
  for (const Conv2dShape& s : kShapes) {
    SCOPED_TRACE(Name(s));
    for (const bool accumulate : {false, true}) {
      Arrays arrays(s, Real(random));
      std::vector<double> expected(arrays.w.Values().size());
      if (accumulate) std::ranges::copy(arrays.w.Values(), expected.begin());
      ForEachTerm(s, [&](size_t x, size_t w, size_t y) {
        expected[w] += double{arrays.x[x]} * double{arrays.y[y]};
      });
      k.conv2d_grad_weights({.shape = s,
                             .x = arrays.x.data(),
                             .dy = arrays.y.data(),
                             .accumulate = accumulate,
                             .dw = arrays.w.data(),
                             .workspace = arrays.workspace.data()});
      ExpectNear(arrays.w.Values(), expected);
    }
  }
}

TEST_P(WinogradTest, GradientOfInputIsNearTheDefinition) {
  for (const Conv2dShape& s : kShapes) {
    SCOPED_TRACE(Name(s));
    Arrays arrays(s, Real(random));
    std::vector<double> expected(arrays.x.Values().size());
    ForEachTerm(s, [&](size_t x, size_t w, size_t y) {
      expected[x] += double{arrays.w[w]} * double{arrays.y[y]};
    });
    k.conv2d_grad_input({.shape = s,
                         .w = arrays.w.data(),
                         .dy = arrays.y.data(),
                         .dx = arrays.x.data(),
                         .workspace = arrays.workspace.data()});
    ExpectNear(arrays.x.Values(), expected);
  }
}

TEST(WinogradShapeTest, OnlyDense3x3ConvolutionsOfManyChannelsQualify) {
  Conv2dShape s = Shape(1, 8, 8, 16, 16, 1, 1, 1, 1);
  EXPECT_TRUE(IsWinograd(s));
  for (size_t Conv2dShape::* member :
       {&Conv2dShape::stride_h, &Conv2dShape::stride_w, &Conv2dShape::dilation_h,
        &Conv2dShape::dilation_w, &Conv2dShape::groups}) {
    Conv2dShape other = s;
    other.*member = 2;
    EXPECT_FALSE(IsWinograd(other));
  }
  for (size_t Conv2dShape::* member : {&Conv2dShape::kernel_h, &Conv2dShape::kernel_w,
                                       &Conv2dShape::in_channels, &Conv2dShape::out_channels}) {
    Conv2dShape other = s;
    --(other.*member);
    EXPECT_FALSE(IsWinograd(other));
  }
  EXPECT_FALSE(IsWinograd(Shape(1, 3, 8, 16, 16, 0, 1, 0, 1)));  // tiles of one row in four
}

}  // namespace
}  // namespace linnet
