#include "fed/aggregation_host.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "fed/aggregation_pieces.h"
#include "fed/plugin_config.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxWeight = (1u << 29) - 1;

Json SchemaOf(const PluginEntry& plugin) {
  const Json* schema = plugin.description.Find("config");
  return schema != nullptr ? *schema : Json();
}

bool IsOptimizer(const PluginEntry& plugin) {
  const Json* member = plugin.description.Find("optimizer");
  return member != nullptr && member->is_bool() && member->as_bool();
}

std::vector<LayoutTensor> WeightsOf(const UpdateLayout& layout) {
  std::vector<LayoutTensor> tensors;
  for (const UpdateLayout::Tensor& t : layout.weights)
    tensors.push_back({t.name, LNT_ROLE_PARAM, t.shape, t.count});
  return tensors;
}

}  // namespace

Result<StrategyLinks> LinksOf(const PluginEntry& plugin) {
  StrategyLinks links;
  const Json& description = plugin.description;
  LINNET_TRY(links.uplink,
             ParseLinks(description.Find("uplink"), StrCat("strategy ", plugin.id, ": uplink")));
  LINNET_TRY(links.downlink, ParseLinks(description.Find("downlink"),
                                        StrCat("strategy ", plugin.id, ": downlink")));
  if (const Json* client = description.Find("client"); client != nullptr) {
    constexpr std::array<std::string_view, 4> kClients = {"sgd", "prox", "scaffold", "dyn"};
    if (!client->is_string() || std::ranges::find(kClients, client->as_string()) == kClients.end())
      return Fail(Code::kUnsupported, "strategy ", plugin.id, ": client is ", client->Dump(),
                  ", wanted sgd, prox, scaffold or dyn");
    links.client = client->as_string();
  }
  return links;
}

AggregationHost::AggregationHost(UpdateLayout layout, const Kernels& kernels,
                                 AggregationOptions options)
    : layout_(std::move(layout)),
      kernels_(kernels),
      options_(std::move(options)),
      metrics_(Json::Object{}),
      buffer_sums_(layout_.buffer_count),
      store_(options_.block_memory, options_.spool) {
  for (const LinkedValue& value : layout_.uplink)
    if (!value.like_parameters) scalars_.push_back({value.name, {}, scalars_.size(), 1, 0, false});
  uint32_t tensor = 0;
  if (!scalars_.empty()) {
    sections_.push_back({Section::Kind::kScalars, tensor, &scalars_, scalars_.size(), 0});
    tensor += static_cast<uint32_t>(scalars_.size());
  }
  const uint32_t per_section = static_cast<uint32_t>(layout_.weights.size());
  sections_.push_back({Section::Kind::kWeights, tensor, &layout_.weights, layout_.weight_count, 0});
  for (size_t i = 0; i < layout_.tensor_count; ++i) {
    tensor += per_section;
    sections_.push_back({Section::Kind::kTensor, tensor, &layout_.weights, layout_.weight_count,
                         scalars_.size() + layout_.buffer_count + i * layout_.weight_count});
  }
}

AggregationHost::~AggregationHost() = default;

std::vector<LayoutTensor> AggregationHost::ReducerLayout() const {
  std::vector<LayoutTensor> tensors;
  for (const Tensor& t : scalars_) tensors.push_back({t.name, LNT_ROLE_CONTROL, {}, 1});
  for (LayoutTensor& t : WeightsOf(layout_)) tensors.push_back(std::move(t));
  for (const LinkedValue& value : layout_.uplink) {
    if (!value.like_parameters) continue;
    for (const Tensor& t : layout_.weights)
      tensors.push_back({StrCat(value.name, "/", t.name), LNT_ROLE_CONTROL, t.shape, t.count});
  }
  return tensors;
}

Result<std::unique_ptr<AggregationHost>> AggregationHost::Create(const PluginEntry& plugin,
                                                                 const Json& config,
                                                                 std::span<const ParamInfo> params,
                                                                 const Kernels& kernels,
                                                                 PluginServices services) {
  StrategyChain chain;
  chain.reducer = plugin;
  chain.reducer_config = config;
  LINNET_TRY(const StrategyLinks links, LinksOf(plugin));
  AggregationOptions options;
  options.services = std::move(services);
  return Create(chain, MakeUpdateLayout(params, links.uplink), kernels, std::move(options));
}

