// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: g\+\+ before 13 destroys this temporary lambda twice
// compiler: gcc<13
#include <cogather/gather.hpp>

#include <string>
#include <vector>

asio::awaitable<void> caller(std::vector<int> items, std::string prefix) {
#ifdef COGATHER_REJECTED
  const auto results = co_await cogather::gather(
      items, [prefix](int n) -> asio::awaitable<std::string> { co_return prefix + char(n); });
#else
  const auto named = [prefix](int n) -> asio::awaitable<std::string> {
    co_return prefix + char(n);
  };
  const auto results = co_await cogather::gather(items, named);
  // What has no destructor, or was made by a constructor, is safe as a temporary.
  co_await cogather::gather(
      items, [&prefix](int n) -> asio::awaitable<std::string> { co_return prefix + char(n); });
  struct functor {
    explicit functor(std::string p) : text(p) {}
    asio::awaitable<std::string> operator()(int) const { co_return text; }
    std::string text;
  };
  co_await cogather::gather(items, functor(prefix));
#endif
}
