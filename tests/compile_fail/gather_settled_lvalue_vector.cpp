// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: an awaitable is awaited once, so gather must own it: pass the vector with
#include <cogather/gather.hpp>

#include <utility>
#include <vector>

asio::awaitable<void> caller(std::vector<asio::awaitable<void>> tasks) {
#ifdef COGATHER_REJECTED
  const auto outcomes = co_await cogather::gather_settled(tasks, {.limit = 2});
#else
  const auto outcomes = co_await cogather::gather_settled(std::move(tasks), {.limit = 2});
#endif
}
