# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# cmake -D settings=FILE -D way=add_subdirectory|find_package|bare -P run.cmake

cmake_minimum_required(VERSION 3.23)
include("${settings}")

set(here "${CMAKE_CURRENT_LIST_DIR}")
set(work "${work}/${way}")
file(REMOVE_RECURSE "${work}") # what a user starts from
file(MAKE_DIRECTORY "${work}")

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

if(way STREQUAL "bare")
  # The flags are `-std`, `-I include` and, where Asio is elsewhere, its own `-I`.
  run("${compiler}" "@${flags}" -pthread "${here}/main.cpp" -o "${work}/consumer")
else()
  set(arguments -G "${generator}" -D "CMAKE_CXX_COMPILER=${compiler}")
  if(asio_root)
    list(APPEND arguments -D "asio_ROOT=${asio_root}")
  endif()
  if(way STREQUAL "find_package")
    run("${CMAKE_COMMAND}" --install "${cogather_build}" --prefix "${work}/prefix")
    list(APPEND arguments -D "CMAKE_PREFIX_PATH=${work}/prefix")
  else()
    list(APPEND arguments -D "COGATHER_SOURCE=${cogather_source}")
  endif()
  run("${CMAKE_COMMAND}" -S "${here}/${way}" -B "${work}" ${arguments})
  run("${CMAKE_COMMAND}" --build "${work}")
endif()

execute_process(
  COMMAND "${work}/consumer"
  OUTPUT_VARIABLE output
  COMMAND_ERROR_IS_FATAL ANY
)
if(NOT output STREQUAL "3 2 1\n")
  message(FATAL_ERROR "the consumer prints:\n${output}")
endif()
