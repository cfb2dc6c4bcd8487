// Any bytes as a pair of IDX files (a u32 says where the second begins): refused with both names,
// or a data set that holds together.
#include <algorithm>
#include <cstdint>

#include "native/data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  if (size < 4) return 0;
  const size_t cut = std::min<size_t>(LoadLE<uint32_t>(data), size - 4);
  const ByteSpan bytes(data + 4, size - 4);
  const auto set = ParseIdx(bytes.first(cut), "images", bytes.subspan(cut), "labels", 10);
  if (!set) {
    LINNET_CHECK(set.error().message.starts_with("images: ") ||
                 set.error().message.starts_with("labels: "));
    return 0;
  }
  LINNET_CHECK(set->size() > 0 && set->u8.size() == set->size() * set->features());
  for (const int32_t label : set->labels) LINNET_CHECK(label >= 0 && label < 10);
  return 0;
}
