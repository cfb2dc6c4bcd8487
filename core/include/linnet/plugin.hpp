// Aggregation plugins as C++ classes (C++17 or later), over plugin.h and the standard library
// alone.
//
//   class Mean : public linnet::plugin::Strategy {
//    public:
//     static constexpr uint32_t kModes = LNT_MODE_STREAM, kCaps = LNT_CAP_EXACT;
//     static const char* Describe() { return
//     R"({"id":"mean","version":"1.0","licence":"MIT","config":{}})"; } explicit Mean(const
//     linnet::plugin::Config& config); lnt_status RoundBegin(const lnt_round& round) override;
//     ...
//   };
//   LINNET_PLUGIN(Mean)          // once, at the end of the file; several classes make several
//   strategies
//
// Put the class into an unnamed namespace: several plugins may be linked into one program. A
// function that is not overridden is not offered. Errors: `return Fail(LNT_E_DATA, "found ...,
// wanted ...")`, or throw Error, or anything: exceptions stop at the boundary. Without exceptions
// (-fno-exceptions) the first form remains.
#ifndef LINNET_PLUGIN_HPP
#define LINNET_PLUGIN_HPP

#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "linnet/plugin.h"

namespace linnet {
namespace plugin {

class Error : public std::runtime_error {
 public:
  Error(lnt_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  lnt_status status() const { return status_; }

 private:
  lnt_status status_;
};

// The configuration: canonical, checked against the schema, defaults filled in.
class Config {
 public:
  Config(const void* json, uint32_t len) : json_(json), len_(len) {}
  double Number(const char* key, double fallback) const {
    lnt_json_number(json_, len_, key, &fallback);
    return fallback;
  }
  bool Bool(const char* key, bool fallback) const {
    int value = fallback ? 1 : 0;
    lnt_json_bool(json_, len_, key, &value);
    return value != 0;
  }
  std::string String(const char* key, const std::string& fallback) const {
    const char* text = nullptr;
    uint32_t n = 0;
    return lnt_json_string(json_, len_, key, &text, &n) ? std::string(text, n) : fallback;
  }

 private:
  const void* json_;
  uint32_t len_;
};

struct Tensor {
  std::string name;
  uint32_t role = 0, dtype = 0;
  std::vector<uint32_t> dims;
  uint64_t count = 0;
};

// The same stretch of one tensor in n updates.
struct Rows {
  const void* data;
  uint32_t stride_bytes, n, count;
  const float* F32(uint32_t row) const { return static_cast<const float*>(At(row)); }
  const double* F64(uint32_t row) const { return static_cast<const double*>(At(row)); }

 private:
  const void* At(uint32_t row) const {
    return static_cast<const char*>(data) + static_cast<size_t>(row) * stride_bytes;
  }
};

// A stretch of a blob, where it lies.
struct Segment {
  const void* data;
  uint64_t size;
};

// One instance. The host's calls, in the states that plugin.h gives; `offset` and counts in
// elements.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual lnt_status SetLayout(const std::vector<Tensor>&) { return LNT_OK; }
  virtual lnt_status RoundBegin(const lnt_round&) { return LNT_OK; }
  virtual lnt_status BaseChunk(uint32_t /*tensor*/, uint64_t /*offset*/, const void* /*base*/,
                               uint32_t /*count*/) {
    return LNT_E_UNSUPPORTED;
  }
  virtual lnt_status UpdatesBegin(const std::vector<lnt_update>&) { return LNT_E_UNSUPPORTED; }
  virtual lnt_status UpdatesChunk(uint32_t /*tensor*/, uint64_t /*offset*/, const Rows&) {
    return LNT_E_UNSUPPORTED;
  }
  virtual lnt_status UpdatesEnd() { return LNT_E_UNSUPPORTED; }
  // BLOCK: plugin.h says when windows come at once; then PassBlock only reads the instance.
  virtual lnt_status PassBegin(uint32_t /*pass*/, const std::vector<lnt_update>&) {
    return LNT_E_UNSUPPORTED;
  }
  virtual lnt_status PassBlock(uint32_t /*tensor*/, uint64_t /*offset*/, const Rows&,
                               void* /*out*/) {
    return LNT_E_UNSUPPORTED;
  }
  virtual lnt_status PassEnd() { return LNT_E_UNSUPPORTED; }
  virtual lnt_status Finalize() { return LNT_OK; }
  virtual lnt_status ResultChunk(uint32_t /*tensor*/, uint64_t /*offset*/, const void* /*base*/,
                                 void* /*out*/, uint32_t /*count*/) {
    return LNT_E_UNSUPPORTED;
  }
  // Sets a flat JSON object of finite numbers.
  virtual lnt_status RoundEnd(std::string& metrics) {
    metrics = "{}";
    return LNT_OK;
  }
  // The blob's bytes where they lie, valid until the next call that changes the instance; none:
  // size 0.
  virtual lnt_status Save(uint32_t /*kind*/, std::vector<Segment>& /*segments*/) { return LNT_OK; }
  // A whole blob; after an error nothing has changed.
  virtual lnt_status Load(uint32_t /*kind*/, const uint8_t* /*data*/, uint64_t /*size*/) {
    return LNT_E_UNSUPPORTED;
  }

