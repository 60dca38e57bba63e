// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: its caller is cancelled, and its tasks play with their own cancellation state.
#include <cogather/gather.hpp>

#include <asio/cancellation_state.hpp>
#include <asio/error.hpp>
#include <asio/system_error.hpp>
#include <cstddef>
#include <exception>
#include <forward_list>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using asio::cancellation_type;
using cogather::gather;
using cogather::unlimited;
using test::milliseconds;

milliseconds ms(int n) { return milliseconds(n); }

std::exception_ptr failure(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

// Cancelled before it awaits `all`, and with its own mind about that.
asio::awaitable<void> await_when_cancelled(test::gate& until_cancelled, bool throws,
                                           asio::awaitable<std::vector<int>> all) {
  try {
    co_await until_cancelled.wait();
  } catch (const asio::system_error&) {
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  (void)co_await std::move(all);
}

asio::awaitable<bool> throws_if_cancelled() {
  co_return co_await asio::this_coro::throw_if_cancelled();
}

}  // namespace

TEST_CASE("gather: a cancellation of the caller reaches every task with the same type",
          "[gather][cancellation]") {
  const auto type = GENERATE(cancellation_type::terminal, cancellation_type::partial,
                             cancellation_type::total);
  test::loop loop;
  test::heard_types heard;
  auto fn = [&](int) { return test::until_cancelled(heard); };
  auto caller =
      loop.spawn(gather(std::views::iota(0), fn, {.limit = 2}), test::any_cancellation);
  loop.run_for(1ms);
  caller.cancel(type);
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(heard == test::heard_types{type, type});

  auto pair = loop.spawn(gather(test::until_cancelled(heard), test::until_cancelled(heard)),
                         test::any_cancellation);
  loop.run_for(1ms);
  pair.cancel(type);
  loop.run();
  CHECK(test::aborted(pair.error()));
  CHECK(heard == test::heard_types{type, type, type, type});
}

TEST_CASE("gather: a cancellation that the caller does not let through reaches nobody",
          "[gather][cancellation]") {
  test::loop loop;
  test::heard_types heard;
  auto caller = loop.spawn(gather(test::list(test::listen(heard, 5ms))));
  loop.run_for(1ms);
  caller.cancel(cancellation_type::total);
  caller.cancel(cancellation_type::partial);
  loop.run();
  CHECK(caller.succeeded());
  CHECK(heard.empty());
}

TEST_CASE("gather: each further cancellation of the caller is forwarded",
          "[gather][cancellation]") {
  test::loop loop;
  test::heard_types heard;
  auto caller = loop.spawn(gather(test::list(test::listen(heard, 9ms))), test::any_cancellation);
  loop.run_for(1ms);
  caller.cancel(cancellation_type::total);
  loop.run_for(1ms);
  caller.cancel(cancellation_type::partial);
  loop.run_for(1ms);
  caller.cancel(cancellation_type::terminal);
  loop.run();
  CHECK(heard == test::heard_types{cancellation_type::total, cancellation_type::partial,
                                   cancellation_type::terminal});
}

TEST_CASE("gather: a cancelled caller starts nothing new, and waits for all",
          "[gather][cancellation]") {
  test::loop loop;
  test::census tasks;
  int pulled = 0;
  auto fn = [&](int i) {
    ++pulled;
    return tasks.count(test::slow_to_stop(1h, ms(10 * i)));
  };
  auto caller = loop.spawn(gather(std::views::iota(1), fn, {.limit = 3}));
  loop.run_for(1ms);
  caller.cancel();
  loop.run_for(29ms);
  CHECK_FALSE(caller.done());
  CHECK(tasks.live() == 1);
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(loop.elapsed() == 31ms);
  CHECK(pulled == 3);
}

TEST_CASE("gather: returns normally if every task finished despite a cancellation",
          "[gather][cancellation]") {
  test::loop loop;
  auto deaf = [](int i) -> asio::awaitable<int> {
    co_await test::deaf_sleep(ms(10 + i));
    co_return i;
  };
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 3u);
  SECTION("of a sized range") {
    auto caller = loop.spawn(gather(std::vector{1, 2, 3}, deaf, {.limit = limit}));
    loop.run_for(5ms);
    caller.cancel();
    loop.run_for(30ms);
    REQUIRE(caller.succeeded());
    CHECK(caller.value() == std::vector{1, 2, 3});
  }
  SECTION("of a range that does not know its size") {
    const std::forward_list items = {1, 2, 3};
    auto caller = loop.spawn(gather(items, deaf, {.limit = limit}));
    loop.run_for(5ms);
    caller.cancel();
    loop.run_for(30ms);
    REQUIRE(caller.succeeded());
    CHECK(caller.value() == std::vector{1, 2, 3});
  }
  SECTION("of a pack") {
    auto caller = loop.spawn(gather(deaf(1), test::deaf_sleep(5ms)));
    loop.run_for(3ms);
    caller.cancel();
    loop.run_for(30ms);
    REQUIRE(caller.succeeded());
    CHECK(std::get<0>(caller.value()) == 1);
  }
  SECTION("but not if an element was never pulled") {
    auto caller = loop.spawn(gather(std::vector{1, 2, 3}, deaf, {.limit = 2}));
    loop.run_for(5ms);
    caller.cancel();
    loop.run_for(30ms);
    REQUIRE(caller.done());
    CHECK(test::aborted(caller.error()));
  }
  SECTION("nor one of a range that does not know its size") {
    const std::forward_list items = {1, 2, 3};
    auto caller = loop.spawn(gather(items, deaf, {.limit = 2}));
    loop.run_for(5ms);
    caller.cancel();
    loop.run_for(30ms);
    REQUIRE(caller.done());
    CHECK(test::aborted(caller.error()));
  }
}

