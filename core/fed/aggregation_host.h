// A round's updates become the next model: the strategy's plugin, or a chain of them, driven
// through its rounds.
//
// A value-driven machine without I/O: one owner, one thread at a time. The host knows what an
// update consists of (update_layout.h). It decodes window by window while they are in cache, and
// either streams them into the strategy (memory of the size of the model), or keeps them encoded
// and shows windows of all of them (update_store.h). Results have the same bits for every number of
// workers.
#ifndef LINNET_FED_AGGREGATION_HOST_H_
#define LINNET_FED_AGGREGATION_HOST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/bytes.h"
#include "base/executor.h"
#include "base/json.h"
#include "codec/codec.h"
#include "fed/plugin_instance.h"
#include "fed/plugin_table.h"
#include "fed/update_layout.h"
#include "fed/update_store.h"
#include "linnet/plugin.h"
#include "model/model.h"

namespace linnet {

// What a round is, fixed before its first update. Every edge and the root use the same values.
struct RoundParameters {
  uint64_t run_lo = 0, run_hi = 0;  // the run's random name
  uint64_t round = 0;
  uint64_t server_version = 0;
  uint64_t population = 0;  // participants enrolled
  uint64_t cohort = 0;
  uint64_t expected_updates = 0;
  int grid_exp = 0;         // GridExponent()
  int weight_unit_exp = 0;  // weights are integers times 2^weight_unit_exp
  Seed seed{};              // the plugin's only randomness; never serves privacy
  double max_abs = 64;      // no element of an update is beyond
};

// One update, encoded as it was received. `encoded` and `meta` are read during the call only.
struct EncodedUpdate {
  ByteSpan encoded;  // exactly UpdateLayout::UpdateBytes(codec): weights, then extras
  CodecSpec codec;
  CodecSeed seed;
  // ordinal, tag, versions, weight (1 to 2^29 - 1) and what is known of the training (unknown:
  // NaN); struct_size is filled in here. MakeUpdate() has the defaults.
  lnt_update meta;
};
// An lnt_update with all unknown numbers NaN.
lnt_update MakeUpdate(uint64_t ordinal, uint32_t weight);

// The exponent g of the exact mean's grid: ilogb(max_abs * max_weight * invited) - 50 (DESIGN
// section 6). kInvalid when g > -16 (names the caps) or a value is not positive, or max_weight >=
// 2^29.
Result<int> GridExponent(double max_abs, uint64_t max_weight, uint64_t invited);

// What the first pass over an upload found.
struct UpdateStats {
  double l2_norm = 0;  // of the decoded weights, the same bits on every target
  float max_abs = 0;
};
// Decodes once, window by window, and keeps nothing. kData: wrong size, does not decode, or not
// finite; kLimit: a value beyond max_abs (both name the element). Behind the n weights come
// `extras` floats, of which the first `scalars` may go to kMaxScalar.
Result<UpdateStats> CheckUpdate(const CodecSpec& codec, const CodecSeed& seed, ByteSpan encoded,
                                size_t n, double max_abs, const Kernels& kernels, size_t extras = 0,
                                size_t scalars = 0);
inline constexpr double kMaxScalar = 1e6;

// Host clip -> one reducer -> one server optimizer; the first and the last may be missing.
struct StrategyChain {
  StrategyChain() = default;
  // One strategy alone; its configuration is set beside it.
  StrategyChain(PluginEntry plugin) : reducer(std::move(plugin)) {}  // NOLINT: a chain of one
  PluginEntry reducer;
  Json reducer_config = Json(Json::Object{});
  std::optional<PluginEntry> optimizer;
  Json optimizer_config = Json(Json::Object{});
  double clip_norm = 0;  // every update is scaled to at most this norm, 0 = off
};
// "strategy" of a federation file in the words of the table: {"id", "config"}, or {"chain": [...]}
// with {"clip": {"norm": N}} first, then a reducer {"id", "config"}, then a server optimizer of the
// same form. kInvalid, kNotFound: what was found, what was wanted, where.
Result<StrategyChain> FindStrategy(const PluginTable& table, const std::string& id,
                                   const Json& config, const Json& chain);

// What else a host is made of. The pointers must outlive it.
struct AggregationOptions {
  PluginServices services;
  Executor* executor = nullptr;          // null: this thread
  uint64_t block_memory = 256ull << 20;  // bytes of encoded updates kept in memory
  std::shared_ptr<Spool> spool;          // beyond that
  double max_step_norm = 0;  // the gate: a round may move the weights so far at most; 0 = off
};

class AggregationHost {
 public:
  // `config` is checked against the plugin's schema (kInvalid names field, value and what is
  // admitted), defaults are filled in. `params` is the layout: Graph::params, all of it travels.
  // The plugin's table must outlive the host.
  static Result<std::unique_ptr<AggregationHost>> Create(const PluginEntry& plugin,
                                                         const Json& config,
                                                         std::span<const ParamInfo> params,
                                                         const Kernels& kernels,
                                                         PluginServices services = {});
  // A whole chain over a layout, whose uplink is that of LinksOf(chain.reducer). kUnsupported: a
  // stage has not the mode that its place needs.
  static Result<std::unique_ptr<AggregationHost>> Create(const StrategyChain& chain,
                                                         UpdateLayout layout,
                                                         const Kernels& kernels,
                                                         AggregationOptions options);
  ~AggregationHost();
  // Whether a round of so few updates can work: what the strategy says to their announcement
  // (LNT_E_TOO_FEW of pass_begin), without showing it any. kInvalid with its words.
  Status Rehearse(uint64_t updates);
  AggregationHost(const AggregationHost&) = delete;
  AggregationHost& operator=(const AggregationHost&) = delete;

