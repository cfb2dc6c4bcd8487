// The known name that a mistyped one was probably meant to be, for messages.
#ifndef LINNET_BASE_NEAREST_H_
#define LINNET_BASE_NEAREST_H_

#include <span>
#include <string_view>

namespace linnet {

// The element of `known` with the fewest inserted, removed, changed or swapped neighbouring
// characters from `name` (case counts for nothing), the first on a tie; empty when `known` is
// empty. Only the first 64 characters of each are looked at.
std::string_view NearestName(std::string_view name, std::span<const std::string_view> known);

}  // namespace linnet

#endif  // LINNET_BASE_NEAREST_H_
