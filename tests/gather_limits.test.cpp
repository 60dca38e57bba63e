// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: limit, shared_limit and on_progress.
#include <cogather/gather.hpp>

#include <cstddef>
#include <forward_list>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::gather_settled;
using cogather::progress;
using cogather::semaphore;
using cogather::unlimited;
using test::milliseconds;

milliseconds ms(int n) { return milliseconds(n); }

asio::awaitable<void> hold(semaphore& s, std::size_t permits, milliseconds d) {
  const auto held = co_await s.acquire(permits);
  co_await test::sleep(d);
}

// The reports of a run, each checked against the one before.
class reports {
 public:
  void operator()(const progress& p) {
    CHECK(p.started >= last.started);
    CHECK(p.succeeded >= last.succeeded);
    CHECK(p.failed >= last.failed);
    CHECK(p.succeeded + p.failed == last.succeeded + last.failed + 1);
    CHECK(p.started >= p.succeeded + p.failed);
    last = p;
    ++count;
  }

  progress last{};
  std::size_t count = 0;
};

}  // namespace

TEST_CASE("gather: the slot of a task is free for the next one when the task has ended",
          "[gather][limit]") {
  test::loop loop;
  test::census tasks;
  auto fn = [&](int i) { return tasks.count(test::value_after(i, ms(i))); };
  // Two at a time: 5 | 1 2 1 | ...
  CHECK(loop.get(gather(std::vector{5, 1, 2, 1, 3, 2}, fn, {.limit = 2})) ==
        std::vector{5, 1, 2, 1, 3, 2});
  CHECK(tasks.peak() == 2);
  CHECK(loop.elapsed() == 7ms);
}

TEST_CASE("gather: shared_limit bounds the tasks of two gathers together", "[gather][limit]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u, 5u);
  const int permits = GENERATE(1, 3);
  test::loop loop;
  test::census tasks;
  semaphore shared(static_cast<std::size_t>(permits));
  auto fn = [&](int i) { return tasks.count(test::value_after(i, ms(i % 4))); };
  auto a = loop.spawn(
      gather(std::views::iota(0, 30), fn, {.limit = limit, .shared_limit = &shared}));
  auto b = loop.spawn(
      gather(std::views::iota(0, 20), fn, {.limit = limit, .shared_limit = &shared}));
  loop.run();
  REQUIRE(a.succeeded());
  REQUIRE(b.succeeded());
  CHECK(a.value().size() == 30);
  CHECK(b.value().size() == 20);
  CHECK(tasks.peak() <= permits);
  CHECK(shared.available() == shared.capacity());
  CHECK(shared.waiting() == 0);
}

TEST_CASE("gather: shared_limit is shared fairly", "[gather][limit]") {
  test::loop loop;
  semaphore shared(1);
  std::vector<char> order;
  auto fn = [&](char who) -> asio::awaitable<void> {
    order.push_back(who);
    co_await test::sleep(1ms);
  };
  auto a = loop.spawn(
      gather(std::vector<char>(4, 'a'), fn, {.limit = 1, .shared_limit = &shared}));
  auto b = loop.spawn(
      gather(std::vector<char>(4, 'b'), fn, {.limit = 1, .shared_limit = &shared}));
  loop.run();
  CHECK(order == std::vector{'a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'});
  CHECK(loop.elapsed() == 8ms);
}

TEST_CASE("gather: a task holds its permit until it has ended, and no longer", "[gather][limit]") {
  test::loop loop;
  semaphore shared(3);
  auto caller = loop.spawn(
      gather(test::list(test::sleep(1ms), test::sleep(2ms)), {.shared_limit = &shared}));
  loop.run_ready();
  CHECK(shared.available() == 1);
  loop.run_for(1ms);
  CHECK(shared.available() == 2);
  loop.run_for(1ms);
  CHECK(caller.done());
  CHECK(shared.available() == 3);
}

