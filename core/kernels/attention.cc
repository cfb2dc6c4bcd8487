// Multi-head attention, a block of queries of one head at a time, so that its scores stay in cache.
//
// The gradient computes the scores again from the logarithms of their sums (Dao et al. 2022,
// "FlashAttention", algorithm 4), in blocks that hold all keys.
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/tasks.h"
#include "kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/math-inl.h"

#ifndef LINNET_KERNELS_ATTENTION_BLOCKS
#define LINNET_KERNELS_ATTENTION_BLOCKS
namespace linnet {
namespace {

// Scores of a block of queries: 64 KiB, but no fewer than 8 rows, for the tiles of products.
constexpr size_t kBlockScores = 16384, kLeastQueries = 8;

inline size_t QueriesOfBlock(const AttentionShape& s) {
  return HWY_MIN(s.tokens, HWY_MAX(kLeastQueries, kBlockScores / s.tokens));
}
// A row of scores: whole vectors, so that no product has a remainder.
inline size_t ScoresStride(const AttentionShape& s) { return RoundUp(s.tokens, kMaxTileLanes); }

// The parts of a workspace.
struct AttentionAreas {
  AttentionAreas(const AttentionShape& s, float* workspace)
      : keys(workspace),
        values(keys + s.head_size * ScoresStride(s)),
        scores(values + s.head_size * ScoresStride(s)),
        dscores(scores + QueriesOfBlock(s) * ScoresStride(s)),
        gemm(dscores + QueriesOfBlock(s) * ScoresStride(s)) {}
  float* keys;    // transposed, [head_size, stride]
  float* values;  // likewise
  float* scores;  // [queries, stride]
  float* dscores;
  float* gemm;
};

// Runs body(head of an image, workspace) for all.
template <class Body>
void ForEachHead(const AttentionShape& s, float* workspace, Executor* executor, const Body& body) {
  const Tasks tasks(s.batch * s.heads, 4 * s.tokens * s.tokens * s.head_size);
  const auto run = [&](size_t task, size_t worker) {
    const size_t first = task * tasks.per_task;
    for (size_t i = first; i < std::min(first + tasks.per_task, tasks.units); ++i) {
      body(i, AttentionAreas(s, workspace + worker * AttentionWorkspace(s)));
    }
  };
  if (IsParallel(executor, tasks.Count())) {
    executor->Run(tasks.Count(), [&run](size_t task, size_t worker) { run(task, worker); });
  } else {
    for (size_t task = 0; task < tasks.Count(); ++task) run(task, 0);
  }
}

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// gemm.cc, same target.
void Gemm(const GemmArgs& args);

namespace {

// No wider than a row of scores is padded to.
using DF = hn::CappedTag<float, kMaxTileLanes>;
using VF = hn::Vec<DF>;

// c (=|+=) op(a) b
void Product(size_t m, size_t n, size_t k, const float* a, size_t lda, bool trans_a, const float* b,
             size_t ldb, float* c, size_t ldc, bool accumulate, float* workspace) {
  Gemm({.m = m,
        .n = n,
        .k = k,
        .a = a,
        .lda = lda,
        .trans_a = trans_a,
        .b = b,
        .ldb = ldb,
        .trans_b = false,
        .c = c,
        .ldc = ldc,
        .accumulate = accumulate,
        .bias = nullptr,
        .relu = false,
        .workspace = workspace});
}

// out[j * stride + i] = x[i * x_stride + j] for the tokens i and a head's j, zeros up to the
// stride.
void TransposeHead(const AttentionShape& s, const float* x, size_t x_stride, float* out) {
  const hn::FixedTag<float, 4> d;
  const size_t stride = ScoresStride(s);
  size_t i = 0;
  for (; i + 4 <= s.tokens; i += 4) {
    const float* from = x + i * x_stride;
    size_t j = 0;
    for (; j + 4 <= s.head_size; j += 4) {
      auto r0 = hn::LoadU(d, from + j), r1 = hn::LoadU(d, from + x_stride + j);
      auto r2 = hn::LoadU(d, from + 2 * x_stride + j), r3 = hn::LoadU(d, from + 3 * x_stride + j);
      Transpose4(r0, r1, r2, r3);
      float* to = out + j * stride + i;
      hn::StoreU(r0, d, to);
      hn::StoreU(r1, d, to + stride);
      hn::StoreU(r2, d, to + 2 * stride);
      hn::StoreU(r3, d, to + 3 * stride);
    }
    for (; j < s.head_size; ++j) {
      for (size_t q = 0; q < 4; ++q) out[j * stride + i + q] = from[q * x_stride + j];
    }
  }
  for (; i < stride; ++i) {
    for (size_t j = 0; j < s.head_size; ++j) {
      out[j * stride + i] = i < s.tokens ? x[i * x_stride + j] : 0.0f;
    }
  }
}

// body(j, vector) for the vectors of a row of scores; its result replaces them, with zeros from
// `valid` up to `width`, a whole number of vectors. The result's lanes before `valid` are summed.
template <class Body>
HWY_INLINE float ReplaceRow(float* row, size_t valid, size_t width, const Body& body) {
  const DF d;
  const size_t N = hn::Lanes(d);
  VF sum = hn::Zero(d);
  size_t j = 0;
  for (; j + N <= valid; j += N) {
    const VF value = body(j, hn::LoadU(d, row + j));
    sum = hn::Add(sum, value);
    hn::StoreU(value, d, row + j);
  }
  if (j < valid) {
    const VF value = hn::IfThenElseZero(hn::FirstN(d, valid - j), body(j, hn::LoadU(d, row + j)));
    sum = hn::Add(sum, value);
    hn::StoreU(value, d, row + j);
    j += N;
  }
  for (; j < width; j += N) hn::StoreU(hn::Zero(d), d, row + j);
  return hn::ReduceSum(d, sum);
}

float Largest(const float* row, size_t valid) {
  const DF d;
  VF largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  ForEachVector(d, valid, [&](size_t j, auto memory) HWY_ATTR {
    largest = hn::Max(largest, memory.LoadOr(largest, d, row + j));
  });
  return hn::ReduceMax(d, largest);
}

// One head of one image, and the block of queries that is computed.
struct Head {
  Head(const AttentionShape& s, size_t index)
      : d(s.heads * s.head_size),
        first(index / s.heads * s.tokens),
        column(index % s.heads * s.head_size) {}
  // Of arrays [batch, tokens, d], [batch, tokens, 3 d].
  size_t At(size_t token) const { return (first + token) * d + column; }
  size_t PackedAt(size_t token, size_t part) const {
    return (first + token) * 3 * d + part * d + column;
  }
  size_t d, first, column;
};
// The keys that a block of queries ending at `end` may see, and query i.
size_t KeysOf(const AttentionShape& s, size_t end) { return s.causal ? end : s.tokens; }

void ForwardHead(const AttentionShape& s, size_t index, const float* qkv, float* out,
                 float* log_sums, const AttentionAreas& areas) {
  const DF d;
  const Head head(s, index);
  const size_t stride = ScoresStride(s), packed = 3 * head.d;
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.head_size));
  TransposeHead(s, qkv + head.PackedAt(0, 1), packed, areas.keys);
  for (size_t begin = 0; begin < s.tokens; begin += QueriesOfBlock(s)) {
    const size_t end = HWY_MIN(begin + QueriesOfBlock(s), s.tokens), queries = end - begin;
    const size_t keys = KeysOf(s, end), width = RoundUp(keys, kMaxTileLanes);
    Product(queries, width, s.head_size, qkv + head.PackedAt(begin, 0), packed, false, areas.keys,
            stride, areas.scores, stride, false, areas.gemm);
    // The sums divide the few values of the output rather than the scores.
    float* sums = areas.dscores;
    for (size_t i = 0; i < queries; ++i) {
      float* row = areas.scores + i * stride;
      const size_t valid = KeysOf(s, begin + i + 1);
      const float largest = Largest(row, valid);
      const VF vlargest = hn::Set(d, largest), vscale = hn::Set(d, scale);
      sums[i] = ReplaceRow(row, valid, width, [&](size_t, VF score) HWY_ATTR {
        return Exp(d, hn::Mul(hn::Sub(score, vlargest), vscale));
      });
      if (log_sums != nullptr) {
        log_sums[index * s.tokens + begin + i] = largest * scale + std::log(sums[i]);
      }
    }
    Product(queries, s.head_size, keys, areas.scores, stride, false, qkv + head.PackedAt(0, 2),
            packed, out + head.At(begin), head.d, false, areas.gemm);
    for (size_t i = 0; i < queries; ++i) {
      float* row = out + head.At(begin + i);
      const VF inverse = hn::Set(d, 1.0f / sums[i]);
      ForEachVector(d, s.head_size, [&](size_t j, auto memory) HWY_ATTR {
        memory.Store(hn::Mul(memory.Load(d, row + j), inverse), d, row + j);
      });
    }
  }
}

float Dot(const float* a, const float* b, size_t n) {
  const DF d;
  VF sum = hn::Zero(d);
  ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
    sum = FastMulAdd(memory.Load(d, a + j), memory.Load(d, b + j), sum);
  });
  return hn::ReduceSum(d, sum);
}

