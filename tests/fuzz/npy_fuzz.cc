// Any bytes as a pair of NumPy files (a u32 says where the second begins): refused with one of the
// names, or a data set that holds together.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "native/data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  if (size < 4) return 0;
  const size_t cut = std::min<size_t>(LoadLE<uint32_t>(data), size - 4);
  const ByteSpan bytes(data + 4, size - 4);
  const auto set = ParseNpy(bytes.first(cut), "x", bytes.subspan(cut), "y");
  if (!set) {
    LINNET_CHECK(set.error().message.starts_with("x: ") || set.error().message.starts_with("y: "));
    return 0;
  }
  LINNET_CHECK(set->size() > 0);
  LINNET_CHECK(set->u8.size() + set->f32.size() == set->size() * set->features());
  LINNET_CHECK(set->labels.size() == set->size() ||
               set->targets.size() == set->size() * set->TargetsPerRow());
  for (const float value : set->f32) LINNET_CHECK(std::isfinite(value));
  for (const int32_t label : set->labels)
    LINNET_CHECK(label >= 0 && uint32_t(label) < set->classes);
  return 0;
}
