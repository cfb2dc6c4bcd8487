# Reads every #include and fails on one that goes upward (the floors of core/README.md) or that brings a third-party
# header anywhere but home. cmake -DROOT=<repository> -P layering.cmake; with -DSELF_TEST=1 it proves that it can fail.
cmake_minimum_required(VERSION 3.25)

# ---- What each floor may include of ours, besides itself.
set(allow_core/base "")
set(allow_core/kernels base)
set(allow_core/model base kernels)
set(allow_core/data base)
set(allow_core/codec base kernels)
set(allow_core/privacy base kernels)
set(allow_core/wire base)
set(allow_core/fed base kernels model data codec privacy wire linnet)
set(allow_core/sim ${allow_core/fed} fed)
set(allow_core/capi ${allow_core/sim} sim)
set(allow_core/include linnet)
set(allow_plugins linnet plugins)
set(allow_native ${allow_core/capi} capi native plugins)
set(allow_wasm linnet plugins wasm)
set(floors core/base core/kernels core/model core/data core/codec core/privacy core/wire core/fed core/sim core/capi
    core/include plugins native wasm)
set(ours base kernels model data codec privacy wire fed sim capi linnet plugins native wasm tests support)

# ---- Where each third-party header lives: pattern, then the only paths that may include it.
set(homes
    "^hwy/" "^core/kernels/"
    "^(capnp|kj)/" "^core/wire/"
    "^sodium" "^core/base/crypto\\.cc$"
    "^nlohmann/" "^core/base/json\\.cc$"
    "^websocketpp/" "^native/transport/"
    "^(asio|openssl)" "^native/transport/"
    "^sqlite3" "^native/store/"
    "^zlib\\.h" "^native/data/"
    "^(google/protobuf|onnx/onnx\\.pb)" "^native/onnx/"
    "^CLI/" "^native/cli/"
    "^spdlog/" "^native/cli/"
    "^emscripten" "^(wasm/|core/kernels/pool\\.cc$)")
# Opened by nobody in core: sockets, files, threads and clocks come in through interfaces.
set(forbidden_in_core "^(thread|chrono|fstream|filesystem|sys/|unistd|pthread|iostream|cstdio|mutex|condition_variable|future)")
set(core_exceptions "^core/kernels/pool\\.cc$|^core/base/(number|result)\\.cc$")

set(problems "")
function(check_line path floor header)
  string(REGEX MATCH "^[a-z_]+" first "${header}")
  if(header MATCHES "/" AND first IN_LIST ours)
    string(REGEX REPLACE "^core/" "" own "${floor}")
    if(NOT first STREQUAL own AND NOT first IN_LIST allow_${floor})
      set(problems "${problems}\n  ${path}: ${floor} may not include \"${header}\"" PARENT_SCOPE)
    endif()
    return()
  endif()
  list(LENGTH homes count)
  math(EXPR last "${count} - 1")
  foreach(i RANGE 0 ${last} 2)
    math(EXPR j "${i} + 1")
    list(GET homes ${i} pattern)
    list(GET homes ${j} home)
    if(header MATCHES "${pattern}" AND NOT path MATCHES "${home}")
      set(problems "${problems}\n  ${path}: <${header}> has its home in ${home}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  if(path MATCHES "^core/" AND NOT path MATCHES "${core_exceptions}" AND header MATCHES "${forbidden_in_core}")
    set(problems "${problems}\n  ${path}: core does not include <${header}>" PARENT_SCOPE)
  endif()
endfunction()

if(SELF_TEST)
  check_line("core/base/x.cc" core/base "fed/machine.h")
  check_line("core/model/x.cc" core/model "hwy/highway.h")
  check_line("core/fed/x.cc" core/fed "thread")
  check_line("plugins/x/x.cc" plugins "base/bytes.h")
  check_line("core/fed/x.cc" core/fed "base/bytes.h")  # allowed
  string(REGEX MATCHALL "\n" found "${problems}")
  list(LENGTH found count)
  if(NOT count EQUAL 4)
    message(FATAL_ERROR "the layering test does not see what it should: ${count} of 4${problems}")
  endif()
  set(problems "")
endif()

set(files_read 0)
foreach(floor ${floors})
  file(GLOB_RECURSE sources RELATIVE ${ROOT} ${ROOT}/${floor}/*.h ${ROOT}/${floor}/*.cc ${ROOT}/${floor}/*.hpp
       ${ROOT}/${floor}/*.c)
  foreach(path ${sources})
    file(STRINGS ${ROOT}/${path} lines REGEX "^ *# *include")
    foreach(line ${lines})
      if(line MATCHES "# *include *[<\"]([^>\"]+)[>\"]")
        check_line("${path}" "${floor}" "${CMAKE_MATCH_1}")
      endif()
    endforeach()
    math(EXPR files_read "${files_read} + 1")
  endforeach()
endforeach()
if(problems)
  message(FATAL_ERROR "includes against the layering:${problems}")
endif()
message(STATUS "layering holds in ${files_read} files")
