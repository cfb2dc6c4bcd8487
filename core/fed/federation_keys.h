// The keys of a federation file: the one table that reading, writing and help go through.
#ifndef LINNET_FED_FEDERATION_KEYS_H_
#define LINNET_FED_FEDERATION_KEYS_H_

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fed/federation.h"

namespace linnet::federation_file {

// What is being read: the codec's two keys make one value, whichever comes first.
struct Draft {
  Federation federation;
  std::string codec = "eden";
  uint32_t bits = 0;  // 0: not given
};

struct Key {
  std::string_view path;
  std::string wanted;    // "an integer in 1..100000"
  std::string fallback;  // the default, for people
  std::string_view meaning;
  std::function<Status(Draft&, const Json&)> set;
  std::function<Json(const Federation&)> get;  // null: not set, stays out of the file
};

// In the order of the canonical file.
const std::vector<Key>& Keys();

// Those of `round`, in federation_round_keys.cc, and what they must be together; `given` holds the
// paths that the file has.
std::vector<Key> RoundKeys();
Status CheckRound(const Federation& federation, const std::set<std::string_view>& given);

// "found 3, wanted true or false".
std::unexpected<Error> Unwanted(const Json& value, std::string_view wanted);

}  // namespace linnet::federation_file

#endif  // LINNET_FED_FEDERATION_KEYS_H_
