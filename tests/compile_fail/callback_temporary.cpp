// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: a callback does not own its callable, so this temporary would be gone
#include <cogather/retry.hpp>

#include <exception>

asio::awaitable<int> fetch() { co_return 1; }

asio::awaitable<void> caller(int limit) {
#ifdef COGATHER_REJECTED
  co_await cogather::retry({.retry_if = [limit](std::exception_ptr) { return limit > 0; }}, fetch);
#else
  const auto named = [limit](std::exception_ptr) { return limit > 0; };
  co_await cogather::retry({.retry_if = named}, fetch);
  co_await cogather::retry({.retry_if = [](std::exception_ptr) { return true; }}, fetch);
#endif
}
