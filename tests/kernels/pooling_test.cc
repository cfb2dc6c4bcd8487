#include "kernels/guarded.h"

namespace linnet {
namespace {

using PoolingTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(PoolingTest);

struct Row {
  const char* name;
  WindowShape shape;
};
// {batch, height, width, channels, size_h, size_w, stride_h, stride_w, pad top, left, bottom,
// right}
const Row kRows[] = {
    {"side by side", {2, 6, 6, 5, 2, 2, 2, 2}},
    {"a remainder", {1, 7, 9, 64, 2, 2, 2, 2}},
    {"one cell", {1, 5, 5, 1, 1, 1, 1, 1}},
    {"the largest window", {1, 33, 17, 3, 16, 16, 16, 16}},
    {"no window", {1, 2, 9, 3, 3, 3, 3, 3}},
    {"overlapping", {2, 7, 8, 17, 3, 3, 2, 2}},
    {"overlapping, padded", {2, 7, 8, 33, 3, 3, 2, 2, 1, 1, 1, 1}},
    {"every position", {1, 6, 5, 19, 3, 2, 1, 1, 1, 0, 1, 1}},
    {"gaps", {1, 11, 12, 7, 2, 3, 4, 5}},
    {"gaps, padded", {1, 11, 12, 7, 2, 3, 4, 5, 1, 2, 1, 1}},
    {"padded on one side", {1, 5, 5, 16, 2, 2, 2, 2, 0, 0, 1, 1}},
    {"padded, side by side", {2, 6, 6, 16, 3, 3, 3, 3, 2, 1, 1, 2}},
    {"the whole image", {3, 4, 6, 10, 4, 6, 1, 1}},
};

size_t InputCount(const WindowShape& s) { return s.batch * s.height * s.width * s.channels; }
size_t OutputCount(const WindowShape& s) {
  return s.batch * s.OutHeight() * s.OutWidth() * s.channels;
}

// Calls visit(output index, input index, position) for each cell of each window that is inside.
template <typename Visit>
void ForEachCell(const WindowShape& s, Visit visit) {
  for (size_t y = 0; y < OutputCount(s); ++y) {
    const size_t c = y % s.channels, column = y / s.channels % s.OutWidth();
    const size_t row = y / s.channels / s.OutWidth() % s.OutHeight();
    const size_t b = y / s.channels / s.OutWidth() / s.OutHeight();
    for (size_t position = 0; position < s.size_h * s.size_w; ++position) {
      const size_t r = row * s.stride_h + position / s.size_w;
      const size_t q = column * s.stride_w + position % s.size_w;
      if (r < s.pad_top || r - s.pad_top >= s.height) continue;
      if (q < s.pad_left || q - s.pad_left >= s.width) continue;
      visit(y, ((b * s.height + r - s.pad_top) * s.width + q - s.pad_left) * s.channels + c,
            position);
    }
  }
}

TEST_P(PoolingTest, MaxKeepsTheFirstMaximumAndItsGradientGoesThere) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    const WindowShape& s = row.shape;
    const size_t in = InputCount(s), out = OutputCount(s);
    // Few distinct values: many ties. None is above zero: padding would be.
    Guarded<float> x(in, 1, [&](size_t) { return Whole(random, 2) - 3; });
    Guarded<float> dy(out, 3, [&](size_t) { return Whole(random); });
    Guarded<float> y(out, 2), dx(in, 1, [](size_t) { return 7; });
    Guarded<uint8_t> argmax(out, 1);
    std::vector<float> expected_y(out, -100), expected_dx(in);
    std::vector<uint8_t> expected_argmax(out);
    std::vector<size_t> best(out);
    ForEachCell(s, [&](size_t yi, size_t xi, size_t position) {
      if (x[xi] <= expected_y[yi]) return;
      expected_y[yi] = x[xi];
      expected_argmax[yi] = static_cast<uint8_t>(position);
      best[yi] = xi;
    });
    for (size_t i = 0; i < out; ++i) expected_dx[best[i]] += dy[i];
    k.pool.max(s, x.data(), y.data(), argmax.data());
    ASSERT_EQ(y.Values(), expected_y);
    ASSERT_EQ(argmax.Values(), expected_argmax);
    Guarded<float> alone(out, 1);
    k.pool.max(s, x.data(), alone.data(), nullptr);
    ASSERT_EQ(alone.Values(), expected_y) << "without positions";
    k.pool.max_grad(s, dy.data(), argmax.data(), dx.data());
    ASSERT_EQ(dx.Values(), expected_dx);
  }
}

TEST_P(PoolingTest, TheMeanAndItsGradientMatchTheirDefinition) {
  for (const Row& row : kRows) {
    for (const bool count_include_pad : {false, true}) {
      SCOPED_TRACE(row.name);
      const WindowShape& s = row.shape;
      const size_t in = InputCount(s), out = OutputCount(s);
      Guarded<float> x(in, 1, [&](size_t) { return Whole(random); });
      Guarded<float> dy(out, 3, [&](size_t) { return Whole(random); });
      Guarded<float> y(out, 2), dx(in, 1, [](size_t) { return 7; });
      std::vector<double> cells(out), expected_y(out), expected_dx(in);
      ForEachCell(s, [&](size_t yi, size_t, size_t) { cells[yi] += 1; });
      if (count_include_pad) cells.assign(out, static_cast<double>(s.size_h * s.size_w));
      ForEachCell(s, [&](size_t yi, size_t xi, size_t) {
        expected_y[yi] += static_cast<double>(x[xi]) / cells[yi];
        expected_dx[xi] += static_cast<double>(dy[yi]) / cells[yi];
      });
      k.pool.average(s, count_include_pad, x.data(), y.data());
      for (size_t i = 0; i < out; ++i) ASSERT_NEAR(y[i], expected_y[i], 1e-5);
      k.pool.average_grad(s, count_include_pad, dy.data(), dx.data());
      for (size_t i = 0; i < in; ++i) ASSERT_NEAR(dx[i], expected_dx[i], 1e-5);
    }
  }
}

}  // namespace
}  // namespace linnet
