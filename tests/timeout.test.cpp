// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include <cogather/timeout.hpp>

#include <cogather/gather.hpp>

#include <asio/error.hpp>
#include <asio/execution.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_error.hpp>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/replay.hpp"

namespace {

using namespace std::chrono_literals;
using asio::awaitable;
using cogather::timeout_error;
using cogather::with_deadline;
using cogather::with_timeout;
using clock_type = std::chrono::steady_clock;
using cancel = asio::cancellation_type;

static_assert(std::is_base_of_v<asio::system_error, timeout_error>);

bool timed_out(const std::exception_ptr& error) {
  if (error == nullptr) return false;
  try {
    std::rethrow_exception(error);
  } catch (const timeout_error& e) {
    return e.code() == asio::error::timed_out;
  } catch (...) {
    return false;
  }
}

// What became of an awaitable, as seen by a caller that goes on.
template <class T>
awaitable<std::exception_ptr> outcome_of(awaitable<T> task) {
  try {
    co_await std::move(task);
  } catch (...) {
    co_return std::current_exception();
  }
  co_return nullptr;
}

// When it is stopped it needs `cleanup` to end.
awaitable<int> slow_to_stop(test::census& c, std::chrono::milliseconds cleanup,
                            std::exception_ptr instead = nullptr) {
  const test::census::token here(c);
  std::exception_ptr stopped;
  try {
    co_await test::never();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state();
  co_await test::deaf_sleep(cleanup);
  here.mark();
  std::rethrow_exception(instead ? instead : stopped);
}

// Notices that it is stopped, and has a value all the same.
awaitable<int> stubborn(int value, std::chrono::milliseconds d) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await test::deaf_sleep(d);
  co_return value;
}

// Lets only terminal cancellation through.
awaitable<void> hears_terminal_only() {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_await test::never();
}

awaitable<test::tracked_no_default> tracked_after(int value, std::chrono::milliseconds d) {
  co_await test::sleep(d);
  co_return test::tracked_no_default(value);
}

awaitable<cancel> type_that_stops_it() {
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    co_await test::never();
  } catch (const asio::system_error&) {
  }
  co_return (co_await asio::this_coro::cancellation_state).cancelled();
}

}  // namespace

TEST_CASE("a value in time is the value, when it is there", "[timeout]") {
  test::loop loop;
  CHECK(loop.get(with_timeout(test::value_after(7, 5ms), 10ms)) == 7);
  CHECK(loop.elapsed() == 5ms);
  loop.run();
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("a value at once, without a suspension, is the value", "[timeout]") {
  test::loop loop;
  CHECK(loop.get(with_timeout(test::ready(7), 10ms)) == 7);
  CHECK(loop.elapsed() == 0ms);
}

TEST_CASE("a limited task may return nothing, or what can only be moved", "[timeout]") {
  const long before = test::tracked_count::live();
  test::loop loop;
  loop.get(with_timeout(test::sleep(5ms), 10ms));
  CHECK(loop.get(with_timeout(tracked_after(3, 5ms), 10ms)) == 3);
  CHECK(loop.get(with_timeout(tracked_after(4, 5ms), clock_type::duration::max())) == 4);
  const auto pointer = loop.get(with_timeout(test::ready(std::make_unique<int>(5)), 10ms));
  CHECK(*pointer == 5);
  CHECK(test::tracked_count::live() == before);
}

TEST_CASE("a limit that expires is a timeout_error, a system_error of timed_out", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(tasks.count(test::never()), 10ms));
  loop.run();
  REQUIRE(caller.done());
  CHECK(timed_out(caller.error()));
  CHECK_FALSE(test::aborted(caller.error()));
  CHECK(loop.elapsed() == 10ms);
  CHECK(tasks.started() == 1);
  CHECK(tasks.balanced());
}

TEST_CASE("on expiry the task is stopped with terminal cancellation", "[timeout]") {
  test::loop loop;
  CHECK(loop.get(with_timeout(type_that_stops_it(), 10ms)) == cancel::terminal);
  CHECK(loop.elapsed() == 10ms);
}

TEST_CASE("on expiry the task is awaited, however long its cleanup takes", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(slow_to_stop(tasks, 50ms), 10ms));
  loop.run_for(59ms);
  CHECK_FALSE(caller.done());
  CHECK(tasks.live() == 1);
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 60ms);
  CHECK(tasks.marks() == 2);
  CHECK(tasks.balanced());
}