  const std::string& error() const { return error_; }
  // May be called from several windows at once: one of the messages stays.
  lnt_status Fail(lnt_status status, std::string message) {
    while (failing_.test_and_set()) {
    }
    error_ = std::move(message);
    failing_.clear();
    return status;
  }

 protected:
  // The host, or nullptr in a standalone wasm module.
  const lnt_host* host() const { return host_; }
  // The kernels of the host, or nullptr: then a plain loop gives the same bits.
  const lnt_kernels_v1* kernels() const { return kernels_; }

 private:
  template <typename... T>
  friend class Module;
  void SetHost(const lnt_host* host) {
    host_ = host;
    if (host == nullptr || host->extension == nullptr) return;
    kernels_ = static_cast<const lnt_kernels_v1*>(
        host->extension(host->ctx, LNT_KERNELS_V1, sizeof(LNT_KERNELS_V1) - 1));
  }

  const lnt_host* host_ = nullptr;
  const lnt_kernels_v1* kernels_ = nullptr;
  std::string error_;
  std::atomic_flag failing_ = ATOMIC_FLAG_INIT;
  std::vector<uint8_t> incoming_;  // pages of a blob that is being written
  uint32_t incoming_kind_ = 0;
};

// A strategy that is shown all updates at once (BLOCK), whose last pass writes the aggregated
// update of f32. Derived classes override PassBegin, PassBlock and, for more than one pass,
// PassEnd.
class BlockStrategy : public Strategy {
 public:
  static constexpr uint32_t kModes = LNT_MODE_BLOCK, kCaps = 0;
  lnt_status PassEnd() override { return LNT_OK; }
  lnt_status ResultChunk(uint32_t /*tensor*/, uint64_t /*offset*/, const void* base, void* out,
                         uint32_t count) override {
    const float* from = static_cast<const float*>(base);
    float* to = static_cast<float*>(out);
    for (uint32_t i = 0; i < count; ++i) to[i] = from[i] + to[i];
    return LNT_OK;
  }
};

// The table of a module that offers the strategies T.
template <typename... T>
class Module {
 public:
  static constexpr uint32_t kMaxInstances = 4096;

  static uint32_t count() { return sizeof...(T); }

  static lnt_status describe(uint32_t index, void* json, uint32_t cap, uint32_t* len) {
    static const char* (*const kDescribe[])() = {&T::Describe...};
    if (index >= sizeof...(T)) return NoSuch(index);
    const char* text = kDescribe[index]();
    return lnt_answer(text, static_cast<uint32_t>(std::strlen(text)), json, cap, len);
  }

  static lnt_status create(uint32_t index, const void* config, uint32_t len, lnt_handle* out,
                           lnt_caps* caps) {
    using Make = Strategy* (*)(const Config&, lnt_caps&);
    static const Make kMake[] = {&MakeOne<T>...};
    if (index >= sizeof...(T)) return NoSuch(index);
    return Guard(nullptr, [&]() -> lnt_status {
      lnt_caps mine{};
      std::unique_ptr<Strategy> strategy(kMake[index](Config(config, len), mine));
      if (!strategy->error_.empty()) {
        SetLastError(strategy->error_);
        return LNT_E_CONFIG;
      }
      strategy->SetHost(host_);
      for (uint32_t i = 0; i < kMaxInstances; ++i) {
        Strategy* empty = nullptr;
        if (!cells_[i].strategy.compare_exchange_strong(empty, strategy.get())) continue;
        strategy.release();
        *out = (cells_[i].generation << 12) | i;
        mine.struct_size = caps->struct_size < sizeof(mine) ? caps->struct_size
                                                            : static_cast<uint32_t>(sizeof(mine));
        std::memcpy(caps, &mine, mine.struct_size);
        return LNT_OK;
      }
      SetLastError("found " + std::to_string(kMaxInstances) + " instances, wanted fewer");
      return LNT_E_NOMEM;
    });
  }

