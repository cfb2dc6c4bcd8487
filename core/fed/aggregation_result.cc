// The end of a round: what the strategy made of the updates, through the host's gate.
#include <algorithm>
#include <cmath>

#include "fed/aggregation_host.h"
#include "fed/aggregation_pieces.h"

namespace linnet {
namespace {

// Elements of a window of the result: few calls, since each waits for its answer, which for a
// plugin in another process takes tens of microseconds.
constexpr size_t kResultWindow = 16 * kCodecBlock;

}  // namespace

Result<std::vector<float>> AggregationHost::Finish(std::span<const float> base) {
  LINNET_TRY_STATUS(Usable(true));
  LINNET_CHECK(base.size() == layout_.model_count);
  const PluginCall call(reducer_->services(), reducer_->round_seed());
  const lnt_plugin& table = reducer_->table();
  broken_ = true;  // until all of it went well
  passes_ = 0;
  if (block_) LINNET_TRY_STATUS(RunPasses());
  while (LNT_HAS(&table, finalize)) {
    const lnt_status status = table.finalize(reducer_->handle());
    LINNET_TRY_STATUS(reducer_->Check(status, "finalize"));
    if (status != LNT_MORE) break;
    if (!block_)
      return Fail(Code::kUnsupported, "strategy ", plugin().id,
                  ": finalize wants another pass over updates that were streamed");
    LINNET_TRY_STATUS(RunPasses());
  }
  std::vector<float> weights(layout_.weight_count), values(layout_.weight_count);
  UpdateLayout::Gather(layout_.weights, base, weights);
  metrics_ = Json(Json::Object{});
  if (optimizer_ == nullptr) {
    LINNET_TRY_STATUS(ReadResult(weights, values));
  } else {
    LINNET_TRY_STATUS(ReadResult(std::vector<float>(layout_.weight_count), values));
    LINNET_TRY_STATUS(Optimize(weights, values));
  }
  std::vector<float> model(base.begin(), base.end());
  UpdateLayout::Scatter(layout_.weights, values, model);
  FinishBuffers(base, model);
  LINNET_TRY_STATUS(Gate(base, model));
  for (PluginInstance* stage : {reducer_.get(), optimizer_.get()}) {
    if (stage == nullptr) continue;
    LINNET_TRY(const Json metrics, stage->EndRound());
    for (const auto& [key, value] : metrics.as_object()) metrics_.Set(key, value);
  }
  store_.Clear();
  broken_ = false;
  open_ = false;
  return model;
}

Status AggregationHost::ReadResult(std::span<const float> base, std::span<float> out) {
  const lnt_plugin& table = reducer_->table();
  const std::vector<float> zeros(std::min(kResultWindow, layout_.weight_count + scalars_.size()));
  std::vector<float> dropped;
  size_t section_first = 0;  // in update_
  for (const Section& section : sections_) {
    const bool weights = section.kind == Section::Kind::kWeights;
    for (size_t first = 0; first < section.count; first += kResultWindow) {
      const size_t count = std::min(kResultWindow, section.count - first);
      dropped.assign(weights ? 0 : count, 0.0f);
      float* to = weights ? out.data() + first : dropped.data();
      if (block_) std::copy_n(update_.data() + section_first + first, count, to);
      LINNET_TRY_STATUS(
          ForEachPiece(*section.tensors, first, count,
                       [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
                         return reducer_->Check(
                             table.result_chunk(reducer_->handle(), section.first_tensor + tensor,
                                                offset, weights ? base.data() + at : zeros.data(),
                                                to + (at - first), static_cast<uint32_t>(n)),
                             "result_chunk");
                       }));
    }
    section_first += section.count;
  }
  return {};
}

// The reducer's update, as the only one, through the server optimizer.
Status AggregationHost::Optimize(std::span<const float> base, std::span<float> values) {
  PluginInstance& stage = *optimizer_;
  const PluginCall call(stage.services(), stage.round_seed());
  const lnt_plugin& table = stage.table();
  const lnt_handle handle = stage.handle();
  lnt_update meta = MakeUpdate(0, 1);
  meta.base_version = meta.server_version = round_.server_version;
  meta.l2_norm = std::sqrt(kernels_.sum_squares(values.data(), values.size()));
  LINNET_TRY_STATUS(
      stage.Check(table.updates_begin(handle, &meta, sizeof(meta), 1), "updates_begin"));
  const auto each = [&](const auto& body) -> Status {
    for (size_t first = 0; first < values.size(); first += kCodecBlock)
      LINNET_TRY_STATUS(
          ForEachPiece(layout_.weights, first, std::min(kCodecBlock, values.size() - first), body));
    return {};
  };
  LINNET_TRY_STATUS(each([&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
    return stage.Check(
        table.updates_chunk(handle, tensor, offset, values.data() + at,
                            static_cast<uint32_t>(n * sizeof(float)), static_cast<uint32_t>(n)),
        "updates_chunk");
  }));
  LINNET_TRY_STATUS(stage.Check(table.updates_end(handle), "updates_end"));
  if (LNT_HAS(&table, finalize)) LINNET_TRY_STATUS(stage.Check(table.finalize(handle), "finalize"));
  return each([&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
    return stage.Check(table.result_chunk(handle, tensor, offset, base.data() + at,
                                          values.data() + at, static_cast<uint32_t>(n)),
                       "result_chunk");
  });
}

void AggregationHost::FinishBuffers(std::span<const float> base, std::span<float> model) const {
  if (buffer_weight_ == 0) return;
  for (const Tensor& t : layout_.buffers) {
    kernels_.mean_exact(buffer_sums_.data() + t.offset, static_cast<double>(buffer_weight_),
                        base.data() + t.model_offset, model.data() + t.model_offset, t.count);
    if (!t.not_negative) continue;
    for (float& v : model.subspan(t.model_offset, t.count)) v = std::max(v, 0.0f);
  }
}

Status AggregationHost::Gate(std::span<const float> base, std::span<const float> model) const {
  const std::string& id = plugin().id;
  for (const std::vector<Tensor>* tensors : {&layout_.weights, &layout_.buffers}) {
    for (const Tensor& t : *tensors) {
      float largest = 0;
      if (kernels_.max_abs(model.data() + t.model_offset, t.count, &largest)) continue;
      return Fail(Code::kInternal, "strategy ", id, " gave a value that is not finite in tensor ",
                  t.name, ": the previous model stands");
    }
  }
  if (!(options_.max_step_norm > 0)) return {};
  double squares = 0;
  std::vector<float> step;
  for (const Tensor& t : layout_.weights) {
    step.resize(t.count);
    kernels_.subtract(model.data() + t.model_offset, base.data() + t.model_offset, step.data(),
                      t.count);
    squares += kernels_.sum_squares(step.data(), step.size());
  }
  // Written so that NaN fails too.
  if (std::sqrt(squares) <= options_.max_step_norm) return {};
  return Fail(Code::kInternal, "strategy ", id, " moved the model by a norm of ",
              std::sqrt(squares), ", strategy.maxStepNorm admits ", options_.max_step_norm,
              ": the previous model stands");
}

}  // namespace linnet
