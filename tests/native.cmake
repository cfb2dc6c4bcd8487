# Tests of real processes: node scripts that start `linnet serve` and `linnet join` and kill them.
find_program(LINNET_NODE node HINTS ${LINNET_CACHE}/node/bin)
if(LINNET_NODE)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/e2e/*.test.mjs)
  foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME e2e_${name} COMMAND ${LINNET_NODE} --test ${script})
    set_tests_properties(e2e_${name} PROPERTIES TIMEOUT 600 RUN_SERIAL ON ENVIRONMENT
      "LINNET=$<TARGET_FILE:linnet>;LINNET_PLUGINS=${CMAKE_BINARY_DIR}/plugins;LINNET_CACHE=${LINNET_CACHE}")
  endforeach()
else()
  message(STATUS "node was not found: the tests of real processes (tests/e2e) are left out")
endif()