TEST_CASE("a task's frame is gone when the time limit returns", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto body = [&tasks]() -> awaitable<void> {
    co_await with_timeout(tasks.count(test::sleep(1ms)), 10ms);
    CHECK(tasks.balanced());
    const auto error = co_await outcome_of(with_timeout(tasks.count(test::never()), 10ms));
    CHECK(timed_out(error));
    CHECK(tasks.ended() == 2);
    CHECK(tasks.balanced());
  };
  loop.get(body());
}

TEST_CASE("a value returned in spite of the expiry wins", "[timeout]") {
  test::loop loop;
  CHECK(loop.get(with_timeout(stubborn(7, 25ms), 10ms)) == 7);
  CHECK(loop.elapsed() == 25ms);
}

TEST_CASE("an error other than operation_aborted in spite of the expiry wins", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto original = std::make_exception_ptr(std::runtime_error("cleanup failed"));
  const auto caller = loop.spawn(with_timeout(slow_to_stop(tasks, 5ms, original), 10ms));
  loop.run();
  CHECK(caller.error() == original);
}

TEST_CASE("a task's own error in time is passed on, the same object", "[timeout]") {
  test::loop loop;
  const auto original = std::make_exception_ptr(42);
  const auto caller = loop.spawn(with_timeout(test::fail_after<int>(original, 5ms), 10ms));
  const auto at_once = loop.spawn(with_timeout(test::fail<int>(original), 10ms));
  loop.run();
  CHECK(caller.error() == original);
  CHECK(at_once.error() == original);
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("operation_aborted that a task throws by itself, in time, is no timeout", "[timeout]") {
  test::loop loop;
  const asio::system_error self(asio::error::make_error_code(asio::error::operation_aborted));
  const auto caller = loop.spawn(with_timeout(test::fail_after(self, 5ms), 10ms));
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("a timeout_error from within is passed on by an outer limit", "[timeout]") {
  test::loop loop;
  const auto caller = loop.spawn(with_timeout(with_timeout(test::never(), 5ms), 10ms));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("the outer of two limits ends both", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(with_timeout(tasks.count(test::never()), 10ms), 5ms));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 5ms);
  CHECK(tasks.balanced());
}

TEST_CASE("two limits that expire together are one timeout", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(with_timeout(slow_to_stop(tasks, 3ms), 5ms), 5ms));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 8ms);
  CHECK(tasks.balanced());
}

TEST_CASE("cancellation from outside stays operation_aborted, of each type", "[timeout]") {
  const auto type = GENERATE(cancel::terminal, cancel::partial, cancel::total);
  test::loop loop;
  test::census tasks;
  const auto caller =
      loop.spawn(with_timeout(tasks.count(test::never()), 10ms), test::any_cancellation);
  loop.run_for(4ms);
  caller.cancel(type);
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(loop.elapsed() == 4ms);
  CHECK(tasks.balanced());
}

TEST_CASE("cancellation from outside reaches the task with the same type", "[timeout]") {
  const auto type = GENERATE(cancel::terminal, cancel::partial, cancel::total);
  test::loop loop;
  const auto caller = loop.spawn(with_timeout(type_that_stops_it(), 10ms), test::any_cancellation);
  loop.run_for(4ms);
  caller.cancel(type);
  loop.run();
  CHECK(caller.value() == type);
  CHECK(loop.elapsed() == 4ms);
}

TEST_CASE("cancellation from outside waits for the task, whose limit then means nothing",
          "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(slow_to_stop(tasks, 50ms), 10ms));
  loop.run_for(4ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(loop.elapsed() == 54ms);
}

TEST_CASE("cancellation from outside after the expiry is operation_aborted all the same",
          "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(with_timeout(slow_to_stop(tasks, 50ms), 10ms));
  loop.run_for(20ms);
  CHECK(tasks.live() == 1);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(loop.elapsed() == 60ms);
}

TEST_CASE("a task that does not hear the caller's cancellation is still limited", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller =
      loop.spawn(with_timeout(tasks.count(hears_terminal_only()), 10ms), test::any_cancellation);
  loop.run_for(4ms);
  caller.cancel(cancel::total);
  loop.run_for(100ms);
  CHECK(caller.done());
  CHECK(tasks.balanced());
}

TEST_CASE("a caller that was cancelled before starts nothing", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto body = [&tasks]() -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await test::deaf_sleep(5ms);
    const auto limited = co_await outcome_of(with_timeout(tasks.count(test::sleep(1ms)), 10ms));
    CHECK(test::aborted(limited));
  };
  const auto caller = loop.spawn(body());
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(caller.succeeded());
  CHECK(tasks.started() == 0);
}

