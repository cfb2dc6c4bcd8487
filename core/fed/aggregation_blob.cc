// Blobs of a strategy: its state, partials, and settings for the participants.
#include <algorithm>

#include "fed/aggregation_host.h"
#include "fed/plugin_config.h"

namespace linnet {
namespace {

constexpr uint32_t kPage = 1 << 20;
constexpr uint32_t kMaxSettings = 64 << 10;

// What participants may be told to do (extension org.linnet.client/1); all else in blob 3 is
// refused.
const Json& ClientSchema() {
  static const Json schema = *Json::Parse(R"({"type":"object","properties":{
    "client":{"type":"string","enum":["sgd","prox","scaffold","dyn"],"default":"sgd"},
    "mu":{"type":"number","minimum":0,"maximum":1000},
    "alpha":{"type":"number","minimum":0,"maximum":1000}}})");
  return schema;
}

}  // namespace

Result<Bytes> AggregationHost::ReadBlob(uint32_t kind, uint64_t limit) {
  const lnt_plugin& table = *plugin_.table;
  if (!LNT_HAS(&table, blob_size) || !LNT_HAS(&table, blob_read)) return Bytes{};
  uint64_t size = 0;
  LINNET_TRY_STATUS(Check(table.blob_size(handle_, kind, &size), "blob_size"));
  if (size > limit) {
    return Fail(Code::kLimit, "strategy ", plugin_.id, " has a blob ", kind, " of ", size,
                " bytes, wanted at most ", limit);
  }
  Bytes bytes(size);
  for (uint64_t at = 0; at < size; at += kPage) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kPage, size - at));
    LINNET_TRY_STATUS(Check(table.blob_read(handle_, kind, at, bytes.data() + at, n), "blob_read"));
  }
  return bytes;
}

Status AggregationHost::WriteBlob(uint32_t kind, ByteSpan bytes) {
  const lnt_plugin& table = *plugin_.table;
  if (!LNT_HAS(&table, blob_write)) return Check(LNT_E_UNSUPPORTED, "blob_write");
  for (uint64_t at = 0; at < bytes.size(); at += kPage) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kPage, bytes.size() - at));
    LINNET_TRY_STATUS(Check(table.blob_write(handle_, kind, bytes.size(), at, bytes.data() + at, n),
                            "blob_write"));
  }
  return {};
}

Result<Bytes> AggregationHost::SaveState() {
  LINNET_TRY_STATUS(Usable(false));
  if ((caps_.caps & LNT_CAP_STATE) == 0) return Bytes{};
  const PluginCall call(services_, round_.seed);
  return ReadBlob(LNT_BLOB_STATE, 65536 + 64 * uint64_t{count_});
}

Status AggregationHost::RestoreState(ByteSpan state) {
  // A new instance, so that nothing of a failed round is left.
  CloseInstance();
  open_ = false;
  broken_ = true;
  LINNET_TRY_STATUS(Open());
  if (!state.empty()) {
    const PluginCall call(services_, round_.seed);
    LINNET_TRY_STATUS(WriteBlob(LNT_BLOB_STATE, state));
  }
  broken_ = false;
  return {};
}

Result<Bytes> AggregationHost::ReadPartial() {
  LINNET_TRY_STATUS(Usable(true));
  if ((caps_.caps & LNT_CAP_MERGE) == 0) {
    return Fail(Code::kUnsupported, "strategy ", plugin_.id, " has no partials that merge");
  }
  const PluginCall call(services_, round_.seed);
  return ReadBlob(LNT_BLOB_PARTIAL, 65536 + 64 * uint64_t{count_});
}

Status AggregationHost::MergePartial(ByteSpan partial) {
  LINNET_TRY_STATUS(Usable(true));
  if ((caps_.caps & LNT_CAP_MERGE) == 0) {
    return Fail(Code::kUnsupported, "strategy ", plugin_.id, " has no partials that merge");
  }
  if (partial.empty()) return Fail(Code::kData, "found an empty partial");
  const PluginCall call(services_, round_.seed);
  // A refused partial changes nothing: the round goes on.
  return WriteBlob(LNT_BLOB_PARTIAL, partial);
}

Result<Json> AggregationHost::ClientSettings() {
  LINNET_TRY_STATUS(Usable(false));
  const PluginCall call(services_, round_.seed);
  LINNET_TRY(const Bytes bytes, ReadBlob(LNT_BLOB_CLIENT, kMaxSettings));
  if (bytes.empty()) return Json(Json::Object{});
  auto json = Json::Parse(AsText(bytes));
  if (!json)
    return Annotate(json.error(), StrCat("settings for participants of strategy ", plugin_.id));
  return CheckConfig(ClientSchema(), *json, "client");
}

}  // namespace linnet
