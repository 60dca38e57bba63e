# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# cmake -D compiler=C++ -D flags=FILE -D case=FILE -D branch=accepted|rejected -P check.cmake

cmake_minimum_required(VERSION 3.23)

set(ENV{LC_ALL} C) # the messages, untranslated and in plain quotes
set(arguments "@${flags}" -fsyntax-only "${case}")
if(branch STREQUAL "rejected")
  list(APPEND arguments -DCOGATHER_REJECTED)
endif()
execute_process(
  COMMAND "${compiler}" ${arguments}
  RESULT_VARIABLE result
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output
)

if(branch STREQUAL "accepted")
  if(NOT result EQUAL 0)
    message("${output}")
    message(FATAL_ERROR "${case}: the accepted branch does not compile")
  endif()
  return()
endif()

if(result EQUAL 0)
  message(FATAL_ERROR "${case}: the rejected branch compiles")
endif()
file(STRINGS "${case}" expectations REGEX "^// expect: ")
if(NOT expectations)
  message(FATAL_ERROR "${case}: there is no line `// expect: <regular expression>`")
endif()
foreach(expected IN LISTS expectations)
  string(REGEX REPLACE "^// expect: *" "" expected "${expected}")
  if(NOT output MATCHES "${expected}")
    message("${output}")
    message(FATAL_ERROR "${case}: the compiler does not say `${expected}`")
  endif()
endforeach()
