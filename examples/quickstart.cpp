// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#include <cogather/cogather.hpp>
#include <asio.hpp>
#include <iostream>

asio::awaitable<int> square(int n) {
  asio::steady_timer work(co_await asio::this_coro::executor, std::chrono::milliseconds(100));
  co_await work.async_wait(asio::use_awaitable);
  if (n == 3) throw std::runtime_error("3 went wrong");
  co_return n * n;
}
asio::awaitable<void> run() {  // at most two at a time, each result in its place
  auto results = co_await cogather::gather_settled(std::views::iota(1, 6), square, {.limit = 2});
  for (auto& r : results) std::cout << (r ? std::to_string(*r) : r.message()) << '\n';
}
int main() { asio::io_context io; asio::co_spawn(io, run(), asio::detached); io.run(); }
