#include "native/plugin/sandbox_files.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace linnet {
namespace {

namespace fs = std::filesystem;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string CacheFolder() {
  if (std::string cache = Variable("LINNET_CACHE"); !cache.empty()) return cache;
  if (const std::string cache = Variable("XDG_CACHE_HOME"); !cache.empty())
    return cache + "/linnet";
  return Variable("HOME") + "/.cache/linnet";
}

bool IsProgram(const std::string& path) {
  return fs::is_regular_file(path) && access(path.c_str(), X_OK) == 0;
}

Result<std::string> FindNode() {
  std::vector<std::string> candidates = {Variable("LINNET_NODE"), CacheFolder() + "/node/bin/node"};
  const std::string path = Variable("PATH");
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    if (end > at) candidates.push_back(path.substr(at, end - at) + "/node");
    at = end + 1;
  }
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || !IsProgram(candidate)) continue;
    std::error_code error;
    const std::string found = fs::canonical(candidate, error).string();
    if (!error) return found;
  }
  return Fail(Code::kNotFound, "found no node program (Node.js 22.18 or newer) in $LINNET_NODE, ",
              CacheFolder(), "/node/bin or on PATH: .wasm plugins run in it");
}

}  // namespace

Result<SandboxFiles> FindSandboxFiles() {
  SandboxFiles files;
  LINNET_TRY(files.node, FindNode());
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* folder : {"../share/linnet/sandbox", "../..", "../../.."}) {
    const fs::path root = program / folder;
    const bool installed = fs::exists(root / "sandbox.mjs");
    const fs::path script = installed ? root / "sandbox.mjs" : root / "native/plugin/sandbox.mjs";
    const fs::path loader = installed ? root / "module.ts" : root / "web/src/plugin/module.ts";
    if (!fs::exists(script) || !fs::exists(loader)) continue;
    files.script = fs::canonical(script).string();
    files.loader = fs::canonical(loader).string();
    return files;
  }
  return Fail(Code::kNotFound, "found no sandbox.mjs in ",
              (program / "../share/linnet/sandbox").string(), ": .wasm plugins run in it");
}

}  // namespace linnet
