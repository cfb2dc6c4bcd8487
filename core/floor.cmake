# One helper per repeated act.

# Our warnings, for our own targets only.
function(linnet_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wno-unused-command-line-argument)
  if(LINNET_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# linnet_floor(NAME [EXCEPTIONS] [DEPENDS targets...]): the library linnet_NAME from core/NAME/*.cc.
# Floors are compiled without exceptions unless EXCEPTIONS says otherwise (core/wire).
function(linnet_floor name)
  cmake_parse_arguments(FLOOR "EXCEPTIONS" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${name}/*.cc)
  if(NOT sources)
    add_library(linnet_${name} INTERFACE)
    target_link_libraries(linnet_${name} INTERFACE ${FLOOR_DEPENDS})
    return()
  endif()
  add_library(linnet_${name} STATIC ${sources})
  linnet_warnings(linnet_${name})
  target_include_directories(linnet_${name} PUBLIC ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR}/core/include)
  target_link_libraries(linnet_${name} PUBLIC ${FLOOR_DEPENDS})
  if(FLOOR_EXCEPTIONS)
    if(EMSCRIPTEN)
      target_compile_options(linnet_${name} PRIVATE -fwasm-exceptions)
    endif()
  else()
    target_compile_options(linnet_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  endif()
endfunction()
