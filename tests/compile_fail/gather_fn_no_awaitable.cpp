// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: fn must return an asio::awaitable, that is, be a coroutine
#include <cogather/gather.hpp>

#include <vector>

asio::awaitable<void> caller(std::vector<int> items) {
#ifdef COGATHER_REJECTED
  const auto fn = [](int n) { return 2 * n; };
#else
  const auto fn = [](int n) -> asio::awaitable<int> { co_return 2 * n; };
#endif
  const auto results = co_await cogather::gather(items, fn);
}