// With P = exp(scale Q K^T - log_sums): dV = P^T dO, dP = dO V^T, dS = scale P (dP - dO . O),
// dQ = dS K, dK = dS^T Q. The last block comes first: it sees all keys.
void GradientHead(const AttentionShape& s, size_t index, const float* qkv, const float* out,
                  const float* log_sums, const float* dout, float* dqkv,
                  const AttentionAreas& areas) {
  const DF d;
  const Head head(s, index);
  const size_t stride = ScoresStride(s), packed = 3 * head.d;
  const VF scale = hn::Set(d, 1.0f / std::sqrt(static_cast<float>(s.head_size)));
  TransposeHead(s, qkv + head.PackedAt(0, 1), packed, areas.keys);
  TransposeHead(s, qkv + head.PackedAt(0, 2), packed, areas.values);
  for (size_t end = s.tokens; end > 0;) {
    const size_t begin = (end - 1) / QueriesOfBlock(s) * QueriesOfBlock(s), queries = end - begin;
    const size_t keys = KeysOf(s, end), width = RoundUp(keys, kMaxTileLanes);
    const bool accumulate = end < s.tokens;
    const float* q = qkv + head.PackedAt(begin, 0);
    Product(queries, width, s.head_size, q, packed, false, areas.keys, stride, areas.scores, stride,
            false, areas.gemm);
    Product(queries, width, s.head_size, dout + head.At(begin), head.d, false, areas.values, stride,
            areas.dscores, stride, false, areas.gemm);
    for (size_t i = 0; i < queries; ++i) {
      const size_t valid = KeysOf(s, begin + i + 1), at = head.At(begin + i);
      const VF log_sum = hn::Set(d, log_sums[index * s.tokens + begin + i]);
      const VF dot = hn::Set(d, Dot(dout + at, out + at, s.head_size));
      float* row = areas.scores + i * stride;
      ReplaceRow(row, valid, width, [&](size_t, VF score) HWY_ATTR {
        return Exp(d, hn::Sub(hn::Mul(score, scale), log_sum));
      });
      ReplaceRow(areas.dscores + i * stride, valid, width, [&](size_t j, VF dp) HWY_ATTR {
        return hn::Mul(hn::Mul(hn::LoadU(d, row + j), hn::Sub(dp, dot)), scale);
      });
    }
    Product(keys, s.head_size, queries, areas.scores, stride, true, dout + head.At(begin), head.d,
            dqkv + head.PackedAt(0, 2), packed, accumulate, areas.gemm);
    Product(keys, s.head_size, queries, areas.dscores, stride, true, q, packed,
            dqkv + head.PackedAt(0, 1), packed, accumulate, areas.gemm);
    Product(queries, s.head_size, keys, areas.dscores, stride, false, qkv + head.PackedAt(0, 1),
            packed, dqkv + head.PackedAt(begin, 0), packed, false, areas.gemm);
    end = begin;
  }
}

