// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: fn cannot be called with an item of this range
#include <cogather/gather.hpp>

#include <string>
#include <vector>

asio::awaitable<void> caller(std::vector<int> items) {
#ifdef COGATHER_REJECTED
  const auto fn = [](std::string text) -> asio::awaitable<std::string> { co_return text; };
#else
  const auto fn = [](int n) -> asio::awaitable<int> { co_return n; };
#endif
  const auto results = co_await cogather::gather(items, fn);
}
