// Loads a trusted native plugin that the operator named together with its hash.
#ifndef LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_
#define LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "fed/plugin_table.h"

namespace linnet {

// --plugin PATH#SHA256
struct PluginFile {
  std::string path;
  Digest sha256;
};
// kInvalid: no '#', an empty path, or something other than 64 hexadecimal characters after it.
Result<PluginFile> ParsePluginFile(std::string_view argument);

// Hashes the file, maps exactly the bytes that were hashed (they are copied into sealed memory
// first, so that nobody can swap or rewrite the file in between), finds linnet_plugin_v1 and adds
// the module's strategies to `table`. RTLD_NOW | RTLD_LOCAL, never unloaded. Native code is trusted
// code: it can do all that this process can. kNotFound / kIo: cannot be read; kPermission: another
// hash (names found and wanted); kInvalid: not a shared object, or a symbol is missing; kVersion:
// another major version.
Status LoadPlugin(const PluginFile& file, PluginTable& table);

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_PLUGIN_LOADER_H_