  // Starts an empty accumulator; an unfinished round is forgotten. `base` (all parameters) is shown
  // to strategies that ask for it with LNT_NEED_BASE, and may be empty for the others.
  Status BeginRound(const RoundParameters& round, std::span<const float> base = {});

  // Folds updates that CheckUpdate admitted, in this order, up to 16 rows at once; or keeps copies
  // of them until Finish (BLOCK). Returns how many were taken: fewer than given only when the
  // strategy's buffer is full (LNT_FLUSH), then Finish is due. After an error the accumulator is
  // unusable: RestoreState and BeginRound again.
  Result<size_t> Fold(std::span<const EncodedUpdate> updates);
  // Whether the strategy's buffer is full.
  bool full() const { return flush_; }

  // Ends the round: the new parameters, gated (every value finite, the step's norm within the
  // bound; kInternal names the tensor or the norm). The strategy's own state advances; SaveState
  // after it belongs into the round's checkpoint. kState when there was no update.
  Result<std::vector<float>> Finish(std::span<const float> base);
  // Of the last finished round: an object of finite numbers, from round_end.
  const Json& metrics() const { return metrics_; }

  // Server state (blob 0); empty for a strategy that has none. RestoreState of an empty string
  // starts anew. kData / kVersion: what the plugin says about the bytes.
  Result<Bytes> SaveState();
  Status RestoreState(ByteSpan state);

  // Mergeable partial (blob 1) of the open round; merging is associative and commutative bit by
  // bit.
  Result<Bytes> ReadPartial();
  Status MergePartial(ByteSpan partial);

  // Settings for the participants (blob 3) with the name of their algorithm, checked against the
  // fixed schema of the host.
  Result<Json> ClientSettings();
  // The values of `downlink` (blob 4), all finite: scalars first, then for each tensor one value
  // per weight of the layout. Empty when nothing goes out.
  Result<std::vector<float>> Downlink();

  // Canonical: keys sorted, defaults filled in.
  const Json& config() const { return reducer_->config(); }
  const PluginEntry& plugin() const { return reducer_->plugin(); }
  uint32_t caps() const { return reducer_->caps(); }  // LNT_CAP_*, LNT_NEED_*
  bool block() const { return block_; }               // whether updates are kept until Finish
  const UpdateLayout& layout() const { return layout_; }
  size_t parameter_count() const { return layout_.model_count; }
  // Updates taken since BeginRound (merged partials not counted).
  uint64_t folded() const { return folded_; }

