# Writes OUTPUT, the table of template_files.h: cmake -DROOT=... -DOUTPUT=... -P template_files.cmake
set(rows "")
foreach(pair plugins/template/mean.c=mean.c plugins/template/test.c=test.c plugins/template/CMakeLists.txt=CMakeLists.txt
        plugins/template/README.md=README.md core/include/linnet/plugin.h=include/linnet/plugin.h
        core/include/linnet/plugin.hpp=include/linnet/plugin.hpp
        core/include/linnet/plugin_kernels.hpp=include/linnet/plugin_kernels.hpp)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 from)
  list(GET pair 1 to)
  file(READ ${ROOT}/${from} text HEX)
  string(REGEX REPLACE "(..)" "\\\\x\\1" text "${text}")
  # In lines, each a literal of its own.
  string(REGEX REPLACE "((\\\\x..)(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?(\\\\x..)?)" "\"\\1\"\n" text "${text}")
  string(APPEND rows "    {\"${to}\",\n${text}},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"native/plugin/template_files.h\"\n
namespace linnet {
std::span<const TemplateFile> TemplateFiles() {
  static constexpr TemplateFile kFiles[] = {\n${rows}  };
  return kFiles;
}
}  // namespace linnet\n")