  static void destroy(lnt_handle h) {
    Strategy* strategy = Get(h);
    if (strategy == nullptr) return;
    Cell& cell = cells_[h & 4095];
    cell.generation = cell.generation + 1 < (1u << 20) ? cell.generation + 1 : 1;
    delete strategy;
    cell.strategy.store(nullptr);
  }

  static lnt_status set_layout(lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names,
                               uint32_t names_len) {
    return With(h, [&](Strategy& s) -> lnt_status {
      const uint32_t stride = n > 0 ? t->struct_size : 0;
      std::vector<Tensor> tensors(n);
      for (uint32_t i = 0; i < n; ++i) {
        lnt_tensor row;
        lnt_read(&row, sizeof(row),
                 reinterpret_cast<const char*>(t) + static_cast<size_t>(i) * stride, stride);
        if (row.name_off > names_len || row.name_len > names_len - row.name_off || row.rank > 8) {
          return s.Fail(LNT_E_INVALID,
                        "tensor " + std::to_string(i) + " has a name or rank out of bounds");
        }
        tensors[i].name.assign(names + row.name_off, row.name_len);
        tensors[i].role = row.role;
        tensors[i].dtype = row.dtype;
        tensors[i].dims.assign(row.dims, row.dims + row.rank);
        tensors[i].count = row.elem_count;
      }
      return s.SetLayout(tensors);
    });
  }

  static lnt_status round_begin(lnt_handle h, const lnt_round* round, uint32_t size) {
    return With(h, [&](Strategy& s) -> lnt_status {
      lnt_round mine;
      lnt_read(&mine, sizeof(mine), round, size);
      s.incoming_.clear();
      return s.RoundBegin(mine);
    });
  }

  static lnt_status base_chunk(lnt_handle h, uint32_t tensor, uint64_t off, const void* base,
                               uint32_t n) {
    return With(h, [&](Strategy& s) { return s.BaseChunk(tensor, off, base, n); });
  }

  static lnt_status updates_begin(lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n) {
    return With(h, [&](Strategy& s) -> lnt_status {
      if (n < 1 || n > 16) {
        return s.Fail(LNT_E_INVALID, "found " + std::to_string(n) + " rows, wanted 1 to 16");
      }
      rows_of(h) = n;
      return s.UpdatesBegin(ReadUpdates(u, size, n));
    });
  }
  static lnt_status updates_chunk(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows,
                                  uint32_t stride, uint32_t n) {
    return With(h, [&](Strategy& s) {
      return s.UpdatesChunk(tensor, off, Rows{rows, stride, rows_of(h), n});
    });
  }
  static lnt_status updates_end(lnt_handle h) {
    return With(h, [&](Strategy& s) { return s.UpdatesEnd(); });
  }

  static lnt_status pass_begin(lnt_handle h, uint32_t pass, const lnt_update* u, uint32_t size,
                               uint32_t n) {
    return With(h, [&](Strategy& s) {
      rows_of(h) = n;
      return s.PassBegin(pass, ReadUpdates(u, size, n));
    });
  }
  static lnt_status pass_block(lnt_handle h, uint32_t tensor, uint64_t off, const void* rows,
                               uint32_t stride, uint32_t n, void* out) {
    return With(h, [&](Strategy& s) {
      return s.PassBlock(tensor, off, Rows{rows, stride, rows_of(h), n}, out);
    });
  }
  static lnt_status pass_end(lnt_handle h) {
    return With(h, [&](Strategy& s) { return s.PassEnd(); });
  }

  static lnt_status finalize(lnt_handle h) {
    return With(h, [&](Strategy& s) { return s.Finalize(); });
  }
  static lnt_status result_chunk(lnt_handle h, uint32_t tensor, uint64_t off, const void* base,
                                 void* out, uint32_t n) {
    return With(h, [&](Strategy& s) { return s.ResultChunk(tensor, off, base, out, n); });
  }
  static lnt_status round_end(lnt_handle h, void* json, uint32_t cap, uint32_t* len) {
    return With(h, [&](Strategy& s) -> lnt_status {
      std::string metrics;
      const lnt_status status = s.RoundEnd(metrics);
      if (status < 0) return status;
      return lnt_answer(metrics.data(), static_cast<uint32_t>(metrics.size()), json, cap, len);
    });
  }

