# The CMake toolchain of the WASM presets: Emscripten from the private cache that ./dev setup fills, or the emcc on PATH.
if(DEFINED ENV{LINNET_CACHE})
  set(cache $ENV{LINNET_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(cache $ENV{XDG_CACHE_HOME}/linnet)
else()
  set(cache $ENV{HOME}/.cache/linnet)
endif()

set(root ${cache}/emscripten/prefix/usr/share/emscripten)
if(NOT EXISTS ${root}/emcc)
  find_program(emcc emcc NO_CACHE)
  if(NOT emcc)
    message(FATAL_ERROR "Found no Emscripten, neither in ${cache} nor as emcc on PATH: run ./dev setup, or install 3.1.60 or newer.")
  endif()
  file(REAL_PATH ${emcc} emcc)
  get_filename_component(root ${emcc} DIRECTORY)
endif()

# Emscripten's own file would take the system's nodejs, which may be too old for relaxed SIMD.
if(EXISTS ${cache}/node/bin/node)
  set(NODE_JS_EXECUTABLE ${cache}/node/bin/node CACHE FILEPATH "Node.js that runs the WASM tests")
endif()
include(${root}/cmake/Modules/Platform/Emscripten.cmake)
