// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#include <cogather/cogather.hpp>

#include <asio.hpp>

#include <chrono>
#include <cstdio>

asio::awaitable<int> after(int milliseconds) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(std::chrono::milliseconds(milliseconds));
  co_await timer.async_wait(asio::use_awaitable);
  co_return milliseconds;
}

asio::awaitable<void> run() {
  auto [a, b, c] = co_await cogather::gather(after(3), after(2), after(1));
  std::printf("%d %d %d\n", a, b, c);
}

int main() {
  asio::io_context context;
  asio::co_spawn(context, run(), asio::detached);
  context.run();
}
