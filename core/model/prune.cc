#include "model/prune.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernels.h"

namespace linnet {
namespace {

bool IsPruned(const ParamInfo& param) {
  return param.shape.size() >= 2 && param.role == ParamRole::kWeight && !param.frozen;
}

// A weight, or a run of them, that stays or goes as one.
struct Unit {
  uint64_t first;
  uint32_t size;
  float weight;  // its magnitude
};

// Marks the `count` smallest units.
void Drop(std::vector<Unit>& units, uint64_t count, Mask& mask) {
  const auto smaller = [](const Unit& a, const Unit& b) {
    return a.weight != b.weight ? a.weight < b.weight : a.first > b.first;
  };
  std::nth_element(units.begin(), units.begin() + static_cast<ptrdiff_t>(count), units.end(),
                   smaller);
  for (uint64_t i = 0; i < count; ++i) {
    for (uint64_t j = 0; j < units[i].size; ++j) mask[units[i].first + j] = false;
  }
}

void AddWeights(const ParamInfo& param, std::span<const float> parameters,
                std::vector<Unit>& units) {
  for (uint64_t i = param.offset; i < param.offset + param.count; ++i) {
    units.push_back({i, 1, std::abs(parameters[i])});
  }
}

void AddBlocks(const ParamInfo& param, std::span<const float> parameters,
               std::vector<Unit>& units) {
  const uint64_t columns = param.shape.back();
  for (uint64_t row = param.offset; row < param.offset + param.count; row += columns) {
    for (uint64_t j = 0; j < columns; j += kSparseBlock) {
      const auto size = static_cast<uint32_t>(std::min<uint64_t>(kSparseBlock, columns - j));
      float sum = 0;
      for (uint64_t i = row + j; i < row + j + size; ++i) sum += parameters[i] * parameters[i];
      units.push_back({row + j, size, sum / static_cast<float>(size)});
    }
  }
}

void DropTwoOfFour(const ParamInfo& param, std::span<const float> parameters, Mask& mask) {
  const uint64_t columns = param.shape.back(), rows = param.count / columns;
  std::vector<Unit> four;
  for (uint64_t j = 0; j < columns; ++j) {
    for (uint64_t row = 0; row + 4 <= rows; row += 4) {
      four.clear();
      for (uint64_t i = row; i < row + 4; ++i) {
        const uint64_t at = param.offset + i * columns + j;
        four.push_back({at, 1, std::abs(parameters[at])});
      }
      Drop(four, 2, mask);
    }
  }
}

}  // namespace

Mask PruneMask(const Graph& graph, std::span<const float> parameters, Pruning pruning,
               double sparsity) {
  LINNET_CHECK(parameters.size() == graph.ParamCount() && sparsity >= 0 && sparsity < 1);
  Mask mask(parameters.size(), true);
  std::vector<Unit> units;
  const auto drop = [&] {
    const double count = sparsity * static_cast<double>(units.size());
    Drop(units, static_cast<uint64_t>(std::llround(count)), mask);
    units.clear();
  };
  for (const ParamInfo& param : graph.params) {
    if (!IsPruned(param)) continue;
    switch (pruning) {
      case Pruning::kGlobal:
        AddWeights(param, parameters, units);
        break;
      case Pruning::kLayer:
        AddWeights(param, parameters, units);
        drop();
        break;
      case Pruning::kTwoOfFour:
        DropTwoOfFour(param, parameters, mask);
        break;
      case Pruning::kBlock:
        AddBlocks(param, parameters, units);
        drop();
        break;
    }
  }
  if (pruning == Pruning::kGlobal) drop();
  return mask;
}

void ApplyMask(const Mask& mask, std::span<float> parameters) {
  LINNET_CHECK(mask.size() == parameters.size());
  for (size_t i = 0; i < mask.size(); ++i) {
    if (!mask[i]) parameters[i] = 0;
  }
}

double Sparsity(const Graph& graph, std::span<const float> parameters) {
  uint64_t weights = 0, zeros = 0;
  for (const ParamInfo& param : graph.params) {
    if (!IsPruned(param)) continue;
    weights += param.count;
    zeros += static_cast<uint64_t>(
        std::ranges::count(parameters.subspan(param.offset, param.count), 0.0f));
  }
  return weights == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(weights);
}

double CubicSparsity(double sparsity, uint64_t step, uint64_t steps) {
  if (step >= steps) return sparsity;
  const double left = 1 - static_cast<double>(step) / static_cast<double>(steps);
  return sparsity * (1 - left * left * left);
}

}  // namespace linnet
