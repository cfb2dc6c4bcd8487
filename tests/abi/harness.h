// Drives a plugin's table directly, as a host with windows of any size would; the inputs of the
// exactness tests and of the golden run (wasm_plugin.test.mjs makes the same ones in JavaScript).
#ifndef LINNET_TESTS_ABI_HARNESS_H_
#define LINNET_TESTS_ABI_HARNESS_H_

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "fed/aggregation_host.h"
#include "fed/plugin_table.h"
#include "gtest/gtest.h"
#include "linnet/plugin.h"
#include "plugins/builtin.h"

namespace linnet::testing {

// The strategies whose accumulator is the mean weighted by examples and nothing else.
inline std::vector<BuiltinPlugin> ExactMeans() {
  static constexpr std::string_view kNames[] = {"fedavg",  "fedavgm", "fedadagrad",
                                                "fedadam", "fedyogi", "fedprox"};
  std::vector<BuiltinPlugin> means;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    if (std::find(std::begin(kNames), std::end(kNames), plugin.name) != std::end(kNames))
      means.push_back(plugin);
  }
  return means;
}

// A linear congruential generator: the same numbers in any language.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed) {}
  uint32_t Next() { return state_ = state_ * 1664525u + 1013904223u; }
  // |x| from 2^-40 to just below 64, any sign, any mantissa.
  float Value() {
    const uint32_t a = Next(), b = Next();
    const uint32_t exponent = 127 - 40 + (a >> 8) % 46;
    return std::bit_cast<float>((a & 0x80000000u) | (exponent << 23) | (b >> 9));
  }
  // 1 to 65,536.
  uint32_t Weight() { return 1 + (Next() >> 8) % 65536; }
  uint32_t Below(uint32_t n) { return (Next() >> 8) % n; }

 private:
  uint32_t state_;
};

// Updates that span what caps of 64 and 65,536 admit.
struct Cohort {
  std::vector<uint32_t> counts = {5, 300, 4097};  // of the tensors
  std::vector<std::vector<float>> updates;
  std::vector<uint32_t> weights;
  int grid_exp = 0;
  size_t size() const { return std::accumulate(counts.begin(), counts.end(), size_t{0}); }
};
inline Cohort MakeCohort(uint32_t seed, size_t n = 20) {
  Cohort cohort;
  Numbers numbers(seed);
  for (size_t i = 0; i < n; ++i) {
    std::vector<float> x(cohort.size());
    for (float& v : x) v = numbers.Value();
    cohort.updates.push_back(std::move(x));
    cohort.weights.push_back(i == 0 ? 1 : i == 1 ? 65536 : numbers.Weight());
  }
  cohort.grid_exp = *GridExponent(64, 65536, n);
  return cohort;
}

inline std::vector<size_t> InOrder(size_t n) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}
inline std::vector<size_t> Shuffled(size_t n, Numbers& numbers) {
  std::vector<size_t> order = InOrder(n);
  for (size_t i = n; i > 1; --i)
    std::swap(order[i - 1], order[numbers.Below(static_cast<uint32_t>(i))]);
  return order;
}

inline constexpr uint32_t kWholeTensor = 1u << 30;

// One row of a layout; a scalar of `uplink` has rank 0.
struct LayoutRow {
  std::string name;
  uint32_t count = 1;
  uint32_t role = LNT_ROLE_PARAM, dtype = LNT_F32, rank = 1;
};
inline std::vector<LayoutRow> LayoutOf(const std::vector<uint32_t>& counts) {
  std::vector<LayoutRow> rows;
  for (size_t i = 0; i < counts.size(); ++i) rows.push_back({StrCat("t", i), counts[i]});
  return rows;
}