Result<std::unique_ptr<AggregationHost>> AggregationHost::Create(const StrategyChain& chain,
                                                                 UpdateLayout layout,
                                                                 const Kernels& kernels,
                                                                 AggregationOptions options) {
  const PluginEntry& reducer = chain.reducer;
  LINNET_TRY(Json config, CheckConfig(SchemaOf(reducer), chain.reducer_config, "strategy.config"));
  std::unique_ptr<AggregationHost> host(
      new AggregationHost(std::move(layout), kernels, std::move(options)));
  host->clip_norm_ = chain.clip_norm;
  LINNET_TRY(host->reducer_,
             PluginInstance::Create(reducer, std::move(config), host->ReducerLayout(),
                                    host->options_.services));
  const uint32_t modes = host->reducer_->modes();
  const bool streams = (modes & LNT_MODE_STREAM) != 0 &&
                       (host->reducer_->caps() & LNT_CAP_EXACT) != 0 &&
                       LNT_HAS(reducer.table, updates_chunk);
  host->block_ = !streams && (modes & LNT_MODE_BLOCK) != 0 && LNT_HAS(reducer.table, pass_begin) &&
                 LNT_HAS(reducer.table, pass_block) && LNT_HAS(reducer.table, pass_end);
  if (!streams && !host->block_) {
    return Fail(Code::kUnsupported, "strategy ", reducer.id,
                " neither streams exact sums nor takes passes over whole updates");
  }
  if (chain.optimizer) {
    const PluginEntry& optimizer = *chain.optimizer;
    if (IsOptimizer(reducer))
      return Fail(Code::kInvalid, "strategy.chain: ", reducer.id,
                  " is a server optimizer, wanted a reducer before ", optimizer.id);
    LINNET_TRY(Json settings,
               CheckConfig(SchemaOf(optimizer), chain.optimizer_config, "strategy.config"));
    LINNET_TRY(host->optimizer_,
               PluginInstance::Create(optimizer, std::move(settings), WeightsOf(host->layout_),
                                      host->options_.services));
    if ((host->optimizer_->modes() & LNT_MODE_STREAM) == 0 ||
        !LNT_HAS(optimizer.table, updates_chunk)) {
      return Fail(Code::kUnsupported, "strategy.chain: ", optimizer.id,
                  " does not stream, wanted a server optimizer at the end");
    }
  }
  return host;
}

Status AggregationHost::Usable(bool round) const {
  const std::string& id = reducer_->plugin().id;
  if (broken_)
    return Fail(Code::kState, "strategy ", id,
                " failed before: restore its state and begin a round");
  if (round && !open_) return Fail(Code::kState, "strategy ", id, ": no round is open");
  return {};
}

Status AggregationHost::BeginStage(PluginInstance& stage, int grid_exp, uint64_t expected,
                                   std::span<const float> weights) {
  stage.round_seed() = round_.seed;
  const PluginCall call(stage.services(), stage.round_seed());
  lnt_round parameters{};
  parameters.struct_size = sizeof(parameters);
  parameters.run_lo = round_.run_lo;
  parameters.run_hi = round_.run_hi;
  parameters.round = round_.round;
  parameters.server_version = round_.server_version;
  parameters.population = round_.population;
  parameters.cohort = round_.cohort;
  parameters.expected_updates = expected;
  parameters.grid_exp = grid_exp;
  parameters.weight_unit_exp = round_.weight_unit_exp;
  std::ranges::copy(round_.seed, parameters.seed);
  const lnt_plugin& table = stage.table();
  LINNET_TRY_STATUS(stage.Check(table.round_begin(stage.handle(), &parameters, sizeof(parameters)),
                                "round_begin"));
  if ((stage.caps() & LNT_NEED_BASE) == 0) return {};
  if (weights.size() != layout_.weight_count) {
    return Fail(Code::kInvalid, "strategy ", stage.plugin().id, " wants the global values: found ",
                weights.size(), ", wanted ", layout_.weight_count);
  }
  if (!LNT_HAS(&table, base_chunk)) return stage.Check(LNT_E_UNSUPPORTED, "base_chunk");
  const uint32_t shift = &stage == reducer_.get() ? static_cast<uint32_t>(scalars_.size()) : 0;
  for (size_t first = 0; first < layout_.weight_count; first += kCodecBlock) {
    LINNET_TRY_STATUS(ForEachPiece(
        layout_.weights, first, std::min(kCodecBlock, layout_.weight_count - first),
        [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
          return stage.Check(table.base_chunk(stage.handle(), shift + tensor, offset,
                                              weights.data() + at, static_cast<uint32_t>(n)),
                             "base_chunk");
        }));
  }
  return {};
}

Status AggregationHost::BeginRound(const RoundParameters& round, std::span<const float> base) {
  LINNET_TRY_STATUS(Usable(false));
  round_ = round;
  open_ = false;
  flush_ = false;
  folded_ = 0;
  store_.Clear();
  std::ranges::fill(buffer_sums_, 0.0);
  buffer_weight_ = 0;
  std::vector<float> weights;
  if (!base.empty()) {
    LINNET_CHECK(base.size() == layout_.model_count);
    weights.resize(layout_.weight_count);
    UpdateLayout::Gather(layout_.weights, base, weights);
  }
  LINNET_TRY_STATUS(BeginStage(*reducer_, round.grid_exp, round.expected_updates, weights));
  if (optimizer_ != nullptr) {
    // One update of weight 1, the reducer's.
    LINNET_TRY(const int grid_exp, GridExponent(round.max_abs, 1, 1));
    LINNET_TRY_STATUS(BeginStage(*optimizer_, grid_exp, 1, weights));
  }
  open_ = true;
  return {};
}