TEST_CASE("a caller goes on after a timeout: it was not cancelled", "[timeout]") {
  test::loop loop;
  const auto body = []() -> awaitable<int> {
    for (int i = 0; i < 3; ++i) {
      const auto error = co_await outcome_of(with_timeout(test::never(), 10ms));
      CHECK(timed_out(error));
      CHECK((co_await asio::this_coro::cancellation_state).cancelled() == cancel::none);
      co_await test::sleep(1ms);
    }
    co_return co_await with_timeout(test::value_after(7, 5ms), 10ms);
  };
  CHECK(loop.get(body()) == 7);
  CHECK(loop.elapsed() == 38ms);
}

TEST_CASE("a caller can be cancelled after a limit as before", "[timeout]") {
  test::loop loop;
  const auto body = []() -> awaitable<void> {
    co_await with_timeout(test::sleep(1ms), 10ms);
    co_await with_timeout(test::ready(1), 10ms);
    co_await test::never();
  };
  const auto caller = loop.spawn(body());
  loop.run_for(5ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("the caller's choice not to throw when cancelled is left as it was", "[timeout]") {
  test::loop loop;
  const auto body = []() -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await with_timeout(test::sleep(1ms), 10ms);
    CHECK_FALSE(co_await asio::this_coro::throw_if_cancelled());
    co_await asio::this_coro::throw_if_cancelled(true);
    co_await with_timeout(test::sleep(1ms), 10ms);
    CHECK(co_await asio::this_coro::throw_if_cancelled());
  };
  loop.get(body());
}

TEST_CASE("a limit of zero or less throws and never starts the task", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto expect_timeout = [&](auto limit) {
    const auto caller = loop.spawn(with_timeout(tasks.count(test::ready(1)), limit));
    loop.run();
    CHECK(timed_out(caller.error()));
  };
  expect_timeout(0ms);
  expect_timeout(-1ns);
  expect_timeout(std::chrono::hours::min());
  expect_timeout(clock_type::duration::min());
  expect_timeout(std::chrono::duration<double>(-0.0));
  expect_timeout(std::chrono::duration<double>(-1e300));
  expect_timeout(std::chrono::duration<double>(-std::numeric_limits<double>::infinity()));
  CHECK(tasks.started() == 0);
  CHECK(loop.elapsed() == 0ms);
}

TEST_CASE("a limit that is not a number throws and never starts the task", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const std::chrono::duration<double> limit(std::numeric_limits<double>::quiet_NaN());
  const auto caller = loop.spawn(with_timeout(tasks.count(test::ready(1)), limit));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(tasks.started() == 0);
}

TEST_CASE("the largest durations of every kind are no limit and overflow nothing", "[timeout]") {
  test::loop loop;
  loop.patience(24h * 365);
  const auto expect_value = [&](auto limit) {
    CHECK(loop.get(with_timeout(test::value_after(7, std::chrono::minutes(1)), limit)) == 7);
  };
  expect_value(clock_type::duration::max());
  expect_value(clock_type::duration::max() - 1ns);
  expect_value(std::chrono::milliseconds::max());
  expect_value(std::chrono::hours::max());
  expect_value(std::chrono::years::max());
  expect_value(std::chrono::duration<std::uint64_t, std::nano>::max());
  expect_value(std::chrono::duration<double>::max());
  expect_value(std::chrono::duration<float>(std::numeric_limits<float>::infinity()));
  expect_value(std::chrono::duration<double, std::nano>(9223372036854774784.0));
  expect_value(std::chrono::duration<double, std::nano>(9223372036854775808.0));
  expect_value(std::chrono::duration<long double>(9223372036.854775L));
}

TEST_CASE("no timer is armed where there is no limit", "[timeout]") {
  test::loop loop;
  const auto caller = loop.spawn(
      with_timeout(asio::post(loop.executor(), asio::use_awaitable), clock_type::duration::max()));
  loop.run();
  CHECK(caller.succeeded());
  CHECK_FALSE(test::virtual_time::next_wakeup().has_value());
}

TEST_CASE("a limit in fractions of a second is kept", "[timeout]") {
  test::loop loop;
  const auto caller = loop.spawn(with_timeout(test::never(), std::chrono::duration<double>(0.25)));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 250ms);

  const std::chrono::duration<double, std::nano> tiny(1e-9);
  CHECK(loop.get(with_timeout(test::ready(7), tiny)) == 7);
}

