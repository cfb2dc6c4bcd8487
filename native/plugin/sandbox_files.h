// Where the parts of the sandbox are.
#ifndef LINNET_NATIVE_PLUGIN_SANDBOX_FILES_H_
#define LINNET_NATIVE_PLUGIN_SANDBOX_FILES_H_

#include <string>

#include "base/result.h"

namespace linnet {

struct SandboxFiles {
  std::string node;    // the program
  std::string script;  // sandbox.mjs
  std::string loader;  // module.ts of the page
};
// $LINNET_NODE, the private cache's, or one on PATH; the scripts installed beside this program or
// in the source tree. kNotFound says what was looked for.
Result<SandboxFiles> FindSandboxFiles();

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_SANDBOX_FILES_H_
