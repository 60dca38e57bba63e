// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: (unused-result|unused-value)
#include <cogather/semaphore.hpp>

#pragma GCC diagnostic error "-Wunused-result"
#pragma GCC diagnostic error "-Wunused-value"

void caller(cogather::semaphore& s) {
#ifdef COGATHER_REJECTED
  s.try_acquire();  // given back at once
#else
  const auto held = s.try_acquire();
#endif
}