TEST_CASE("gather: a range that throws when looked at after a cancellation does not replace it",
          "[gather][cancellation]") {
  test::loop loop;
  auto odd = [](int i) {
    if (i == 2) throw std::runtime_error("filter");
    return true;
  };
  auto deaf = [](int i) -> asio::awaitable<int> {
    co_await test::deaf_sleep(10ms);
    co_return i;
  };
  auto range = std::views::iota(0) | std::views::filter(odd);
  auto caller = loop.spawn(gather(range, deaf, {.limit = 2}));
  loop.run_for(5ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("gather: task errors after a cancellation do not replace it", "[gather][cancellation]") {
  test::loop loop;
  auto clumsy = []() -> asio::awaitable<void> {
    try {
      co_await test::never();
    } catch (...) {
      throw std::logic_error("while stopping");
    }
  };
  auto caller = loop.spawn(gather(clumsy(), clumsy()));
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("gather: an earlier failure is kept when the caller is cancelled",
          "[gather][cancellation]") {
  test::loop loop;
  const auto error = failure("no");
  auto caller =
      loop.spawn(gather(test::slow_to_stop(1h, 20ms), test::fail_after(error, 10ms)));
  loop.run_for(15ms);
  caller.cancel();
  loop.run();
  CHECK(caller.error() == error);
  CHECK(loop.elapsed() == 30ms);
}

TEST_CASE("gather: a caller cancelled on entry starts nothing", "[gather][cancellation]") {
  const bool throws = GENERATE(true, false);
  test::loop loop;
  test::census tasks;
  int pulled = 0;
  auto fn = [&](int i) {
    ++pulled;
    return tasks.count(test::ready(i));
  };
  test::gate gate;
  auto caller =
      loop.spawn(await_when_cancelled(gate, throws, gather(std::views::iota(0), fn)));
  loop.run_ready();
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(pulled == 0);
  CHECK(tasks.started() == 0);
}

TEST_CASE("gather: a pack awaited by a cancelled caller never runs", "[gather][cancellation]") {
  const bool throws = GENERATE(true, false);
  test::loop loop;
  test::census tasks;
  test::gate gate;
  auto body = [&]() -> asio::awaitable<void> {
    try {
      co_await gate.wait();
    } catch (const asio::system_error&) {
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    auto both = gather(tasks.count(test::ready(1)), tasks.count(test::ready(2)));
    (void)co_await std::move(both);
  };
  auto caller = loop.spawn(body());
  loop.run_ready();
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(tasks.started() == 0);
}

TEST_CASE("gather: leaves the caller's throw_if_cancelled as it was", "[gather][cancellation]") {
  const bool throws = GENERATE(true, false);
  test::loop loop;
  int checks = 0;
  auto body = [&]() -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(throws);
    auto now = gather(test::ready(1), test::ready(2));
    (void)co_await std::move(now);
    if (co_await asio::this_coro::throw_if_cancelled() == throws) ++checks;
    auto later = gather(test::yield(), test::sleep(1ms));
    (void)co_await std::move(later);
    if (co_await asio::this_coro::throw_if_cancelled() == throws) ++checks;
    try {
      auto failing = gather(test::yield(), test::fail(42));
      (void)co_await std::move(failing);
    } catch (int) {
    }
    if (co_await asio::this_coro::throw_if_cancelled() == throws) ++checks;
    auto nothing = gather(std::vector<asio::awaitable<int>>());
    (void)co_await std::move(nothing);
    if (co_await asio::this_coro::throw_if_cancelled() == throws) ++checks;
  };
  loop.get(body());
  CHECK(checks == 4);
}

TEST_CASE("gather: a caller that is cancelled after gather has returned is cancelled as ever",
          "[gather][cancellation]") {
  test::loop loop;
  bool after = false;
  auto body = [&]() -> asio::awaitable<void> {
    auto all = gather(test::ready(1), test::yield());
    (void)co_await std::move(all);
    after = true;
    co_await test::never();
  };
  auto caller = loop.spawn(body());
  loop.run_ready();
  CHECK(after);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("gather: what a task does to its cancellation state does not reach the next task",
          "[gather][cancellation]") {
  const bool suspends = GENERATE(false, true);
  test::loop loop;
  test::heard_types heard;
  std::vector<bool> throwing;
  auto spoil = [&](int how) -> asio::awaitable<void> {
    if (suspends) co_await test::yield();
    if (how == 0) {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    } else if (how == 1) {
      co_await asio::this_coro::throw_if_cancelled(false);
    } else {
      co_await asio::this_coro::reset_cancellation_state();
      co_await asio::this_coro::throw_if_cancelled(false);
    }
    if (suspends) co_await test::yield();
  };
  auto honest = [&]() -> asio::awaitable<void> {
    throwing.push_back(co_await throws_if_cancelled());
    co_await test::until_cancelled(heard);
  };
  auto fn = [&](int i) { return i < 3 ? spoil(i) : honest(); };
  const int first = GENERATE(0, 1, 2);
  auto caller = loop.spawn(gather(std::vector{first, 3, 4}, fn, {.limit = 1}),
                           test::any_cancellation);
  loop.run_for(1ms);
  caller.cancel(cancellation_type::total);
  loop.run();
  CHECK(throwing == std::vector{true});
  CHECK(heard == test::heard_types{cancellation_type::total});
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("gather: awaited in turn by one caller that is cancelled in the second",
          "[gather][cancellation]") {
  test::loop loop;
  test::heard_types heard;
  auto body = [&]() -> asio::awaitable<void> {
    auto first = gather(test::sleep(1ms), test::sleep(2ms));
    (void)co_await std::move(first);
    auto second = gather(test::until_cancelled(heard), test::until_cancelled(heard));
    (void)co_await std::move(second);
  };
  auto caller = loop.spawn(body());
  loop.run_for(3ms);
  caller.cancel();
  loop.run();
  CHECK(heard.size() == 2);
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("gather: nested, a cancellation reaches the innermost tasks with its type",
          "[gather][cancellation]") {
  const auto type = GENERATE(cancellation_type::terminal, cancellation_type::partial,
                             cancellation_type::total);
  test::loop loop;
  test::heard_types heard;
  auto row = [&](int) {
    return gather(test::list(test::until_cancelled(heard), test::until_cancelled(heard)));
  };
  auto caller = loop.spawn(gather(std::vector{1, 2}, row), test::any_cancellation);
  loop.run_for(1ms);
  caller.cancel(type);
  loop.run();
  CHECK(heard == test::heard_types{type, type, type, type});
  CHECK(test::aborted(caller.error()));
}
