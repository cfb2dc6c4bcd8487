// A strategy in the hands of a coordinator that plays its participants' uploads: T is the layout's
// dtype, float or double.
#ifndef LINNET_TESTS_ABI_FEDERATION_H_
#define LINNET_TESTS_ABI_FEDERATION_H_

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "abi/harness.h"
#include "fed/plugin_config.h"
#include "plugins/builtin.h"
#include "plugins/conformance/conformance.h"

namespace linnet::testing {

// The built-in strategy of that name.
inline PluginEntry EntryOf(std::string_view id) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    EXPECT_TRUE(table.Add(plugin.entry, "built in"));
  const auto entry = table.Find(id);
  EXPECT_TRUE(entry) << entry.error().message;
  return **entry;
}

// The canonical configuration: checked, defaults filled in.
inline std::string Canonical(const PluginEntry& entry, std::string_view config) {
  const auto checked =
      CheckConfig(*entry.description.Find("config"), *Json::Parse(config), "strategy.config");
  EXPECT_TRUE(checked) << checked.error().message;
  return checked->Dump();
}

template <typename T>
struct Upload {
  std::vector<T> y = {};  // the whole model after training
  uint32_t weight = 1;
  double loss = 1, extra = 0;  // before training; the uplink's scalar
  int age = 0;
  std::vector<T> control = {};  // the uplink's tensor
};

template <typename T>
class Federation {
 public:
  Federation(std::string_view id, std::string_view config, std::vector<T> model,
             uint64_t population = 100, uint64_t max_weight = 65536)
      : entry_(EntryOf(id)),
        model_(std::move(model)),
        population_(population),
        grid_exp_(*GridExponent(64, max_weight, 12)) {
    std::string error;
    shape_ = conformance::ShapeOf(entry_.table, entry_.index, error);
    EXPECT_EQ(error, "");
    const uint32_t dtype = sizeof(T) == 8 ? LNT_F64 : LNT_F32;
    const uint32_t n = static_cast<uint32_t>(model_.size());
    std::vector<LayoutRow> rows;
    if (shape_.scalars > 0) rows.push_back({"a", 1, LNT_ROLE_CONTROL, dtype, 0});
    rows.push_back({"w", n, LNT_ROLE_PARAM, dtype, 1});
    if (shape_.controls > 0) rows.push_back({"c/w", n, LNT_ROLE_CONTROL, dtype, 1});
    instance_ =
        std::make_unique<Instance>(entry_.table, Canonical(entry_, config), rows, entry_.index);
  }

  // Hands the uploads over; the last status, or the first that is an error.
  lnt_status Try(const std::vector<Upload<T>>& uploads) {
    std::vector<std::vector<T>> updates;
    std::vector<lnt_update> metas;
    for (const Upload<T>& upload : uploads) {
      std::vector<T> update;
      if (shape_.scalars > 0) update.push_back(static_cast<T>(upload.extra));
      double square = 0;
      for (size_t i = 0; i < upload.y.size(); ++i) {
        update.push_back(upload.y[i] - model_[i]);
        square += double(update.back()) * double(update.back());
      }
      if (shape_.controls > 0)
        update.insert(update.end(), upload.control.begin(), upload.control.end());
      lnt_update meta = MakeUpdate(metas.size(), upload.weight);
      meta.struct_size = sizeof(meta);
      meta.server_version = 50;
      meta.base_version = static_cast<uint64_t>(50 - upload.age);
      meta.loss_before = upload.loss;
      meta.l2_norm = std::sqrt(square);
      metas.push_back(meta);
      updates.push_back(std::move(update));
    }
    lnt_round round{};
    round.struct_size = sizeof(round);
    round.population = population_;
    round.grid_exp = grid_exp_;
    const lnt_plugin* table = instance_->table();
    const lnt_status begun = table->round_begin(instance_->handle(), &round, sizeof(round));
    if (begun < 0) return begun;
    lnt_status status;
    if ((instance_->caps().modes & LNT_MODE_STREAM) == 0) {
      status = instance_->RunPasses(updates, metas, aggregated_);
    } else {
      aggregated_.clear();
      status = FoldAll(updates, metas);
    }
    // What only shows when the sums are used.
    if (status == LNT_OK && population_ < uploads.size()) return instance_->Finalize();
    return status;
  }
  const std::vector<T>& Finish() {
    std::vector<T> base(shape_.scalars, T{0});
    base.insert(base.end(), model_.begin(), model_.end());
    base.resize(base.size() + shape_.controls * model_.size());
    const std::vector<T> result = instance_->FinishRows(base, aggregated_);
    std::copy_n(result.begin() + shape_.scalars, model_.size(), model_.begin());
    return model_;
  }
  const std::vector<T>& Round(const std::vector<Upload<T>>& uploads) {
    const lnt_status status = Try(uploads);
    EXPECT_GE(status, 0) << error();
    return Finish();
  }

  void set_population(uint64_t population) { population_ = population; }

  const std::vector<T>& model() const { return model_; }
  std::string error() const { return instance_->LastError(); }
  const std::string& metrics() const { return instance_->metrics(); }
  Bytes Blob(uint32_t kind) const { return instance_->ReadBlob(kind); }
  // The first vector of the state (common/server_state.h: a head of 40 bytes, then f64).
  std::vector<double> StateVector() const {
    const Bytes state = Blob(LNT_BLOB_STATE);
    std::vector<double> values(model_.size());
    std::memcpy(values.data(), state.data() + 40, values.size() * sizeof(double));
    return values;
  }

 private:
  // In one window for each tensor, as rows that may be shorter than the layout.
  lnt_status FoldAll(const std::vector<std::vector<T>>& updates,
                     const std::vector<lnt_update>& metas) {
    const lnt_plugin* table = instance_->table();
    const uint32_t n = static_cast<uint32_t>(model_.size());
    lnt_status status = LNT_OK;
    for (size_t k = 0; k < updates.size() && status == LNT_OK; ++k) {
      const uint32_t size = static_cast<uint32_t>(updates[k].size());
      status = table->updates_begin(instance_->handle(), &metas[k], sizeof(lnt_update), 1);
      uint32_t at = 0, tensor = 0;
      for (const uint32_t count : {shape_.scalars, n, shape_.controls * n}) {
        if (status != LNT_OK || count == 0) continue;
        const uint32_t here = std::min(count, size - at);
        status = table->updates_chunk(instance_->handle(), tensor++, 0, updates[k].data() + at,
                                      here * sizeof(T), here);
        at += here;
      }
      if (status == LNT_OK) status = table->updates_end(instance_->handle());
    }
    return status;
  }

  PluginEntry entry_;
  conformance::Shape shape_;
  std::vector<T> model_, aggregated_;
  uint64_t population_;
  int grid_exp_;
  std::unique_ptr<Instance> instance_;
};

}  // namespace linnet::testing

#endif  // LINNET_TESTS_ABI_FEDERATION_H_
