// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather and gather_settled, stopped after every possible number of handlers: cancelled with each
// type, again and again, and their io_context destroyed.
#include <cogather/gather.hpp>

#include <asio/strand.hpp>
#include <cstddef>
#include <forward_list>
#include <functional>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/replay.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::gather_options;
using cogather::gather_settled;
using cogather::progress;
using cogather::semaphore;
using cogather::settled;
using cogather::task_status;
using cogather::unlimited;
using test::census;
using test::stop_kind;
using test::stopped_run;
using test::tracked;

// A task of each temper, which returns a tracked object, if anything.
asio::awaitable<tracked> obedient(int i) {
  co_await test::sleep(test::milliseconds(i % 3));
  co_return tracked(i);
}

asio::awaitable<tracked> at_once(int i) { co_return tracked(i); }

asio::awaitable<tracked> deaf(int i) {
  co_await test::deaf_sleep(2ms);
  co_return tracked(i);
}

asio::awaitable<tracked> ignoring(int i) {
  co_await test::slow_to_stop(2ms, 3ms);
  co_return tracked(i);
}

asio::awaitable<tracked> failing(int i) {
  co_await test::sleep(test::milliseconds(2));
  throw std::runtime_error("task " + std::to_string(i));
}

asio::awaitable<tracked> mixed(int i) {
  switch (i % 5) {
    case 0:
      return obedient(i);
    case 1:
      return deaf(i);
    case 2:
      return at_once(i);
    case 3:
      return ignoring(i);
    default:
      return obedient(i);
  }
}

// What a caller that was told to stop, by a type that it hears, may end with.
void ended_or_aborted(const stopped_run& run) {
  if (run.error != nullptr) CHECK(test::aborted(run.error));
  if (run.kind == stop_kind::none) CHECK(run.error == nullptr);
}

void failed_or_aborted(const stopped_run& run) {
  if (!run.ended) return;
  REQUIRE(run.error != nullptr);
  if (!test::aborted(run.error)) CHECK(test::what(run.error) == "task 4");
}

// The outcomes of a run, checked for consistency with what the caller saw.
struct settled_scenario {
  gather_options options = {};
  bool may_fail = false;
  std::optional<std::vector<task_status>> seen = {};

  asio::awaitable<void> operator()(test::loop&, census& tasks) {
    seen.reset();
    return run(tasks);
  }

  asio::awaitable<void> run(census& tasks) {
    auto fn = [&](int i) { return tasks.count(may_fail && i % 4 == 1 ? failing(i) : mixed(i)); };
    auto all = gather_settled(std::views::iota(0, 7), fn, options);
    const std::vector<settled<tracked>> outcomes = co_await std::move(all);
    seen.emplace();
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      seen->push_back(outcomes[i].status());
      if (outcomes[i]) CHECK(*outcomes[i] == static_cast<int>(i));
    }
    co_await test::yield();
  }

  // The caller was not cancelled before it began: then it got its outcomes, one for each element.
  void check(const stopped_run& run) const {
    if (!run.ended) return;
    if (run.error != nullptr) CHECK(test::aborted(run.error));
    if (!seen) {
      CHECK(run.tasks->started() == 0);
      return;
    }
    REQUIRE(seen->size() == 7);
    long started = 0;
    bool over = false;  // elements that were not pulled are the last ones
    for (const auto status : *seen) {
      if (status == task_status::not_started) over = true;
      if (status != task_status::not_started) CHECK_FALSE(over);
      started += status != task_status::not_started;
    }
    CHECK(started == run.tasks->started());
  }
};

void replay_settled(settled_scenario scenario) {
  test::stop_everywhere(
      std::ref(scenario), [&](const stopped_run& run) { scenario.check(run); }, test::every_type);
}

// A run with a semaphore that outlives the io_context. None of its permits may be lost.
struct shared_scenario {
  std::size_t permits;
  gather_options options = {};
  std::optional<semaphore> shared = {};

  asio::awaitable<void> operator()(test::loop&, census& tasks) {
    shared.emplace(permits);
    return run(tasks);
  }

  asio::awaitable<void> run(census& tasks) {
    auto fn = [&](int i) { return tasks.count(mixed(i)); };
    auto other = [&](int i) { return tasks.count(i == 3 ? failing(i) : obedient(i)); };
    gather_options with_permits = options;
    with_permits.shared_limit = &*shared;
    auto both = gather(gather(std::views::iota(0, 5), fn, with_permits),
                       gather_settled(std::views::iota(0, 4), other, with_permits));
    (void)co_await std::move(both);
    CHECK(shared->available() == permits);
  }

