# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# cmake -D include_dir=DIR -P check_floors.cmake
#
# Fails when a header below DIR includes one of a higher floor (floors.txt), when a header has
# no floor, and on what would escape the check: quoted includes and the insides of Asio.

cmake_minimum_required(VERSION 3.23)

cmake_path(ABSOLUTE_PATH include_dir)
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/floors.txt" lines REGEX "^[0-9]")
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^([0-9]+) ([^ ]+)$")
    message(FATAL_ERROR "floors.txt: not \"<floor> <header>\": ${line}")
  endif()
  set("floor_of_${CMAKE_MATCH_2}" ${CMAKE_MATCH_1})
endforeach()

set(faults 0)
macro(fault text)
  message("${text}")
  math(EXPR faults "${faults} + 1")
endmacro()

file(GLOB_RECURSE headers RELATIVE "${include_dir}/cogather" "${include_dir}/cogather/*")
list(LENGTH headers count)
if(count EQUAL 0)
  message(FATAL_ERROR "no headers below ${include_dir}/cogather")
endif()

foreach(header IN LISTS headers)
  set(path "${include_dir}/cogather/${header}")
  if(NOT DEFINED "floor_of_${header}")
    fault("${header} has no floor: give it one in tests/house/floors.txt")
    continue()
  endif()
  set(floor "${floor_of_${header}}")

  file(STRINGS "${path}" includes REGEX "^[ \t]*#[ \t]*include[ \t]*<cogather/")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "^[^<]*<cogather/([^>]*)>.*$" "\\1" included "${line}")
    if(NOT DEFINED "floor_of_${included}")
      fault("${header} includes ${included}, which has no floor in tests/house/floors.txt")
    elseif("${floor_of_${included}}" GREATER floor)
      fault("${header} (floor ${floor}) includes ${included} (floor ${floor_of_${included}})")
    endif()
  endforeach()

  file(STRINGS "${path}" quoted REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
  foreach(line IN LISTS quoted)
    fault("${header}: write <cogather/...> instead of ${line}")
  endforeach()
  file(STRINGS "${path}" inside REGEX "asio::detail|<asio/detail/")
  foreach(line IN LISTS inside)
    fault("${header} uses the insides of Asio: ${line}")
  endforeach()
endforeach()

if(faults)
  message(FATAL_ERROR "${faults} faults")
endif()
message(STATUS "${count} headers keep to their floors")
