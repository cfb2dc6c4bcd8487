// The coordinator's computations as values: checking one upload, and folding into the strategy.
#ifndef LINNET_FED_AGGREGATION_WORK_H_
#define LINNET_FED_AGGREGATION_WORK_H_

#include <memory>
#include <optional>
#include <vector>

#include "fed/aggregation_host.h"
#include "fed/client_task.h"
#include "fed/machine.h"

namespace linnet {

// What the strategy has for the participants of the next round.
struct StrategyTask {
  ClientTask task;
  SharedBytes values;  // the bytes that task.values names; null: none
};
// Between rounds. Errors are those of ClientSettings and Downlink.
Result<StrategyTask> ReadStrategyTask(AggregationHost& host);

// The first pass over an upload: digest, size, finiteness, bounds, norm.
class CheckWork final : public Work {
 public:
  // ---- in
  AssignmentId assignment{};
  uint64_t attempt_token = 0;
  SharedBytes encoded;
  Digest digest{};  // as announced by the sender
  CodecSpec codec;
  CodecSeed seed;
  size_t elements = 0, extras = 0, scalars = 0;
  double max_abs = 0;
  const Kernels* kernels = nullptr;
  // ---- out
  UpdateStats stats;
  ::linnet::Status status;

  Kind kind() const override { return Kind::kFold; }
  bool Run(size_t) override;
  double Cost() const override { return 8.0 * double(elements); }
};

// A piece of a round's aggregation. The coordinator has one of these out at a time, so the host is
// never entered twice.
class AggregationWork final : public Work {
 public:
  struct Update {
    AssignmentId assignment{};
    SharedBytes encoded;
    CodecSpec codec;
    CodecSeed seed;
    lnt_update meta;
  };
  // ---- in
  std::shared_ptr<AggregationHost> host;
  uint64_t attempt_token = 0;
  std::shared_ptr<const Model> base;
  std::optional<Bytes> restore;          // first: the committed state again
  std::optional<RoundParameters> begin;  // then: an empty accumulator
  Bytes merge;                           // then: what was committed of a buffer before a restart
  std::vector<Update> updates;           // then: fold these
  bool buffered = false;      // asynchronous: the strategy's buffer may be full before the last
  bool read_partial = false;  // then: blob 1
  bool finish = false;        // at last: the new model
  // ---- out
  ::linnet::Status status;
  size_t folded = 0;                   // of the updates
  bool full = false;                   // the strategy's buffer
  std::shared_ptr<const Model> model;  // finish
  SharedBytes model_bytes;
  Digest digest{};
  Bytes state, partial;
  StrategyTask next_task;

  Kind kind() const override { return Kind::kFold; }
  bool Run(size_t max_steps) override;
  double Cost() const override {
    return double(base->parameters.size()) * (8.0 * double(updates.size()) + (finish ? 32.0 : 0));
  }

 private:
  ::linnet::Status RunAll();
};

}  // namespace linnet

#endif  // LINNET_FED_AGGREGATION_WORK_H_
