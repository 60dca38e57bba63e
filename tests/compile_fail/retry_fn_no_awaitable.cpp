// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: fn must return an asio::awaitable, that is, be a coroutine
#include <cogather/retry.hpp>

asio::awaitable<void> caller() {
#ifdef COGATHER_REJECTED
  const auto fn = [] { return 1; };
#else
  const auto fn = []() -> asio::awaitable<int> { co_return 1; };
#endif
  co_await cogather::retry({}, fn);
}
