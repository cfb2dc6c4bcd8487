#include <algorithm>
#include <cmath>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using Int8Test = KernelsTest;
LINNET_TEST_ALL_TARGETS(Int8Test);

// The whole range of weights and activations, with the ends often.
int8_t Weight(Random& random) {
  const uint32_t r = random();
  return r % 4 == 0 ? (r & 16 ? -128 : 127) : static_cast<int8_t>(r >> 8);
}
uint8_t Activation(Random& random) {
  const uint32_t r = random();
  return r % 4 == 0 ? 127 : static_cast<uint8_t>(r >> 8 & 127);
}

float Finish(float y, const Requantize& out) {
  y += out.offset;
  return std::min(std::max(y, out.low), out.high);
}
uint8_t Byte(float y) { return static_cast<uint8_t>(std::nearbyint(y)); }

struct Case {
  size_t rows, columns, parts, run, n;
  bool to_f32 = false;
  size_t step = 0;  // bytes from one window to the next, 0 = parts * run
  Requantize out = {.offset = 3.0f, .low = 0.0f, .high = 127.0f};
};

// Windows of a plain buffer: parts 7 bytes apart, rows and columns overlapping as those of an
// image.
struct Windows {
  Windows(Random& random, const Case& c, size_t misalign)
      : step(c.step != 0 ? c.step : c.parts * c.run),
        row(step * c.columns + 5),
        x(row * c.rows + c.parts * (c.run + 7) + kInt8Slack, misalign,
          [&](size_t) { return Activation(random); }) {
    for (size_t q = 0; q < c.parts; ++q) offsets.push_back(static_cast<uint32_t>(q * (c.run + 7)));
    view = {x.data(), c.rows, c.columns, row, step, offsets.data(), c.parts, c.run};
  }
  uint8_t At(size_t r, size_t c, size_t q, size_t p) {
    return x[r * row + c * step + offsets[q] + p];
  }
  size_t step, row;
  Guarded<uint8_t> x;
  std::vector<uint32_t> offsets;
  Int8Windows view;
};

void CheckProduct(const Kernels& k, Random& random, const Case& c) {
  SCOPED_TRACE(testing::Message() << c.rows << "x" << c.columns << " windows of " << c.parts << "x"
                                  << c.run << " to " << c.n << (c.to_f32 ? " f32" : " u8"));
  Windows w(random, c, c.n % 5);
  Guarded<int8_t> weights(c.parts * c.run * c.n, c.n % 3, [&](size_t) { return Weight(random); });
  Guarded<int32_t> bias(c.n, 1, [&](size_t) { return static_cast<int>(random() % 2001) - 1000; });
  Guarded<float> scale(c.n, 1, [&](size_t) { return std::abs(Spread(random, -16, -7)); });
  Guarded<uint8_t> packed(Int8PackedBytes(c.parts, c.run, c.n));
  const size_t y_row = c.n + c.n % 3;
  Guarded<uint8_t> bytes(c.to_f32 ? 0 : c.rows * c.columns * y_row, c.n % 7);
  Guarded<float> floats(c.to_f32 ? c.rows * c.columns * y_row : 0, c.n % 3);

  std::vector<uint8_t> expected_bytes(bytes.Values());
  std::vector<float> expected_floats(floats.Values());
  for (size_t i = 0; i < c.rows * c.columns; ++i) {
    for (size_t j = 0; j < c.n; ++j) {
      int32_t sum = bias[j];
      for (size_t q = 0; q < c.parts; ++q) {
        for (size_t p = 0; p < c.run; ++p) {
          sum += w.At(i / c.columns, i % c.columns, q, p) * weights[(q * c.run + p) * c.n + j];
        }
      }
      const float y = Finish(static_cast<float>(sum) * scale[j], c.out);
      if (c.to_f32) {
        expected_floats[i * y_row + j] = y;
      } else {
        expected_bytes[i * y_row + j] = Byte(y);
      }
    }
  }
  k.int8.pack(weights.data(), bias.data(), scale.data(), c.parts, c.run, c.n, packed.data());
  void* y = c.to_f32 ? static_cast<void*>(floats.data()) : bytes.data();
  k.int8.product(w.view, packed.data(), c.n, c.out, c.to_f32, y, y_row);
  ASSERT_EQ(bytes.Values(), expected_bytes);
  ASSERT_EQ(floats.Values(), expected_floats);
}

TEST_P(Int8Test, ProductsAreTheSameIntegersForEveryHeight) {
  for (size_t m = 0; m <= 33; ++m) {
    for (const bool to_f32 : {false, true}) {
      ASSERT_NO_FATAL_FAILURE(CheckProduct(
          k, random, {.rows = 1, .columns = m, .parts = 1, .run = 37, .n = 35, .to_f32 = to_f32}));
    }
  }
}

TEST_P(Int8Test, ProductsAreTheSameIntegersForEveryWidth) {
  for (size_t n = 1; n <= 140; ++n) {
    for (const size_t m : {1, 2, 5, 13}) {
      ASSERT_NO_FATAL_FAILURE(
          CheckProduct(k, random, {.rows = 1, .columns = m, .parts = 1, .run = 11, .n = n}));
    }
  }
}

TEST_P(Int8Test, ProductsAreTheSameIntegersForEveryDepth) {
  for (size_t run = 1; run <= 70; ++run) {
    ASSERT_NO_FATAL_FAILURE(
        CheckProduct(k, random, {.rows = 1, .columns = 5, .parts = 1, .run = run, .n = 33}));
  }
}

