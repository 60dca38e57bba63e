// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include <cogather/retry.hpp>

#include <cogather/gather.hpp>
#include <cogather/timeout.hpp>

#include <asio/error.hpp>
#include <asio/system_error.hpp>
#include <chrono>
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
using cogather::retry;
using cogather::retry_policy;
using std::chrono::nanoseconds;
using cancel = asio::cancellation_type;

static_assert(std::is_trivially_destructible_v<retry_policy>);
static_assert(retry_policy().max_attempts == 3);
static_assert(retry_policy().initial_delay == 100ms);
static_assert(retry_policy().max_delay == 10s);
static_assert(retry_policy().multiplier == 2.0);
static_assert(retry_policy().jitter == 0.5);
static_assert(retry_policy().max_elapsed == nanoseconds::max());

// Fails until the given attempt, which gives its number. Keeps what it threw.
struct flaky {
  std::size_t succeeds_at;
  std::size_t calls = 0;
  std::vector<std::exception_ptr> errors = {};

  awaitable<int> operator()() {
    if (++calls >= succeeds_at) co_return static_cast<int>(calls);
    errors.push_back(std::make_exception_ptr(std::runtime_error(std::to_string(calls))));
    std::rethrow_exception(errors.back());
  }
};

constexpr std::size_t never_succeeds = std::numeric_limits<std::size_t>::max();

// What on_retry was told.
struct journal {
  std::vector<std::size_t> attempts = {};
  std::vector<std::exception_ptr> errors = {};
  std::vector<nanoseconds> delays = {};

  void operator()(std::size_t attempt, std::exception_ptr error, nanoseconds delay) {
    attempts.push_back(attempt);
    errors.push_back(std::move(error));
    delays.push_back(delay);
  }
};

// The delays before attempts 2, 3, ... of a call that always fails.
std::vector<nanoseconds> delays_of(retry_policy policy) {
  test::loop loop;
  loop.patience(24h * 36500);
  flaky fn{never_succeeds};
  journal notes;
  policy.on_retry = notes;
  const auto caller = loop.spawn(retry(policy, fn));
  loop.run();
  CHECK(fn.calls == policy.max_attempts);
  REQUIRE(notes.delays.size() + 1 == policy.max_attempts);
  return notes.delays;
}

std::string thrown_for(retry_policy policy) {
  test::loop loop;
  flaky fn{1};
  const auto caller = loop.spawn(retry(policy, fn));
  loop.run();
  CHECK(fn.calls == 0);
  CHECK_THROWS_AS(caller.value(), std::invalid_argument);
  return test::what(caller.error());
}

bool timed_out(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const cogather::timeout_error&) {
    return true;
  } catch (...) {
  }
  return false;
}

}  // namespace

TEST_CASE("retry gives the value of the first try that succeeds", "[retry]") {
  test::loop loop;
  flaky at_once{1};
  CHECK(loop.get(retry({}, at_once)) == 1);
  CHECK(at_once.calls == 1);
  CHECK(loop.elapsed() == 0ms);

  flaky third{3};
  CHECK(loop.get(retry({.initial_delay = 10ms, .jitter = 0}, third)) == 3);
  CHECK(third.calls == 3);
  CHECK(loop.elapsed() == 30ms);
}

TEST_CASE("retry makes max_attempts tries, the first included", "[retry]") {
  const std::size_t attempts = GENERATE(1u, 2u, 5u);
  test::loop loop;
  flaky fn{never_succeeds};
  const auto caller = loop.spawn(retry({.max_attempts = attempts}, fn));
  loop.run();
  REQUIRE(caller.done());
  CHECK(fn.calls == attempts);
}

TEST_CASE("retry rethrows the last error, the same object", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  const auto caller = loop.spawn(retry({}, fn));
  loop.run();
  REQUIRE(fn.errors.size() == 3);
  CHECK(caller.error() == fn.errors[2]);
}

TEST_CASE("retry tells fn the number of the attempt, from 1, if it takes one", "[retry]") {
  test::loop loop;
  std::vector<std::size_t> seen;
  auto fn = [&seen](std::size_t attempt) -> awaitable<std::size_t> {
    seen.push_back(attempt);
    if (attempt < 3) throw std::runtime_error("again");
    co_return attempt;
  };
  CHECK(loop.get(retry({}, fn)) == 3);
  CHECK(seen == std::vector<std::size_t>{1, 2, 3});
}

