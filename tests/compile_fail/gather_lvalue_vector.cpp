// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: an awaitable is awaited once, so gather must own it: pass the vector with
#include <cogather/gather.hpp>

#include <utility>
#include <vector>

asio::awaitable<void> caller(std::vector<asio::awaitable<int>> tasks) {
#ifdef COGATHER_REJECTED
  auto all = cogather::gather(tasks);
#else
  auto all = cogather::gather(std::move(tasks));
#endif
  co_await std::move(all);
}
