#include <algorithm>
#include <cmath>

#include "base/half.h"
#include "kernels/guarded.h"

namespace linnet {
namespace {

using CompressedTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(CompressedTest);

enum class Kind { kSparse, kBlock, kTwoOfFour, kInt4 };

struct Case {
  size_t rows, depth, n;
  bool bias = true, relu = false;
};

// Small whole numbers with about half of zeros, so that every order of addition gives one result.
struct Weights {
  Weights(Random& random, const Case& c) : n(c.n), depth(c.depth), dense(c.depth * c.n) {
    for (float& value : dense) value = random() % 2 == 0 ? 0 : Whole(random);
  }
  float& At(size_t i, size_t j) { return dense[i * n + j]; }
  size_t n, depth;
  std::vector<float> dense;
};

void Run(const Kernels& k, Kind kind, const LayerArgs& args, Weights& w) {
  const size_t n = w.n, depth = w.depth, blocks = (n + kSparseBlock - 1) / kSparseBlock;
  std::vector<uint32_t> starts = {0}, indices;
  std::vector<float> values;
  switch (kind) {
    case Kind::kSparse:
      for (size_t j = 0; j < n; ++j) {
        for (size_t i = 0; i < depth; ++i) {
          if (w.At(i, j) == 0) continue;
          indices.push_back(static_cast<uint32_t>(i));
          values.push_back(w.At(i, j));
        }
        starts.push_back(static_cast<uint32_t>(indices.size()));
      }
      k.compressed.sparse(args, {starts.data(), indices.data(), values.data()});
      return;
    case Kind::kBlock:
      for (size_t b = 0; b < blocks; ++b) {
        for (size_t i = b % 2; i < depth; i += 1 + (i + b) % 3) {
          indices.push_back(static_cast<uint32_t>(i));
          for (size_t j = b * kSparseBlock; j < (b + 1) * kSparseBlock; ++j) {
            values.push_back(j < n ? w.At(i, j) : 0);
          }
        }
        starts.push_back(static_cast<uint32_t>(indices.size()));
      }
      k.compressed.block_sparse(args, {starts.data(), indices.data(), values.data()});
      return;
    case Kind::kTwoOfFour: {
      std::vector<uint8_t> positions;
      for (size_t b = 0; b < blocks; ++b) {
        for (size_t i = 0; i < depth; i += 4) {
          for (const size_t which : {0, 1}) {
            for (size_t j = b * kSparseBlock; j < (b + 1) * kSparseBlock; ++j) {
              values.push_back(j < n ? w.At(i + (j + which * 2 + i / 4) % 4, j) : 0);
            }
          }
          for (size_t j = b * kSparseBlock; j < (b + 1) * kSparseBlock; ++j) {
            positions.push_back(static_cast<uint8_t>((j + i / 4) % 4 | (j + 2 + i / 4) % 4 << 2));
          }
        }
      }
      k.compressed.two_of_four(args, values.data(), positions.data());
      return;
    }
    case Kind::kInt4: {
      std::vector<uint8_t> codes((depth + 1) / 2 * n);
      std::vector<uint16_t> scales((depth + 31) / 32 * n);
      for (size_t i = 0; i < depth; ++i) {
        for (size_t j = 0; j < n; ++j) {
          const int code = static_cast<int>(w.At(i, j)) + 8;
          codes[i / 2 * n + j] |= static_cast<uint8_t>(code << (i % 2 * 4));
          scales[i / 32 * n + j] = FloatToHalf(0.25f * static_cast<float>(1 + (i / 32 + j) % 3));
        }
      }
      k.compressed.int4(args, codes.data(), scales.data());
      return;
    }
  }
}

// What the dense weights are after what Run leaves out or scales.
float Effective(Kind kind, Weights& w, size_t i, size_t j) {
  switch (kind) {
    case Kind::kSparse:
      break;
    case Kind::kBlock: {
      const size_t b = j / kSparseBlock;
      for (size_t at = b % 2; at <= i; at += 1 + (at + b) % 3) {
        if (at == i) return w.At(i, j);
      }
      return 0;
    }
    case Kind::kTwoOfFour:
      return (i + 2 * 4 - (j + i / 4) % 4) % 2 == 0 ? w.At(i, j) : 0;
    case Kind::kInt4:
      return w.At(i, j) * 0.25f * static_cast<float>(1 + (i / 32 + j) % 3);
  }
  return w.At(i, j);
}

void Check(const Kernels& k, Random& random, Kind kind, const Case& c) {
  SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << ", " << c.rows << "x"
                                  << c.n << "x" << c.depth);
  Weights w(random, c);
  if (kind == Kind::kInt4) {
    for (float& value : w.dense) value = std::clamp(value, -8.0f, 7.0f);
  }
  const auto whole = [&](size_t) { return Whole(random); };
  Guarded<float> x(c.rows * c.depth, c.n % 3, whole), bias(c.n, 1, whole);
  Guarded<float> y(c.rows * c.n, c.n % 4), workspace(LayerWorkspace(c.rows, c.depth));
  std::vector<float> expected;
  for (size_t r = 0; r < c.rows; ++r) {
    for (size_t j = 0; j < c.n; ++j) {
      float sum = c.bias ? bias[j] : 0;
      for (size_t i = 0; i < c.depth; ++i) {
        sum += x[r * c.depth + i] * Effective(kind, w, i, j);
      }
      expected.push_back(c.relu ? std::max(0.0f, sum) : sum);
    }
  }
  Run(k, kind,
      {x.data(), c.rows, c.depth, c.n, c.bias ? bias.data() : nullptr, c.relu, y.data(),
       workspace.data()},
      w);
  ASSERT_EQ(y.Values(), expected);
}

TEST_P(CompressedTest, EveryKindIsExactOnWholeNumbersForEveryHeightAndWidth) {
  for (const Kind kind : {Kind::kSparse, Kind::kBlock, Kind::kTwoOfFour, Kind::kInt4}) {
    for (size_t rows = 0; rows <= 70; ++rows) {
      ASSERT_NO_FATAL_FAILURE(
          Check(k, random, kind, {.rows = rows, .depth = 36, .n = 19, .bias = rows % 2 == 0}));
    }
    for (size_t n = 1; n <= 70; ++n) {
      for (const size_t rows : {1, 5, 9}) {
        ASSERT_NO_FATAL_FAILURE(
            Check(k, random, kind, {.rows = rows, .depth = 68, .n = n, .relu = n % 2 == 0}));
      }
    }
  }
}

TEST_P(CompressedTest, EveryKindIsExactOnWholeNumbersForEveryDepth) {
  for (const Kind kind : {Kind::kSparse, Kind::kBlock, Kind::kTwoOfFour, Kind::kInt4}) {
    for (size_t depth = 1; depth <= 100; ++depth) {
      if (kind == Kind::kTwoOfFour && depth % 4 != 0) continue;
      for (const size_t rows : {1, 6}) {
        ASSERT_NO_FATAL_FAILURE(Check(k, random, kind, {.rows = rows, .depth = depth, .n = 21}));
      }
    }
  }
}

}  // namespace
}  // namespace linnet