TEST_CASE("retry takes functions and functors, named, const, moved and move-only", "[retry]") {
  test::loop loop;
  struct plain {
    static awaitable<int> function() { co_return 1; }
  };
  CHECK(loop.get(retry({}, plain::function)) == 1);
  CHECK(loop.get(retry({}, &plain::function)) == 1);

  const auto unchanging = [] { return test::ready(2); };
  CHECK(loop.get(retry({}, unchanging)) == 2);
  CHECK(loop.get(retry({}, [] { return test::ready(3); })) == 3);
  CHECK(loop.get(retry({}, flaky{2})) == 2);

  struct move_only {
    test::tracked_move_only kept;
    explicit move_only(int n) : kept(n) {}
    awaitable<int> operator()() {
      co_await test::sleep(1ms);
      co_return kept.value();
    }
  };
  const long before = test::tracked_count::live();
  auto owned = retry({}, move_only(4));
  CHECK(test::tracked_count::live() == before + 1);
  CHECK(loop.get(std::move(owned)) == 4);
  CHECK(test::tracked_count::live() == before);
}

TEST_CASE("retry calls an lvalue fn itself, not a copy", "[retry]") {
  test::loop loop;
  flaky fn{3};
  loop.get(retry({}, fn));
  loop.get(retry({}, fn));
  CHECK(fn.calls == 4);
}

TEST_CASE("retry gives nothing, or what is move-only and has no default", "[retry]") {
  test::loop loop;
  int calls = 0;
  auto fn = [&calls]() -> awaitable<void> {
    if (++calls < 2) throw std::runtime_error("again");
    co_return;
  };
  auto nothing = retry({}, fn);
  static_assert(std::is_same_v<decltype(nothing), awaitable<void>>);
  loop.get(std::move(nothing));
  CHECK(calls == 2);

  auto make = []() -> awaitable<test::tracked_no_default> {
    co_return test::tracked_no_default(5);
  };
  CHECK(loop.get(retry({}, make)) == 5);
}

TEST_CASE("retry stays on the executor type of fn's awaitable", "[retry]") {
  using executor = asio::io_context::executor_type;
  test::loop loop;
  int calls = 0;
  auto fn = [&calls]() -> awaitable<int, executor> {
    if (++calls < 2) throw std::runtime_error("again");
    co_return calls;
  };
  auto trying = retry({.initial_delay = 10ms, .jitter = 0}, fn);
  static_assert(std::is_same_v<decltype(trying), awaitable<int, executor>>);
  CHECK(loop.get(std::move(trying)) == 2);
  CHECK(loop.elapsed() == 10ms);
}

TEST_CASE("a try that fails without suspending, or before it is a coroutine, is retried",
          "[retry]") {
  test::loop loop;
  int calls = 0;
  auto fn = [&calls](std::size_t attempt) {
    ++calls;
    if (attempt == 1) throw 42;  // not from a coroutine
    return test::ready(7);
  };
  CHECK(loop.get(retry({}, fn)) == 7);
  CHECK(calls == 2);

  const auto original = std::make_exception_ptr(42);
  auto always = [&]() -> awaitable<void> { std::rethrow_exception(original); };
  const auto caller = loop.spawn(retry({}, always));
  loop.run();
  CHECK(caller.error() == original);
}

TEST_CASE("a failed try is gone before the back-off begins", "[retry]") {
  test::loop loop;
  test::census tasks;
  auto fn = [&tasks] { return tasks.count(test::fail_after(std::runtime_error("no"), 5ms)); };
  loop.spawn(retry({.initial_delay = 100ms, .jitter = 0}, fn));
  loop.run_for(50ms);
  CHECK(tasks.started() == 1);
  CHECK(tasks.live() == 0);
  loop.run();
  CHECK(tasks.started() == 3);
  CHECK(tasks.peak() == 1);
}

TEST_CASE("retry_if says which errors are worth another try", "[retry]") {
  test::loop loop;
  struct judge {
    static bool is_runtime_error(std::exception_ptr e) {
      return cogather::settled<void>(std::move(e)).failed_with<std::runtime_error>();
    }
  };
  int calls = 0;
  auto fn = [&calls]() -> awaitable<void> {
    if (++calls == 2) throw std::logic_error("fatal");
    throw std::runtime_error("again");
  };
  const auto caller =
      loop.spawn(retry({.max_attempts = 5, .retry_if = judge::is_runtime_error}, fn));
  loop.run();
  CHECK(calls == 2);
  CHECK_THROWS_AS(caller.value(), std::logic_error);
}

