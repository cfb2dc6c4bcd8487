#include "fed/aggregation_host.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "fed/plugin_config.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxWeight = (1u << 29) - 1;
constexpr uint32_t kMaxText = 64 << 10;

Code CodeOf(lnt_status status) {
  switch (status) {
    case LNT_E_INVALID:
    case LNT_E_CONFIG:
    case LNT_E_LAYOUT:
      return Code::kInvalid;
    case LNT_E_UNSUPPORTED:
      return Code::kUnsupported;
    case LNT_E_NOMEM:
    case LNT_E_QUOTA:
      return Code::kLimit;
    case LNT_E_STATE:
    case LNT_E_TOO_FEW:
      return Code::kState;
    case LNT_E_DATA:
      return Code::kData;
    case LNT_E_VERSION:
      return Code::kVersion;
    case LNT_E_CANCELLED:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

// Calls body(tensor, offset in the tensor, position in the flat vector, count) for the stretches of
// [first, first + count) that lie in one tensor, in ascending order, until one fails.
template <typename Body>
Status ForEachPiece(const std::vector<ParamInfo>& params, size_t first, size_t count,
                    const Body& body) {
  const size_t end = first + count;
  auto param =
      std::upper_bound(params.begin(), params.end(), first,
                       [](size_t at, const ParamInfo& p) { return at < p.offset + p.count; });
  for (; param != params.end() && param->offset < end; ++param) {
    const size_t from = std::max<size_t>(first, param->offset);
    const size_t to = std::min<size_t>(end, param->offset + param->count);
    if (from == to) continue;
    LINNET_TRY_STATUS(
        body(static_cast<uint32_t>(param - params.begin()), from - param->offset, from, to - from));
  }
  return {};
}

// Raw floats are folded where they lie, one update at a time: copying them into a window costs more
// than the accumulator's way through the cache.
bool InPlace(const EncodedUpdate& update) {
  return update.codec.kind == CodecKind::kF32 &&
         reinterpret_cast<uintptr_t>(update.encoded.data()) % alignof(float) == 0;
}

}  // namespace

AggregationHost::AggregationHost(const PluginEntry& plugin, Json config,
                                 std::span<const ParamInfo> params, const Kernels& kernels,
                                 PluginServices services)
    : plugin_(plugin),
      config_(std::move(config)),
      params_(params.begin(), params.end()),
      kernels_(kernels),
      services_(std::move(services)),
      metrics_(Json::Object{}),
      window_(kMaxFoldRows * kCodecBlock) {
  for (const ParamInfo& param : params_) {
    LINNET_CHECK(param.offset == count_);
    count_ += param.count;
  }
}

AggregationHost::~AggregationHost() { CloseInstance(); }

Result<std::unique_ptr<AggregationHost>> AggregationHost::Create(const PluginEntry& plugin,
                                                                 const Json& config,
                                                                 std::span<const ParamInfo> params,
                                                                 const Kernels& kernels,
                                                                 PluginServices services) {
  const Json* schema = plugin.description.Find("config");
  LINNET_TRY(Json checked,
             CheckConfig(schema != nullptr ? *schema : Json(), config, "strategy.config"));
  std::unique_ptr<AggregationHost> host(
      new AggregationHost(plugin, std::move(checked), params, kernels, std::move(services)));
  LINNET_TRY_STATUS(host->Open());
  return host;
}

Status AggregationHost::Open() {
  const PluginCall call(services_, round_.seed);
  const std::string text = config_.Dump();
  caps_ = {};
  caps_.struct_size = sizeof(caps_);
  LINNET_TRY_STATUS(
      Check(plugin_.table->create(plugin_.index, text.data(), static_cast<uint32_t>(text.size()),
                                  &handle_, &caps_),
            "create"));
  if (handle_ == 0)
    return Fail(Code::kInternal, "strategy ", plugin_.id, ": create gave no instance");
  if ((caps_.modes & LNT_MODE_STREAM) == 0 || (caps_.caps & LNT_CAP_EXACT) == 0 ||
      !LNT_HAS(plugin_.table, updates_chunk)) {
    return Fail(Code::kUnsupported, "strategy ", plugin_.id,
                " does not stream exact sums, and collecting whole updates is not offered");
  }
  std::string names;
  std::vector<lnt_tensor> tensors(params_.size());
  for (size_t i = 0; i < params_.size(); ++i) {
    const ParamInfo& param = params_[i];
    lnt_tensor& tensor = tensors[i];
    tensor = {};
    tensor.struct_size = sizeof(lnt_tensor);
    tensor.name_off = static_cast<uint32_t>(names.size());
    tensor.name_len = static_cast<uint32_t>(param.name.size());
    tensor.role = LNT_ROLE_PARAM;
    tensor.dtype = LNT_F32;
    tensor.rank = static_cast<uint32_t>(std::min(param.shape.size(), std::size(tensor.dims)));
    std::copy_n(param.shape.begin(), tensor.rank, tensor.dims);
    tensor.elem_off = param.offset;
    tensor.elem_count = param.count;
    names += param.name;
  }
  return Check(
      plugin_.table->set_layout(handle_, tensors.data(), static_cast<uint32_t>(tensors.size()),
                                names.data(), static_cast<uint32_t>(names.size())),
      "set_layout");
}

void AggregationHost::CloseInstance() {
  if (handle_ == 0) return;
  const PluginCall call(services_, round_.seed);
  plugin_.table->destroy(handle_);
  handle_ = 0;
}

Status AggregationHost::Usable(bool round) const {
  if (broken_) {
    return Fail(Code::kState, "strategy ", plugin_.id,
                " failed before: restore its state and begin a round");
  }
  if (round && !open_) return Fail(Code::kState, "strategy ", plugin_.id, ": no round is open");
  return {};
}

Status AggregationHost::BeginRound(const RoundParameters& round, std::span<const float> base) {
  LINNET_TRY_STATUS(Usable(false));
  round_ = round;
  const PluginCall call(services_, round_.seed);
  lnt_round parameters{};
  parameters.struct_size = sizeof(parameters);
  parameters.run_lo = round.run_lo;
  parameters.run_hi = round.run_hi;
  parameters.round = round.round;
  parameters.server_version = round.server_version;
  parameters.population = round.population;
  parameters.cohort = round.cohort;
  parameters.expected_updates = round.expected_updates;
  parameters.grid_exp = round.grid_exp;
  parameters.weight_unit_exp = round.weight_unit_exp;
  std::copy(round.seed.begin(), round.seed.end(), parameters.seed);
  open_ = false;
  flush_ = false;
  folded_ = 0;
  LINNET_TRY_STATUS(
      Check(plugin_.table->round_begin(handle_, &parameters, sizeof(parameters)), "round_begin"));
  open_ = true;
  if ((caps_.caps & LNT_NEED_BASE) == 0) return {};
  if (base.size() != count_) {
    return Fail(Code::kInvalid, "strategy ", plugin_.id, " wants the global values: found ",
                base.size(), ", wanted ", count_);
  }
  if (!LNT_HAS(plugin_.table, base_chunk)) return Check(LNT_E_UNSUPPORTED, "base_chunk");
  for (size_t first = 0; first < count_; first += kCodecBlock) {
    LINNET_TRY_STATUS(ForEachPiece(
        params_, first, std::min(kCodecBlock, count_ - first),
        [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
          return Check(plugin_.table->base_chunk(handle_, tensor, offset, base.data() + at,
                                                 static_cast<uint32_t>(n)),
                       "base_chunk");
        }));
  }
  return {};
}

Result<size_t> AggregationHost::Fold(std::span<const EncodedUpdate> updates) {
  LINNET_TRY_STATUS(Usable(true));
  for (const EncodedUpdate& update : updates) {
    if (update.meta.weight < 1 || update.meta.weight > kMaxWeight) {
      return Fail(Code::kLimit, "update ", update.meta.ordinal, " has weight ", update.meta.weight,
                  ", wanted 1 to 2^29 - 1");
    }
    if (update.encoded.size() != EncodedBytes(update.codec, count_)) {
      return Fail(Code::kData, "update ", update.meta.ordinal, " has ", update.encoded.size(),
                  " bytes, wanted ", EncodedBytes(update.codec, count_));
    }
  }
  const PluginCall call(services_, round_.seed);
  const bool one_by_one = (caps_.caps & LNT_CAP_ASYNC) != 0;
  size_t done = 0;
  while (done < updates.size() && !flush_) {
    const size_t most = one_by_one || InPlace(updates[done]) ? 1 : kMaxFoldRows;
    const auto group = updates.subspan(done, std::min(most, updates.size() - done));
    if (Status status = FoldGroup(group); !status) {
      broken_ = true;
      return std::unexpected<Error>(std::move(status.error()));
    }
    done += group.size();
    folded_ += group.size();
  }
  return done;
}

Status AggregationHost::FoldGroup(std::span<const EncodedUpdate> updates) {
  const lnt_plugin& table = *plugin_.table;
  std::array<lnt_update, kMaxFoldRows> metas;
  for (size_t r = 0; r < updates.size(); ++r) {
    metas[r] = updates[r].meta;
    metas[r].struct_size = sizeof(lnt_update);
  }
  LINNET_TRY_STATUS(Check(table.updates_begin(handle_, metas.data(), sizeof(lnt_update),
                                              static_cast<uint32_t>(updates.size())),
                          "updates_begin"));
  for (size_t first = 0; first < count_; first += kCodecBlock) {
    const size_t count = std::min(kCodecBlock, count_ - first);
    const bool in_place = updates.size() == 1 && InPlace(updates[0]);
    const float* rows = in_place ? reinterpret_cast<const float*>(updates[0].encoded.data()) + first
                                 : window_.data();
    for (size_t r = 0; !in_place && r < updates.size(); ++r) {
      const EncodedUpdate& update = updates[r];
      LINNET_TRY_STATUS(DecodeWindow(update.codec, update.seed, update.encoded, count_, first,
                                     {window_.data() + r * kCodecBlock, count}, kernels_));
    }
    LINNET_TRY_STATUS(ForEachPiece(
        params_, first, count,
        [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
          return Check(table.updates_chunk(handle_, tensor, offset, rows + (at - first),
                                           kCodecBlock * sizeof(float), static_cast<uint32_t>(n)),
                       "updates_chunk");
        }));
  }
  const lnt_status status = table.updates_end(handle_);
  flush_ = status == LNT_FLUSH;
  return Check(status, "updates_end");
}

Result<std::vector<float>> AggregationHost::Finish(std::span<const float> base) {
  LINNET_TRY_STATUS(Usable(true));
  LINNET_CHECK(base.size() == count_);
  const PluginCall call(services_, round_.seed);
  const lnt_plugin& table = *plugin_.table;
  broken_ = true;  // until all of it went well
  if (LNT_HAS(&table, finalize)) {
    const lnt_status status = table.finalize(handle_);
    if (status == LNT_MORE)
      return Fail(Code::kUnsupported, "strategy ", plugin_.id, ": finalize wants another pass");
    LINNET_TRY_STATUS(Check(status, "finalize"));
  }
  std::vector<float> result(count_);
  for (size_t first = 0; first < count_; first += kCodecBlock) {
    LINNET_TRY_STATUS(ForEachPiece(
        params_, first, std::min(kCodecBlock, count_ - first),
        [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
          return Check(table.result_chunk(handle_, tensor, offset, base.data() + at,
                                          result.data() + at, static_cast<uint32_t>(n)),
                       "result_chunk");
        }));
  }
  LINNET_TRY_STATUS(Gate(result));
  LINNET_TRY_STATUS(ReadMetrics());
  broken_ = false;
  open_ = false;
  return result;
}

Status AggregationHost::Gate(std::span<const float> parameters) const {
  for (const ParamInfo& param : params_) {
    float largest = 0;
    if (kernels_.max_abs(parameters.data() + param.offset, param.count, &largest)) continue;
    return Fail(Code::kInternal, "strategy ", plugin_.id,
                " gave a value that is not finite in tensor ", param.name,
                ": the previous model stands");
  }
  return {};
}

Status AggregationHost::ReadMetrics() {
  metrics_ = Json(Json::Object{});
  if (!LNT_HAS(plugin_.table, round_end)) return {};
  std::string text(kMaxText, '\0');
  uint32_t size = 0;
  LINNET_TRY_STATUS(
      Check(plugin_.table->round_end(handle_, text.data(), kMaxText, &size), "round_end"));
  if (size > kMaxText) {
    return Fail(Code::kLimit, "strategy ", plugin_.id, " has ", size,
                " bytes of metrics, wanted at most ", kMaxText);
  }
  text.resize(size);
  auto json = Json::Parse(text);
  if (!json) return Annotate(json.error(), StrCat("metrics of strategy ", plugin_.id));
  const bool flat =
      json->is_object() &&
      std::all_of(json->as_object().begin(), json->as_object().end(), [](const Json::Member& m) {
        return m.second.is_number() && std::isfinite(m.second.as_double());
      });
  if (!flat)
    return Fail(Code::kData, "metrics of strategy ", plugin_.id,
                " are no object of finite numbers");
  metrics_ = *json;
  return {};
}

Status AggregationHost::Check(lnt_status status, std::string_view function) {
  if (status >= 0) return {};
  std::string text(1000, '\0');
  uint32_t size = 0;
  if (!LNT_HAS(plugin_.table, last_error) ||
      plugin_.table->last_error(handle_, text.data(), static_cast<uint32_t>(text.size()), &size) <
          0) {
    size = 0;
  }
  text.resize(std::min<size_t>(size, text.size()));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, ' ');
  if (text.empty()) text = StrCat("status ", status);
  return Fail(CodeOf(status), "strategy ", plugin_.id, ": ", function, ": ", text);
}

}  // namespace linnet
