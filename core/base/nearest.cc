#include "base/nearest.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace linnet {
namespace {

constexpr size_t kMaxLength = 64;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The optimal string alignment distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, kMaxLength);
  b = b.substr(0, kMaxLength);
  using Row = std::array<size_t, kMaxLength + 1>;
  Row two_back{}, back{}, now{};
  for (size_t j = 0; j <= b.size(); ++j) back[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1;
      now[j] = std::min({back[j] + 1, now[j - 1] + 1, back[j - 1] + changed});
      if (i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) &&
          Lower(a[i - 2]) == Lower(b[j - 1])) {
        now[j] = std::min(now[j], two_back[j - 2] + 1);
      }
    }
    two_back = back;
    back = now;
  }
  return back[b.size()];
}

}  // namespace

std::string_view NearestName(std::string_view name, std::span<const std::string_view> known) {
  std::string_view best;
  size_t best_distance = static_cast<size_t>(-1);
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace linnet