float AggregationHost::ClipOf(const lnt_update& meta) const {
  if (!(clip_norm_ > 0) || !(meta.l2_norm > clip_norm_)) return 1.0f;
  return static_cast<float>(clip_norm_ / meta.l2_norm);
}

Status AggregationHost::Fill(const Section& section, const Source& source, size_t first,
                             std::span<float> out, Bytes& scratch) const {
  const auto read = [&](size_t at, size_t size) -> Result<ByteSpan> {
    if (source.stored == nullptr) return source.bytes.subspan(at, size);
    return store_.Read(*source.stored, at, size, scratch);
  };
  if (section.kind == Section::Kind::kWeights) {
    const size_t begin = EncodedOffset(source.codec, layout_.weight_count, first);
    const size_t end = EncodedOffset(source.codec, layout_.weight_count, first + out.size());
    LINNET_TRY(const ByteSpan bytes, read(begin, end - begin));
    LINNET_TRY_STATUS(DecodeBlocks(source.codec, source.seed, bytes, first, out, kernels_));
    if (source.scale != 1.0f) kernels_.scale(source.scale, out.data(), out.size());
    return {};
  }
  const size_t at =
      EncodedBytes(source.codec, layout_.weight_count) + (section.extra + first) * sizeof(float);
  LINNET_TRY(const ByteSpan bytes, read(at, out.size() * sizeof(float)));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return {};
}

Result<size_t> AggregationHost::Fold(std::span<const EncodedUpdate> updates) {
  LINNET_TRY_STATUS(Usable(true));
  for (const EncodedUpdate& update : updates) {
    if (update.meta.weight < 1 || update.meta.weight > kMaxWeight) {
      return Fail(Code::kLimit, "update ", update.meta.ordinal, " has weight ", update.meta.weight,
                  ", wanted 1 to 2^29 - 1");
    }
    if (update.encoded.size() != layout_.UpdateBytes(update.codec)) {
      return Fail(Code::kData, "update ", update.meta.ordinal, " has ", update.encoded.size(),
                  " bytes, wanted ", layout_.UpdateBytes(update.codec));
    }
    if (clip_norm_ > 0 && !std::isfinite(update.meta.l2_norm))
      return Fail(Code::kData, "update ", update.meta.ordinal,
                  " has no norm, which clipping wants");
  }
  const PluginCall call(reducer_->services(), reducer_->round_seed());
  const bool one_by_one = (caps() & LNT_CAP_ASYNC) != 0;
  size_t done = 0;
  while (done < updates.size() && !flush_) {
    const size_t most = one_by_one ? 1 : kMaxFoldRows;
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
  std::array<lnt_update, kMaxFoldRows> metas;
  std::array<Source, kMaxFoldRows> sources;
  for (size_t r = 0; r < updates.size(); ++r) {
    metas[r] = updates[r].meta;
    metas[r].struct_size = sizeof(lnt_update);
    sources[r] = {updates[r].codec, updates[r].seed, ClipOf(metas[r]), updates[r].encoded, nullptr};
    if (!block_) LINNET_TRY_STATUS(FoldBuffers(sources[r], metas[r].weight));
  }
  if (block_) {
    for (size_t r = 0; r < updates.size(); ++r) {
      UpdateStore::Update kept;
      kept.meta = metas[r];
      kept.codec = updates[r].codec;
      kept.seed = updates[r].seed;
      kept.scale = sources[r].scale;
      LINNET_TRY_STATUS(store_.Add(updates[r].encoded, std::move(kept)));
      LINNET_TRY_STATUS(FoldBuffers(sources[r], metas[r].weight));
    }
    return {};
  }
  const lnt_plugin& table = reducer_->table();
  const lnt_handle handle = reducer_->handle();
  LINNET_TRY_STATUS(reducer_->Check(table.updates_begin(handle, metas.data(), sizeof(lnt_update),
                                                        static_cast<uint32_t>(updates.size())),
                                    "updates_begin"));
  LINNET_TRY_STATUS(StreamRows({sources.data(), updates.size()}));
  const lnt_status status = table.updates_end(handle);
  flush_ = status == LNT_FLUSH;
  return reducer_->Check(status, "updates_end");
}

// The buffers of the model are the plain weighted mean, exactly, whatever the strategy.
Status AggregationHost::FoldBuffers(const Source& source, uint32_t weight) {
  if (layout_.buffer_count == 0) return {};
  std::vector<float> values(layout_.buffer_count);
  const size_t at =
      EncodedBytes(source.codec, layout_.weight_count) + layout_.scalar_count * sizeof(float);
  std::memcpy(values.data(), source.bytes.data() + at, values.size() * sizeof(float));
  kernels_.fold_exact(values.data(), values.size(), &weight, 1, round_.grid_exp,
                      buffer_sums_.data(), values.size());
  buffer_weight_ += weight;
  return {};
}

}  // namespace linnet