TEST_CASE("gather: takes permits as they come", "[gather][limit]") {
  test::loop loop;
  test::census tasks;
  semaphore shared(2);
  auto holder = loop.spawn(hold(shared, 2, 10ms));
  loop.run_ready();
  auto fn = [&](int i) { return tasks.count(test::value_after(i, 5ms)); };
  auto caller = loop.spawn(gather(std::views::iota(0, 4), fn, {.shared_limit = &shared}));
  loop.run_for(9ms);
  CHECK(tasks.started() == 0);
  loop.run();
  CHECK(caller.value() == std::vector{0, 1, 2, 3});
  CHECK(tasks.peak() == 2);
  CHECK(loop.elapsed() == 20ms);
  CHECK(shared.available() == 2);
}

TEST_CASE("gather: returns when its input ends, even while others hold every permit",
          "[gather][limit]") {
  test::loop loop;
  semaphore shared(2);
  // Of unknown size, so that it may well be waiting for a permit that it will not need.
  const std::forward_list items = {1, 2};
  auto fn = [](int i) { return test::value_after(i, ms(3 * i)); };
  auto caller = loop.spawn(gather(items, fn, {.shared_limit = &shared}));
  loop.run_ready();
  auto holder = loop.spawn(hold(shared, 1, 1h));
  loop.run_for(6ms);
  REQUIRE(caller.done());
  CHECK(caller.value() == std::vector{1, 2});
  CHECK(shared.available() == 1);
  CHECK(shared.waiting() == 0);

  auto second = loop.spawn(hold(shared, 1, 1h));
  loop.run_ready();
  CHECK(shared.available() == 0);
  auto empty = loop.spawn(gather(std::vector<int>(), fn, {.shared_limit = &shared}));
  loop.run_ready();
  CHECK(empty.succeeded());
}

TEST_CASE("gather: stops waiting for a permit when it fails or is cancelled", "[gather][limit]") {
  test::loop loop;
  semaphore shared(2);
  auto holder = loop.spawn(hold(shared, 1, 1h));
  loop.run_ready();
  const bool fails = GENERATE(false, true);
  const auto error = std::make_exception_ptr(std::runtime_error("no"));
  auto caller = loop.spawn(
      gather(test::list(fails ? test::fail_after(error, 5ms) : test::never(), test::never()),
             {.shared_limit = &shared}));
  loop.run_for(1ms);
  CHECK(shared.waiting() == 1);
  if (!fails) caller.cancel();
  loop.run_for(5ms);
  REQUIRE(caller.done());
  CHECK((fails ? caller.error() == error : test::aborted(caller.error())));
  CHECK(shared.waiting() == 0);
  CHECK(shared.available() == 1);
}

TEST_CASE("gather: a permit granted to a run that has just ended goes on to the next in line",
          "[gather][limit]") {
  test::loop loop;
  semaphore shared(1);
  auto holder = shared.try_acquire();
  auto caller = loop.spawn(gather(test::list(test::ready(1)), {.shared_limit = &shared}));
  loop.run_ready();
  auto next = loop.spawn(hold(shared, 1, 0ms));
  loop.run_ready();
  REQUIRE(shared.waiting() == 2);
  holder.reset();   // the permit is on its way to `caller`,
  caller.cancel();  // which has no use for it now
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(next.succeeded());
  CHECK(shared.available() == 1);
}

TEST_CASE("gather: with shared_limit, elements that have no task use no permit",
          "[gather][limit]") {
  test::loop loop;
  semaphore shared(1);
  auto fn = [](int i) {
    if (i % 2 == 0) throw std::runtime_error("even");
    return test::value_after(i, 1ms);
  };
  const auto outcomes =
      loop.get(gather_settled(std::views::iota(0, 6), fn, {.shared_limit = &shared}));
  CHECK(outcomes.size() == 6);
  CHECK(loop.elapsed() == 3ms);
  CHECK(shared.available() == 1);
}

TEST_CASE("gather: the semaphore object may go while the run goes on", "[gather][limit]") {
  test::loop loop;
  auto shared = std::make_unique<semaphore>(1);
  auto fn = [](int i) { return test::value_after(i, 1ms); };
  auto caller =
      loop.spawn(gather(std::views::iota(0, 3), fn, {.shared_limit = shared.get()}));
  loop.run_ready();
  shared.reset();
  loop.run();
  CHECK(caller.value() == std::vector{0, 1, 2});
}

