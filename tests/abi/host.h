// An aggregation host over a small layout, and uploads for it.
#ifndef LINNET_TESTS_ABI_HOST_H_
#define LINNET_TESTS_ABI_HOST_H_

#include "abi/harness.h"
#include "kernels/kernels.h"
#include "plugins/builtin.h"

namespace linnet::testing {

inline constexpr CodecSpec kF32 = {CodecKind::kF32, 32};

// Tensors that do not end where blocks of 4096 do.
inline std::vector<ParamInfo> Params() {
  return {{"a", {5}, 0, 5},
          {"b", {100, 50}, 5, 5000},
          {"none", {0}, 5005, 0},
          {"c", {7000}, 5005, 7000}};
}
inline constexpr size_t kCount = 12005;

inline PluginEntry Entry(std::string_view id) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    EXPECT_TRUE(table.Add(plugin.entry, "built in"));
  return **table.Find(id);
}
inline std::unique_ptr<AggregationHost> Make(const PluginEntry& plugin,
                                             std::string_view config = "{}",
                                             const Kernels& kernels = BestKernels()) {
  auto host = AggregationHost::Create(plugin, *Json::Parse(config), Params(), kernels);
  EXPECT_TRUE(host) << host.error().message;
  return std::move(*host);
}

// Uploads of ten participants.
struct Uploads {
  std::vector<Bytes> bytes;
  std::vector<EncodedUpdate> updates;
  std::vector<std::vector<float>> decoded;
};
inline Uploads MakeUploads(const CodecSpec& codec, size_t n = 10) {
  Uploads uploads;
  Numbers numbers(1);
  for (size_t i = 0; i < n; ++i) {
    std::vector<float> x(kCount);
    for (float& v : x) v = static_cast<float>(numbers.Below(20001)) * 1e-6f - 0.01f;
    const CodecSeed seed = {SeedFromInt(i)};
    Bytes bytes;
    EXPECT_TRUE(Encode(codec, seed, x, BestKernels(), bytes));
    std::vector<float> decoded(kCount);
    EXPECT_TRUE(DecodeWindow(codec, seed, bytes, kCount, 0, decoded, BestKernels()));
    uploads.bytes.push_back(std::move(bytes));
    uploads.decoded.push_back(std::move(decoded));
  }
  for (size_t i = 0; i < n; ++i) {
    uploads.updates.push_back({uploads.bytes[i],
                               codec,
                               {SeedFromInt(i)},
                               MakeUpdate(i, static_cast<uint32_t>(100 + 17 * i))});
  }
  return uploads;
}
inline RoundParameters Round(size_t invited = 10) {
  return {.grid_exp = *GridExponent(1, 65536, invited)};
}

}  // namespace linnet::testing

#endif  // LINNET_TESTS_ABI_HOST_H_
