// A plugin that JavaScript holds in a memory of its own, seen as a plugin table.
#ifndef LINNET_WASM_REMOTE_PLUGIN_H_
#define LINNET_WASM_REMOTE_PLUGIN_H_

#include <cstdint>

#include "linnet/plugin.h"

namespace linnet {

inline constexpr uint32_t kRemotePlugins = 4;

// The entry of the module in `slot` (below kRemotePlugins). Its functions call
// Module.remoteCall(slot, member, words): `member` is the function's place in lnt_plugin after
// abi_version, `words` the address of one u64 for each parameter, pointers being addresses in this
// memory; it answers the status. A function that the module has not (Module.remoteHas) is null in
// the table. The other side is web/src/worker/simulation.ts.
lnt_entry_fn RemotePlugin(uint32_t slot);

}  // namespace linnet

#endif  // LINNET_WASM_REMOTE_PLUGIN_H_