  static lnt_status blob_size(lnt_handle h, uint32_t kind, uint64_t* size) {
    return With(h, [&](Strategy& s) -> lnt_status {
      std::vector<Segment> segments;
      const lnt_status status = s.Save(kind, segments);
      *size = 0;
      for (const Segment& segment : segments) *size += segment.size;
      return status;
    });
  }
  static lnt_status blob_read(lnt_handle h, uint32_t kind, uint64_t off, void* dst, uint32_t len) {
    return With(h, [&](Strategy& s) -> lnt_status {
      std::vector<Segment> segments;
      const lnt_status status = s.Save(kind, segments);
      if (status < 0) return status;
      char* to = static_cast<char*>(dst);
      for (const Segment& segment : segments) {
        if (off >= segment.size) {
          off -= segment.size;
          continue;
        }
        const uint64_t n = segment.size - off < len ? segment.size - off : len;
        std::memcpy(to, static_cast<const char*>(segment.data) + off, static_cast<size_t>(n));
        to += n;
        len -= static_cast<uint32_t>(n);
        off = 0;
      }
      return len == 0 ? status : s.Fail(LNT_E_INVALID, "a page reaches past the end of the blob");
    });
  }
  static lnt_status blob_write(lnt_handle h, uint32_t kind, uint64_t total, uint64_t off,
                               const void* src, uint32_t len) {
    return With(h, [&](Strategy& s) -> lnt_status {
      if (off == 0) {
        s.incoming_.clear();
        s.incoming_kind_ = kind;
      }
      if (off != s.incoming_.size() || kind != s.incoming_kind_ || len > total - off) {
        return s.Fail(LNT_E_INVALID,
                      "a page of a blob at " + std::to_string(off) + ", wanted the one at " +
                          std::to_string(s.incoming_.size()) + " of " + std::to_string(total));
      }
      const uint8_t* bytes = static_cast<const uint8_t*>(src);
      s.incoming_.insert(s.incoming_.end(), bytes, bytes + len);
      if (s.incoming_.size() < total) return LNT_OK;
      std::vector<uint8_t> whole;
      whole.swap(s.incoming_);
      return s.Load(kind, whole.data(), whole.size());
    });
  }

  static lnt_status last_error(lnt_handle h, char* utf8, uint32_t cap, uint32_t* len) {
    const Strategy* s = Get(h);
    if (s != nullptr)
      return lnt_answer(s->error_.data(), static_cast<uint32_t>(s->error_.size()), utf8, cap, len);
    const Lock lock;
    return lnt_answer(last_error_.data(), static_cast<uint32_t>(last_error_.size()), utf8, cap,
                      len);
  }

  static const lnt_plugin* Enter(const lnt_host* host) {
    if (host == nullptr || host->abi_version >> 16 != LNT_ABI_MAJOR) return nullptr;
    host_ = host;
    static const lnt_plugin table = {
        sizeof(lnt_plugin),
        LNT_ABI_VERSION,
        &count,
        &describe,
        &create,
        &destroy,
        &set_layout,
        &round_begin,
        Offer(&base_chunk, Overrides<&Strategy::BaseChunk, &T::BaseChunk...>()),
        Offer(&updates_begin, Overrides<&Strategy::UpdatesBegin, &T::UpdatesBegin...>()),
        Offer(&updates_chunk, Overrides<&Strategy::UpdatesChunk, &T::UpdatesChunk...>()),
        Offer(&updates_end, Overrides<&Strategy::UpdatesEnd, &T::UpdatesEnd...>()),
        Offer(&pass_begin, Overrides<&Strategy::PassBegin, &T::PassBegin...>()),
        Offer(&pass_block, Overrides<&Strategy::PassBlock, &T::PassBlock...>()),
        Offer(&pass_end, Overrides<&Strategy::PassEnd, &T::PassEnd...>()),
        &finalize,
        &result_chunk,
        &round_end,
        Offer(&blob_size, Overrides<&Strategy::Save, &T::Save...>()),
        Offer(&blob_read, Overrides<&Strategy::Save, &T::Save...>()),
        Offer(&blob_write, Overrides<&Strategy::Load, &T::Load...>()),
        &last_error,
        nullptr};
    return &table;
  }

