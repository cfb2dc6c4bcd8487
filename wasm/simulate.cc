// What the engine for simulations exports beside linnet/simulate.h: the built-in strategies, and
// places for modules that JavaScript holds (remote_plugin.cc).
#include "linnet/simulate.h"

#include <vector>

#include "plugins/builtin.h"
#include "wasm/remote_plugin.h"

// The entries of the built-in strategies and of the first `remote` remote modules; valid until the
// next call.
extern "C" const linnet_strategy* linnet_strategies(uint32_t remote, uint32_t* count) {
  static std::vector<linnet_strategy> entries;
  entries.clear();
  for (const linnet::BuiltinPlugin& plugin : linnet::BuiltinPlugins())
    entries.push_back(plugin.entry);
  for (uint32_t slot = 0; slot < remote && slot < linnet::kRemotePlugins; ++slot)
    entries.push_back(linnet::RemotePlugin(slot));
  *count = static_cast<uint32_t>(entries.size());
  return entries.data();
}
