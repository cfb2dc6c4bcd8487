#include "fed/aggregation_work.h"

namespace linnet {

bool CheckWork::Run(size_t) {
  if (Blake2b(*encoded) != digest) {
    status = Fail(Code::kData, "the upload's digest is not the one in update.end");
    return false;
  }
  auto checked = CheckUpdate(codec, seed, *encoded, elements, max_abs, *kernels);
  if (checked)
    stats = *checked;
  else
    status = std::unexpected(std::move(checked.error()));
  return false;
}

bool AggregationWork::Run(size_t) {
  status = RunAll();
  return false;
}

Status AggregationWork::RunAll() {
  if (restore) LINNET_TRY_STATUS(host->RestoreState(*restore));
  if (begin) LINNET_TRY_STATUS(host->BeginRound(*begin, base->parameters));
  if (!updates.empty()) {
    std::vector<EncodedUpdate> encoded;
    encoded.reserve(updates.size());
    for (const Update& update : updates)
      encoded.push_back({*update.encoded, update.codec, update.seed, update.meta});
    LINNET_TRY(const size_t folded, host->Fold(encoded));
    if (folded != updates.size())
      return Fail(Code::kUnsupported, "the strategy's buffer was full after ", folded, " of ",
                  updates.size(), " updates: buffered strategies need asynchronous rounds");
  }
  if (!finish) return {};
  if (host->caps() & LNT_CAP_MERGE) {
    LINNET_TRY(partial, host->ReadPartial());
  }
  Model next;
  next.graph = base->graph;
  LINNET_TRY(next.parameters, host->Finish(base->parameters));
  LINNET_TRY(state, host->SaveState());
  auto bytes = std::make_shared<Bytes>(SaveModel(next));
  digest = Blake2b(*bytes);
  model_bytes = std::move(bytes);
  model = std::make_shared<const Model>(std::move(next));
  return {};
}

}  // namespace linnet