 private:
  struct Cell {
    std::atomic<Strategy*> strategy{nullptr};
    uint32_t generation = 1, rows = 0;
  };
  inline static std::array<Cell, kMaxInstances> cells_;
  inline static const lnt_host* host_ = nullptr;
  // Of a failed describe or create, which may happen on several threads at once.
  inline static std::string last_error_;
  inline static std::atomic_flag locked_ = ATOMIC_FLAG_INIT;
  struct Lock {
    Lock() {
      while (locked_.test_and_set()) {
      }
    }
    ~Lock() { locked_.clear(); }
  };
  static void SetLastError(std::string text) {
    const Lock lock;
    last_error_ = std::move(text);
  }

  // Whether any of the strategies has its own version of a function.
  template <auto kBase, auto... kOwn>
  static constexpr bool Overrides() {
    return (!std::is_same_v<decltype(kBase), decltype(kOwn)> || ...);
  }
  template <typename F>
  static constexpr F Offer(F function, bool offered) {
    return offered ? function : nullptr;
  }

  template <typename S>
  static Strategy* MakeOne(const Config& config, lnt_caps& caps) {
    caps.abi_version = LNT_ABI_VERSION;
    caps.modes = S::kModes;
    caps.caps = S::kCaps;
    return new S(config);
  }

  static Strategy* Get(lnt_handle h) {
    const Cell& cell = cells_[h & 4095];
    return h != 0 && cell.generation == h >> 12 ? cell.strategy.load() : nullptr;
  }
  static uint32_t& rows_of(lnt_handle h) { return cells_[h & 4095].rows; }

  static lnt_status NoSuch(uint32_t index) {
    SetLastError("found strategy index " + std::to_string(index) + ", wanted one below " +
                 std::to_string(sizeof...(T)));
    return LNT_E_INVALID;
  }

  static std::vector<lnt_update> ReadUpdates(const lnt_update* u, uint32_t size, uint32_t n) {
    std::vector<lnt_update> updates(n);
    for (uint32_t i = 0; i < n; ++i) {
      lnt_read(&updates[i], sizeof(lnt_update),
               reinterpret_cast<const char*>(u) + static_cast<size_t>(i) * size, size);
    }
    return updates;
  }

  template <typename F>
  static lnt_status With(lnt_handle h, const F& body) {
    Strategy* s = Get(h);
    if (s == nullptr) return LNT_E_INVALID;
    return Guard(s, [&] { return body(*s); });
  }

  template <typename F>
  static lnt_status Guard(Strategy* s, const F& body) {
#if defined(__cpp_exceptions)
    const auto failed = [s](lnt_status status, const char* text) {
      s != nullptr ? (void)s->Fail(status, text) : SetLastError(text);
      return status;
    };
    try {
      return body();
    } catch (const Error& e) {
      return failed(e.status(), e.what());
    } catch (const std::bad_alloc&) {
      return failed(LNT_E_NOMEM, "out of memory");
    } catch (const std::exception& e) {
      return failed(LNT_E_INTERNAL, e.what());
    } catch (...) {
      return failed(LNT_E_INTERNAL, "an exception of an unknown type");
    }
#else
    (void)s;
    return body();
#endif
  }
};

}  // namespace plugin
}  // namespace linnet

