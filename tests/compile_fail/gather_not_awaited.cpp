// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: unused-result
#include <cogather/gather.hpp>

#include <vector>

#pragma GCC diagnostic error "-Wunused-result"

asio::awaitable<int> fetch(int n) { co_return n; }

asio::awaitable<void> caller(std::vector<int> items) {
#ifdef COGATHER_REJECTED
  cogather::gather(items, fetch);
#else
  co_await cogather::gather(items, fetch);
#endif
}
