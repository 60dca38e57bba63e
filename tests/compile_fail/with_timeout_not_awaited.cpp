// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: unused-result
#include <cogather/timeout.hpp>

#include <chrono>
#include <utility>

#pragma GCC diagnostic error "-Wunused-result"

asio::awaitable<void> caller(asio::awaitable<void> task) {
#ifdef COGATHER_REJECTED
  cogather::with_timeout(std::move(task), std::chrono::seconds(1));
#else
  co_await cogather::with_timeout(std::move(task), std::chrono::seconds(1));
#endif
}
