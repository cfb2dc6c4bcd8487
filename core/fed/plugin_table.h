// The strategies a process offers. main makes one from the built-in entries and the files it
// loaded, and hands it down; there is no global registry.
#ifndef LINNET_FED_PLUGIN_TABLE_H_
#define LINNET_FED_PLUGIN_TABLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/executor.h"
#include "base/json.h"
#include "base/result.h"
#include "linnet/plugin.h"

namespace linnet {

// One strategy of one module.
struct PluginEntry {
  std::string id;                     // "fedavg"
  std::string origin;                 // "built in", or the path of the file: for messages
  const lnt_plugin* table = nullptr;  // lives as long as the process (modules are never unloaded)
  uint32_t index = 0;                 // of the strategy in its module
  Json description;  // what `describe` answered, checked: id, version, licence, config
};

// A value; entries keep their addresses only while nothing is added.
class PluginTable {
 public:
  // Calls `entry` with this program's host functions and takes every strategy of the module.
  // kVersion: the major version is not understood, by either side; kInvalid: a required function or
  // a member of the description is missing (named), or a strategy's id is taken. After an error the
  // table is unchanged. Not thread-safe; before any instance of the module exists.
  Status Add(lnt_entry_fn entry, std::string_view origin);

  // kNotFound names the nearest known strategy and lists all.
  Result<const PluginEntry*> Find(std::string_view id) const;
  const std::vector<PluginEntry>& entries() const { return entries_; }

 private:
  std::vector<PluginEntry> entries_;
};

// What the plugin's calls into the host see while one of its functions runs.
struct PluginServices {
  // Lines of the plugin: at most 1,000 bytes each, control characters replaced. May be empty.
  std::function<void(uint32_t level, std::string_view line)> log;
  // Read by `cancelled`; may be null.
  const std::atomic<bool>* cancelled = nullptr;
  // Workers of the kernels that the plugin calls; null: the calling thread alone.
  Executor* executor = nullptr;
};

// The table that every module gets: log, cancelled, random, and the extension
// "org.linnet.kernels/1". It finds its services through a PluginCall of the same thread, so a
// plugin that calls outside one of its own functions is answered LNT_E_STATE.
const lnt_host& PluginHost();

// Makes `services` and the round's seed visible to the host functions while it stands (they nest).
class PluginCall {
 public:
  // Both must outlive it.
  PluginCall(const PluginServices& services, const Seed& round_seed);
  PluginCall(PluginServices&&, const Seed&) = delete;
  ~PluginCall();
  PluginCall(const PluginCall&) = delete;
  PluginCall& operator=(const PluginCall&) = delete;

  const PluginServices& services;
  const Seed& round_seed;

 private:
  const PluginCall* outer_;
};

}  // namespace linnet

#endif  // LINNET_FED_PLUGIN_TABLE_H_
