#include <algorithm>

#include "kernels/guarded.h"
#include "kernels/pool.h"

namespace linnet {
namespace {

using GemmTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(GemmTest);

struct Product {
  size_t m, n, k;
  bool trans_a = false, trans_b = false, accumulate = false, bias = false, relu = false;
  size_t slack = 0;  // leading dimensions beyond the least, and misalignment
};

void CheckProduct(const Kernels& k, Random& random, const Product& p) {
  SCOPED_TRACE(testing::Message() << p.m << "x" << p.n << "x" << p.k << (p.trans_a ? " A^T" : "")
                                  << (p.trans_b ? " B^T" : "") << (p.accumulate ? " +=" : "")
                                  << (p.bias ? " bias" : "") << (p.relu ? " relu" : ""));
  const size_t lda = (p.trans_a ? p.m : p.k) + p.slack;
  const size_t ldb = (p.trans_b ? p.k : p.n) + p.slack;
  const size_t ldc = p.n + p.slack;
  const auto whole = [&](size_t) { return Whole(random); };
  Guarded<float> a((p.trans_a ? p.k : p.m) * lda, p.slack % 4, whole);
  Guarded<float> b((p.trans_b ? p.n : p.k) * ldb, p.slack % 5, whole);
  Guarded<float> c(p.m * ldc, p.slack % 3, whole);
  Guarded<float> bias(p.n, p.slack, whole);
  Guarded<float> workspace(GemmWorkspace(p.m, p.n, p.k));

  const std::vector<float> start = c.Values();
  std::vector<float> expected = start;
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t j = 0; j < p.n; ++j) {
      float sum = p.accumulate ? c[i * ldc + j] : 0.0f;
      for (size_t q = 0; q < p.k; ++q) {
        sum += (p.trans_a ? a[q * lda + i] : a[i * lda + q]) *
               (p.trans_b ? b[j * ldb + q] : b[q * ldb + j]);
      }
      if (p.bias) sum += bias[j];
      expected[i * ldc + j] = p.relu ? std::max(0.0f, sum) : sum;
    }
  }
  k.gemm({.m = p.m,
          .n = p.n,
          .k = p.k,
          .a = a.data(),
          .lda = lda,
          .trans_a = p.trans_a,
          .b = b.data(),
          .ldb = ldb,
          .trans_b = p.trans_b,
          .c = c.data(),
          .ldc = ldc,
          .accumulate = p.accumulate,
          .bias = p.bias ? bias.data() : nullptr,
          .relu = p.relu,
          .workspace = workspace.data()});
  ASSERT_EQ(c.Values(), expected);

  Guarded<float> packed(GemmPackedSize(p.k, p.n));
  k.pack_b(b.data(), ldb, p.trans_b, p.k, p.n, packed.data());
  for (size_t i = 0; i < start.size(); ++i) c[i] = start[i];
  k.gemm({.m = p.m,
          .n = p.n,
          .k = p.k,
          .a = a.data(),
          .lda = lda,
          .trans_a = p.trans_a,
          .b = packed.data(),
          .ldb = 0,
          .trans_b = false,
          .packed_b = true,
          .c = c.data(),
          .ldc = ldc,
          .accumulate = p.accumulate,
          .bias = p.bias ? bias.data() : nullptr,
          .relu = p.relu,
          .workspace = nullptr});
  ASSERT_EQ(c.Values(), expected) << "packed";
}