void Forward(const AttentionShape& s, const float* qkv, float* out, float* log_sums,
             float* workspace, Executor* executor) {
  ForEachHead(s, workspace, executor, [&](size_t index, const AttentionAreas& areas) {
    ForwardHead(s, index, qkv, out, log_sums, areas);
  });
}

void Gradient(const AttentionShape& s, const float* qkv, const float* out, const float* log_sums,
              const float* dout, float* dqkv, float* workspace, Executor* executor) {
  ForEachHead(s, workspace, executor, [&](size_t index, const AttentionAreas& areas) {
    GradientHead(s, index, qkv, out, log_sums, dout, dqkv, areas);
  });
}

}  // namespace

void FillAttention(Kernels& table) { table.attention = {.forward = Forward, .gradient = Gradient}; }

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

size_t AttentionWorkspace(const AttentionShape& s) {
  const size_t stride = ScoresStride(s), queries = QueriesOfBlock(s);
  const size_t gemm = HWY_MAX(GemmWorkspace(queries, stride, s.head_size),
                              HWY_MAX(GemmWorkspace(queries, s.head_size, s.tokens),
                                      GemmWorkspace(s.tokens, s.head_size, queries)));
  return RoundUp(2 * (s.head_size + queries) * stride + gemm, kMaxTileLanes);
}

void FillAttention(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillAttention, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
