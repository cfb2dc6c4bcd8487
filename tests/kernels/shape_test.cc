#include <algorithm>
#include <functional>
#include <numeric>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using ShapeTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(ShapeTest);

std::vector<float> TransposeTwin(const std::vector<float>& x, const std::vector<size_t>& dims,
                                 const std::vector<size_t>& perm) {
  const size_t rank = dims.size();
  std::vector<float> y(x.size());
  std::vector<size_t> index(rank);
  for (size_t i = 0; i < x.size(); ++i) {
    size_t rest = i;
    for (size_t a = rank; a-- > 0; rest /= dims[a]) index[a] = rest % dims[a];
    size_t at = 0;
    for (size_t axis = 0; axis < rank; ++axis) at = at * dims[perm[axis]] + index[perm[axis]];
    y[at] = x[i];
  }
  return y;
}

TEST_P(ShapeTest, TransposeFollowsEveryPermutation) {
  const std::vector<std::vector<size_t>> shapes = {
      {1},        {7},          {3, 5},         {66, 70},           {4, 1, 6}, {2, 3, 4}, {5, 7, 3},
      {2, 33, 9}, {2, 3, 4, 5}, {3, 1, 17, 20}, {2, 3, 1, 4, 5, 2}, {1, 1, 1}, {0, 3},
  };
  for (const std::vector<size_t>& dims : shapes) {
    const size_t n = std::accumulate(dims.begin(), dims.end(), size_t{1}, std::multiplies<>());
    std::vector<size_t> perm(dims.size());
    std::iota(perm.begin(), perm.end(), size_t{0});
    do {
      Guarded<float> x(n, 1, [](size_t i) { return i; }), y(n, 2);
      k.shape.transpose(x.data(), dims.data(), perm.data(), dims.size(), y.data());
      ASSERT_EQ(y.Values(), TransposeTwin(x.Values(), dims, perm));
    } while (std::next_permutation(perm.begin(), perm.end()));
  }
}

TEST_P(ShapeTest, RowsAreCopiedBetweenStridesForEveryWidth) {
  for (const size_t cols : Lengths()) {
    const size_t rows = 3, x_stride = cols + 2, y_stride = cols + 5;
    Guarded<float> x(rows * x_stride, 1, [](size_t i) { return i + 1; });
    Guarded<float> y(rows * y_stride, 2, [](size_t) { return -1; });
    std::vector<float> expected = y.Values();
    for (size_t r = 0; r < rows; ++r) {
      for (size_t j = 0; j < cols; ++j) expected[r * y_stride + j] = x[r * x_stride + j];
    }
    k.shape.copy_rows(x.data(), x_stride, y.data(), y_stride, rows, cols);
    ASSERT_EQ(y.Values(), expected);
  }
}

TEST_P(ShapeTest, PadPutsZerosAroundAndCropTakesThemAway) {
  struct Edges {
    size_t top, left, bottom, right;
  };
  for (const Edges& e :
       {Edges{0, 0, 0, 0}, Edges{1, 2, 3, 4}, Edges{0, 1, 0, 0}, Edges{2, 0, 1, 0}}) {
    for (const size_t channels : {1, 3, 16, 33}) {
      const size_t batch = 2, height = 3, width = 4, n = batch * height * width * channels;
      const size_t padded_h = e.top + height + e.bottom, padded_w = e.left + width + e.right;
      Guarded<float> x(n, 1, [](size_t i) { return i + 1; });
      Guarded<float> y(batch * padded_h * padded_w * channels, 2, [](size_t) { return 7; });
      Guarded<float> back(n, 3);
      std::vector<float> expected(batch * padded_h * padded_w * channels);
      for (size_t i = 0; i < n; ++i) {
        const size_t c = i % channels, q = i / channels % width, r = i / channels / width % height;
        const size_t b = i / channels / width / height;
        expected[((b * padded_h + r + e.top) * padded_w + q + e.left) * channels + c] = x[i];
      }
      k.shape.pad(x.data(), batch, height, width, channels, e.top, e.left, e.bottom, e.right,
                  y.data());
      ASSERT_EQ(y.Values(), expected);
      k.shape.crop(y.data(), batch, height, width, channels, e.top, e.left, e.bottom, e.right,
                   back.data());
      ASSERT_EQ(back.Values(), x.Values());
    }
  }
}

}  // namespace
}  // namespace linnet