TEST_CASE("a limit is measured from the co_await, not from the call", "[timeout]") {
  test::loop loop;
  auto limited = with_timeout(test::value_after(7, 8ms), 10ms);
  loop.clock_control().advance(1h);
  CHECK(loop.get(std::move(limited)) == 7);
}

TEST_CASE("a deadline is a point in time", "[timeout]") {
  test::loop loop;
  test::census tasks;
  CHECK(loop.get(with_deadline(test::value_after(7, 5ms), loop.now() + 10ms)) == 7);
  auto late = with_deadline(tasks.count(test::never()), loop.now() + 10ms);
  loop.run_for(4ms);
  const auto caller = loop.spawn(std::move(late));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 15ms);
  CHECK(tasks.balanced());
}

TEST_CASE("a deadline that has passed throws and never starts the task", "[timeout]") {
  test::loop loop;
  test::census tasks;
  for (const auto deadline :
       {loop.now(), loop.now() - 1ns, clock_type::time_point(), clock_type::time_point::min()}) {
    const auto caller = loop.spawn(with_deadline(tasks.count(test::ready(1)), deadline));
    loop.run();
    CHECK(timed_out(caller.error()));
  }
  CHECK(tasks.started() == 0);
}

TEST_CASE("the last point in time is no deadline", "[timeout]") {
  test::loop loop;
  loop.patience(24h);
  CHECK(loop.get(with_deadline(test::value_after(7, 2h), clock_type::time_point::max())) == 7);
  CHECK(loop.get(with_deadline(test::value_after(7, 2h), clock_type::time_point::max() - 1ns)) ==
        7);
}

TEST_CASE("no timer keeps the context alive after a task has ended", "[timeout]") {
  test::loop loop;
  const auto caller = loop.spawn(with_timeout(test::sleep(1ms), 1h));
  const auto failing = loop.spawn(with_timeout(test::fail(std::runtime_error("no")), 1h));
  loop.run();
  CHECK(caller.succeeded());
  CHECK(failing.done());
  CHECK(loop.elapsed() == 1ms);
}

TEST_CASE("a limit on other executor types stays on that type", "[timeout]") {
  using executor = asio::io_context::executor_type;
  test::loop loop;
  auto limited = with_timeout(test::value_after<executor>(7, 5ms), 10ms);
  static_assert(std::is_same_v<decltype(limited), awaitable<int, executor>>);
  CHECK(loop.get(std::move(limited)) == 7);
  const auto caller = loop.spawn(with_timeout(test::never<executor>(), 10ms));
  loop.run();
  CHECK(timed_out(caller.error()));
}

namespace {

// Runs what it is given in a later turn, and the next one not before `delay` is over.
struct late_executor {
  struct shared {
    asio::io_context& context;
    std::chrono::milliseconds delay{0};
  };
  shared* state;

  template <class F>
  void execute(F&& function) const {
    using stored = std::decay_t<F>;
    auto timer = std::make_shared<asio::steady_timer>(state->context, state->delay);
    auto kept = std::make_shared<stored>(std::forward<F>(function));
    state->delay = 0ms;
    timer->async_wait([timer, kept](asio::error_code) { std::move (*kept)(); });
  }
  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return state->context;
  }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  friend bool operator==(const late_executor& a, const late_executor& b) noexcept {
    return a.state == b.state;
  }
};

awaitable<void> expires_before_start(late_executor::shared& executor, test::census& tasks) {
  executor.delay = 20ms;  // of the task's start
  co_await with_timeout(tasks.count(test::ready(1)), 10ms);
}

}  // namespace

TEST_CASE("a limit that expires before the task could start is a timeout", "[timeout]") {
  test::loop loop;
  test::census tasks;
  late_executor::shared state{loop.context()};
  const auto caller = loop.spawn_on(asio::any_io_executor(late_executor{&state}),
                                    expires_before_start(state, tasks));
  loop.run();
  REQUIRE(caller.done());
  CHECK(tasks.started() == 0);
  CHECK(timed_out(caller.error()));
}