// The four transpositions with each of nothing, accumulation, bias, rectifier.
void CheckAllForms(const Kernels& k, Random& random, size_t m, size_t n, size_t depth,
                   size_t slack) {
  for (unsigned form = 0; form < 32; ++form) {
    CheckProduct(k, random,
                 {.m = m,
                  .n = n,
                  .k = depth,
                  .trans_a = (form & 1) != 0,
                  .trans_b = (form & 2) != 0,
                  .accumulate = (form & 4) != 0,
                  .bias = (form & 8) != 0,
                  .relu = (form & 16) != 0,
                  .slack = slack});
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST_P(GemmTest, IsExactOnWholeNumbersForEveryHeightAndForm) {
  for (size_t m = 0; m <= 33; ++m) {
    ASSERT_NO_FATAL_FAILURE(CheckAllForms(k, random, m, 21, 9, m % 3));
  }
}

TEST_P(GemmTest, IsExactOnWholeNumbersForEveryWidth) {
  for (size_t n = 0; n <= 140; ++n) {
    for (size_t m : {1, 2, 5, 10}) {
      CheckProduct(k, random,
                   {.m = m, .n = n, .k = 7, .trans_b = n % 2 == 0, .bias = true, .slack = n % 4});
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

TEST_P(GemmTest, IsExactOnWholeNumbersForEveryDepth) {
  for (size_t depth = 0; depth <= 40; ++depth) {
    ASSERT_NO_FATAL_FAILURE(CheckAllForms(k, random, 5, 19, depth, depth % 2));
  }
}

TEST_P(GemmTest, IsExactOnWholeNumbersBeyondEveryBlock) {
  const Product rows[] = {
      {.m = 10, .n = 200, .k = 784, .bias = true, .relu = true},
      {.m = 784, .n = 200, .k = 10, .trans_a = true},
      {.m = 784, .n = 40, .k = 10, .trans_a = true, .accumulate = true},
      {.m = 10, .n = 784, .k = 200, .trans_b = true},
      {.m = 32, .n = 256, .k = 784, .bias = true, .relu = true},
      {.m = 33, .n = 17, .k = 257, .trans_b = true, .slack = 3},
      {.m = 1, .n = 256, .k = 1500, .bias = true, .relu = true},
      {.m = 3, .n = 515, .k = 1025, .trans_a = true, .accumulate = true, .bias = true},
      {.m = 130,
       .n = 530,
       .k = 300,
       .trans_b = true,
       .accumulate = true,
       .bias = true,
       .relu = true},
      {.m = 530, .n = 33, .k = 600, .bias = true, .relu = true, .slack = 1},
      {.m = 530, .n = 17, .k = 513, .trans_a = true, .trans_b = true, .accumulate = true},
      {.m = 60, .n = 1030, .k = 40, .bias = true, .relu = true},
      {.m = 20, .n = 33, .k = 1030, .trans_a = true, .trans_b = true, .bias = true},
      {.m = 257, .n = 19, .k = 40, .trans_b = true, .relu = true},
      {.m = 14, .n = 1040, .k = 1030, .trans_b = true, .bias = true},
  };
  for (const Product& row : rows) ASSERT_NO_FATAL_FAILURE(CheckProduct(k, random, row));
}

TEST_P(GemmTest, IsCloseToDoublePrecisionOnRealNumbers) {
  const size_t m = 13, n = 45, depth = 700;
  const auto real = [&](size_t) { return Spread(random, -8, 0); };
  Guarded<float> a(m * depth, 1, real), b(depth * n, 2, real), c(m * n, 3);
  Guarded<float> workspace(GemmWorkspace(m, n, depth));
  k.gemm({.m = m,
          .n = n,
          .k = depth,
          .a = a.data(),
          .lda = depth,
          .trans_a = false,
          .b = b.data(),
          .ldb = n,
          .trans_b = false,
          .c = c.data(),
          .ldc = n,
          .accumulate = false,
          .bias = nullptr,
          .relu = false,
          .workspace = workspace.data()});
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (size_t q = 0; q < depth; ++q) {
        const double term =
            static_cast<double>(a[i * depth + q]) * static_cast<double>(b[q * n + j]);
        sum += term;
        magnitude += std::abs(term);
      }
      // Each of `depth` additions rounds by at most 2^-24 of a partial sum.
      ASSERT_NEAR(static_cast<double>(c[i * n + j]), sum,
                  magnitude * static_cast<double>(depth) * 0x1p-24);
    }
  }
}

// Real numbers, whose sums depend on the order of their terms.
TEST_P(GemmTest, BitsDoNotDependOnTheNumberOfThreads) {
  const auto pool = MakePool(3);
  const Product rows[] = {
      {.m = 32, .n = 600, .k = 1100},
      {.m = 300, .n = 90, .k = 500, .trans_a = true},
      {.m = 150, .n = 200, .k = 400, .trans_b = true},
      {.m = 300, .n = 200, .k = 400, .trans_b = true},
      {.m = 2000, .n = 10, .k = 200},
      {.m = 2, .n = 3000, .k = 1100},
  };
  for (const Product& p : rows) {
    const auto real = [&](size_t) { return Spread(random, -8, 0); };
    Guarded<float> a(p.m * p.k, 1, real), b(p.k * p.n, 2, real);
    Guarded<float> workspace(GemmWorkspace(p.m, p.n, p.k)), packed(GemmPackedSize(p.k, p.n));
    const size_t ldb = p.trans_b ? p.k : p.n;
    k.pack_b(b.data(), ldb, p.trans_b, p.k, p.n, packed.data());
    for (const bool packed_b : {false, true}) {
      Guarded<float> one(p.m * p.n), many(p.m * p.n);
      GemmArgs args{.m = p.m,
                    .n = p.n,
                    .k = p.k,
                    .a = a.data(),
                    .lda = p.trans_a ? p.m : p.k,
                    .trans_a = p.trans_a,
                    .b = packed_b ? packed.data() : b.data(),
                    .ldb = ldb,
                    .trans_b = p.trans_b,
                    .packed_b = packed_b,
                    .c = one.data(),
                    .ldc = p.n,
                    .accumulate = false,
                    .bias = nullptr,
                    .relu = false,
                    .workspace = workspace.data()};
      k.gemm(args);
      args.c = many.data();
      args.executor = pool.get();
      k.gemm(args);
      ASSERT_EQ(one.Values(), many.Values());
    }
  }
}

}  // namespace
}  // namespace linnet
