// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather_settled: every outcome is kept.
#include <cogather/gather.hpp>

#include <algorithm>
#include <asio/error.hpp>
#include <asio/system_error.hpp>
#include <cstddef>
#include <exception>
#include <forward_list>
#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather_settled;
using cogather::progress;
using cogather::settled;
using cogather::task_status;
using cogather::unlimited;
using test::milliseconds;
using statuses = std::vector<task_status>;

constexpr auto value = task_status::value;
constexpr auto error = task_status::error;
constexpr auto cancelled = task_status::cancelled;
constexpr auto not_started = task_status::not_started;

milliseconds ms(int n) { return milliseconds(n); }

template <class T>
statuses status_of(const std::vector<settled<T>>& outcomes) {
  statuses all;
  for (const auto& outcome : outcomes) all.push_back(outcome.status());
  return all;
}

std::exception_ptr failure(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

// Keeps the outcomes where a cancelled caller's check finds them, and notes whether the caller
// got beyond its next co_await.
template <class T>
struct keep {
  std::vector<settled<T>> outcomes;
  bool returned = false;
  bool went_on = false;

  asio::awaitable<void> of(asio::awaitable<std::vector<settled<T>>> all) {
    outcomes = co_await std::move(all);
    returned = true;
    co_await test::yield();
    went_on = true;
  }
};

asio::awaitable<test::tracked_throwing_move> tracked_after(int i, milliseconds d) {
  co_await test::sleep(d);
  co_return test::tracked_throwing_move(i);
}

}  // namespace

TEST_CASE("gather_settled: outcome i belongs to input i, and no failure stops another task",
          "[gather_settled]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  test::census tasks;
  const auto first = failure("first");
  const auto last = failure("last");
  const auto outcomes = loop.get(gather_settled(
      test::list(tasks.count(test::value_after(0, 9ms)),
                 tasks.count(test::fail_after<int>(last, 5ms)),
                 tasks.count(test::value_after(2, 1ms)), tasks.count(test::fail<int>(first)),
                 tasks.count(test::fail_after<int>(42, 1ms)), tasks.count(test::ready(5))),
      {.limit = limit}));
  REQUIRE(status_of(outcomes) == statuses{value, error, value, error, error, value});
  CHECK(*outcomes[0] == 0);
  CHECK(outcomes[1].error() == last);
  CHECK(*outcomes[2] == 2);
  CHECK(outcomes[3].error() == first);
  CHECK(outcomes[4].failed_with<int>());
  CHECK(*outcomes[5] == 5);
  CHECK(tasks.ended() == 6);
}

TEST_CASE("gather_settled: of void", "[gather_settled]") {
  test::loop loop;
  auto all = gather_settled(test::list(test::sleep(1ms), test::fail(42)));
  static_assert(std::is_same_v<decltype(all), asio::awaitable<std::vector<settled<void>>>>);
  CHECK(status_of(loop.get(std::move(all))) == statuses{value, error});
}

TEST_CASE("gather_settled: of bool, move-only and not default-constructible results",
          "[gather_settled]") {
  test::loop loop;
  auto truth = [](int i) { return test::value_after(i % 2 == 0, ms(9 - i)); };
  const auto flags = loop.get(gather_settled(std::views::iota(0, 4), truth));
  CHECK(*flags[0]);
  CHECK_FALSE(*flags[1]);
  auto object = [](int i) -> asio::awaitable<test::tracked_no_default> {
    co_await test::sleep(ms(9 - i));
    if (i == 1) throw std::runtime_error("1");
    co_return test::tracked_no_default(i);
  };
  {
    const auto objects = loop.get(gather_settled(std::views::iota(0, 3), object));
    CHECK(status_of(objects) == statuses{value, error, value});
    CHECK(*objects[2] == 2);
    CHECK(test::tracked_count::live() == 2);
  }
  CHECK(test::tracked_count::live() == 0);
}

TEST_CASE("gather_settled: a result whose move throws is its task's error", "[gather_settled]") {
  bool thrown = true;
  for (int n = 1; thrown; ++n) {
    test::loop loop;
    auto fn = [](int i) { return tracked_after(i, ms(10 - i)); };
    auto caller = loop.spawn(gather_settled(std::views::iota(0, 3), fn));
    loop.run_for(5ms);  // all are under way
    test::tracked_count::throw_on_move(n);
    loop.run_for(5ms);
    test::tracked_count::throw_on_move(0);
    REQUIRE(caller.done());
    CAPTURE(n);
    REQUIRE(caller.succeeded());
    {
      const auto outcomes = caller.value();
      int errors = 0;
      REQUIRE(outcomes.size() == 3);
      for (int i = 0; i < 3; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome) {
          CHECK(*outcome == i);
        } else {
          ++errors;
          CHECK(outcome.message() == "move");
        }
      }
      CHECK(errors <= 1);
      thrown = errors == 1;
    }
    REQUIRE(n < 100);
    CHECK(test::tracked_count::live() == 0);
  }
}

