// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// What is accepted need not have the very signature, as with std::function.
//
// expect: cogather: a callback does not own its callable, so this temporary would be gone
#include <cogather/gather.hpp>
#include <cogather/retry.hpp>

#include <exception>
#include <vector>

asio::awaitable<int> fetch(int n) { co_return n; }
asio::awaitable<int> once() { co_return 1; }
bool is_transient(const std::exception_ptr& error) { return error != nullptr; }
int note(const cogather::progress&) noexcept { return 1; }

asio::awaitable<void> caller(std::vector<int> items, int count) {
#ifdef COGATHER_REJECTED
  co_await cogather::gather(items, fetch,
                            {.on_progress = [count](const auto&) mutable { ++count; }});
#else
  auto returns_something = [&count](const cogather::progress&) { return ++count; };
  co_await cogather::gather(items, fetch, {.on_progress = returns_something});
  co_await cogather::gather(items, fetch, {.on_progress = [](cogather::progress) {}});
  co_await cogather::gather(items, fetch, {.on_progress = [](const auto&) { return 1; }});
  co_await cogather::gather(items, fetch, {.on_progress = [](auto&&...) noexcept {}});
  co_await cogather::retry({.retry_if = [](const std::exception_ptr& e) { return e != nullptr; }},
                           once);
  co_await cogather::retry({.retry_if = is_transient}, once);
  co_await cogather::gather(items, fetch, {.on_progress = &note});
  co_await cogather::retry({.on_retry = [](auto attempt, auto&&...) { return attempt; }}, once);
#endif
}
