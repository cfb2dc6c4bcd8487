// STREAM: updates pass the strategy window by window.
#include <algorithm>
#include <array>

#include "fed/aggregation_host.h"
#include "fed/aggregation_pieces.h"

namespace linnet {
namespace {

// Blocks of kCodecBlock in a window. What has to be decoded is folded block by block, while it is
// in the cache. What is only copied goes in longer stretches: each row is read from another place
// of memory, and a page or two of it are over before the prefetcher follows (aggregation_bench:
// with a quarter of a block f32 takes twice as long). Several for several workers too, so that each
// has something to do.
constexpr size_t kBlocks = 8;

}  // namespace

Status AggregationHost::FillRows(const Window& window, std::span<const Source> sources, size_t at,
                                 size_t count, float* rows, size_t stride) const {
  Bytes unused;
  for (size_t r = 0; r < sources.size(); ++r) {
    LINNET_TRY_STATUS(Fill(*window.section, sources[r], window.first + at,
                           {rows + r * stride + at, count}, unused));
  }
  return {};
}

Status AggregationHost::ShowRows(const Window& window, const float* rows, size_t stride) {
  const lnt_plugin& table = reducer_->table();
  return ForEachPiece(
      *window.section->tensors, window.first, window.count,
      [&](uint32_t tensor, uint64_t offset, size_t at, size_t n) -> Status {
        return reducer_->Check(
            table.updates_chunk(reducer_->handle(), window.section->first_tensor + tensor, offset,
                                rows + (at - window.first),
                                static_cast<uint32_t>(stride * sizeof(float)),
                                static_cast<uint32_t>(n)),
            "updates_chunk");
      });
}

Status AggregationHost::StreamRows(std::span<const Source> sources) {
  Executor* executor = options_.executor;
  const bool parallel = executor != nullptr && executor->Workers() > 1;
  const bool copied = std::ranges::all_of(
      sources, [](const Source& source) { return CodecStep(source.codec) == 1; });
  const size_t columns = kCodecBlock * (parallel || copied ? kBlocks : 1);
  // Rows that begin at the same place of a page would push each other out of the cache.
  const size_t stride = columns + 16;
  if (window_.size() < kMaxFoldRows * stride) window_ = AlignedBuffer<float>(kMaxFoldRows * stride);
  for (const Section& section : sections_) {
    for (size_t first = 0; first < section.count; first += columns) {
      const Window window = {&section, first, std::min(columns, section.count - first)};
      std::array<Status, kBlocks> filled;
      const size_t blocks = parallel ? (window.count + kCodecBlock - 1) / kCodecBlock : 1;
      if (blocks == 1) {
        filled[0] = FillRows(window, sources, 0, window.count, window_.data(), stride);
      } else {
        executor->Run(blocks, [&](size_t block, size_t) {
          const size_t at = block * kCodecBlock;
          filled[block] = FillRows(window, sources, at, std::min(kCodecBlock, window.count - at),
                                   window_.data(), stride);
        });
      }
      for (size_t block = 0; block < blocks; ++block) LINNET_TRY_STATUS(filled[block]);
      LINNET_TRY_STATUS(ShowRows(window, window_.data(), stride));
    }
  }
  return {};
}

}  // namespace linnet
