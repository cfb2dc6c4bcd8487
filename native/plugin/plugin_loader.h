// Loads a plugin that the operator named together with its hash: a trusted native one into this
// process, a .wasm into a sandbox.
#ifndef LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_
#define LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "fed/plugin_table.h"
#include "native/plugin/sandbox_process.h"

namespace linnet {

// --plugin PATH#SHA256
struct PluginFile {
  std::string path;
  Digest sha256;
};
// kInvalid: no '#', an empty path, or something other than 64 hexadecimal characters after it.
Result<PluginFile> ParsePluginFile(std::string_view argument);

// Whether a file's bytes are a WebAssembly module.
bool IsWasm(ByteSpan bytes);

// Hashes the file, takes exactly the bytes that were hashed (they are copied into sealed memory
// first, so that nobody can swap or rewrite the file in between) and adds the module's strategies
// to `table`. A shared object is mapped (RTLD_NOW | RTLD_LOCAL, never unloaded), and `entry`, when
// it is not null, is its linnet_plugin_v1; native code is trusted code: it can do all that this
// process can. A .wasm runs in a child process (sandbox.h) within `limits`. kNotFound / kIo: cannot
// be read; kPermission: another hash (names found and wanted); kInvalid: neither form, or a symbol
// is missing; kVersion: another major version; kUnsupported, kUnavailable: there can be no sandbox.
Status LoadPlugin(const PluginFile& file, PluginTable& table, lnt_entry_fn* entry = nullptr,
                  const SandboxLimits& limits = {});

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_
