// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: unused-result
#include <cogather/retry.hpp>

#pragma GCC diagnostic error "-Wunused-result"

asio::awaitable<int> fetch() { co_return 1; }

asio::awaitable<void> caller() {
#ifdef COGATHER_REJECTED
  cogather::retry({}, fetch);
#else
  co_await cogather::retry({}, fetch);
#endif
}