TEST_CASE("retry_if sees the very error, and is not asked after the last try", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  std::vector<std::exception_ptr> asked;
  auto judge = [&asked](std::exception_ptr e) {
    asked.push_back(std::move(e));
    return true;
  };
  loop.spawn(retry({.retry_if = judge}, fn));
  loop.run();
  REQUIRE(fn.errors.size() == 3);
  CHECK(asked == std::vector<std::exception_ptr>{fn.errors[0], fn.errors[1]});
}

TEST_CASE("on_retry is told the attempt, its error and the delay, before the back-off", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  journal notes;
  loop.spawn(retry({.initial_delay = 10ms, .jitter = 0, .on_retry = notes}, fn));
  loop.run_ready();
  CHECK(notes.attempts == std::vector<std::size_t>{1});
  loop.run();
  CHECK(notes.attempts == std::vector<std::size_t>{1, 2});
  CHECK(notes.errors == std::vector<std::exception_ptr>{fn.errors[0], fn.errors[1]});
  CHECK(notes.delays == std::vector<nanoseconds>{10ms, 20ms});
}

TEST_CASE("what retry_if or on_retry throws is passed on", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  auto judge = [](std::exception_ptr) -> bool { throw std::out_of_range("judge"); };
  const auto judged = loop.spawn(retry({.retry_if = judge}, fn));
  auto report = [](std::size_t, std::exception_ptr, nanoseconds) {
    throw std::out_of_range("report");
  };
  const auto reported = loop.spawn(retry({.on_retry = report}, fn));
  loop.run();
  CHECK(test::what(judged.error()) == "judge");
  CHECK(test::what(reported.error()) == "report");
  CHECK(fn.calls == 2);
}

TEST_CASE("back-offs grow by the multiplier up to max_delay", "[retry]") {
  CHECK(delays_of({.max_attempts = 7, .initial_delay = 10ms, .max_delay = 100ms, .jitter = 0}) ==
        std::vector<nanoseconds>{10ms, 20ms, 40ms, 80ms, 100ms, 100ms});
  CHECK(delays_of({.max_attempts = 4, .initial_delay = 10ms, .multiplier = 3, .jitter = 0}) ==
        std::vector<nanoseconds>{10ms, 30ms, 90ms});
  CHECK(delays_of({.max_attempts = 4, .initial_delay = 10ms, .multiplier = 1, .jitter = 0}) ==
        std::vector<nanoseconds>{10ms, 10ms, 10ms});
  CHECK(delays_of({.max_attempts = 4, .initial_delay = 80ms, .multiplier = 0.5, .jitter = 0}) ==
        std::vector<nanoseconds>{80ms, 40ms, 20ms});
  CHECK(delays_of({.max_attempts = 3, .initial_delay = 1h, .max_delay = 5ms, .jitter = 0}) ==
        std::vector<nanoseconds>{5ms, 5ms});
}