  void check(const stopped_run& run) const {
    ended_or_aborted(run);
    CHECK(run.tasks->peak() <= static_cast<long>(permits));
    CHECK(shared->waiting() == 0);
    CHECK(shared->available() == permits);
  }
};

void replay_shared(shared_scenario scenario) {
  test::stop_everywhere(
      std::ref(scenario), [&](const stopped_run& run) { scenario.check(run); }, test::every_type);
}

}  // namespace

TEST_CASE("stop anywhere: gather of a pack", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto all = gather(tasks.count(obedient(2)), tasks.count(test::yield()), tasks.count(deaf(3)),
                      tasks.count(at_once(4)), tasks.count(ignoring(5)));
    const auto results = co_await std::move(all);
    CHECK(std::get<0>(results) == 2);
    CHECK(std::get<4>(results) == 5);
  };
  test::stop_everywhere(scenario, ended_or_aborted, test::every_type);
}

TEST_CASE("stop anywhere: gather with a limit", "[stop_anywhere]") {
  static std::size_t limit;
  limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u, 3u);
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto fn = [&](int i) { return tasks.count(mixed(i)); };
    auto all = gather(std::views::iota(0, 7), fn, {.limit = limit});
    const auto results = co_await std::move(all);
    CHECK(results.size() == 7);
    CHECK(results[6] == 6);
  };
  test::stop_everywhere(
      scenario,
      [](const stopped_run& run) {
        ended_or_aborted(run);
        if (limit != unlimited) CHECK(run.tasks->peak() <= static_cast<long>(limit));
      },
      test::every_type);
}

TEST_CASE("stop anywhere: gather whose tasks fail", "[stop_anywhere]") {
  static std::size_t limit;
  limit = GENERATE(as<std::size_t>(), unlimited, 2u);
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto fn = [&](int i) { return tasks.count(i >= 4 ? failing(4) : mixed(i)); };
    auto all = gather(std::views::iota(0), fn, {.limit = limit == unlimited ? 8 : limit});
    (void)co_await std::move(all);
  };
  test::stop_everywhere(scenario, failed_or_aborted, test::every_type);
}

TEST_CASE("stop anywhere: gather of items that live as long as their tasks", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto use = [](const tracked& item) -> asio::awaitable<tracked> {
      co_await test::sleep(1ms);
      co_return tracked(item.value());
    };
    auto fn = [&](const tracked& item) { return tasks.count(use(item)); };
    auto make = [](int i) { return tracked(i); };
    auto items = std::views::iota(0, 5) | std::views::transform(make);
    auto all = gather(items, fn, {.limit = 2});
    const auto results = co_await std::move(all);
    CHECK(results[4] == 4);

    std::vector<tracked> owned;
    for (int i = 0; i < 3; ++i) owned.emplace_back(i);
    auto more = gather(std::move(owned), fn);
    (void)co_await std::move(more);
  };
  test::stop_everywhere(scenario, ended_or_aborted);
}

TEST_CASE("stop anywhere: gather of a vector of awaitables", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto all = gather(test::list(tasks.count(mixed(0)), tasks.count(mixed(1)),
                                 tasks.count(mixed(3)), tasks.count(mixed(4))),
                      {.limit = 2});
    (void)co_await std::move(all);
  };
  test::stop_everywhere(scenario, ended_or_aborted);
}

TEST_CASE("stop anywhere: tasks that end inside the emit that stops them", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    test::gate a, b;
    auto opener = [&]() -> asio::awaitable<void> {
      co_await test::sleep(1ms);
      a.open();
      co_await test::sleep(1ms);
      b.open();
    };
    auto all = gather(test::list(tasks.count(a.wait()), tasks.count(b.wait()),
                                 tasks.count(opener())));
    co_await std::move(all);
  };
  // A gate keeps its waiter beside the io_context, so this is not for destruction.
  test::stop_plan plan = test::every_type;
  plan.destroy = false;
  plan.destroy_after_cancel = 0;
  test::stop_everywhere(scenario, ended_or_aborted, plan);
}

