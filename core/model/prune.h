// Setting weights to zero, so that a model is smaller and faster.
#ifndef LINNET_MODEL_PRUNE_H_
#define LINNET_MODEL_PRUNE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace linnet {

enum class Pruning : uint8_t {
  kGlobal,     // the smallest weights of all tensors together
  kLayer,      // the smallest of each tensor, the same share of each
  kTwoOfFour,  // of each four weights of a column that follow one another, the two smallest
  kBlock,      // runs of kSparseBlock columns of a row with the smallest sum of squares, of each
               // tensor: what vectors gain from
};

// Which weights stay: one for each parameter; biases, norms and buffers always stay.
using Mask = std::vector<bool>;

// Keeps the share 1 - sparsity of the weights (tensors of two and more axes; as a matrix, whose
// columns are the last axis). 0 <= sparsity < 1; kTwoOfFour takes 0.5 whatever it says. Among
// equals the first stay.
Mask PruneMask(const Graph& graph, std::span<const float> parameters, Pruning pruning,
               double sparsity);
// Zeros what the mask leaves out.
void ApplyMask(const Mask& mask, std::span<float> parameters);
// The share of zeros among the weights.
double Sparsity(const Graph& graph, std::span<const float> parameters);

// The share at step t of n, rising to `sparsity` by the cubic law of Zhu and Gupta (2017): most
// weights go early, when the others can still make up for them.
double CubicSparsity(double sparsity, uint64_t step, uint64_t steps);

}  // namespace linnet

#endif  // LINNET_MODEL_PRUNE_H_