TEST_CASE("gather_settled: of a pack is a tuple of outcomes", "[gather_settled]") {
  test::loop loop;
  const auto no = failure("no");
  auto all = gather_settled(test::value_after(std::string("a"), 3ms), test::sleep(1ms),
                            test::fail_after<std::unique_ptr<int>>(no, 1ms), test::fail(42));
  static_assert(std::is_same_v<
                decltype(all),
                asio::awaitable<std::tuple<settled<std::string>, settled<void>,
                                           settled<std::unique_ptr<int>>, settled<void>>>>);
  const auto [text, nothing, box, number] = loop.get(std::move(all));
  CHECK(*text == "a");
  CHECK(nothing.has_value());
  CHECK(box.error() == no);
  CHECK(number.failed_with<int>());
  CHECK(loop.elapsed() == 3ms);
}

TEST_CASE("gather_settled: empty input gives an empty result", "[gather_settled]") {
  test::loop loop;
  CHECK(loop.get(gather_settled(std::vector<asio::awaitable<int>>())).empty());
  auto fn = [](int i) { return test::ready(i); };
  CHECK(loop.get(gather_settled(std::forward_list<int>(), fn, {.max_failures = 0})).empty());
  CHECK_THROWS_MATCHES(loop.get(gather_settled(std::vector<int>(), fn, {.limit = 0})),
                       std::invalid_argument, test::says("limit"));
}

TEST_CASE("gather_settled: an exception from fn is that element's error", "[gather_settled]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  const auto odd = failure("odd");
  auto fn = [&](int i) {
    if (i % 2 != 0) std::rethrow_exception(odd);
    return test::value_after(i, 1ms);
  };
  const auto outcomes = loop.get(gather_settled(std::views::iota(0, 5), fn, {.limit = limit}));
  CHECK(status_of(outcomes) == statuses{value, error, value, error, value});
  CHECK(outcomes[3].error() == odd);
}

TEST_CASE("gather_settled: an exception from a dereference is that element's error",
          "[gather_settled]") {
  test::loop loop;
  auto make = [](int i) {
    if (i == 1) throw std::runtime_error("1");
    return test::ready(i);
  };
  CHECK(status_of(loop.get(gather_settled(std::views::iota(0, 3) | std::views::transform(make)))) ==
        statuses{value, error, value});

  auto item = [](int i) {
    if (i == 1) throw 42;
    return std::to_string(i);
  };
  auto fn = [](const std::string& s) -> asio::awaitable<std::string> {
    co_await test::yield();
    co_return s;
  };
  const auto outcomes =
      loop.get(gather_settled(std::views::iota(0, 3) | std::views::transform(item), fn));
  REQUIRE(status_of(outcomes) == statuses{value, error, value});
  CHECK(outcomes[1].failed_with<int>());
  CHECK(*outcomes[2] == "2");
}

