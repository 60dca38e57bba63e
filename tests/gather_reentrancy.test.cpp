// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: the user's code calls back into it at the worst moment.
#include <cogather/gather.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <ranges>
#include <stdexcept>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::progress;
using cogather::unlimited;
using test::milliseconds;

milliseconds ms(int n) { return milliseconds(n); }

std::exception_ptr failure(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

}  // namespace

TEST_CASE("gather: cancelled by its own fn, runs nothing of it", "[gather][reentrancy]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 3u);
  const bool suspends = GENERATE(false, true);
  test::loop loop;
  test::census tasks;
  int pulled = 0;
  std::function<void()> cancel;
  auto fn = [&](int i) {
    ++pulled;
    if (i == 2) cancel();
    return tasks.count(suspends ? test::value_after(i, 1ms) : test::ready(i));
  };
  auto caller = loop.spawn(gather(std::views::iota(0), fn, {.limit = limit}));
  cancel = [&] { caller.cancel(); };
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(pulled == 3);
  CHECK(tasks.started() == 2);
  CHECK(tasks.balanced());
}

TEST_CASE("gather: cancelled while its range is advanced, pulls nothing more",
          "[gather][reentrancy]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  test::census tasks;
  std::function<void()> cancel;
  auto pass = [&](int i) {
    if (i == 2) cancel();
    return true;
  };
  auto fn = [&](int i) { return tasks.count(test::value_after(i, 1ms)); };
  auto range = std::views::iota(0) | std::views::filter(pass);
  auto caller = loop.spawn(gather(range, fn, {.limit = limit}));
  cancel = [&] { caller.cancel(); };
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(tasks.started() == 2);
}

TEST_CASE("gather: cancelled by its own on_progress", "[gather][reentrancy]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  test::census tasks;
  std::function<void()> cancel;
  auto on_progress = [&](const progress& p) {
    if (p.succeeded == 2) cancel();
  };
  auto fn = [&](int i) {
    return tasks.count(i < 2 ? test::value_after(i, ms(1)) : test::value_after(i, 1h));
  };
  auto caller = loop.spawn(
      gather(std::views::iota(0, 5), fn, {.limit = limit, .on_progress = on_progress}));
  cancel = [&] { caller.cancel(); };
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(tasks.balanced());
  CHECK(loop.elapsed() < 1h);
}

TEST_CASE("gather: cancelled by one of its tasks, while that runs", "[gather][reentrancy]") {
  test::loop loop;
  test::census tasks;
  std::function<void()> cancel;
  auto traitor = [&]() -> asio::awaitable<void> {
    co_await test::yield();
    cancel();
    co_await test::never();
  };
  test::gate gate;
  auto caller = loop.spawn(gather(tasks.count(gate.wait()), tasks.count(traitor()),
                                  tasks.count(test::never())));
  cancel = [&] { caller.cancel(); };
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(tasks.started() == 3);
  CHECK(tasks.live() == 0);
}

TEST_CASE("gather: tasks that end inside the emit that stops them", "[gather][reentrancy]") {
  const bool by_failure = GENERATE(false, true);
  test::loop loop;
  test::census tasks;
  test::gate a, b, c;
  const auto error = failure("no");
  auto caller = loop.spawn(gather(test::list(
      tasks.count(a.wait()), tasks.count(b.wait()), tasks.count(c.wait()),
      tasks.count(by_failure ? test::fail_after(error, 1ms) : test::never()))));
  loop.run_ready();
  REQUIRE(c.waiting());
  if (!by_failure) caller.cancel();
  loop.run();
  CHECK((by_failure ? caller.error() == error : test::aborted(caller.error())));
  CHECK(tasks.balanced());
}

TEST_CASE("gather: a task that ends another one inside itself", "[gather][reentrancy]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u, 3u);
  test::loop loop;
  test::gate gates[6];
  long inside = 0;
  auto task = [&](int i) -> asio::awaitable<int> {
    const auto at = static_cast<std::size_t>(i);
    if (i > 0) {
      while (!gates[at - 1].waiting()) co_await test::yield();
      ++inside;
      gates[at - 1].open();
      --inside;
    }
    if (i < 5) {
      co_await gates[at].wait();
      CHECK(inside > 0);
    }
    co_return i;
  };
  CHECK(loop.get(gather(std::views::iota(0, 6), task, {.limit = limit})) ==
        std::vector{0, 1, 2, 3, 4, 5});
}

TEST_CASE("gather: fn and on_progress that end a running task inside themselves",
          "[gather][reentrancy]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u, 3u);
  test::loop loop;
  test::gate gate;
  auto open_later = [&](int i) -> asio::awaitable<int> {
    if (i == 0) co_await gate.wait();
    co_return i;
  };
  auto plain = [](int i) { return test::value_after(i, ms(i % 2)); };
  SECTION("fn") {
    auto fn = [&](int i) {
      if (i == 3) gate.open();
      return i == 0 ? open_later(i) : plain(i);
    };
    CHECK(loop.get(gather(std::views::iota(0, 6), fn, {.limit = limit})) ==
          std::vector{0, 1, 2, 3, 4, 5});
  }
  SECTION("the range") {
    auto pass = [&](int i) {
      if (i == 3) gate.open();
      return true;
    };
    auto fn = [&](int i) { return i == 0 ? open_later(i) : plain(i); };
    auto range = std::views::iota(0, 6) | std::views::filter(pass);
    CHECK(loop.get(gather(range, fn, {.limit = limit})) == std::vector{0, 1, 2, 3, 4, 5});
  }
  SECTION("on_progress") {
    std::vector<std::size_t> reports;
    auto on_progress = [&](const progress& p) {
      reports.push_back(p.succeeded);
      if (p.succeeded == 2) gate.open();
    };
    auto fn = [&](int i) { return i == 0 ? open_later(i) : plain(i); };
    CHECK(loop.get(gather(std::views::iota(0, 6), fn,
                          {.limit = limit, .on_progress = on_progress})) ==
          std::vector{0, 1, 2, 3, 4, 5});
    CHECK(reports == std::vector<std::size_t>{1, 2, 3, 4, 5, 6});
  }
}
