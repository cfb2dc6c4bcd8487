// A stranger's .wasm as a plugin like any other: its functions run in a child
// process without network, with a memory cap and deadlines (sandbox_process.h).
#ifndef LINNET_NATIVE_PLUGIN_SANDBOX_H_
#define LINNET_NATIVE_PLUGIN_SANDBOX_H_

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "fed/plugin_table.h"
#include "native/plugin/sandbox_process.h"

namespace linnet {

// Starts the child and adds the module's strategies to `table`; `module` is a
// sealed copy of the file, which is kept. At most 64 modules in a process.
//
// Calls that stream are queued in shared memory and made when an answer is
// needed, so an error of theirs may be reported by a later call. After a trap,
// a deadline or a death of the child all its instances answer LNT_E_TRAP or
// LNT_E_DEADLINE with the reason; the next `create` starts another child. Every
// offset and length that comes back is the child's to check, and nothing but
// bytes in the shared memory and numbers reaches this process.
Status AddSandboxed(int module, const std::string& origin, const SandboxFiles& files,
                    const SandboxLimits& limits, PluginTable& table);

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_SANDBOX_H_