TEST_CASE("a task that timed out does not poison the next one of its worker", "[timeout]") {
  test::loop loop;
  const auto fn = [](int n) -> awaitable<bool> {
    const auto error = co_await outcome_of(with_timeout(test::sleep(n % 2 == 0 ? 1h : 1ms), 10ms));
    co_await test::sleep(1ms);
    co_return timed_out(error);
  };
  const auto results = loop.get(cogather::gather(std::views::iota(0, 9), fn, {.limit = 2}));
  REQUIRE(results.size() == 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(results[i] == (i % 2 == 0));
}

TEST_CASE("a timeout of one task fails a gather with timeout_error", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto caller = loop.spawn(
      cogather::gather(with_timeout(tasks.count(test::never()), 10ms), tasks.count(test::never())));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 10ms);
  CHECK(tasks.balanced());
}

TEST_CASE("a limit around gather_settled gives what is ready by then", "[timeout]") {
  test::loop loop;
  test::census tasks;
  const auto fn = [&tasks](int n) { return tasks.count(test::value_after(n, n * 3ms)); };
  const auto outcomes = loop.get(
      with_timeout(cogather::gather_settled(std::views::iota(0, 6), fn, {.limit = 4}), 10ms));
  REQUIRE(outcomes.size() == 6);
  using cogather::task_status;
  CHECK(outcomes[3].has_value());
  CHECK(outcomes[4].status() == task_status::cancelled);
  CHECK(outcomes[5].status() == task_status::cancelled);
  CHECK(loop.elapsed() == 10ms);
  CHECK(tasks.balanced());
}

namespace {

awaitable<void> limited_in_time(test::loop&, test::census& c) {
  const test::tracked object(1);
  const auto result = co_await with_timeout(c.count(tracked_after(7, 5ms)), 10ms);
  if (result != 7) throw std::runtime_error("wrong value");
}

awaitable<void> limited_too_late(test::loop&, test::census& c) {
  const auto error = co_await outcome_of(with_timeout(slow_to_stop(c, 3ms), 10ms));
  if (!timed_out(error)) std::rethrow_exception(error);
  co_await c.count(test::sleep(1ms));
}

awaitable<void> limits_in_limits(test::loop&, test::census& c) {
  const auto inner = [](test::census& tasks) -> awaitable<void> {
    const auto error = co_await outcome_of(with_timeout(tasks.count(test::never()), 3ms));
    if (!timed_out(error)) std::rethrow_exception(error);
    co_await with_timeout(slow_to_stop(tasks, 2ms), 10ms);
  };
  const auto error = co_await outcome_of(with_timeout(inner(c), 5ms));
  if (!timed_out(error)) std::rethrow_exception(error);
}

awaitable<void> limited_gather(test::loop&, test::census& c) {
  const auto fn = [&c](int n) -> awaitable<int> {
    co_await outcome_of(with_timeout(c.count(test::sleep(n * 2ms)), 3ms));
    co_return co_await c.count(test::value_after(n, 1ms));
  };
  co_await outcome_of(
      with_timeout(cogather::gather(std::views::iota(0, 5), fn, {.limit = 2}), 9ms));
}

void aborted_or_undisturbed(const test::stopped_run& run) {
  if (!run.ended) return;
  if (run.kind == test::stop_kind::none || !run.heard) {
    CHECK(run.error == nullptr);
  } else if (run.error != nullptr) {
    CHECK(test::aborted(run.error));
  }
}

}  // namespace

TEST_CASE("a task in time may be stopped anywhere", "[timeout][replay]") {
  test::stop_everywhere(limited_in_time, aborted_or_undisturbed, test::every_type);
}

TEST_CASE("a task that expires may be stopped anywhere", "[timeout][replay]") {
  test::stop_everywhere(limited_too_late, aborted_or_undisturbed, test::every_type);
}

TEST_CASE("nested limits may be stopped anywhere", "[timeout][replay]") {
  test::stop_everywhere(limits_in_limits, aborted_or_undisturbed, test::every_type);
}

TEST_CASE("a limited gather of limited tasks may be stopped anywhere", "[timeout][replay]") {
  test::stop_everywhere(limited_gather, aborted_or_undisturbed, test::every_type);
}

TEST_CASE("a hundred nested limits and a long row of them work", "[timeout]") {
  test::loop loop;
  struct nest {
    static awaitable<int> of(int depth) {
      return depth == 0 ? test::value_after(7, 1ms) : with_timeout(of(depth - 1), 1h);
    }
  };
  CHECK(loop.get(nest::of(100)) == 7);
  const auto row = []() -> awaitable<int> {
    int sum = 0;
    for (int i = 0; i < 20'000; ++i) sum += co_await with_timeout(test::ready(1), 1h);
    co_return sum;
  };
  CHECK(loop.get(row()) == 20'000);
  CHECK(loop.elapsed() == 1ms);
}
