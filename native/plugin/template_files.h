// The files of a new strategy's folder, compiled in: plugins/template and the headers.
#ifndef LINNET_NATIVE_PLUGIN_TEMPLATE_FILES_H_
#define LINNET_NATIVE_PLUGIN_TEMPLATE_FILES_H_

#include <span>
#include <string_view>

namespace linnet {

struct TemplateFile {
  std::string_view path;  // in the folder
  std::string_view text;
};

// Made by CMake (native/plugin/template_files.cmake).
std::span<const TemplateFile> TemplateFiles();

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_TEMPLATE_FILES_H_
