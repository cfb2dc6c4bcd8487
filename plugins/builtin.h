// The strategies linked into this program. The table is made by CMake from LINNET_BUILTIN_PLUGINS.
#ifndef LINNET_PLUGINS_BUILTIN_H_
#define LINNET_PLUGINS_BUILTIN_H_

#include <span>

#include "linnet/plugin.h"

namespace linnet {

struct BuiltinPlugin {
  const char* name;    // "fedavg"
  lnt_entry_fn entry;  // linnet_plugin_v1_fedavg
};

// for (const BuiltinPlugin& p : BuiltinPlugins()) table.Add(p.entry, "built in");
std::span<const BuiltinPlugin> BuiltinPlugins();

}  // namespace linnet

#endif  // LINNET_PLUGINS_BUILTIN_H_
