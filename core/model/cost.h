// What a graph costs to run: floating-point operations by node.
#ifndef LINNET_MODEL_COST_H_
#define LINNET_MODEL_COST_H_

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace linnet {

// Of each node, for one example of the forward pass. A multiply-add counts as two; a matrix
// product is counted exactly, an operator that works element by element as one per element of its
// output, a pool as one per element of its windows, one that only moves data as none. A step of
// training takes about three times as much. kInvalid as InferShapes.
Result<std::vector<uint64_t>> CountFlops(const Graph& graph);

}  // namespace linnet

#endif  // LINNET_MODEL_COST_H_
