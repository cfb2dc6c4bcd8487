// Blobs of a strategy: its state, partials, and settings for the participants.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "fed/aggregation_host.h"
#include "fed/plugin_config.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxSettings = 64 << 10;
constexpr uint32_t kChainMagic = 0x31484343;   // "CCH1"
constexpr uint32_t kBufferMagic = 0x31504642;  // "BFP1"

Result<std::array<ByteSpan, 2>> SplitState(ByteSpan framed) {
  const auto damaged = [&] {
    return Fail(Code::kData, "the state of ", framed.size(), " bytes is not that of a chain");
  };
  if (framed.size() < 4 || LoadLE<uint32_t>(framed.data()) != kChainMagic) return damaged();
  std::array<ByteSpan, 2> states;
  ByteSpan left = framed.subspan(4);
  for (ByteSpan& state : states) {
    if (left.size() < 8) return damaged();
    const uint64_t size = LoadLE<uint64_t>(left.data());
    left = left.subspan(8);
    if (size > left.size()) return damaged();
    state = left.first(size);
    left = left.subspan(size);
  }
  if (!left.empty()) return damaged();
  return states;
}

// What participants may be told to do (extension org.linnet.client/1); all else in blob 3 is
// refused.
const Json& ClientSchema() {
  static const Json schema = *Json::Parse(R"({"type":"object","properties":{
    "client":{"type":"string","enum":["sgd","prox","scaffold","dyn"],"default":"sgd"},
    "mu":{"type":"number","minimum":0,"maximum":1000},
    "alpha":{"type":"number","minimum":0,"maximum":1000},
    "lossBefore":{"type":"boolean"}}})");
  return schema;
}

}  // namespace

uint64_t AggregationHost::BlobLimit() const { return 65536 + 64 * uint64_t{layout_.model_count}; }

Result<Bytes> AggregationHost::SaveState() {
  LINNET_TRY_STATUS(Usable(false));
  std::array<Bytes, 2> states;
  const std::array<PluginInstance*, 2> stages = {reducer_.get(), optimizer_.get()};
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i] == nullptr || (stages[i]->caps() & LNT_CAP_STATE) == 0) continue;
    LINNET_TRY(states[i], stages[i]->ReadBlob(LNT_BLOB_STATE, BlobLimit()));
  }
  if (optimizer_ == nullptr) return states[0];
  Bytes framed;
  AppendLE(framed, kChainMagic);
  for (const Bytes& state : states) {
    AppendLE(framed, uint64_t{state.size()});
    framed.insert(framed.end(), state.begin(), state.end());
  }
  return framed;
}

Status AggregationHost::RestoreState(ByteSpan state) {
  std::array<ByteSpan, 2> states = {state, {}};
  if (optimizer_ != nullptr && !state.empty()) {
    LINNET_TRY(states, SplitState(state));
  }
  // New instances, so that nothing of a failed round is left.
  open_ = false;
  broken_ = true;
  store_.Clear();
  const std::array<PluginInstance*, 2> stages = {reducer_.get(), optimizer_.get()};
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i] == nullptr) continue;
    LINNET_TRY_STATUS(stages[i]->Reset());
    if (!states[i].empty()) LINNET_TRY_STATUS(stages[i]->WriteBlob(LNT_BLOB_STATE, states[i]));
  }
  broken_ = false;
  return {};
}

// A partial of a model with buffers: their weight and sums, then the strategy's.
Result<Bytes> AggregationHost::ReadPartial() {
  LINNET_TRY_STATUS(Usable(true));
  if ((caps() & LNT_CAP_MERGE) == 0) {
    return Fail(Code::kUnsupported, "strategy ", plugin().id, " has no partials that merge");
  }
  LINNET_TRY(Bytes partial, reducer_->ReadBlob(LNT_BLOB_PARTIAL, BlobLimit()));
  if (layout_.buffer_count == 0) return partial;
  Bytes framed;
  AppendLE(framed, kBufferMagic);
  AppendLE(framed, int32_t{round_.grid_exp});
  AppendLE(framed, buffer_weight_);
  for (const double sum : buffer_sums_) AppendLE(framed, sum);
  framed.insert(framed.end(), partial.begin(), partial.end());
  return framed;
}

