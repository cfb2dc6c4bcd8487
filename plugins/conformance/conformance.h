// Whether a strategy keeps the plugin ABI: what `linnet plugin check` runs, and our own tests on
// every strategy of ours. Knows nothing of the host but linnet/plugin.h.
#ifndef LINNET_PLUGINS_CONFORMANCE_CONFORMANCE_H_
#define LINNET_PLUGINS_CONFORMANCE_CONFORMANCE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "linnet/plugin.h"
#include "plugins/conformance/drive.h"

namespace linnet::conformance {

struct Row {
  std::string name;  // "windows of 1, 7, 4096 and all elements"
  enum class Outcome { kPassed, kFailed, kSkipped } outcome;
  std::string detail;  // why it failed or was skipped
};

// One strategy of a module.
struct Subject {
  const lnt_plugin* table;
  uint32_t index = 0;
  std::string config = "{}";  // canonical, with defaults filled in
  // The module's entry and the host that it was given: then it is also tried with hosts that offer
  // less. Null for a table without one.
  lnt_entry_fn entry = nullptr;
  const lnt_host* host = nullptr;
};

// The whole kit, in the order of the table. It makes and destroys instances of the subject; no
// other thread may do so meanwhile when `entry` is given. `on_row` may be empty.
std::vector<Row> RunKit(const Subject& subject, const std::function<void(const Row&)>& on_row = {});

// Results, state and partial of three rounds as bytes: equal for the forms of one strategy (static,
// .so, .wasm). Empty, with the reason in `error`, when a call failed.
Blob Trace(const Subject& subject, std::string& error);
// The 64-bit FNV-1a hash, in hexadecimal.
std::string Digest(const Blob& bytes);

// What `describe` says of the layout; `error` is not empty when it cannot be had.
Shape ShapeOf(const lnt_plugin* table, uint32_t index, std::string& error);

}  // namespace linnet::conformance

#endif  // LINNET_PLUGINS_CONFORMANCE_CONFORMANCE_H_
