// Rows of a table by number, and the gradient that adds into them.
#include <cstring>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embedding.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// The nearest row that exists; 0 for NaN.
size_t RowOf(float id, size_t vocabulary) {
  if (!(id > 0)) return 0;
  return id < static_cast<float>(vocabulary) ? HWY_MIN(static_cast<size_t>(id), vocabulary - 1)
                                             : vocabulary - 1;
}

void Gather(const float* ids, size_t count, const float* table, size_t vocabulary, size_t dim,
            float* y) {
  for (size_t i = 0; i < count; ++i, y += dim) {
    std::memcpy(y, table + RowOf(ids[i], vocabulary) * dim, dim * sizeof(float));
  }
}

void GatherGrad(const float* ids, size_t count, const float* dy, size_t vocabulary, size_t dim,
                bool accumulate, float* dtable) {
  if (!accumulate) std::memset(dtable, 0, vocabulary * dim * sizeof(float));
  const hn::ScalableTag<float> d;
  for (size_t i = 0; i < count; ++i, dy += dim) {
    float* row = dtable + RowOf(ids[i], vocabulary) * dim;
    ForEachVector(d, dim, [&](size_t j, auto memory) HWY_ATTR {
      memory.Store(hn::Add(memory.Load(d, row + j), memory.Load(d, dy + j)), d, row + j);
    });
  }
}

}  // namespace

void FillEmbedding(Kernels& table) {
  table.embedding = {.gather = Gather, .gather_grad = GatherGrad};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillEmbedding(int64_t target, Kernels& table) {
  LINNET_FOR_TARGET(FillEmbedding, target)(table);
}

}  // namespace linnet
#endif  // HWY_ONCE
