// BLOCK: windows of all updates at once, in as many passes as the strategy asks for.
#include <algorithm>
#include <vector>

#include "fed/aggregation_host.h"
#include "fed/aggregation_pieces.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxPasses = 64;
// Floats of the rows of one window: what stays in a core's second-level cache.
constexpr size_t kWindowFloats = size_t{1} << 17;

}  // namespace

Status AggregationHost::Rehearse(uint64_t updates) {
  if (!block_) return {};
  RoundParameters round;
  round.expected_updates = round.cohort = round.population = updates;
  round.grid_exp = -32;
  round_ = round;
  std::vector<lnt_update> metas(updates, MakeUpdate(0, 1));
  for (size_t i = 0; i < metas.size(); ++i) {
    metas[i].ordinal = i;
    metas[i].struct_size = sizeof(lnt_update);
  }
  const lnt_plugin& table = reducer_->table();
  Status said;
  // Whatever else it may not like is said in a round, which knows more.
  if (BeginStage(*reducer_, round.grid_exp, updates, std::vector<float>(layout_.weight_count))) {
    const PluginCall call(reducer_->services(), reducer_->round_seed());
    const lnt_status status =
        table.pass_begin(reducer_->handle(), 0, metas.data(), sizeof(lnt_update),
                         static_cast<uint32_t>(metas.size()));
    if (status == LNT_E_TOO_FEW) said = reducer_->Check(status, "pass_begin");
  }
  LINNET_TRY_STATUS(reducer_->Reset());
  if (said) return {};
  return Fail(Code::kInvalid, said.error().message);
}

Status AggregationHost::RunPasses() {
  if (store_.updates().empty())
    return Fail(Code::kState, "strategy ", plugin().id, ": found no update, wanted at least 1");
  store_.Sort();
  std::vector<lnt_update> metas;
  metas.reserve(store_.updates().size());
  for (const UpdateStore::Update& update : store_.updates()) metas.push_back(update.meta);
  size_t total = 0;
  for (const Section& section : sections_) total += section.count;
  update_.assign(total, 0.0f);
  bool more = true;
  while (more) {
    if (passes_ == kMaxPasses)
      return Fail(Code::kLimit, "strategy ", plugin().id, " asked for more than ", kMaxPasses,
                  " passes over the updates");
    LINNET_TRY_STATUS(RunPass(passes_++, metas, more));
  }
  return {};
}

Status AggregationHost::RunPass(uint32_t pass, std::span<const lnt_update> metas, bool& more) {
  const lnt_plugin& table = reducer_->table();
  const lnt_handle handle = reducer_->handle();
  LINNET_TRY_STATUS(reducer_->Check(table.pass_begin(handle, pass, metas.data(), sizeof(lnt_update),
                                                     static_cast<uint32_t>(metas.size())),
                                    "pass_begin"));
  std::vector<Source> sources;
  sources.reserve(store_.updates().size());
  for (const UpdateStore::Update& update : store_.updates())
    sources.push_back({update.codec, update.seed, update.scale, {}, &update});
  std::span<float> out(update_);
  for (const Section& section : sections_) {
    LINNET_TRY_STATUS(ShowSection(section, sources, out.first(section.count)));
    out = out.subspan(section.count);
  }
  const lnt_status status = table.pass_end(handle);
  more = status == LNT_MORE;
  return reducer_->Check(status, "pass_end");
}

// Windows go to the workers whole where the strategy permits it. Otherwise they are shown one by
// one in ascending order, decoded by all workers, and the strategy's kernels have the workers.
Status AggregationHost::ShowSection(const Section& section, std::span<const Source> sources,
                                    std::span<float> out) {
  const lnt_plugin& table = reducer_->table();
  const lnt_handle handle = reducer_->handle();
  InlineExecutor alone;
  Executor& executor = options_.executor != nullptr ? *options_.executor : alone;
  const size_t workers = executor.Workers();
  const bool at_once = (caps() & LNT_CAP_PARALLEL_WINDOWS) != 0 && workers > 1;
  const size_t rows = sources.size();
  const size_t floats = kWindowFloats * (at_once ? 1 : workers);
  const size_t columns = std::max<size_t>(1, floats / rows / kCodecBlock) * kCodecBlock;
  const size_t stride = columns + 16;  // see FoldGroup
  const size_t buffers = at_once ? workers : 1;
  if (window_.size() < buffers * rows * stride)
    window_ = AlignedBuffer<float>(buffers * rows * stride);
  std::vector<Bytes> scratch(workers);

  const auto show = [&](size_t first, size_t count, const float* window) -> Status {
    return ForEachPiece(
        *section.tensors, first, count,
        [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
          return reducer_->Check(
              table.pass_block(handle, section.first_tensor + tensor, offset, window + (at - first),
                               static_cast<uint32_t>(stride * sizeof(float)),
                               static_cast<uint32_t>(n), out.data() + at),
              "pass_block");
        });
  };
  const auto cancelled = [&] {
    const std::atomic<bool>* flag = options_.services.cancelled;
    return flag != nullptr && flag->load();
  };
  const size_t windows = (section.count + columns - 1) / columns;
  // The first window that failed decides what is said, whatever the order of the workers.
  std::vector<std::pair<size_t, Status>> failures(workers, {windows, Status()});

  if (at_once) {
    PluginServices services = reducer_->services();
    services.executor = nullptr;
    executor.Run(windows, [&](size_t window, size_t worker) {
      if (failures[worker].first < windows || cancelled()) return;
      const PluginCall call(services, reducer_->round_seed());
      const size_t first = window * columns, count = std::min(columns, section.count - first);
      float* values = window_.data() + worker * rows * stride;
      Status status;
      for (size_t r = 0; r < rows && status; ++r)
        status = Fill(section, sources[r], first, {values + r * stride, count}, scratch[worker]);
      if (status) status = show(first, count, values);
      if (!status) failures[worker] = {window, std::move(status)};
    });
  } else {
    const PluginCall call(reducer_->services(), reducer_->round_seed());
    for (size_t window = 0; window < windows && !cancelled(); ++window) {
      const size_t first = window * columns, count = std::min(columns, section.count - first);
      executor.Run(rows, [&](size_t r, size_t worker) {
        Status status =
            Fill(section, sources[r], first, {window_.data() + r * stride, count}, scratch[worker]);
        if (!status && r < failures[worker].first) failures[worker] = {r, std::move(status)};
      });
      for (const auto& [at, status] : failures) LINNET_TRY_STATUS(status);
      LINNET_TRY_STATUS(show(first, count, window_.data()));
    }
  }
  if (cancelled()) return Fail(Code::kUnavailable, "the aggregation was cancelled");
  const auto first = std::ranges::min_element(failures, {}, [](const auto& f) { return f.first; });
  return first->second;
}

}  // namespace linnet