TEST_CASE("stop anywhere: gather_settled", "[stop_anywhere]") {
  SECTION("unlimited") { replay_settled({.options = {}}); }
  SECTION("one at a time") { replay_settled({.options = {.limit = 1}}); }
  SECTION("two at a time") { replay_settled({.options = {.limit = 2}}); }
  SECTION("whose tasks fail") { replay_settled({.options = {.limit = 3}, .may_fail = true}); }
  SECTION("that stops at a failure") {
    replay_settled({.options = {.max_failures = 0}, .may_fail = true});
  }
  SECTION("that stops at the second failure") {
    replay_settled({.options = {.limit = 3, .max_failures = 1}, .may_fail = true});
  }
}

TEST_CASE("stop anywhere: gather_settled of a pack", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto all = gather_settled(tasks.count(obedient(2)), tasks.count(failing(1)),
                              tasks.count(ignoring(5)), tasks.count(test::sleep(1ms)));
    const auto outcomes = co_await std::move(all);
    CHECK(std::get<1>(outcomes).status() != task_status::value);
  };
  test::stop_everywhere(scenario, ended_or_aborted, test::every_type);
}

TEST_CASE("stop anywhere: nested gathers", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    auto leaf = [&](int i) { return tasks.count(mixed(i)); };
    auto row = [&](int i) {
      return gather(std::views::iota(3 * i, 3 * i + 3), leaf, {.limit = 2});
    };
    auto rows = gather(std::views::iota(0, 3), row, {.limit = 2});
    auto all = gather(std::move(rows), gather_settled(leaf(1), tasks.count(failing(4))));
    const auto results = co_await std::move(all);
    CHECK(std::get<0>(results).size() == 3);
  };
  test::stop_everywhere(scenario, ended_or_aborted, test::every_type);
}

TEST_CASE("stop anywhere: gathers that share a limit lose no permit", "[stop_anywhere]") {
  SECTION("of one") { replay_shared({.permits = 1}); }
  SECTION("of two") { replay_shared({.permits = 2}); }
  SECTION("of two, and have one of their own") {
    replay_shared({.permits = 2, .options = {.limit = 2}});
  }
  SECTION("of plenty") { replay_shared({.permits = 20, .options = {.limit = 3}}); }
}

TEST_CASE("stop anywhere: gather that waits for a permit somebody else holds",
          "[stop_anywhere]") {
  static std::optional<semaphore> shared;
  auto body = [](census& tasks) -> asio::awaitable<void> {
    auto holder = [](semaphore& s) -> asio::awaitable<void> {
      const auto held = co_await s.acquire();
      co_await test::sleep(2ms);
    };
    auto fn = [&](int i) { return tasks.count(obedient(i)); };
    const std::forward_list items = {1, 2};
    auto all = gather(holder(*shared), gather(items, fn, {.shared_limit = &*shared}));
    (void)co_await std::move(all);
  };
  auto scenario = [&](test::loop&, census& tasks) {
    shared.emplace(1);
    return body(tasks);
  };
  test::stop_everywhere(
      scenario,
      [](const stopped_run& run) {
        ended_or_aborted(run);
        CHECK(shared->available() == 1);
        CHECK(shared->waiting() == 0);
      },
      test::every_type);
  shared.reset();
}

TEST_CASE("stop anywhere: gather with progress", "[stop_anywhere]") {
  auto scenario = [](test::loop&, census& tasks) -> asio::awaitable<void> {
    std::size_t ended = 0;
    auto on_progress = [&](const progress& p) {
      ++ended;
      CHECK(p.succeeded + p.failed == ended);
      CHECK(static_cast<long>(ended) == tasks.ended());
    };
    auto fn = [&](int i) { return tasks.count(mixed(i)); };
    auto all = gather(std::views::iota(0, 6), fn, {.limit = 3, .on_progress = on_progress});
    (void)co_await std::move(all);
    CHECK(ended == 6);
  };
  test::stop_everywhere(scenario, ended_or_aborted);
}

TEST_CASE("stop anywhere: gather on a strand of its io_context", "[stop_anywhere]") {
  auto scenario = [](test::loop& loop, census& tasks) -> asio::awaitable<void> {
    const auto strand = asio::make_strand(loop.executor());
    auto fn = [&](int i) { return tasks.count(mixed(i)); };
    auto inner = gather(std::views::iota(0, 4), fn, {.limit = 2, .executor = strand});
    (void)co_await std::move(inner);
  };
  // A message to a strand is a handler, so a cancellation after each would never let time move.
  test::stop_plan plan = test::every_type;
  plan.nag = false;
  test::stop_everywhere(scenario, ended_or_aborted, plan);
}
