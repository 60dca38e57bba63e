// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: an executor_ref does not own its executor: give the executor a name
#include <cogather/gather.hpp>

#include <asio/thread_pool.hpp>
#include <vector>

asio::awaitable<int> fetch(int n) { co_return n; }

asio::awaitable<void> caller(std::vector<int> items, asio::thread_pool& pool) {
#ifdef COGATHER_REJECTED
  co_await cogather::gather(items, fetch, {.executor = pool.get_executor()});
#else
  const auto named = pool.get_executor();
  co_await cogather::gather(items, fetch, {.executor = named});
  co_await cogather::gather(items, fetch, {.executor = pool});
#endif
}