// One instance. Every call expects LNT_OK unless it returns the status.
class Instance {
 public:
  Instance(const lnt_plugin* table, const std::string& config, const std::vector<uint32_t>& counts,
           uint32_t index = 0)
      : Instance(table, config, LayoutOf(counts), index) {}
  Instance(const lnt_plugin* table, const std::string& config, const std::vector<LayoutRow>& rows,
           uint32_t index = 0)
      : table_(table) {
    caps_.struct_size = sizeof(caps_);
    Expect(table->create(index, config.data(), static_cast<uint32_t>(config.size()), &handle_,
                         &caps_));
    std::vector<lnt_tensor> tensors(rows.size());
    std::string names;
    uint64_t offset = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      counts_.push_back(rows[i].count);
      tensors[i].struct_size = sizeof(lnt_tensor);
      tensors[i].name_off = static_cast<uint32_t>(names.size());
      tensors[i].name_len = static_cast<uint32_t>(rows[i].name.size());
      tensors[i].role = rows[i].role;
      tensors[i].dtype = rows[i].dtype;
      tensors[i].rank = rows[i].rank;
      tensors[i].dims[0] = rows[i].count;
      tensors[i].elem_off = offset;
      tensors[i].elem_count = rows[i].count;
      offset += rows[i].count;
      names += rows[i].name;
    }
    Expect(table->set_layout(handle_, tensors.data(), static_cast<uint32_t>(tensors.size()),
                             names.data(), static_cast<uint32_t>(names.size())));
  }
  ~Instance() { table_->destroy(handle_); }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  lnt_handle handle() const { return handle_; }
  const lnt_caps& caps() const { return caps_; }
  const lnt_plugin* table() const { return table_; }

  std::string LastError() const {
    char text[1000];
    uint32_t size = 0;
    table_->last_error(handle_, text, sizeof(text), &size);
    return {text, std::min<size_t>(size, sizeof(text))};
  }
  void Expect(lnt_status status) const { EXPECT_EQ(status, LNT_OK) << LastError(); }

  lnt_status TryBegin(int grid_exp) {
    lnt_round round{};
    round.struct_size = sizeof(round);
    round.grid_exp = grid_exp;
    return table_->round_begin(handle_, &round, sizeof(round));
  }
  void Begin(int grid_exp) { Expect(TryBegin(grid_exp)); }

  // The updates of `order` in groups of `rows` and windows of `chunk` elements.
  void Fold(const Cohort& cohort, const std::vector<size_t>& order, size_t rows = 16,
            uint32_t chunk = kWholeTensor) {
    for (size_t first = 0; first < order.size(); first += rows) {
      const size_t n = std::min(rows, order.size() - first);
      std::vector<lnt_update> metas;
      for (size_t r = 0; r < n; ++r) {
        metas.push_back(MakeUpdate(order[first + r], cohort.weights[order[first + r]]));
      }
      Expect(table_->updates_begin(handle_, metas.data(), sizeof(lnt_update),
                                   static_cast<uint32_t>(n)));
      EachWindow(chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
        const size_t stride = count + 3;  // wider than the rows
        std::vector<float> window(stride * n);
        for (size_t r = 0; r < n; ++r) {
          std::copy_n(cohort.updates[order[first + r]].begin() + static_cast<ptrdiff_t>(at), count,
                      window.begin() + static_cast<ptrdiff_t>(r * stride));
        }
        Expect(table_->updates_chunk(handle_, tensor, offset, window.data(),
                                     static_cast<uint32_t>(stride * sizeof(float)), count));
      });
      Expect(table_->updates_end(handle_));
    }
  }

  // Updates of T (the layout's dtype) in groups of `rows` and windows of `chunk` elements, with
  // what is known of them. Returns the last status of updates_end, or the first that is not good.
  template <typename T>
  lnt_status FoldRows(const std::vector<std::vector<T>>& updates,
                      const std::vector<lnt_update>& metas, size_t rows = 16,
                      uint32_t chunk = kWholeTensor) {
    lnt_status status = LNT_OK;
    for (size_t first = 0; first < updates.size() && status == LNT_OK; first += rows) {
      const size_t n = std::min(rows, updates.size() - first);
      status = table_->updates_begin(handle_, metas.data() + first, sizeof(lnt_update),
                                     static_cast<uint32_t>(n));
      EachWindow(chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
        if (status != LNT_OK) return;
        const std::vector<T> window = Window(updates, first, n, at, count);
        status = table_->updates_chunk(handle_, tensor, offset, window.data(),
                                       static_cast<uint32_t>((count + 3) * sizeof(T)), count);
      });
      if (status == LNT_OK) status = table_->updates_end(handle_);
    }
    return status;
  }

  // All passes over the updates in windows of `chunk` elements, `out` as the host keeps it; the
  // first status below 0, or LNT_OK. At most 64 passes.
  template <typename T>
  lnt_status RunPasses(const std::vector<std::vector<T>>& updates,
                       const std::vector<lnt_update>& metas, std::vector<T>& out,
                       uint32_t chunk = kWholeTensor) {
    lnt_status status = LNT_MORE;
    for (passes_ = 0; status == LNT_MORE && passes_ < 64; ++passes_) {
      status = table_->pass_begin(handle_, passes_, metas.data(), sizeof(lnt_update),
                                  static_cast<uint32_t>(updates.size()));
      if (status < 0) return status;
      out.assign(updates.empty() ? 0 : updates[0].size(), T{});
      EachWindow(chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
        if (status < 0) return;
        const std::vector<T> window = Window(updates, 0, updates.size(), at, count);
        status = table_->pass_block(handle_, tensor, offset, window.data(),
                                    static_cast<uint32_t>((count + 3) * sizeof(T)), count,
                                    out.data() + at);
      });
      if (status < 0) return status;
      status = table_->pass_end(handle_);
    }
    return status;
  }
  // Of the last RunPasses.
  uint32_t passes() const { return passes_; }

  // finalize, result_chunk and round_end; `update` is what RunPasses gave, and empty after
  // FoldRows.
  template <typename T>
  std::vector<T> FinishRows(const std::vector<T>& base, const std::vector<T>& update = {},
                            uint32_t chunk = kWholeTensor) {
    Expect(Finalize());
    std::vector<T> result = update.empty() ? std::vector<T>(base.size()) : update;
    EachWindow(chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
      Expect(table_->result_chunk(handle_, tensor, offset, base.data() + at, result.data() + at,
                                  count));
    });
    char text[1000];
    uint32_t size = 0;
    Expect(table_->round_end(handle_, text, sizeof(text), &size));
    metrics_.assign(text, size);
    return result;
  }

  lnt_status Finalize() { return table_->finalize(handle_); }
  std::vector<float> Finish(const std::vector<float>& base, uint32_t chunk = kWholeTensor) {
    Expect(Finalize());
    std::vector<float> result(base.size());
    EachWindow(chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
      Expect(table_->result_chunk(handle_, tensor, offset, base.data() + at, result.data() + at,
                                  count));
    });
    char text[1000];
    uint32_t size = 0;
    Expect(table_->round_end(handle_, text, sizeof(text), &size));
    metrics_.assign(text, size);
    return result;
  }
  const std::string& metrics() const { return metrics_; }

  Bytes ReadBlob(uint32_t kind, uint32_t page = 1000) const {
    uint64_t size = 0;
    Expect(table_->blob_size(handle_, kind, &size));
    Bytes bytes(size);
    for (uint64_t at = 0; at < size; at += page) {
      Expect(table_->blob_read(handle_, kind, at, bytes.data() + at,
                               static_cast<uint32_t>(std::min<uint64_t>(page, size - at))));
    }
    return bytes;
  }
  lnt_status WriteBlob(uint32_t kind, ByteSpan bytes, uint32_t page = 1000) {
    lnt_status status = LNT_OK;
    for (size_t at = 0; at < bytes.size() && status == LNT_OK; at += page) {
      status = table_->blob_write(handle_, kind, bytes.size(), at, bytes.data() + at,
                                  static_cast<uint32_t>(std::min<size_t>(page, bytes.size() - at)));
    }
    return status;
  }
  Bytes Partial() const { return ReadBlob(LNT_BLOB_PARTIAL); }
  lnt_status Merge(ByteSpan partial) { return WriteBlob(LNT_BLOB_PARTIAL, partial); }

 private:
  // Rows of n updates, three elements wider than the window.
  template <typename T>
  static std::vector<T> Window(const std::vector<std::vector<T>>& updates, size_t first, size_t n,
                               size_t at, uint32_t count) {
    const size_t stride = count + 3;
    std::vector<T> window(stride * n);
    for (size_t r = 0; r < n; ++r) {
      std::copy_n(updates[first + r].begin() + static_cast<ptrdiff_t>(at), count,
                  window.begin() + static_cast<ptrdiff_t>(r * stride));
    }
    return window;
  }
  template <typename Body>
  void EachWindow(uint32_t chunk, const Body& body) const {
    size_t at = 0;
    for (uint32_t tensor = 0; tensor < counts_.size(); ++tensor) {
      for (uint32_t offset = 0; offset < counts_[tensor]; offset += chunk) {
        const uint32_t count = std::min(chunk, counts_[tensor] - offset);
        body(tensor, offset, at, count);
        at += count;
      }
    }
  }

  const lnt_plugin* table_;
  std::vector<uint32_t> counts_;
  lnt_handle handle_ = 0;
  lnt_caps caps_{};
  uint32_t passes_ = 0;
  std::string metrics_;
};

