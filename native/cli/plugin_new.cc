#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/cli/plugin.h"
#include "native/plugin/template_files.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

Result<int> Run(const PluginNewCommand& command) {
  const std::string& name = command.name;
  const bool good = !name.empty() && name.size() <= 48 && name[0] >= 'a' && name[0] <= 'z' &&
                    name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                    });
  if (!good) {
    return Fail(Code::kInvalid, "NAME is \"", name,
                "\", wanted 1 to 48 lower-case letters, digits and hyphens, a letter first");
  }
  const fs::path folder = command.folder.empty() ? name : command.folder;
  std::error_code error;
  if (fs::exists(folder) && !fs::is_empty(folder, error))
    return Fail(Code::kInvalid, "folder ", folder.string(), " is there already and not empty");
  std::string identifier = name;
  std::replace(identifier.begin(), identifier.end(), '-', '_');

  Output output(command.json);
  Json::Array written;
  for (const TemplateFile& file : TemplateFiles()) {
    const bool header = file.path.starts_with("include/");
    std::string path(file.path), text(file.text);
    if (!header) {
      ReplaceAll(path, "mean.c", name + ".c");
      ReplaceAll(text, "template-mean", name);
      ReplaceAll(text, "template_mean", identifier);
      ReplaceAll(text, "mean.c", name + ".c");
    }
    fs::create_directories((folder / path).parent_path(), error);
    std::ofstream to(folder / path, std::ios::binary);
    to.write(text.data(), static_cast<std::streamsize>(text.size()));
    to.close();
    if (!to) return Fail(Code::kIo, "cannot write ", (folder / path).string());
    written.push_back(Json(path));
  }
  output.Object(Json(Json::Object{{"folder", folder.string()}, {"files", written}}));
  output.Line(StrCat("Made ", folder.string(), ": ", name, ".c is a complete strategy. Next:"));
  output.Line(StrCat("  cmake -S ", folder.string(), " -B ", (folder / "build").string(),
                     " && cmake --build ", (folder / "build").string(), " && ctest --test-dir ",
                     (folder / "build").string()));
  output.Line(StrCat("  linnet plugin check ", (folder / "build" / (name + ".so")).string()));
  return kExitGood;
}

}  // namespace linnet
