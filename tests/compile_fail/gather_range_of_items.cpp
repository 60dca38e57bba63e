// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: gather.range. takes a range of asio::awaitable; for a range of items
#include <cogather/gather.hpp>

#include <vector>

asio::awaitable<int> fetch(int n) { co_return n; }

asio::awaitable<void> caller(std::vector<int> items) {
#ifdef COGATHER_REJECTED
  const auto results = co_await cogather::gather(items);
#else
  const auto results = co_await cogather::gather(items, fetch);
#endif
}
