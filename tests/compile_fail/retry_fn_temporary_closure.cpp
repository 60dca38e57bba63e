// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: g\+\+ before 13 destroys this temporary lambda twice
// compiler: gcc<13
#include <cogather/retry.hpp>

#include <string>

asio::awaitable<void> caller(std::string text) {
#ifdef COGATHER_REJECTED
  co_await cogather::retry({}, [text]() -> asio::awaitable<std::string> { co_return text; });
#else
  const auto named = [text]() -> asio::awaitable<std::string> { co_return text; };
  co_await cogather::retry({}, named);
  co_await cogather::retry({}, [&]() -> asio::awaitable<std::string> { co_return text; });
#endif
}