TEST_CASE("gather_settled: a hundred thousand elements without a task use constant stack",
          "[gather_settled]") {
  std::size_t size = 0;
  test::on_small_stack([&] {
    asio::io_context context;
    auto fn = [](int i) {
      if (i % 1000 != 0) throw i;
      return test::ready(i);
    };
    auto count = [&]() -> asio::awaitable<void> {
      size = (co_await gather_settled(std::views::iota(0, 100'000), fn)).size();
    };
    auto ignore = [](const std::exception_ptr&) {};
    asio::co_spawn(context, count(), ignore);
    context.run();
  });
  CHECK(size == 100'000);
}

TEST_CASE("gather_settled: a failure to advance the range ends the run and is rethrown",
          "[gather_settled]") {
  test::loop loop;
  test::heard_types heard;
  auto pass = [](int i) {
    if (i == 2) throw std::runtime_error("advance");
    return true;
  };
  auto fn = [&](int) { return test::listen(heard, 5ms); };
  auto range = std::views::iota(0) | std::views::filter(pass);
  CHECK_THROWS_MATCHES(loop.get(gather_settled(range, fn)), std::runtime_error,
                       test::says("advance"));
  CHECK(heard.size() == 2);
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("gather_settled: a failure of on_progress ends the run and is rethrown",
          "[gather_settled]") {
  test::loop loop;
  test::heard_types heard;
  const auto no = failure("progress");
  int reports = 0;
  auto on_progress = [&](const progress&) {
    ++reports;
    std::rethrow_exception(no);
  };
  auto caller = loop.spawn(gather_settled(
      test::list(test::listen(heard, 5ms), test::fail_after(42, 1ms), test::sleep(1ms)),
      {.on_progress = on_progress}));
  loop.run();
  CHECK(caller.error() == no);
  CHECK(reports == 1);
  CHECK(heard.size() == 1);
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("gather_settled: operation_aborted by a task's own doing is an error",
          "[gather_settled]") {
  test::loop loop;
  const auto aborted = std::make_exception_ptr(
      asio::system_error(asio::error::make_error_code(asio::error::operation_aborted)));
  const auto outcomes =
      loop.get(gather_settled(test::list(test::fail_after(aborted, 1ms), test::sleep(2ms))));
  CHECK(status_of(outcomes) == statuses{error, value});
  CHECK(outcomes[0].error() == aborted);
}

TEST_CASE("gather_settled: max_failures 0 stops at the first failure and keeps what there is",
          "[gather_settled]") {
  test::loop loop;
  test::heard_types heard;
  auto fn = [&](int i) -> asio::awaitable<int> {
    if (i == 0) co_return 0;
    if (i == 1) co_await test::listen(heard, 5ms);
    if (i == 2) co_await test::never();
    if (i == 3) co_await test::fail_after(std::runtime_error("3"), 2ms);
    co_return i;
  };
  const auto outcomes =
      loop.get(gather_settled(std::vector{0, 1, 2, 3, 4, 5}, fn, {.limit = 3, .max_failures = 0}));
  CHECK(status_of(outcomes) ==
        statuses{value, value, cancelled, error, not_started, not_started});
  CHECK(heard.size() == 1);
  CHECK(outcomes[3].message() == "3");
  for (const std::size_t i : {2u, 4u, 5u}) CHECK(test::aborted(outcomes[i].error()));
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("gather_settled: max_failures n lets n tasks fail", "[gather_settled]") {
  const int n = GENERATE(0, 1, 2, 5);
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 3u);
  test::loop loop;
  auto fn = [](int i) {
    return i % 2 == 0 ? test::fail_after<int>(42, ms(i)) : test::value_after(i, ms(i));
  };
  const auto budget = static_cast<std::size_t>(n);
  const auto outcomes = loop.get(
      gather_settled(std::views::iota(0, 20), fn, {.limit = limit, .max_failures = budget}));
  const auto all = status_of(outcomes);
  CHECK(all.size() == 20);
  CHECK(std::ranges::count(all, error) == n + 1);
  const auto last = static_cast<std::size_t>(2 * n);
  CHECK(all[last] == error);
  for (std::size_t i = last + 1; i < all.size(); ++i) {
    const bool pulled = limit == unlimited || i <= last + limit - 1;
    CHECK(all[i] == (pulled ? cancelled : not_started));
  }
}

TEST_CASE("gather_settled: as many failures as the budget allows do not stop it",
          "[gather_settled]") {
  test::loop loop;
  const auto outcomes = loop.get(gather_settled(
      test::list(test::fail_after(1, 1ms), test::fail_after(2, 2ms), test::sleep(9ms)),
      {.max_failures = 2}));
  CHECK(status_of(outcomes) == statuses{error, error, value});
}

TEST_CASE("gather_settled: a range of unknown size that is stopped has fewer outcomes",
          "[gather_settled]") {
  test::loop loop;
  auto fn = [](int i) {
    return i == 2 ? test::fail_after<int>(42, 1ms) : test::value_after(i, ms(5 - i));
  };
  const auto outcomes =
      loop.get(gather_settled(std::views::iota(0), fn, {.limit = 4, .max_failures = 0}));
  CHECK(status_of(outcomes) == statuses{cancelled, cancelled, error, cancelled});
}

TEST_CASE("gather_settled: exceptions from fn count as failures of the budget",
          "[gather_settled]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u);
  test::loop loop;
  int called = 0;
  auto fn = [&](int i) {
    ++called;
    if (i > 0) throw 42;
    return test::value_after(i, 1h);
  };
  CHECK(status_of(loop.get(gather_settled(std::views::iota(0, 5), fn,
                                          {.limit = limit, .max_failures = 1}))) ==
        statuses{cancelled, error, error, not_started, not_started});
  CHECK(called == 3);
  CHECK(loop.elapsed() == 0ms);
}

TEST_CASE("gather_settled: a task that fails by another error while it is stopped is an error",
          "[gather_settled]") {
  test::loop loop;
  auto clumsy = []() -> asio::awaitable<void> {
    try {
      co_await test::never();
    } catch (...) {
      throw std::logic_error("while stopping");
    }
  };
  const auto outcomes =
      loop.get(gather_settled(test::list(clumsy(), test::fail(42)), {.max_failures = 0}));
  CHECK(status_of(outcomes) == statuses{error, error});
}

TEST_CASE("gather_settled: returns its outcomes when cancelled, and the caller stops after it",
          "[gather_settled]") {
  const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial,
                             asio::cancellation_type::total);
  test::loop loop;
  test::heard_types heard;
  auto fn = [&](int i) -> asio::awaitable<int> {
    if (i == 0) co_return 0;
    if (i == 1) co_await test::fail(42);
    if (i == 2) co_await test::until_cancelled(heard);
    if (i == 3) co_await test::listen(heard, 9ms);
    co_return i;
  };
  keep<int> kept;
  auto caller = loop.spawn(kept.of(gather_settled(std::vector{0, 1, 2, 3, 4, 5}, fn, {.limit = 2})),
                           test::any_cancellation);
  loop.run_for(5ms);
  caller.cancel(type);
  loop.run();
  CHECK(heard == test::heard_types{type, type});
  CHECK(kept.returned);
  CHECK_FALSE(kept.went_on);
  CHECK(test::aborted(caller.error()));
  CHECK(status_of(kept.outcomes) ==
        statuses{value, error, cancelled, value, not_started, not_started});
}

TEST_CASE("gather_settled: of a pack, returns its outcomes when cancelled", "[gather_settled]") {
  test::loop loop;
  statuses all;
  bool went_on = false;
  auto body = [&]() -> asio::awaitable<void> {
    auto pack = gather_settled(test::ready(1), test::never(), test::fail(42));
    const auto outcomes = co_await std::move(pack);
    all = {std::get<0>(outcomes).status(), std::get<1>(outcomes).status(),
           std::get<2>(outcomes).status()};
    co_await test::yield();
    went_on = true;
  };
  auto caller = loop.spawn(body());
  loop.run_ready();
  caller.cancel();
  loop.run();
  CHECK(all == statuses{value, cancelled, error});
  CHECK_FALSE(went_on);
}

TEST_CASE("gather_settled: a caller cancelled on entry starts nothing", "[gather_settled]") {
  const bool throws = GENERATE(true, false);
  const bool sized = GENERATE(true, false);
  test::loop loop;
  test::census tasks;
  auto fn = [&](int i) { return tasks.count(test::ready(i)); };
  const std::forward_list unsized = {1, 2};
  keep<int> kept;
  test::gate gate;
  auto body = [&]() -> asio::awaitable<void> {
    try {
      co_await gate.wait();
    } catch (const asio::system_error&) {
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    auto all = sized ? gather_settled(std::vector{1, 2}, fn) : gather_settled(unsized, fn);
    kept.outcomes = co_await std::move(all);
    kept.returned = true;
  };
  auto caller = loop.spawn(body());
  loop.run_ready();
  caller.cancel();
  loop.run();
  CHECK(tasks.started() == 0);
  CHECK(kept.returned == !throws);
  CHECK(test::aborted(caller.error()) == throws);
  if (!throws) {
    CHECK(status_of(kept.outcomes) ==
          (sized ? statuses{not_started, not_started} : statuses{}));
  }
}

TEST_CASE("gather_settled: cancelled by its own fn, the element at hand is not started",
          "[gather_settled]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  std::function<void()> cancel;
  auto fn = [&](int i) {
    if (i == 2) cancel();
    return test::ready(i);
  };
  keep<int> kept;
  auto caller = loop.spawn(kept.of(gather_settled(std::views::iota(0, 5), fn, {.limit = limit})));
  cancel = [&] { caller.cancel(); };
  loop.run();
  CHECK(status_of(kept.outcomes) ==
        statuses{value, value, not_started, not_started, not_started});
  CHECK(kept.outcomes[2].message() != "");
}
