// Windows of a flat vector as the tensors see them.
#ifndef LINNET_FED_AGGREGATION_PIECES_H_
#define LINNET_FED_AGGREGATION_PIECES_H_

#include <algorithm>
#include <vector>

#include "base/result.h"
#include "fed/update_layout.h"

namespace linnet {

// Calls body(index of the tensor, offset in it, position in the flat vector, count) for the
// stretches of [first, first + count) that lie in one tensor, in ascending order, until one fails.
template <typename Body>
Status ForEachPiece(const std::vector<UpdateLayout::Tensor>& tensors, size_t first, size_t count,
                    const Body& body) {
  const size_t end = first + count;
  auto tensor = std::upper_bound(
      tensors.begin(), tensors.end(), first,
      [](size_t at, const UpdateLayout::Tensor& t) { return at < t.offset + t.count; });
  for (; tensor != tensors.end() && tensor->offset < end; ++tensor) {
    const size_t from = std::max<size_t>(first, tensor->offset);
    const size_t to = std::min<size_t>(end, tensor->offset + tensor->count);
    if (from == to) continue;
    LINNET_TRY_STATUS(body(static_cast<uint32_t>(tensor - tensors.begin()), from - tensor->offset,
                           from, to - from));
  }
  return {};
}

}  // namespace linnet

#endif  // LINNET_FED_AGGREGATION_PIECES_H_