TEST_CASE("gather: nested gathers may share a limit with their parents' siblings",
          "[gather][limit]") {
  test::loop loop;
  test::census tasks;
  semaphore shared(2);
  auto leaf = [&](int i) { return tasks.count(test::value_after(i, 1ms)); };
  auto row = [&](int n) { return gather(std::views::iota(0, n), leaf, {.shared_limit = &shared}); };
  const auto rows = loop.get(gather(std::vector{3, 4, 5}, row));
  CHECK(rows.size() == 3);
  CHECK(rows[2].size() == 5);
  CHECK(tasks.peak() == 2);
  CHECK(loop.elapsed() == 6ms);
}

TEST_CASE("gather: progress is reported once for each task, and counts to the total",
          "[gather][progress]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 3u);
  const bool suspends = GENERATE(false, true);
  test::loop loop;
  reports seen;
  auto fn = [&](int i) {
    return suspends ? test::value_after(i, ms(10 - i)) : test::ready(i);
  };
  loop.get(gather(std::views::iota(0, 10), fn, {.limit = limit, .on_progress = seen}));
  CHECK(seen.count == 10);
  CHECK(seen.last.started == 10);
  CHECK(seen.last.succeeded == 10);
  CHECK(seen.last.failed == 0);
  CHECK(seen.last.total == 10);
}

TEST_CASE("gather: progress counts every task without a value as failed", "[gather][progress]") {
  test::loop loop;
  SECTION("gather, which stops") {
    reports seen;
    CHECK_THROWS_AS(
        loop.get(gather(test::list(test::sleep(1ms), test::fail_after(42, 2ms), test::never(),
                                   test::deaf_sleep(5ms)),
                        {.on_progress = seen})),
        int);
    CHECK(seen.count == 4);
    CHECK(seen.last.succeeded == 2);
    CHECK(seen.last.failed == 2);
  }
  SECTION("gather_settled, which goes on") {
    reports seen;
    auto fn = [](int i) {
      if (i == 0) throw std::runtime_error("fn");
      return i % 3 == 0 ? test::fail_after<int>(42, 1ms) : test::value_after(i, 1ms);
    };
    loop.get(gather_settled(std::views::iota(0, 10), fn, {.on_progress = seen}));
    CHECK(seen.count == 10);
    CHECK(seen.last.succeeded == 6);
    CHECK(seen.last.failed == 4);
    CHECK(seen.last.total == 10);
  }
}

TEST_CASE("gather: progress comes when the task has ended, frame and all", "[gather][progress]") {
  test::loop loop;
  test::census tasks;
  std::vector<std::pair<std::size_t, long>> ended;
  auto note = [&](const progress& p) { ended.emplace_back(p.succeeded, tasks.ended()); };
  auto fn = [&](int i) { return tasks.count(test::value_after(i, ms(i))); };
  loop.get(gather(std::views::iota(0, 3), fn, {.on_progress = note}));
  CHECK(ended == std::vector<std::pair<std::size_t, long>>{{1, 1}, {2, 2}, {3, 3}});
}

TEST_CASE("gather: the total is known when the input's size is, without consuming it",
          "[gather][progress]") {
  test::loop loop;
  std::optional<std::size_t> total = 99;
  auto note = [&](const progress& p) { total = p.total; };
  auto fn = [](int i) { return test::ready(i); };
  const std::forward_list list = {1, 2, 3};
  loop.get(gather(list, fn, {.on_progress = note}));
  CHECK_FALSE(total);
  loop.get(gather(std::views::iota(0, 7), fn, {.on_progress = note}));
  CHECK(total == 7);
  loop.get(gather(test::list(test::ready(1), test::ready(2)), {.on_progress = note}));
  CHECK(total == 2);
}

TEST_CASE("gather: progress of an empty input is not reported", "[gather][progress]") {
  test::loop loop;
  reports seen;
  loop.get(gather(std::vector<asio::awaitable<int>>(), {.on_progress = seen}));
  CHECK(seen.count == 0);
}

TEST_CASE("gather: on_progress may be a captureless lambda in the call", "[gather][progress]") {
  test::loop loop;
  static std::size_t last;
  last = 0;
  loop.get(gather(test::list(test::ready(1), test::ready(2)),
                  {.on_progress = [](const progress& p) { last = p.succeeded; }}));
  CHECK(last == 2);
}