 private:
  using Tensor = UpdateLayout::Tensor;
  // A part of the reducer's layout that is walked in windows: the scalars, the weights, or one
  // value per weight.
  struct Section {
    enum class Kind : uint8_t { kScalars, kWeights, kTensor } kind;
    uint32_t first_tensor;  // of the plugin's layout
    const std::vector<Tensor>* tensors;
    size_t count;  // elements
    size_t extra;  // the first of them among the extras; not for kWeights
  };
  // An update's bytes, wherever they are.
  struct Source {
    CodecSpec codec;
    CodecSeed seed;
    float scale = 1;
    ByteSpan bytes;                               // STREAM
    const UpdateStore::Update* stored = nullptr;  // BLOCK
  };

  AggregationHost(UpdateLayout layout, const Kernels& kernels, AggregationOptions options);
  std::vector<LayoutTensor> ReducerLayout() const;
  Status Usable(bool round) const;
  uint64_t BlobLimit() const;
  Status BeginStage(PluginInstance& stage, int grid_exp, uint64_t expected,
                    std::span<const float> weights);
  float ClipOf(const lnt_update& meta) const;
  // Elements [first, first + count) of a section of one update.
  Status Fill(const Section& section, const Source& source, size_t first, std::span<float> out,
              Bytes& scratch) const;
  Status FoldGroup(std::span<const EncodedUpdate> updates);
  // ---- aggregation_stream.cc
  // A window of a section as rows, one for each update.
  struct Window {
    const Section* section;
    size_t first, count;
  };
  // Between updates_begin and updates_end: all of the updates, window by window.
  Status StreamRows(std::span<const Source> sources);
  Status FillRows(const Window& window, std::span<const Source> sources, size_t at, size_t count,
                  float* rows, size_t stride) const;
  Status ShowRows(const Window& window, const float* rows, size_t stride);
  Status FoldBuffers(const Source& source, uint32_t weight);
  // ---- aggregation_block.cc
  Status RunPasses();
  Status RunPass(uint32_t pass, std::span<const lnt_update> metas, bool& more);
  Status ShowSection(const Section& section, std::span<const Source> sources, std::span<float> out);
  // ---- aggregation_result.cc
  Status ReadResult(std::span<const float> base, std::span<float> out);
  Status Optimize(std::span<const float> base, std::span<float> values);
  void FinishBuffers(std::span<const float> base, std::span<float> model) const;
  Status Gate(std::span<const float> base, std::span<const float> model) const;

  const UpdateLayout layout_;
  const Kernels& kernels_;
  AggregationOptions options_;
  std::vector<Tensor> scalars_;
  std::vector<Section> sections_;  // in the order of the reducer's layout
  double clip_norm_ = 0;
  std::unique_ptr<PluginInstance> reducer_, optimizer_;
  bool block_ = false;
  RoundParameters round_;
  bool open_ = false;    // between BeginRound and Finish
  bool broken_ = false;  // an error left an instance in the middle of something
  bool flush_ = false;   // the strategy's buffer is full
  uint64_t folded_ = 0;
  Json metrics_;
  AlignedBuffer<float> window_;
  std::vector<double> buffer_sums_;  // exact, of the weighted deltas of the buffers
  uint64_t buffer_weight_ = 0;
  UpdateStore store_;
  uint32_t passes_ = 0;
  std::vector<float> update_;  // BLOCK: what the last pass wrote, section after section
};

// The uplink and the downlink that a strategy's description asks for, and how participants train
// (org.linnet.client/1). kInvalid names the member.
struct StrategyLinks {
  std::vector<LinkedValue> uplink, downlink;
  std::string client = "sgd";
};
Result<StrategyLinks> LinksOf(const PluginEntry& plugin);

}  // namespace linnet

#endif  // LINNET_FED_AGGREGATION_HOST_H_
