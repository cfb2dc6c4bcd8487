#include <limits>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using EmbeddingTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(EmbeddingTest);

TEST_P(EmbeddingTest, RowsAreTakenAndTheirGradientsAddedForEveryWidth) {
  const size_t vocabulary = 5, count = 12;
  for (const size_t dim : Lengths()) {
    for (const bool accumulate : {false, true}) {
      Guarded<float> ids(count, 1, [&](size_t) { return random() % vocabulary; });
      const auto whole = [&](size_t) { return Whole(random); };
      Guarded<float> table(vocabulary * dim, 2, whole), y(count * dim, 3),
          dy(count * dim, 1, whole);
      Guarded<float> dtable(vocabulary * dim, 5, whole);
      std::vector<float> expected_y(count * dim), expected(vocabulary * dim);
      if (accumulate) expected = dtable.Values();
      for (size_t i = 0; i < count * dim; ++i) {
        const size_t at = static_cast<size_t>(ids[i / dim]) * dim + i % dim;
        expected_y[i] = table[at];
        expected[at] += dy[i];
      }
      k.embedding.gather(ids.data(), count, table.data(), vocabulary, dim, y.data());
      ASSERT_EQ(y.Values(), expected_y);
      k.embedding.gather_grad(ids.data(), count, dy.data(), vocabulary, dim, accumulate,
                              dtable.data());
      ASSERT_EQ(dtable.Values(), expected);
    }
  }
}

TEST_P(EmbeddingTest, NumbersOutsideOfTheVocabularyReachNoOtherMemory) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const struct {
    float id;
    size_t row;
  } rows[] = {{-1, 0}, {-1e30f, 0}, {-kInfinity, 0}, {std::nanf(""), 0}, {2.9f, 2},
              {3, 3},  {4, 3},      {1e30f, 3},      {kInfinity, 3},     {0, 0}};
  Guarded<float> table(4, 1, [](size_t i) { return 10 * i; }), dtable(4);
  for (const auto& row : rows) {
    float y = -1, dy = 1;
    k.embedding.gather(&row.id, 1, table.data(), 4, 1, &y);
    EXPECT_EQ(y, table[row.row]) << row.id;
    k.embedding.gather_grad(&row.id, 1, &dy, 4, 1, false, dtable.data());
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(dtable[i], i == row.row ? 1.0f : 0.0f) << row.id;
  }
}

}  // namespace
}  // namespace linnet