// Three rounds of 20 updates, each round on the result of the one before; the SHA-256 of the last
// accumulator (blob 1), of the last result and of the state after it.
struct GoldenRun {
  std::string partial, result, state;
};
inline GoldenRun RunGolden(const lnt_plugin* table, uint32_t index = 0, size_t rows = 7,
                           uint32_t chunk = 512) {
  const Cohort first = MakeCohort(1);
  Instance instance(table, "{}", first.counts, index);
  std::vector<float> model(first.size(), 0.0f);
  GoldenRun run;
  for (uint32_t round = 1; round <= 3; ++round) {
    const Cohort cohort = MakeCohort(round);
    instance.Begin(cohort.grid_exp);
    instance.Fold(cohort, InOrder(cohort.updates.size()), rows, chunk);
    run.partial = Hex(Sha256(instance.Partial()));
    model = instance.Finish(model, chunk);
  }
  run.result = Hex(Sha256({reinterpret_cast<const uint8_t*>(model.data()), 4 * model.size()}));
  run.state = Hex(Sha256(instance.ReadBlob(LNT_BLOB_STATE)));
  return run;
}

// What stands in golden.json: the same for the static entry, the .so and the .wasm.
inline void ExpectGolden(const std::string& id, const GoldenRun& run) {
  std::ifstream file(std::string(LINNET_SOURCE_DIR) + "/tests/abi/golden.json");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto json = Json::Parse(text);
  ASSERT_TRUE(json) << "tests/abi/golden.json";
  const Json* wanted = json->Find(id);
  ASSERT_NE(wanted, nullptr) << id << " " << run.partial << " " << run.result << " " << run.state;
  EXPECT_EQ(run.partial, wanted->Find("partial")->as_string()) << id;
  EXPECT_EQ(run.result, wanted->Find("result")->as_string()) << id;
  EXPECT_EQ(run.state, wanted->Find("state")->as_string()) << id;
}

}  // namespace linnet::testing

#endif  // LINNET_TESTS_ABI_HARNESS_H_