TEST_CASE("a back-off of zero does not wait", "[retry]") {
  test::loop loop;
  flaky fn{100'000};
  CHECK(loop.get(retry({.max_attempts = 100'000, .initial_delay = 0ns}, fn)) == 100'000);
  CHECK(loop.elapsed() == 0ms);
}

TEST_CASE("the wait is the delay that on_retry was told", "[retry]") {
  test::loop loop;
  flaky fn{6};
  journal notes;
  loop.get(retry({.max_attempts = 6, .initial_delay = 10ms, .jitter = 1, .on_retry = notes}, fn));
  nanoseconds sum{};
  for (const nanoseconds d : notes.delays) sum += d;
  CHECK(loop.elapsed() >= sum);
  CHECK(loop.elapsed() < sum + 10us);  // Asio rounds up to whole microseconds
}

TEST_CASE("jitter draws each delay from [(1 - jitter) d, d]", "[retry]") {
  const double jitter = GENERATE(0.25, 0.5, 1.0);
  nanoseconds least = 1h;
  nanoseconds most{};
  for (const nanoseconds d :
       delays_of({.max_attempts = 1001, .initial_delay = 1s, .multiplier = 1, .jitter = jitter})) {
    least = std::min(least, d);
    most = std::max(most, d);
  }
  const auto lowest = std::chrono::duration<double>((1 - jitter) * 1.0);
  CHECK(least >= lowest);
  CHECK(most <= 1s);
  // Of a thousand drawn evenly, some are near either end.
  CHECK(least <= lowest + std::chrono::duration<double>(0.1 * jitter));
  CHECK(most >= 1s - std::chrono::duration<double>(0.1 * jitter));
}

TEST_CASE("jitter does not feed into the growth of the delays", "[retry]") {
  const auto delays = delays_of(
      {.max_attempts = 12, .initial_delay = 1ms, .max_delay = 1h, .multiplier = 2, .jitter = 0.1});
  nanoseconds full = 1ms;
  for (const nanoseconds d : delays) {
    CHECK(d <= full);
    CHECK(d >= full * 9 / 10);
    full *= 2;
  }
}

TEST_CASE("delays saturate at max_delay, whatever the multiplier", "[retry]") {
  const double multiplier = GENERATE(1e9, 1e300, std::numeric_limits<double>::max(),
                                     std::numeric_limits<double>::infinity());
  CHECK(delays_of({.max_attempts = 5,
                   .initial_delay = 1ns,
                   .max_delay = 24h,
                   .multiplier = multiplier,
                   .jitter = 0})
            .back() == 24h);
}

TEST_CASE("the longest delay of all is waited for, and can be cancelled", "[retry]") {
  const double jitter = GENERATE(0.0, 0.5, 1.0);
  test::loop loop;
  flaky fn{never_succeeds};
  journal notes;
  const auto caller = loop.spawn(retry({.initial_delay = 1ms,
                                        .max_delay = nanoseconds::max(),
                                        .multiplier = 1e300,
                                        .jitter = jitter,
                                        .on_retry = notes},
                                       fn));
  loop.run_for(1h);
  CHECK(fn.calls == 2);
  CHECK_FALSE(caller.done());
  REQUIRE(notes.delays.size() == 2);
  CHECK(notes.delays[1] >= nanoseconds());
  if (jitter == 0.0) CHECK(notes.delays[1] == nanoseconds::max());
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
}

TEST_CASE("no sleep ends after max_elapsed: the last error comes at once instead", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  journal notes;
  const auto caller = loop.spawn(retry({.max_attempts = 10,
                                        .initial_delay = 10ms,
                                        .jitter = 0,
                                        .max_elapsed = 60ms,
                                        .on_retry = notes},
                                       fn));
  loop.run();
  CHECK(loop.elapsed() == 30ms);  // 10 + 20, and 40 more would be too late
  CHECK(fn.calls == 3);
  CHECK(caller.error() == fn.errors[2]);
  CHECK(notes.attempts.size() == 2);
}

TEST_CASE("max_elapsed counts the tries as well as the sleeps", "[retry]") {
  test::loop loop;
  int calls = 0;
  auto fn = [&calls] {
    ++calls;
    return test::fail_after(std::runtime_error("no"), 25ms);
  };
  const auto caller = loop.spawn(retry({.max_attempts = 10,
                                        .initial_delay = 10ms,
                                        .multiplier = 1,
                                        .jitter = 0,
                                        .max_elapsed = 75ms},
                                       fn));
  loop.run();
  CHECK(calls == 3);  // at 0, 35 and 70 ms: a running try is not stopped
  CHECK(loop.elapsed() == 95ms);
}

TEST_CASE("a try may start exactly at max_elapsed, and with none there is just one", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  loop.spawn(retry({.initial_delay = 10ms, .jitter = 0, .max_elapsed = 10ms}, fn));
  loop.run();
  CHECK(fn.calls == 2);

  flaky once{never_succeeds};
  loop.spawn(retry({.initial_delay = 10ms, .max_elapsed = 0ns}, once));
  loop.run();
  CHECK(once.calls == 1);
}

TEST_CASE("no attempt starts after max_elapsed, even when the loop wakes late", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  const auto caller =
      loop.spawn(retry({.initial_delay = 10ms, .jitter = 0, .max_elapsed = 50ms}, fn));
  loop.run_ready();
  CHECK(fn.calls == 1);
  loop.clock_control().advance(1h);  // as if a handler had blocked the loop
  loop.run();
  CHECK(fn.calls == 1);
  CHECK(caller.error() == fn.errors[0]);
}

TEST_CASE("max_elapsed is counted from the co_await", "[retry]") {
  test::loop loop;
  flaky fn{2};
  auto trying = retry({.initial_delay = 10ms, .max_elapsed = 50ms}, fn);
  loop.clock_control().advance(1h);
  CHECK(loop.get(std::move(trying)) == 2);
}

TEST_CASE("a bad retry policy is invalid_argument that names the member", "[retry]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THAT(thrown_for({.max_attempts = 0}), test::contains("max_attempts"));
  CHECK_THAT(thrown_for({.jitter = -0.1}), test::contains("jitter"));
  CHECK_THAT(thrown_for({.jitter = 1.1}), test::contains("jitter"));
  CHECK_THAT(thrown_for({.jitter = nan}), test::contains("jitter"));
  CHECK_THAT(thrown_for({.multiplier = nan}), test::contains("multiplier"));
  CHECK_THAT(thrown_for({.multiplier = -1}), test::contains("multiplier"));
  CHECK_THAT(thrown_for({.initial_delay = -1ns}), test::contains("initial_delay"));
  CHECK_THAT(thrown_for({.max_delay = -1ns}), test::contains("max_delay"));
  CHECK_THAT(thrown_for({.max_elapsed = -1ns}), test::contains("max_elapsed"));
  CHECK_THAT(thrown_for({.max_elapsed = nanoseconds::min()}), test::contains("max_elapsed"));
}

TEST_CASE("cancellation ends a back-off at once, of each type", "[retry]") {
  const auto type = GENERATE(cancel::terminal, cancel::partial, cancel::total);
  test::loop loop;
  flaky fn{never_succeeds};
  const auto caller =
      loop.spawn(retry({.initial_delay = 1h, .max_delay = 1h}, fn), test::any_cancellation);
  loop.run_for(1ms);
  CHECK(fn.calls == 1);
  caller.cancel(type);
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(fn.calls == 1);
  CHECK(loop.elapsed() == 1ms);
}

TEST_CASE("cancellation reaches the running try and is never retried", "[retry]") {
  test::loop loop;
  test::census tasks;
  bool asked = false;
  auto judge = [&asked](std::exception_ptr) { return asked = true; };
  auto fn = [&tasks] { return tasks.count(test::never()); };
  const auto caller = loop.spawn(retry({.retry_if = judge}, fn));
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(tasks.started() == 1);
  CHECK(tasks.balanced());
  CHECK_FALSE(asked);
}

TEST_CASE("an error of a cancelled try is not retried either, and is passed on", "[retry]") {
  test::loop loop;
  int calls = 0;
  const auto original = std::make_exception_ptr(std::runtime_error("while stopping"));
  auto fn = [&]() -> awaitable<void> {
    ++calls;
    co_await test::deaf_sleep(10ms);
    std::rethrow_exception(original);
  };
  const auto caller = loop.spawn(retry({}, fn));
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(calls == 1);
  CHECK(caller.error() == original);
}

TEST_CASE("a cancelled try that has a value all the same gives it", "[retry]") {
  test::loop loop;
  auto fn = []() -> awaitable<int> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await test::deaf_sleep(10ms);
    co_return 7;
  };
  const auto caller = loop.spawn(retry({}, fn));
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(caller.value() == 7);
}

TEST_CASE("operation_aborted that fn throws by itself is an error like any other", "[retry]") {
  test::loop loop;
  int calls = 0;
  auto fn = [&calls]() -> awaitable<int> {
    if (++calls < 3) {
      throw asio::system_error(asio::error::make_error_code(asio::error::operation_aborted));
    }
    co_return calls;
  };
  CHECK(loop.get(retry({}, fn)) == 3);
}

TEST_CASE("a caller that was cancelled before, and does not throw for it, is not retried",
          "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  const auto body = [&fn]() -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await test::deaf_sleep(10ms);
    co_await retry({}, fn);
  };
  const auto caller = loop.spawn(body());
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(caller.error() != nullptr);
  CHECK(fn.calls <= 1);
  CHECK(loop.elapsed() == 10ms);
}

TEST_CASE("each try of a retried with_timeout has the whole limit", "[retry]") {
  test::loop loop;
  test::census tasks;
  auto fn = [&tasks](std::size_t attempt) {
    return cogather::with_timeout(tasks.count(test::value_after(attempt, attempt < 3 ? 1h : 8ms)),
                                  10ms);
  };
  CHECK(loop.get(retry({.initial_delay = 5ms, .multiplier = 1, .jitter = 0}, fn)) == 3);
  CHECK(loop.elapsed() == 38ms);  // 10 + 5 + 10 + 5 + 8
  CHECK(tasks.started() == 3);
  CHECK(tasks.peak() == 1);
  CHECK(tasks.balanced());
}

TEST_CASE("the last timeout of a retried with_timeout is a timeout_error", "[retry]") {
  test::loop loop;
  auto fn = [] { return cogather::with_timeout(test::never(), 10ms); };
  const auto caller = loop.spawn(retry({.max_attempts = 2}, fn));
  loop.run();
  CHECK(timed_out(caller.error()));
}

TEST_CASE("a limit around a retry ends tries and back-offs", "[retry]") {
  test::loop loop;
  flaky fn{never_succeeds};
  const auto caller = loop.spawn(cogather::with_timeout(
      retry({.max_attempts = 10, .initial_delay = 10ms, .jitter = 0}, fn), 35ms));
  loop.run();
  CHECK(timed_out(caller.error()));
  CHECK(loop.elapsed() == 35ms);
  CHECK(fn.calls == 3);
}

TEST_CASE("retries inside a gather back off independently", "[retry]") {
  test::loop loop;
  auto fn = [](int n) -> awaitable<int> {
    auto once = [n](std::size_t attempt) -> awaitable<int> {
      if (attempt <= static_cast<std::size_t>(n)) throw std::runtime_error("again");
      co_return n;
    };
    co_return co_await retry({.max_attempts = 5, .initial_delay = 10ms, .jitter = 0}, once);
  };
  CHECK(loop.get(cogather::gather(std::views::iota(0, 4), fn)) == std::vector<int>{0, 1, 2, 3});
  CHECK(loop.elapsed() == 70ms);
}

namespace {

awaitable<void> retried(test::loop&, test::census& c) {
  auto fn = [&c](std::size_t attempt) -> awaitable<test::tracked_no_default> {
    const test::census::token here(c);
    co_await test::sleep(2ms);
    if (attempt < 3) throw std::runtime_error("again");
    co_return test::tracked_no_default(7);
  };
  const auto result = co_await retry({.initial_delay = 3ms, .jitter = 0}, fn);
  if (result != 7) throw std::logic_error("wrong value");
}

awaitable<void> retried_timeouts(test::loop&, test::census& c) {
  auto fn = [&c](std::size_t attempt) {
    return cogather::with_timeout(c.count(test::value_after(attempt, attempt < 3 ? 1h : 2ms)), 5ms);
  };
  co_await retry({.initial_delay = 3ms, .jitter = 0}, fn);
}

awaitable<void> limited_retries(test::loop&, test::census& c) {
  auto fn = [&c] {
    return cogather::with_timeout(c.count(test::fail_after(std::runtime_error("no"), 2ms)), 5ms);
  };
  try {
    co_await cogather::with_timeout(
        retry({.max_attempts = 9, .initial_delay = 1ms, .jitter = 0}, fn), 12ms);
  } catch (const cogather::timeout_error&) {
  }
}

// Or the error of a try that had failed when the cancellation came.
void aborted_at_once(const test::stopped_run& run) {
  if (!run.ended) return;
  if (run.kind == test::stop_kind::none || !run.heard) {
    CHECK(run.error == nullptr);
  } else {
    CHECK(run.took == 0ms);
    const std::string said = test::what(run.error);
    CHECK((run.error == nullptr || test::aborted(run.error) || timed_out(run.error) ||
           said == "again" || said == "no"));
  }
}

}  // namespace

TEST_CASE("a retry may be stopped anywhere", "[retry][replay]") {
  test::stop_everywhere(retried, aborted_at_once, test::every_type);
}

TEST_CASE("a retry of limited tries may be stopped anywhere", "[retry][replay]") {
  test::stop_everywhere(retried_timeouts, aborted_at_once, test::every_type);
}

TEST_CASE("a limited retry may be stopped anywhere", "[retry][replay]") {
  test::stop_everywhere(limited_retries, aborted_at_once, test::every_type);
}
