// One instance of a strategy plugin, driven through its rounds.
//
// A value-driven machine without I/O: one owner, one thread at a time. The encoded updates are
// decoded window by window and folded while they are in cache; no decoded copy of an update is ever
// whole.
#ifndef LINNET_FED_AGGREGATION_HOST_H_
#define LINNET_FED_AGGREGATION_HOST_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/bytes.h"
#include "base/json.h"
#include "codec/codec.h"
#include "fed/plugin_table.h"
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
};

// One update, encoded as it was received. `encoded` and `meta` are read during the call only.
struct EncodedUpdate {
  ByteSpan encoded;  // exactly EncodedBytes(codec, parameters of the layout)
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
  double l2_norm = 0;  // of the decoded vector, the same bits on every target
  float max_abs = 0;
};
// Decodes once, window by window, and keeps nothing. kData: wrong size, does not decode, or not
// finite; kLimit: a value beyond max_abs (both name the element).
Result<UpdateStats> CheckUpdate(const CodecSpec& codec, const CodecSeed& seed, ByteSpan encoded,
                                size_t n, double max_abs, const Kernels& kernels);

class AggregationHost {
 public:
  // `config` is checked against the plugin's schema (kInvalid names field, value and what is
  // admitted), defaults are filled in. `params` is the layout: Graph::params. The plugin's table
  // must outlive the host. kUnsupported when the strategy has no STREAM mode.
  static Result<std::unique_ptr<AggregationHost>> Create(const PluginEntry& plugin,
                                                         const Json& config,
                                                         std::span<const ParamInfo> params,
                                                         const Kernels& kernels,
                                                         PluginServices services = {});
  ~AggregationHost();
  AggregationHost(const AggregationHost&) = delete;
  AggregationHost& operator=(const AggregationHost&) = delete;

  // Starts an empty accumulator; an unfinished round is forgotten. `base` (all parameters) is shown
  // to strategies that ask for it with LNT_NEED_BASE, and may be empty for the others.
  Status BeginRound(const RoundParameters& round, std::span<const float> base = {});

  // Folds updates that CheckUpdate admitted, in this order, up to 16 rows at once. Returns how many
  // were folded: fewer than given only when the strategy's buffer is full (LNT_FLUSH), then Finish
  // is due. After an error the accumulator is unusable: RestoreState and BeginRound again.
  Result<size_t> Fold(std::span<const EncodedUpdate> updates);

  // Ends the round: the new parameters, gated (every value finite; kInternal names the tensor). The
  // strategy's own state advances; SaveState after it belongs into the round's checkpoint. kState
  // when there was no update.
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

  // Settings for the participants (blob 3), checked against the fixed schema of the host; an empty
  // object when the strategy has none.
  Result<Json> ClientSettings();

  // Canonical: keys sorted, defaults filled in.
  const Json& config() const { return config_; }
  const PluginEntry& plugin() const { return plugin_; }
  uint32_t caps() const { return caps_.caps; }  // LNT_CAP_*, LNT_NEED_*
  size_t parameter_count() const { return count_; }
  // Updates folded since BeginRound (merged partials not counted).
  uint64_t folded() const { return folded_; }

 private:
  AggregationHost(const PluginEntry& plugin, Json config, std::span<const ParamInfo> params,
                  const Kernels& kernels, PluginServices services);
  // Makes the instance and gives it the layout.
  Status Open();
  void CloseInstance();
  Status Usable(bool round) const;
  Status FoldGroup(std::span<const EncodedUpdate> updates);
  Result<Bytes> ReadBlob(uint32_t kind, uint64_t limit);
  Status WriteBlob(uint32_t kind, ByteSpan bytes);
  Status ReadMetrics();
  Status Gate(std::span<const float> parameters) const;
  // Passes a good status on, and makes an error of a bad one.
  Status Check(lnt_status status, std::string_view function);

  PluginEntry plugin_;
  Json config_;
  std::vector<ParamInfo> params_;
  const Kernels& kernels_;
  PluginServices services_;
  size_t count_ = 0;
  lnt_handle handle_ = 0;
  lnt_caps caps_{};
  RoundParameters round_;
  bool open_ = false;    // between BeginRound and Finish
  bool broken_ = false;  // an error left the instance in the middle of something
  bool flush_ = false;   // the strategy's buffer is full
  uint64_t folded_ = 0;
  Json metrics_;
  AlignedBuffer<float> window_;  // kMaxFoldRows rows of one codec block
};

}  // namespace linnet

#endif  // LINNET_FED_AGGREGATION_HOST_H_
