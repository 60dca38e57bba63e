// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <limits>

namespace examples {

/// Lets this process have as many files and sockets open as the system allows it, and says how
/// many that are. The usual limit of 1024 is soon reached by a program that runs all at once.
inline std::size_t raise_open_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit wanted{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) limit = wanted;
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<std::size_t>::max()
                                         : static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace examples
