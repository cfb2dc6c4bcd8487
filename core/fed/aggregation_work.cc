#include "fed/aggregation_work.h"

namespace linnet {

Result<StrategyTask> ReadStrategyTask(AggregationHost& host) {
  StrategyTask next;
  LINNET_TRY(const Json settings, host.ClientSettings());
  LINNET_TRY(const StrategyLinks links, LinksOf(host.plugin()));
  LINNET_TRY(const std::vector<float> values, host.Downlink());
  const auto number = [&](std::string_view key) {
    const Json* value = settings.Find(key);
    return value != nullptr ? static_cast<float>(value->as_double()) : 0.0f;
  };
  ClientTask& task = next.task;
  task.mu = number("mu");
  task.alpha = number("alpha");
  task.loss_before = (host.caps() & LNT_NEED_LOSS) != 0;
  if (const Json* loss = settings.Find("lossBefore")) task.loss_before |= loss->as_bool();
  task.uplink = links.uplink;
  task.downlink = links.downlink;
  if (!values.empty()) {
    const auto* begin = reinterpret_cast<const uint8_t*>(values.data());
    auto bytes = std::make_shared<Bytes>(begin, begin + values.size() * sizeof(float));
    task.values = Blake2b(*bytes);
    task.value_bytes = bytes->size();
    next.values = std::move(bytes);
  }
  const std::string client = settings.Find("client")->as_string();
  for (const ClientAlgorithm algorithm : {ClientAlgorithm::kSgd, ClientAlgorithm::kProx,
                                          ClientAlgorithm::kScaffold, ClientAlgorithm::kDyn})
    if (ClientAlgorithmName(algorithm) == client) task.algorithm = algorithm;
  // What participants would refuse is refused here.
  LINNET_TRY_STATUS(ParseClientTask(client, ClientTaskText(task)));
  return next;
}

bool CheckWork::Run(size_t) {
  if (Blake2b(*encoded) != digest) {
    status = Fail(Code::kData, "the upload's digest is not the one in update.end");
    return false;
  }
  auto checked = CheckUpdate(codec, seed, *encoded, elements, max_abs, *kernels, extras, scalars);
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
  if (!merge.empty()) LINNET_TRY_STATUS(host->MergePartial(merge));
  if (!updates.empty()) {
    std::vector<EncodedUpdate> encoded;
    encoded.reserve(updates.size());
    for (const Update& update : updates)
      encoded.push_back({*update.encoded, update.codec, update.seed, update.meta});
    LINNET_TRY(folded, host->Fold(encoded));
    if (folded != updates.size() && !buffered)
      return Fail(Code::kUnsupported, "the strategy's buffer was full after ", folded, " of ",
                  updates.size(), " updates: buffered strategies need asynchronous rounds");
    full = host->full();
  }
  if (read_partial) {
    LINNET_TRY(partial, host->ReadPartial());
  }
  if (!finish) return {};
  if (host->caps() & LNT_CAP_MERGE) {
    LINNET_TRY(partial, host->ReadPartial());
  }
  Model next;
  next.graph = base->graph;
  LINNET_TRY(next.parameters, host->Finish(base->parameters));
  LINNET_TRY(state, host->SaveState());
  LINNET_TRY(next_task, ReadStrategyTask(*host));
  auto bytes = std::make_shared<Bytes>(SaveModel(next));
  digest = Blake2b(*bytes);
  model_bytes = std::move(bytes);
  model = std::make_shared<const Model>(std::move(next));
  return {};
}

}  // namespace linnet