TEST_P(Int8Test, WindowsOfImagesAreTheSameIntegers) {
  const Case rows[] = {
      {.rows = 26, .columns = 26, .parts = 3, .run = 3, .n = 32, .step = 1},
      {.rows = 24, .columns = 24, .parts = 3, .run = 96, .n = 64, .step = 32},
      {.rows = 5, .columns = 7, .parts = 25, .run = 1, .n = 10, .step = 2},
      {.rows = 3, .columns = 15, .parts = 9, .run = 4, .n = 48, .step = 8},
      {.rows = 1, .columns = 32, .parts = 1, .run = 784, .n = 256},
      {.rows = 1, .columns = 1, .parts = 1, .run = 9216, .n = 130, .to_f32 = true},
  };
  for (const Case& row : rows) ASSERT_NO_FATAL_FAILURE(CheckProduct(k, random, row));
}

TEST_P(Int8Test, TheLargestSumsAreExact) {
  const size_t depth = 4096, n = 17;
  std::vector<uint32_t> offset = {0};
  for (const int weight : {-128, 127}) {
    Guarded<uint8_t> x(depth + kInt8Slack, 0, [](size_t) { return 127; });
    Guarded<int8_t> weights(depth * n, 0, [&](size_t) { return weight; });
    Guarded<int32_t> bias(n);
    Guarded<float> scale(n, 0, [](size_t) { return 1.0f / 1024; });
    Guarded<uint8_t> packed(Int8PackedBytes(1, depth, n));
    Guarded<float> y(n);
    k.int8.pack(weights.data(), bias.data(), scale.data(), 1, depth, n, packed.data());
    k.int8.product({x.data(), 1, 1, 0, depth, offset.data(), 1, depth}, packed.data(), n,
                   {.offset = 0, .low = -1e9f, .high = 1e9f}, true, y.data(), n);
    ASSERT_EQ(y.Values(), std::vector<float>(n, 127.0f * static_cast<float>(weight) * 4));
  }
}

TEST_P(Int8Test, RoundingGoesToTheEvenNeighbourAndClampsAtBothEnds) {
  const float x[] = {-1e30f, -0.6f, -0.5f, 0.5f, 1.5f, 2.5f, 2.51f, 126.5f, 127.5f, 1e30f};
  const uint8_t expected[] = {0, 0, 0, 0, 2, 2, 3, 126, 127, 127};
  Guarded<uint8_t> y(std::size(x));
  k.int8.quantize(x, 1.0f, {}, y.data(), std::size(x));
  EXPECT_EQ(y.Values(), std::vector<uint8_t>(std::begin(expected), std::end(expected)));
}

TEST_P(Int8Test, QuantizingAndAddingAreTheSameIntegersForEveryLength) {
  const Requantize out = {.offset = 17, .low = 17, .high = 120};
  for (const size_t n : Lengths()) {
    Guarded<float> x(n, n % 3, [&](size_t) { return Spread(random, -6, 7); });
    Guarded<uint8_t> a(n, n % 5, [&](size_t) { return Activation(random); });
    Guarded<uint8_t> b(n, n % 2, [&](size_t) { return Activation(random); });
    Guarded<uint8_t> quantized(n, n % 7), sum(n, 1);
    std::vector<uint8_t> expected_quantized, expected_sum;
    for (size_t i = 0; i < n; ++i) {
      expected_quantized.push_back(Byte(Finish(x[i] * 0.37f, out)));
      const float scaled_a = static_cast<float>(a[i]) * 0.3f;
      const float scaled_b = static_cast<float>(b[i]) * 0.71f;
      expected_sum.push_back(Byte(Finish(scaled_a + scaled_b, out)));
    }
    k.int8.quantize(x.data(), 0.37f, out, quantized.data(), n);
    k.int8.add(a.data(), 0.3f, b.data(), 0.71f, out, sum.data(), n);
    ASSERT_EQ(quantized.Values(), expected_quantized);
    ASSERT_EQ(sum.Values(), expected_sum);
  }
}

TEST_P(Int8Test, ChannelwiseLayersAreTheSameIntegersForEveryNumberOfChannels) {
  const Requantize out = {.offset = 40, .low = 0, .high = 127};
  for (size_t channels = 1; channels <= 70; ++channels) {
    const Case c = {.rows = 3, .columns = 2, .parts = 9, .run = channels, .n = channels};
    Windows w(random, c, channels % 3);
    Guarded<int8_t> weights(9 * channels, 1, [&](size_t) { return Weight(random); });
    Guarded<int32_t> bias(channels, 1, [&](size_t) { return static_cast<int>(random() % 999); });
    Guarded<float> scale(channels, 1, [&](size_t) { return std::abs(Spread(random, -10, -8)); });
    std::vector<uint8_t> depthwise, most, total;
    for (size_t i = 0; i < 6; ++i) {
      for (size_t j = 0; j < channels; ++j) {
        int32_t dot = bias[j], sum = 0, largest = 0;
        for (size_t q = 0; q < 9; ++q) {
          const int a = w.At(i / 2, i % 2, q, j);
          dot += a * weights[q * channels + j];
          sum += a;
          largest = std::max(largest, a);
        }
        depthwise.push_back(Byte(Finish(static_cast<float>(dot) * scale[j], out)));
        most.push_back(static_cast<uint8_t>(largest));
        total.push_back(Byte(Finish(static_cast<float>(sum) * 0.11f, out)));
      }
    }
    Guarded<uint8_t> y(6 * channels, 1);
    k.int8.depthwise(w.view, weights.data(), bias.data(), scale.data(), out, y.data());
    ASSERT_EQ(y.Values(), depthwise);
    k.int8.max_pool(w.view, y.data());
    ASSERT_EQ(y.Values(), most);
    k.int8.sum_pool(w.view, 0.11f, out, y.data());
    ASSERT_EQ(y.Values(), total);
  }
}

}  // namespace
}  // namespace linnet
