// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: retry calls fn.. or fn.attempt.
#include <cogather/retry.hpp>

#include <cstddef>
#include <string>

asio::awaitable<void> caller() {
#ifdef COGATHER_REJECTED
  const auto fn = [](std::string) -> asio::awaitable<int> { co_return 1; };
#else
  const auto fn = [](std::size_t) -> asio::awaitable<int> { co_return 1; };
#endif
  co_await cogather::retry({}, fn);
}
