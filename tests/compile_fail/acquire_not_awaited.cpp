// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: unused-result
#include <cogather/semaphore.hpp>

#pragma GCC diagnostic error "-Wunused-result"

asio::awaitable<void> caller(cogather::semaphore& s) {
#ifdef COGATHER_REJECTED
  s.acquire();
#else
  const auto held = co_await s.acquire();
#endif
}