Status AggregationHost::MergePartial(ByteSpan partial) {
  LINNET_TRY_STATUS(Usable(true));
  if ((caps() & LNT_CAP_MERGE) == 0) {
    return Fail(Code::kUnsupported, "strategy ", plugin().id, " has no partials that merge");
  }
  if (partial.empty()) return Fail(Code::kData, "found an empty partial");
  // A refused partial changes nothing: the round goes on.
  if (layout_.buffer_count == 0) return reducer_->WriteBlob(LNT_BLOB_PARTIAL, partial);
  const size_t head = 16 + 8 * layout_.buffer_count;
  if (partial.size() <= head || LoadLE<uint32_t>(partial.data()) != kBufferMagic)
    return Fail(Code::kData, "found a partial of ", partial.size(),
                " bytes that does not begin with the sums of ", layout_.buffer_count, " buffers");
  if (LoadLE<int32_t>(partial.data() + 4) != round_.grid_exp)
    return Fail(Code::kData, "found a partial on the grid of 2^",
                LoadLE<int32_t>(partial.data() + 4), ", wanted 2^", round_.grid_exp);
  std::vector<double> sums(layout_.buffer_count);
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] = LoadLE<double>(partial.data() + 16 + 8 * i);
    const double steps = std::ldexp(sums[i], -round_.grid_exp);
    if (!(std::fabs(steps) < 0x1p53) || std::trunc(steps) != steps)
      return Fail(Code::kData, "the sum of buffer element ", i, " of a partial is not on the grid");
  }
  LINNET_TRY_STATUS(reducer_->WriteBlob(LNT_BLOB_PARTIAL, partial.subspan(head)));
  for (size_t i = 0; i < sums.size(); ++i) buffer_sums_[i] += sums[i];
  buffer_weight_ += LoadLE<uint64_t>(partial.data() + 8);
  return {};
}

Result<Json> AggregationHost::ClientSettings() {
  LINNET_TRY_STATUS(Usable(false));
  LINNET_TRY(const Bytes bytes, reducer_->ReadBlob(LNT_BLOB_CLIENT, kMaxSettings));
  LINNET_TRY(const StrategyLinks links, LinksOf(plugin()));
  Json settings = Json(Json::Object{});
  if (!bytes.empty()) {
    auto json = Json::Parse(AsText(bytes));
    if (!json)
      return Annotate(json.error(), StrCat("settings for participants of strategy ", plugin().id));
    settings = std::move(*json);
  }
  if (settings.is_object() && settings.Find("client") == nullptr)
    settings.Set("client", Json(links.client));
  return CheckConfig(ClientSchema(), settings, "client");
}

Result<std::vector<float>> AggregationHost::Downlink() {
  LINNET_TRY_STATUS(Usable(false));
  LINNET_TRY(const StrategyLinks links, LinksOf(plugin()));
  size_t count = 0;
  for (const LinkedValue& value : links.downlink)
    count += value.like_parameters ? layout_.weight_count : 1;
  std::vector<float> values(count);
  if (count == 0) return values;
  LINNET_TRY(const Bytes bytes, reducer_->ReadBlob(LNT_BLOB_DOWNLINK, count * sizeof(float)));
  if (bytes.size() != count * sizeof(float))
    return Fail(Code::kInternal, "strategy ", plugin().id, " sends ", bytes.size(),
                " bytes to the participants, its description promises ", count * sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  float largest = 0;
  if (!kernels_.max_abs(values.data(), values.size(), &largest))
    return Fail(Code::kInternal, "strategy ", plugin().id,
                " sends a value to the participants that is not finite");
  return values;
}

}  // namespace linnet
