#include "kernels/kernels.h"

#include <array>

#include "kernels/dispatch.h"

namespace linnet {
namespace {

struct Tables {
  // HWY_TARGETS has fewer bits than this.
  static constexpr size_t kMax = 16;
  std::array<Kernels, kMax> tables{};
  std::array<const Kernels*, kMax> pointers{};
  size_t count = 0;

  Tables() {
    // The better a target, the lower its bit.
    for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
      const int64_t target = left & -left;
      Kernels& table = tables[count];
      table.target = hwy::TargetName(target);
      FillElementwise(target, table);
      FillActivation(target, table);
      FillArithmetic(target, table);
      FillReduce(target, table);
      FillBatchNorm(target, table);
      FillLayerNorm(target, table);
      FillGroupNorm(target, table);
      FillShape(target, table);
      FillEmbedding(target, table);
      FillGru(target, table);
      FillOptimizer(target, table);
      FillAttention(target, table);
      FillSoftmax(target, table);
      FillPooling(target, table);
      FillGemm(target, table);
      FillConv(target, table);
      FillExact(target, table);
      FillCodec(target, table);
      FillCompressed(target, table);
      FillInt8(target, table);
      FillInt8Layers(target, table);
      pointers[count++] = &table;
    }
  }
};

const Tables& AllTables() {
  static const Tables tables;
  return tables;
}

}  // namespace

const Kernels& BestKernels() { return *AllTables().pointers[0]; }

std::span<const Kernels* const> AllKernels() {
  const Tables& all = AllTables();
  return {all.pointers.data(), all.count};
}

}  // namespace linnet
