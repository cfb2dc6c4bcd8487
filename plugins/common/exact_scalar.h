// Real numbers whose sum has the same bits in every order.
#ifndef LINNET_PLUGINS_COMMON_EXACT_SCALAR_H_
#define LINNET_PLUGINS_COMMON_EXACT_SCALAR_H_

#include <cmath>
#include <cstdint>

namespace linnet {
namespace plugin {

// A 128-bit integer count of 2^-60, as it lies in a partial: each term is rounded down to that
// unit, and integers add exactly.
struct ExactScalar {
  uint64_t low = 0, high = 0;  // two's complement

  // False, and nothing is added, unless |value| < 2^60.
  bool Add(double value) {
    if (!(std::fabs(value) < 0x1p60)) return false;
    const double units = std::floor(value * 0x1p60);
    const double upper = std::floor(units * 0x1p-64);
    ExactScalar term;
    term.high = static_cast<uint64_t>(static_cast<int64_t>(upper));
    term.low = static_cast<uint64_t>(units - upper * 0x1p64);
    Add(term);
    return true;
  }
  void Add(const ExactScalar& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
  }
  double value() const {
    return static_cast<double>(static_cast<int64_t>(high)) * 0x1p4 +
           static_cast<double>(low) * 0x1p-60;
  }
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_EXACT_SCALAR_H_
