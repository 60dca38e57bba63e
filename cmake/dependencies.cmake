# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# Where Asio and Catch2 come from: what is installed, else a download pinned by commit.

set(COGATHER_ASIO_MINIMUM 1.22.1)

# Makes a target that the last find_package() created visible to those who add cogather as a
# subdirectory. Called where the target is made, since CMake allows it nowhere else.
macro(cogather_publish target)
  if(TARGET ${target})
    get_target_property(cogather_imported ${target} IMPORTED)
    if(cogather_imported)
      set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
    endif()
  endif()
endmacro()

macro(cogather_require_asio)
  if(NOT TARGET Threads::Threads)
    find_package(Threads REQUIRED)
    cogather_publish(Threads::Threads)
  endif()

  if(NOT TARGET asio::asio)
    find_package(asio ${COGATHER_ASIO_MINIMUM} QUIET)
    if(NOT asio_FOUND AND COGATHER_FETCH_DEPS)
      message(STATUS "cogather: downloading Asio, since ${COGATHER_ASIO_MINIMUM} or newer "
                     "was not found"
      )
      include(FetchContent)
      FetchContent_Declare(
        cogather_asio
        GIT_REPOSITORY https://github.com/chriskohlhoff/asio.git
        GIT_TAG 8806a6803cde7054c3049d3666d3ec36786568c5 # asio-1-38-2
      )
      FetchContent_MakeAvailable(cogather_asio) # has no CMakeLists.txt: only downloads
      set(asio_ROOT "${cogather_asio_SOURCE_DIR}")
      find_package(asio ${COGATHER_ASIO_MINIMUM} QUIET)
    endif()
    if(NOT asio_FOUND)
      set(cogather_found "")
      if(asio_INCLUDE_DIR)
        set(cogather_found " (${asio_INCLUDE_DIR} has ${asio_VERSION})")
      endif()
      message(
        FATAL_ERROR
          "cogather: Asio ${COGATHER_ASIO_MINIMUM} or newer was not found${cogather_found}."
          " Install it (Debian: libasio-dev), set asio_ROOT to an Asio source tree, or set"
          " COGATHER_FETCH_DEPS=ON to download it."
      )
    endif()
    cogather_publish(asio::asio)
    message(STATUS "cogather: Asio ${asio_VERSION}")
  endif()
endmacro()

# Catch2 2.13 or 3. Sets Catch2_VERSION, and makes catch_discover_tests() available.
macro(cogather_require_catch)
  find_package(Catch2 QUIET)
  if(Catch2_FOUND AND Catch2_VERSION VERSION_LESS 2.13)
    set(Catch2_FOUND FALSE)
  endif()
  if(NOT Catch2_FOUND AND COGATHER_FETCH_DEPS)
    message(STATUS "cogather: downloading Catch2, since 2.13 or newer was not found")
    include(FetchContent)
    FetchContent_Declare(
      Catch2
      GIT_REPOSITORY https://github.com/catchorg/Catch2.git
      GIT_TAG fa43b77429ba76c462b1898d6cd2f2d7a9416b14 # v3.7.1
    )
    FetchContent_MakeAvailable(Catch2)
    list(APPEND CMAKE_MODULE_PATH "${catch2_SOURCE_DIR}/extras")
    set(Catch2_FOUND TRUE)
    set(Catch2_VERSION 3.7.1)
  endif()
  if(NOT Catch2_FOUND)
    message(FATAL_ERROR "cogather: Catch2 2.13 or newer was not found. Install it (Debian:"
                        " catch2), or set COGATHER_FETCH_DEPS=ON to download it."
    )
  endif()
  message(STATUS "cogather: Catch2 ${Catch2_VERSION}")
  include(Catch)
endmacro()
