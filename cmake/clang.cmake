# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# A toolchain file: clang 16 or newer under whatever name it is installed, with its sanitizers.
# -D CMAKE_CXX_COMPILER=... chooses another one. As `cmake -P clang.cmake` it says whether there
# is one.

if(NOT CMAKE_CXX_COMPILER AND NOT COGATHER_CLANG)
  set(names clang++)
  foreach(version RANGE 16 30)
    list(PREPEND names clang++-${version})
  endforeach()
  foreach(name IN LISTS names)
    find_program(COGATHER_CLANG_CANDIDATE ${name} NO_CACHE)
    if(COGATHER_CLANG_CANDIDATE)
      # Debian packages the sanitizers' libraries apart from the compiler.
      execute_process(
        COMMAND "${CMAKE_COMMAND}" -E echo
                "static_assert(__clang_major__ >= 16, \"too old\"); int main() {}"
        COMMAND "${COGATHER_CLANG_CANDIDATE}" -x c++ -fsanitize=address,undefined - -o /dev/null
        RESULT_VARIABLE result
        OUTPUT_QUIET ERROR_QUIET
      )
      if(result EQUAL 0)
        set(COGATHER_CLANG "${COGATHER_CLANG_CANDIDATE}" CACHE FILEPATH "clang 16 or newer")
        break()
      endif()
    endif()
    unset(COGATHER_CLANG_CANDIDATE)
  endforeach()
  if(NOT COGATHER_CLANG)
    message(
      FATAL_ERROR
        "clang 16 or newer with its sanitizers was not found"
        " (Debian: clang-16 libclang-rt-16-dev)"
    )
  endif()
endif()
if(NOT CMAKE_CXX_COMPILER)
  set(CMAKE_CXX_COMPILER "${COGATHER_CLANG}")
endif()
