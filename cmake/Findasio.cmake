# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# Finds standalone Asio and defines the target asio::asio: from a package config where there
# is one, else from the bare header tree that distributions ship.
#
# To use another Asio, set asio_ROOT (variable or environment) to its source tree or to the
# directory that holds asio.hpp; then only that is looked at.
#
# Sets asio_FOUND, asio_VERSION and, for a bare header tree, asio_INCLUDE_DIR (cached).

include(FindPackageHandleStandardArgs)

set(_asio_where)
if(asio_ROOT)
  set(_asio_where PATHS "${asio_ROOT}" NO_DEFAULT_PATH)
elseif(DEFINED ENV{asio_ROOT})
  set(_asio_where PATHS "$ENV{asio_ROOT}" NO_DEFAULT_PATH)
endif()
if(_asio_where)
  unset(asio_INCLUDE_DIR CACHE) # it may be from before asio_ROOT was set
endif()

if(NOT asio_INCLUDE_DIR)
  find_package(asio ${asio_FIND_VERSION} CONFIG QUIET ${_asio_where})
endif()

if(asio_FOUND AND TARGET asio::asio)
  find_package_handle_standard_args(asio CONFIG_MODE)
else()
  find_package(Threads QUIET)
  find_path(
    asio_INCLUDE_DIR
    NAMES asio/version.hpp
    PATH_SUFFIXES include asio/include
    DOC "The directory that holds asio.hpp"
    ${_asio_where}
  )
  mark_as_advanced(asio_INCLUDE_DIR asio_DIR)

  unset(asio_VERSION)
  if(asio_INCLUDE_DIR)
    # "#define ASIO_VERSION 102201 // 1.22.1"
    file(STRINGS "${asio_INCLUDE_DIR}/asio/version.hpp" _asio_number
         REGEX "^#define ASIO_VERSION [0-9]+"
    )
    if(_asio_number MATCHES "ASIO_VERSION ([0-9]+)")
      set(_asio_number ${CMAKE_MATCH_1})
      math(EXPR _asio_major "${_asio_number} / 100000")
      math(EXPR _asio_minor "${_asio_number} / 100 % 1000")
      math(EXPR _asio_patch "${_asio_number} % 100")
      set(asio_VERSION ${_asio_major}.${_asio_minor}.${_asio_patch})
    endif()
  endif()

  find_package_handle_standard_args(
    asio
    REQUIRED_VARS asio_INCLUDE_DIR Threads_FOUND
    VERSION_VAR asio_VERSION
  )

  if(asio_FOUND AND NOT TARGET asio::asio)
    add_library(asio::asio INTERFACE IMPORTED)
    set_target_properties(
      asio::asio
      PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${asio_INCLUDE_DIR}"
                 INTERFACE_COMPILE_DEFINITIONS ASIO_STANDALONE
                 INTERFACE_LINK_LIBRARIES Threads::Threads
    )
    if(asio_VERSION VERSION_LESS 1.25)
      # Before 1.25 Asio does not recognise clang's coroutines by itself.
      set_property(
        TARGET asio::asio
        APPEND
        PROPERTY INTERFACE_COMPILE_DEFINITIONS
                 $<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_CO_AWAIT>
                 $<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_STD_COROUTINE>
      )
    endif()
  endif()
endif()