#if defined(__wasm__) && !defined(LNT_STATIC)
#include <cstdlib>
// An export "lnt_NAME" that passes its arguments to the module's function of that name.
#define LINNET_PLUGIN_EXPORT_(type, name, parameters, arguments) \
  LNT_EXPORT(lnt_##name) type lnt_##name parameters { return LinnetPluginModule::name arguments; }
#define LINNET_PLUGIN(...)                                                                      \
  namespace {                                                                                   \
  using LinnetPluginModule = ::linnet::plugin::Module<__VA_ARGS__>;                             \
  }                                                                                             \
  extern "C" {                                                                                  \
  LNT_EXPORT(lnt_abi) uint32_t lnt_abi(void) { return LNT_ABI_VERSION; }                        \
  LNT_EXPORT(lnt_buffer) void* lnt_buffer(uint32_t bytes) {                                     \
    return std::malloc(bytes ? bytes : 1);                                                      \
  }                                                                                             \
  LNT_EXPORT(lnt_buffer_free) void lnt_buffer_free(void* p) { std::free(p); }                   \
  LINNET_PLUGIN_EXPORT_(uint32_t, count, (void), ())                                            \
  LINNET_PLUGIN_EXPORT_(lnt_status, describe,                                                   \
                        (uint32_t i, void* json, uint32_t cap, uint32_t* len),                  \
                        (i, json, cap, len))                                                    \
  LINNET_PLUGIN_EXPORT_(lnt_status, create,                                                     \
                        (uint32_t i, const void* json, uint32_t len, lnt_handle* out,           \
                         lnt_caps* caps),                                                       \
                        (i, json, len, out, caps))                                              \
  LINNET_PLUGIN_EXPORT_(void, destroy, (lnt_handle h), (h))                                     \
  LINNET_PLUGIN_EXPORT_(lnt_status, set_layout,                                                 \
                        (lnt_handle h, const lnt_tensor* t, uint32_t n, const char* names,      \
                         uint32_t size),                                                        \
                        (h, t, n, names, size))                                                 \
  LINNET_PLUGIN_EXPORT_(lnt_status, round_begin,                                                \
                        (lnt_handle h, const lnt_round* r, uint32_t size), (h, r, size))        \
  LINNET_PLUGIN_EXPORT_(lnt_status, base_chunk,                                                 \
                        (lnt_handle h, uint32_t t, uint64_t off, const void* base, uint32_t n), \
                        (h, t, off, base, n))                                                   \
  LINNET_PLUGIN_EXPORT_(lnt_status, updates_begin,                                              \
                        (lnt_handle h, const lnt_update* u, uint32_t size, uint32_t n),         \
                        (h, u, size, n))                                                        \
  LINNET_PLUGIN_EXPORT_(lnt_status, updates_chunk,                                              \
                        (lnt_handle h, uint32_t t, uint64_t off, const void* rows,              \
                         uint32_t stride, uint32_t n),                                          \
                        (h, t, off, rows, stride, n))                                           \
  LINNET_PLUGIN_EXPORT_(lnt_status, updates_end, (lnt_handle h), (h))                           \
  LINNET_PLUGIN_EXPORT_(lnt_status, pass_begin,                                                 \
                        (lnt_handle h, uint32_t pass, const lnt_update* u, uint32_t size,       \
                         uint32_t n),                                                           \
                        (h, pass, u, size, n))                                                  \
  LINNET_PLUGIN_EXPORT_(lnt_status, pass_block,                                                 \
                        (lnt_handle h, uint32_t t, uint64_t off, const void* rows,              \
                         uint32_t stride, uint32_t n, void* out),                               \
                        (h, t, off, rows, stride, n, out))                                      \
  LINNET_PLUGIN_EXPORT_(lnt_status, pass_end, (lnt_handle h), (h))                              \
  LINNET_PLUGIN_EXPORT_(lnt_status, finalize, (lnt_handle h), (h))                              \
  LINNET_PLUGIN_EXPORT_(lnt_status, result_chunk,                                               \
                        (lnt_handle h, uint32_t t, uint64_t off, const void* base, void* out,   \
                         uint32_t n),                                                           \
                        (h, t, off, base, out, n))                                              \
  LINNET_PLUGIN_EXPORT_(lnt_status, round_end,                                                  \
                        (lnt_handle h, void* json, uint32_t cap, uint32_t* len),                \
                        (h, json, cap, len))                                                    \
  LINNET_PLUGIN_EXPORT_(lnt_status, blob_size, (lnt_handle h, uint32_t kind, uint64_t* size),   \
                        (h, kind, size))                                                        \
  LINNET_PLUGIN_EXPORT_(lnt_status, blob_read,                                                  \
                        (lnt_handle h, uint32_t kind, uint64_t off, void* dst, uint32_t len),   \
                        (h, kind, off, dst, len))                                               \
  LINNET_PLUGIN_EXPORT_(lnt_status, blob_write,                                                 \
                        (lnt_handle h, uint32_t kind, uint64_t total, uint64_t off,             \
                         const void* src, uint32_t len),                                        \
                        (h, kind, total, off, src, len))                                        \
  LINNET_PLUGIN_EXPORT_(lnt_status, last_error,                                                 \
                        (lnt_handle h, char* text, uint32_t cap, uint32_t* len),                \
                        (h, text, cap, len))                                                    \
  }
#else
#define LINNET_PLUGIN(...)                                                    \
  extern "C" const lnt_plugin* LNT_ENTRY(const lnt_host* host) LNT_NOEXCEPT { \
    return ::linnet::plugin::Module<__VA_ARGS__>::Enter(host);                \
  }
#endif

#endif  // LINNET_PLUGIN_HPP
