# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# What the scripts share: finding what is missing, installing it, building a preset.
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Build and test on all cores, with Ninja and ccache where they are.
speed_up() {
  local cores
  cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$cores}
  export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$cores}
  if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
    export CMAKE_GENERATOR=Ninja
  fi
  if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  fi
}

# The Debian packages that are missing. need_* add to it, install_missing empties it.
missing=()

need_command() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || missing+=("$2")
}

need_header() { # PACKAGE HEADER...: one of them will do
  local package=$1 header
  shift
  for header in "$@"; do
    ! printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$header" |
      "${CXX:-g++}" -E -x c++ - >/dev/null 2>&1 || return 0
  done
  missing+=("$package")
}

need_build_tools() {
  need_command "${CXX:-g++}" g++
  need_command cmake cmake
  need_command ninja ninja-build
}

need_example_libraries() {
  need_header libcurl4-openssl-dev curl/curl.h
  need_header libevent-dev event2/event.h
  need_header libcli11-dev CLI/CLI.hpp
}

install_missing() {
  if ((${#missing[@]} > 0)); then
    command -v apt-get >/dev/null ||
      die "Please install these first (here are their Debian names): ${missing[*]}"
    local apt_get=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    if [[ $(id -u) -ne 0 ]]; then
      sudo -n true 2>/dev/null || die "Please run first: sudo apt-get install ${missing[*]}"
      apt_get=(sudo -n "${apt_get[@]}")
    fi
    say "Installing ${missing[*]}"
    # A failed update is no reason to stop: the lists that are there may do.
    quietly "${apt_get[@]}" update || true
    quietly "${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" ||
      die "Could not install ${missing[*]}"
    missing=()
  fi
  require_cmake
}

require_cmake() {
  local version
  version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  printf '3.25\n%s\n' "$version" | sort -C -V ||
    die "Please install CMake 3.25 or newer: this is $version"
}

# Runs a command and shows its output only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" </dev/null >"$log" 2>&1 || status=$?
  ((status == 0)) || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# The thread sanitizer of older compilers cannot start where the kernel randomises addresses
# by more than 28 bits.
without_randomised_addresses() {
  local bits=28
  [[ ! -r /proc/sys/vm/mmap_rnd_bits ]] || bits=$(cat /proc/sys/vm/mmap_rnd_bits)
  if ((bits > 28)) && setarch -R true 2>/dev/null; then
    setarch -R "$@"
  else
    "$@"
  fi
}

# clang 16 or newer, with its sanitizers, where cmake/clang.cmake finds none.
install_clang() {
  local version
  ! cmake -P "$root/cmake/clang.cmake" >/dev/null 2>&1 || return 0
  for version in 16 17 18 19 20 21 16; do # the first that there is, else the least that will do
    ! apt-cache show "libclang-rt-$version-dev" >/dev/null 2>&1 || break
  done
  missing+=("clang-$version" "libclang-rt-$version-dev")
  install_missing
}

# In a subshell, so that the caller's working directory stays what it was.
configure_and_build() ( # PRESET [ARGUMENTS OF CMAKE]
  cd "$root" || exit
  cmake --preset "$@" && cmake --build --preset "$1"
)
