// Drives one instance of a strategy through rounds, as a host with windows of any size would.
#ifndef LINNET_PLUGINS_CONFORMANCE_DRIVE_H_
#define LINNET_PLUGINS_CONFORMANCE_DRIVE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "linnet/plugin.h"

namespace linnet::conformance {

using Blob = std::vector<uint8_t>;

// The same numbers on every machine.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed) {}
  uint32_t Next() { return state_ = state_ * 1664525u + 1013904223u; }
  uint32_t Below(uint32_t n) { return (Next() >> 8) % n; }
  // |x| from 2^-24 to just below 1.
  float Value();

 private:
  uint32_t state_;
};

// What a strategy asks for, read from its description.
struct Shape {
  std::vector<uint32_t> counts = {5, 300, 4097};  // of the model's tensors
  uint32_t scalars = 0, controls = 0;             // of `uplink`: scalars, vectors like the model
  size_t parameters() const;
  size_t elements() const { return scalars + parameters() * (1 + controls); }  // of an update
};

// One update: what is known of it, and its elements in layout order.
struct Update {
  lnt_update meta{};
  std::vector<float> values;
};
std::vector<Update> MakeUpdates(const Shape& shape, uint32_t seed, size_t n);
// Sets meta.l2_norm to the norm of the parameters.
void Measure(const Shape& shape, Update& update);

// How a round is handed over: none of it may change a bit.
struct Manner {
  uint32_t chunk = 512;           // elements of a window
  uint32_t rows = 7;              // updates at once, STREAM
  uint32_t unknown_bytes = 0;     // that the host's structs have beyond ours
  bool reversed = false;          // order of the updates, STREAM
  const Blob* partial = nullptr;  // merged after the updates
};

class Drive {
 public:
  // `config` is canonical. Failed() when create or set_layout did.
  Drive(const lnt_plugin* table, uint32_t index, const std::string& config, const Shape& shape,
        uint32_t unknown_bytes = 0);
  ~Drive();
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;

  bool failed() const { return !error_.empty(); }
  // "updates_chunk answered -7: ...", of the first call that failed.
  const std::string& error() const { return error_; }
  lnt_status status() const { return status_; }
  bool streams() const { return (caps_.modes & LNT_MODE_STREAM) != 0; }
  const lnt_caps& caps() const { return caps_; }
  lnt_handle handle() const { return handle_; }

  // Each false when a call failed.
  bool Begin(uint64_t round, const Manner& manner = {}, int grid_exp = kGrid);
  bool Give(const std::vector<Update>& updates, const Manner& manner = {});
  // The new parameters; `base` has parameters() elements.
  bool Finish(const std::vector<float>& base, std::vector<float>& result,
              const Manner& manner = {});
  bool Round(uint64_t round, const std::vector<Update>& updates, std::vector<float>& model,
             const Manner& manner = {});
  const std::string& metrics() const { return metrics_; }

  bool Read(uint32_t kind, Blob& blob, uint32_t page = 1000);
  // The status, without making the instance fail.
  lnt_status Write(uint32_t kind, const Blob& blob, uint32_t page = 1000);
  std::string LastError() const;

  static constexpr int kGrid = -28;  // caps of 1 and 65,536 examples, 16 updates

 private:
  bool Check(const char* function, lnt_status status);
  bool Pass(const std::vector<Update>& updates, const Manner& manner);
  // body(tensor, offset, position in the update, elements) for each window.
  template <typename Body>
  bool EachWindow(uint32_t chunk, const Body& body);
  // The metas as structs of `unknown` more bytes.
  static std::vector<uint8_t> Widened(const std::vector<Update>& updates, size_t first, size_t n,
                                      uint32_t unknown);

  const lnt_plugin* table_;
  Shape shape_;
  std::vector<uint32_t> counts_;  // of all tensors in layout order
  lnt_handle handle_ = 0;
  lnt_caps caps_{};
  lnt_status status_ = LNT_OK;
  std::vector<float> aggregated_;  // BLOCK: what the last pass wrote
  std::string error_, metrics_;
};

}  // namespace linnet::conformance

#endif  // LINNET_PLUGINS_CONFORMANCE_DRIVE_H_
