# Tests of the plugin ABI that are no C++ program: the headers in every dialect, the standalone .wasm files in Node.js,
# and the template built by itself, out of tree.

set(abi ${CMAKE_CURRENT_SOURCE_DIR}/abi)
set(abi_include -I${CMAKE_SOURCE_DIR}/core/include)

# linnet_dialect(NAME COMPILER FLAGS...): the header compiles, and its layout is the golden one.
function(linnet_dialect name compiler)
  add_test(NAME abi_header_${name} COMMAND ${compiler} ${ARGN} ${abi_include} -Wall -Wextra -Wpedantic -Werror
                                           -fsyntax-only ${abi}/dialect.c)
endfunction()
if(EMSCRIPTEN)
  linnet_dialect(c11_wasm32 ${CMAKE_C_COMPILER} -std=c11)
  linnet_dialect(cxx17_wasm32 ${CMAKE_CXX_COMPILER} -x c++ -std=c++17)
else()
  linnet_dialect(c11 ${CMAKE_C_COMPILER} -std=c11 -Wpadded)
  foreach(standard 17 20 23)
    linnet_dialect(cxx${standard} ${CMAKE_CXX_COMPILER} -x c++ -std=c++${standard} -Wpadded)
  endforeach()
  if(CMAKE_C_COMPILER_ID STREQUAL Clang)
    linnet_dialect(c11_wasm32 ${CMAKE_C_COMPILER} --target=wasm32 -ffreestanding -std=c11 -Wpadded)
    find_program(LINNET_GXX g++)
    if(LINNET_GXX)
      linnet_dialect(gxx17 ${LINNET_GXX} -x c++ -std=c++17)
      linnet_dialect(gcc11 ${LINNET_GXX} -x c -std=c11)
    endif()
  endif()
  # A shared object of another major version, for the loader's tests; built with the plugins.
  add_library(abi_other_major MODULE ${abi}/other_major.c)
  set_target_properties(abi_other_major PROPERTIES PREFIX "" OUTPUT_NAME other-major
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(abi_other_major PRIVATE linnet_plugin)
  add_dependencies(linnet_plugins_builtin abi_other_major)

  add_test(NAME install_out_of_tree
           COMMAND ${CMAKE_COMMAND} -DBUILD=${CMAKE_BINARY_DIR} -DWORK=${CMAKE_BINARY_DIR}/tests/install
                   -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR}/install -DCXX=${CMAKE_CXX_COMPILER}
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/install/install.cmake)
  add_test(NAME abi_template_out_of_tree
           COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_SOURCE_DIR}/plugins/template
                   ${CMAKE_BINARY_DIR}/plugins/out-of-tree --build-generator ${CMAKE_GENERATOR}
                   --build-options -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DLINNET_INCLUDE=${CMAKE_SOURCE_DIR}/core/include
                   --test-command ${CMAKE_CTEST_COMMAND} --output-on-failure --no-tests=error)
endif()

# Node.js runs the .wasm files: those of this build, or those that the native build made with the Emscripten it found.
if(EMSCRIPTEN)
  set(node ${CMAKE_CROSSCOMPILING_EMULATOR})
elseif(EXISTS ${LINNET_CACHE}/node/bin/node)
  set(node ${LINNET_CACHE}/node/bin/node)
else()
  find_program(LINNET_NODE node)
  set(node ${LINNET_NODE})
endif()
if(node AND (EMSCRIPTEN OR LINNET_EMXX))
  add_test(NAME abi_wasm COMMAND ${node} --test ${abi}/wasm_plugin.test.mjs)
  set_tests_properties(abi_wasm PROPERTIES ENVIRONMENT LINNET_PLUGINS=${CMAKE_BINARY_DIR}/plugins)
endif()

# The version that programs see is the one that CMake packages.
file(STRINGS ${CMAKE_SOURCE_DIR}/core/include/linnet/version.h version REGEX "LINNET_VERSION_STRING")
if(NOT version MATCHES "\"${PROJECT_VERSION}\"")
  message(FATAL_ERROR "linnet/version.h says ${version}, wanted \"${PROJECT_VERSION}\" as in CMakeLists.txt")
endif()
