// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Runs with real threads: tasks on a pool, callers on a pool, and contexts that go away.
#include <cogather/gather.hpp>
#include <cogather/retry.hpp>
#include <cogather/timeout.hpp>

#include <asio/bind_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/threads.hpp"

#include <csignal>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_THREAD_SANITIZER 1
#endif

namespace {

using namespace std::chrono_literals;
using cogather::task_status;
using test::call;
using test::census;
using test::eventually;
using test::thread_log;
using test::threads;

asio::awaitable<void> nap(std::chrono::microseconds d) {
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  co_await timer.async_wait(asio::use_awaitable);
}

// Some do not suspend at all, some are ready soon, some a little later.
asio::awaitable<void> irregular(int i) {
  if (i % 3 == 1) co_await asio::post(asio::use_awaitable);
  if (i % 3 == 2) co_await nap(std::chrono::microseconds(i * 7919 % 1500));
}

asio::awaitable<int> square(census& tasks, int i) {
  const census::token here(tasks);
  co_await irregular(i);
  co_return i * i;
}

std::vector<int> upto(int n) {
  std::vector<int> result(static_cast<std::size_t>(n));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

std::vector<int> squares(int n) {
  std::vector<int> result = upto(n);
  for (int& i : result) i *= i;
  return result;
}

// What the caller's frame saw when it went: how many of its tasks were alive.
class at_end {
 public:
  at_end(census& tasks, std::atomic<long>& live) : tasks_(&tasks), live_(&live) {}
  at_end(const at_end&) = delete;
  at_end& operator=(const at_end&) = delete;
  ~at_end() { *live_ = tasks_->live(); }

 private:
  census* tasks_;
  std::atomic<long>* live_;
};

}  // namespace

// Tasks on a pool, the caller on an io_context of one thread

TEST_CASE("threads: results are right and in order", "[threads]") {
  threads world;
  census tasks;
  const std::vector<int> items = upto(400);

  SECTION("values") {
    auto fn = [&](int i) { return square(tasks, i); };
    CHECK(world.get(cogather::gather(items, fn, {.executor = world.pool()})) == squares(400));
    CHECK(world.get(cogather::gather(items, fn, {.limit = 7, .executor = world.pool()})) ==
          squares(400));
    CHECK(tasks.started() == 800);
  }
  SECTION("a range of awaitables") {
    auto made = items | std::views::transform([&](int i) { return square(tasks, i); });
    CHECK(world.get(cogather::gather(made, {.limit = 5, .executor = world.pool()})) ==
          squares(400));
    std::vector<asio::awaitable<int>> owned;
    for (const int i : items) owned.push_back(square(tasks, i));
    CHECK(world.get(cogather::gather(std::move(owned), {.executor = world.pool()})) ==
          squares(400));
  }
  SECTION("move-only, without a default constructor") {
    auto fn = [&](int i) -> asio::awaitable<test::tracked_no_default> {
      co_await irregular(i);
      co_return test::tracked_no_default(i);
    };
    {
      const auto result = world.get(cogather::gather(items, fn, {.executor = world.pool()}));
      REQUIRE(result.size() == 400);
      for (const int i : items) CHECK(result[static_cast<std::size_t>(i)] == i);
    }
    CHECK(test::tracked_count::live() == 0);
  }
  SECTION("void") {
    std::atomic<int> sum{0};
    auto fn = [&](int i) -> asio::awaitable<void> {
      co_await irregular(i);
      sum += i;
    };
    world.get(cogather::gather(items, fn, {.limit = 20, .executor = world.pool()}));
    CHECK(sum == 400 * 399 / 2);
  }
  SECTION("bool") {
    auto fn = [&](int i) -> asio::awaitable<bool> {
      co_await irregular(i);
      co_return i % 5 == 0 || i % 7 == 3;
    };
    const std::vector<bool> result =
        world.get(cogather::gather(items, fn, {.executor = world.pool()}));
    REQUIRE(result.size() == 400);
    for (const int i : items) {
      CHECK(result[static_cast<std::size_t>(i)] == (i % 5 == 0 || i % 7 == 3));
    }
  }
  SECTION("items by reference live as long as their task") {
    auto texts = items | std::views::transform([](int i) { return std::to_string(i); });
    auto fn = [&](const std::string& text) -> asio::awaitable<int> {
      co_await irregular(static_cast<int>(text.size()) + 1);
      co_return std::stoi(text);
    };
    CHECK(world.get(cogather::gather(texts, fn, {.limit = 9, .executor = world.pool()})) == items);
  }
  SECTION("none") {
    auto fn = [&](int i) { return square(tasks, i); };
    const std::vector<int> none;
    CHECK(world.get(cogather::gather(none, fn, {.executor = world.pool()})).empty());
  }
  CHECK(tasks.balanced());
}

TEST_CASE("threads: tasks run at the same time, and not here", "[threads]") {
  threads world(4);
  thread_log where;
  std::atomic<int> here{0};
  auto fn = [&](int) -> asio::awaitable<bool> {
    where.note();
    ++here;
    co_return eventually([&] { return here >= 4; });  // blocks its thread
  };
  const std::vector<int> items(4);
  CHECK(world.get(cogather::gather(items, fn, {.executor = world.pool()})) ==
        std::vector<bool>(4, true));
  CHECK(where.size() == 4);
  CHECK_FALSE(where.has(std::this_thread::get_id()));
}

TEST_CASE("threads: the limit holds", "[threads]") {
  threads world(4);
  const std::size_t limit = GENERATE(1u, 2u, 3u, 10u);
  census tasks;
  auto fn = [&](int i) { return square(tasks, i); };
  CHECK(world.get(cogather::gather(upto(300), fn, {.limit = limit, .executor = world.pool()})) ==
        squares(300));
  CHECK(tasks.peak() <= static_cast<long>(limit));
  CHECK(tasks.balanced());
}

TEST_CASE("threads: the range, fn and progress stay on the caller's thread", "[threads]") {
  threads world(4);
  thread_log at_home;
  thread_log at_work;
  std::vector<int> order;  // of the calls of fn: touched on one thread only
  std::vector<cogather::progress> reports;
  auto items = upto(200) | std::views::transform([&](int i) {
                 at_home.note();
                 return i;
               });
  auto fn = [&](int i) -> asio::awaitable<int> {
    at_home.note();
    order.push_back(i);
    return [](thread_log& log, int n) -> asio::awaitable<int> {
      log.note();
      co_await irregular(n);
      if (n % 10 == 9) throw std::runtime_error("nine");
      co_return n;
    }(at_work, i);
  };
  auto report = [&](const cogather::progress& p) {
    at_home.note();
    reports.push_back(p);
  };
  const auto outcomes = world.get(cogather::gather_settled(
      items, fn, {.limit = 16, .executor = world.pool(), .on_progress = report}));

  CHECK(at_home.only(std::this_thread::get_id()));
  CHECK_FALSE(at_work.has(std::this_thread::get_id()));
  CHECK(order == upto(200));
  REQUIRE(outcomes.size() == 200);
  for (std::size_t i = 0; i != 200; ++i) {
    CHECK(outcomes[i].has_value() == (i % 10 != 9));
    if (outcomes[i]) CHECK(*outcomes[i] == static_cast<int>(i));
  }
  REQUIRE(reports.size() == 200);
  for (std::size_t i = 0; i != 200; ++i) {
    CHECK(reports[i].succeeded + reports[i].failed == i + 1);
    CHECK(reports[i].started >= i + 1);
    CHECK(reports[i].total == std::optional<std::size_t>(200));
    if (i != 0) {
      CHECK(reports[i].started >= reports[i - 1].started);
      CHECK(reports[i].failed >= reports[i - 1].failed);
    }
  }
  CHECK(reports.back().failed == 20);
}

TEST_CASE("threads: the first failure stops the others, which are awaited", "[threads]") {
  threads world(4);
  census tasks;
  const auto original = std::make_exception_ptr(std::runtime_error("the very one"));

  SECTION("while they wait") {
    auto fn = [&](int i) -> asio::awaitable<void> {
      const census::token here(tasks);
      if (i == 5) co_await test::fail_after(original, 2ms);
      co_await test::never();
    };
    call<void> caller(world.home(), cogather::gather(upto(50), fn, {.executor = world.pool()}));
    std::exception_ptr error;
    try {
      world.finish(caller);
    } catch (...) {
      error = std::current_exception();
    }
    CHECK(error == original);
    CHECK(tasks.balanced());
    CHECK(tasks.started() > 5);
  }
  SECTION("at once, again and again") {
    for (int round = 0; round != 100; ++round) {
      auto fn = [&](int i) -> asio::awaitable<int> {
        const census::token here(tasks);
        co_await irregular(i);
        if (i == round % 10 + 3) throw std::out_of_range("no");
        co_await test::sleep(1s);
        co_return i;
      };
      const auto begin = std::chrono::steady_clock::now();
      CHECK_THROWS_AS(world.get(cogather::gather(upto(1000), fn,
                                                 {.limit = 14, .executor = world.pool()})),
                      std::out_of_range);
      CHECK(std::chrono::steady_clock::now() - begin < 1s);
      CHECK(tasks.balanced());
    }
    CHECK(tasks.started() <= 100 * 14);
  }
  SECTION("of fn, of the range, of on_progress") {
    auto never = [&](int) -> asio::awaitable<void> {
      const census::token here(tasks);
      co_await test::never();
    };
    auto bad = [&](int i) {
      if (i == 3) throw std::out_of_range("fn");
      return never(i);
    };
    CHECK_THROWS_AS(world.get(cogather::gather(upto(9), bad, {.executor = world.pool()})),
                    std::out_of_range);
    auto range = upto(9) | std::views::filter([](int i) -> bool {
                   if (i == 4) throw std::length_error("range");
                   return true;
                 });
    CHECK_THROWS_AS(world.get(cogather::gather(range, never, {.executor = world.pool()})),
                    std::length_error);
    auto report = [](const cogather::progress&) { throw std::logic_error("progress"); };
    auto mixed = [&](int i) -> asio::awaitable<void> {
      const census::token here(tasks);
      if (i != 0) co_await test::never();
    };
    CHECK_THROWS_AS(world.get(cogather::gather_settled(
                        upto(9), mixed, {.executor = world.pool(), .on_progress = report})),
                    std::logic_error);
    CHECK(tasks.balanced());
  }
}

TEST_CASE("threads: a cancelled caller stops its tasks on the pool", "[threads]") {
  threads world(4);
  census tasks;

  SECTION("with the same type") {
    const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial,
                               asio::cancellation_type::total);
    std::atomic<int> right{0};
    auto fn = [&](int) -> asio::awaitable<void> {
      const census::token here(tasks);
      co_await asio::this_coro::throw_if_cancelled(false);
      try {
        co_await test::never();
      } catch (const std::exception&) {
      }
      if ((co_await asio::this_coro::cancellation_state).cancelled() == type) ++right;
      throw std::runtime_error("not to be seen");
    };
    auto body = [&]() -> asio::awaitable<void> {
      co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
      co_await cogather::gather(upto(20), fn, {.executor = world.pool()});
    };
    call<void> caller(world.home(), body());
    world.run_until([&] { return tasks.live() == 20; });
    caller.cancel(type);
    std::exception_ptr error;
    try {
      world.finish(caller);
    } catch (...) {
      error = std::current_exception();
    }
    CHECK(test::aborted(error));
    CHECK(right == 20);
    CHECK(tasks.balanced());
  }
  SECTION("at any time") {
    int aborted = 0;
    for (int round = 0; round != 150; ++round) {
      auto fn = [&](int i) { return square(tasks, i + round); };
      call<std::vector<int>> caller(
          world.home(), cogather::gather(upto(30), fn, {.limit = 8, .executor = world.pool()}));
      std::optional<asio::steady_timer> alarm;
      alarm.emplace(world.io(), std::chrono::microseconds(round * 20));
      alarm->async_wait([&](const std::error_code&) { caller.cancel(); });
      std::size_t size = 30;
      try {
        size = world.finish(caller).size();
      } catch (const asio::system_error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        ++aborted;
      }
      CHECK(size == 30);
      CHECK(tasks.balanced());
      bool fired = false;
      alarm->async_wait([&](const std::error_code&) { fired = true; });
      alarm->cancel();
      world.run_until([&] { return fired; });
    }
    CHECK(aborted > 0);
  }
  SECTION("what finished is kept by gather_settled") {
    auto fn = [&](int i) -> asio::awaitable<int> {
      const census::token here(tasks);
      if (i >= 10) co_await test::never();
      co_return i;
    };
    std::optional<std::vector<cogather::settled<int>>> kept;
    auto body = [&]() -> asio::awaitable<void> {
      kept = co_await cogather::gather_settled(upto(40), fn,
                                               {.limit = 20, .executor = world.pool()});
      co_await nap(1us);
    };
    call<void> caller(world.home(), body());
    world.run_until([&] { return tasks.started() == 30 && tasks.live() == 20; });
    caller.cancel();
    CHECK_THROWS_AS(world.finish(caller), asio::system_error);
    REQUIRE(kept);
    REQUIRE(kept->size() == 40);
    for (std::size_t i = 0; i != 40; ++i) {
      const task_status expected = i < 10   ? task_status::value
                                   : i < 30 ? task_status::cancelled
                                            : task_status::not_started;
      CHECK((*kept)[i].status() == expected);
    }
    CHECK(tasks.balanced());
  }
}

TEST_CASE("threads: a failure budget", "[threads]") {
  threads world(4);
  census tasks;
  auto fn = [&](int i) -> asio::awaitable<int> {
    const census::token here(tasks);
    co_await irregular(i);
    if (i % 4 == 1) throw std::runtime_error(std::to_string(i));
    if (i % 4 == 2) co_await test::sleep(5s);
    co_return i;
  };
  const std::size_t budget = GENERATE(0u, 3u);
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = world.get(cogather::gather_settled(
      upto(500), fn, {.limit = 64, .executor = world.pool(), .max_failures = budget}));
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
  CHECK(tasks.balanced());
  REQUIRE(outcomes.size() == 500);
  std::size_t errors = 0;
  for (std::size_t i = 0; i != 500; ++i) {
    const auto& outcome = outcomes[i];
    if (outcome.status() == task_status::error) {
      ++errors;
      CHECK(outcome.message() == std::to_string(i));
      CHECK(i % 4 == 1);
    } else if (outcome) {
      CHECK(*outcome == static_cast<int>(i));
    } else {
      CHECK(test::aborted(outcome.error()));
    }
  }
  CHECK(errors > budget);
  CHECK(outcomes.back().status() == task_status::not_started);
}

TEST_CASE("threads: time limits", "[threads]") {
  threads world(4);
  census tasks;
  SECTION("of each task, on the pool") {
    auto fn = [&](int i) -> asio::awaitable<int> {
      return cogather::with_timeout(tasks.count(test::value_after(i, i % 2 ? 10s : 0ms)), 10ms);
    };
    const auto outcomes =
        world.get(cogather::gather_settled(upto(60), fn, {.executor = world.pool()}));
    for (std::size_t i = 0; i != 60; ++i) {
      if (i % 2 == 0 && outcomes[i]) CHECK(*outcomes[i] == static_cast<int>(i));
      if (i % 2 == 1) CHECK(outcomes[i].failed_with<cogather::timeout_error>());
    }
  }
  SECTION("of all, around the pool") {
    auto fn = [&](int i) { return tasks.count(test::value_after(i, i < 10 ? 0ms : 10s)); };
    // The time limit stops gather_settled, which then says what is ready.
    std::optional<std::vector<cogather::settled<int>>> kept;
    auto body = [&]() -> asio::awaitable<void> {
      kept = co_await cogather::with_timeout(
          cogather::gather_settled(upto(30), fn, {.executor = world.pool()}), 200ms);
    };
    world.get(body());
    REQUIRE(kept);
    REQUIRE(kept->size() == 30);
    for (std::size_t i = 10; i != 30; ++i) {
      CHECK((*kept)[i].status() == task_status::cancelled);
    }
    CHECK(std::ranges::any_of(*kept, [](const auto& outcome) { return outcome.has_value(); }));
  }
  SECTION("that expire while tasks end") {
    for (int round = 0; round != 60; ++round) {
      auto fn = [&](int i) { return square(tasks, i); };
      const auto limit = std::chrono::microseconds(1 + round * 30);
      std::size_t size = 20;
      try {
        auto all = cogather::gather(upto(20), fn, {.executor = world.pool()});
        size = world.get(cogather::with_timeout(std::move(all), limit)).size();
      } catch (const cogather::timeout_error&) {
      }
      CHECK(size == 20);
      CHECK(tasks.balanced());
    }
  }
  CHECK(tasks.balanced());
}

TEST_CASE("threads: other executors for the tasks", "[threads]") {
  census tasks;
  auto fn = [&](int i) { return square(tasks, i); };
  SECTION("a pool of one thread") {
    threads world(1);
    CHECK(world.get(cogather::gather(upto(100), fn, {.executor = world.pool()})) == squares(100));
  }
  SECTION("the system's") {
    // Its threads are not joined: one may still be inside its last post to this io_context, which
    // is therefore never destroyed.
    static threads& world = *new threads(1);
    world.destroy_pool();
    const asio::system_executor system;
    CHECK(world.get(cogather::gather(upto(100), fn, {.executor = system})) == squares(100));
  }
  SECTION("a strand of a pool: one at a time") {
    threads world(4);
    std::atomic<int> inside{0};
    std::atomic<bool> together{false};
    auto alone = [&](int) -> asio::awaitable<void> {
      if (++inside != 1) together = true;
      std::this_thread::sleep_for(20us);
      --inside;
      co_return;
    };
    const auto strand = asio::make_strand(world.pool());
    world.get(cogather::gather(upto(100), alone, {.executor = strand}));
    CHECK_FALSE(together);
  }
  SECTION("an executor in a variable of its own type") {
    threads world(2);
    const asio::any_io_executor any = world.pool().get_executor();
    const asio::thread_pool::executor_type own = world.pool().get_executor();
    CHECK(world.get(cogather::gather(upto(50), fn, {.executor = any})) == squares(50));
    CHECK(world.get(cogather::gather(upto(50), fn, {.executor = own})) == squares(50));
  }
  SECTION("another io_context, run by another thread") {
    threads world(1);
    asio::io_context other;
    auto work = asio::make_work_guard(other);
    std::thread runner([&] { other.run(); });
    CHECK(world.get(cogather::gather(upto(50), fn, {.executor = other})) == squares(50));
    work.reset();
    runner.join();
  }
  SECTION("none for an awaitable whose executor cannot hold a strand") {
    threads world(1);
    using io = asio::io_context::executor_type;
    auto plain = [](int i) { return test::ready<io>(i); };
    CHECK_THROWS_MATCHES(
        world.get(cogather::gather(upto(3), plain, {.executor = world.pool()})),
        std::invalid_argument, test::says("any_io_executor"));
    CHECK(world.get(cogather::gather(upto(3), plain)) == upto(3));
  }
  CHECK(tasks.balanced());
}

TEST_CASE("threads: one semaphore for two pools", "[threads]") {
  threads world(3);
  asio::thread_pool other(3);
  cogather::semaphore permits(4);
  census tasks;
  auto fn = [&](int i) { return square(tasks, i); };
  const std::vector<int> items = upto(200);
  const auto [one, two, three] = world.get(cogather::gather(
      cogather::gather(items, fn, {.shared_limit = &permits, .executor = world.pool()}),
      cogather::gather(items, fn, {.shared_limit = &permits, .executor = other}),
      cogather::gather(items, fn, {.limit = 3, .shared_limit = &permits})));
  CHECK(one == squares(200));
  CHECK(two == squares(200));
  CHECK(three == squares(200));
  CHECK(tasks.peak() <= 4);
  CHECK(permits.available() == 4);
  CHECK(permits.waiting() == 0);
}

TEST_CASE("threads: code that leaves its thread", "[threads]") {
  threads world(4);
  thread_log at_home;
  const auto hop = [&]() -> asio::awaitable<void> {
    co_await asio::post(asio::bind_executor(world.pool(), asio::use_awaitable));
    // and so goes on there, and whoever awaited it
  };
  auto moved = [&](int i) -> asio::awaitable<int> {
    co_await hop();
    co_return i;
  };
  auto fn = [&](int i) {
    at_home.note();
    return moved(i);
  };
  auto report = [&](const cogather::progress&) { at_home.note(); };

  SECTION("tasks: the range, fn and progress stay at home") {
    CHECK(world.get(cogather::gather(upto(300), fn, {.limit = 5, .on_progress = report})) ==
          upto(300));
    CHECK(world.get(cogather::gather(upto(100), fn, {.on_progress = report})) == upto(100));
  }
  SECTION("some of the tasks") {
    auto some = [&](int i) { return i % 3 ? test::ready(i) : fn(i); };
    CHECK(world.get(cogather::gather(upto(300), some, {.limit = 5, .on_progress = report})) ==
          upto(300));
  }
  SECTION("tasks of a caller on a strand") {
    std::atomic<int> inside{0};
    std::atomic<bool> together{false};
    auto alone = [&](int i) {
      if (++inside != 1) together = true;
      std::this_thread::yield();
      --inside;
      return moved(i);
    };
    const asio::any_io_executor strand = asio::make_strand(world.pool());
    CHECK(test::get_on(strand, cogather::gather(upto(300), alone, {.limit = 6})) == upto(300));
    CHECK_FALSE(together);
    at_home.note();
  }
  SECTION("tasks that run on the pool anyway") {
    asio::thread_pool other(2);
    auto away = [&](int i) -> asio::awaitable<int> {
      co_await asio::post(asio::bind_executor(other, asio::use_awaitable));
      co_return i;
    };
    CHECK(world.get(cogather::gather(upto(300), away,
                                     {.limit = 5, .executor = world.pool(),
                                      .on_progress = report})) == upto(300));
    // The two post to each other, and may still be about it: neither goes before both are quiet.
    world.pool().join();
    other.join();
  }
  SECTION("a task with a time limit") {
    auto body = [&]() -> asio::awaitable<void> {
      for (int i = 0; i != 50; ++i) {
        co_await cogather::with_timeout(moved(i), 10s);
        at_home.note();
      }
    };
    CHECK_NOTHROW(world.get(body()));
  }
  SECTION("the caller") {
    auto body = [&]() -> asio::awaitable<void> {
      for (int i = 0; i != 50; ++i) {
        co_await hop();
        const auto result = co_await cogather::gather(upto(40), fn, {.limit = 4});
        at_home.note();
        if (result != upto(40)) throw std::logic_error("wrong");
        co_await hop();
        co_await cogather::with_timeout(nap(1us), 10s);
        at_home.note();
      }
    };
    CHECK_NOTHROW(world.get(body()));
  }
  CHECK(at_home.only(std::this_thread::get_id()));
}

// The caller itself on a pool

TEST_CASE("threads: a caller on a raw pool", "[threads]") {
  threads world(4);
  census tasks;
  const asio::any_io_executor pool = world.raw_pool();
  auto fn = [&](int i) { return square(tasks, i); };

  SECTION("gather, with fn, the range and progress never at once") {
    std::atomic<int> inside{0};
    std::atomic<bool> together{false};
    auto alone = [&] {
      if (++inside != 1) together = true;
      std::this_thread::yield();
      --inside;
    };
    std::vector<std::size_t> ended;
    auto report = [&](const cogather::progress& p) {
      alone();
      ended.push_back(p.succeeded);
    };
    auto pull = [&](int i) {
      alone();
      return fn(i);
    };
    CHECK(test::get_on(pool, cogather::gather(upto(300), pull,
                                              {.limit = 20, .on_progress = report})) ==
          squares(300));
    CHECK_FALSE(together);
    REQUIRE(ended.size() == 300);
    CHECK(std::ranges::is_sorted(ended));
  }
  SECTION("many callers at once") {
    std::vector<call<std::vector<int>>> callers;
    for (int i = 0; i != 20; ++i) {
      callers.emplace_back(pool, cogather::gather(upto(30), fn, {.limit = 4}));
    }
    for (auto& caller : callers) CHECK(caller.get() == squares(30));
  }
  SECTION("tasks run at the same time") {
    std::atomic<int> here{0};
    auto meet = [&](int) -> asio::awaitable<bool> {
      ++here;
      co_return eventually([&] { return here >= 3; });
    };
    CHECK(test::get_on(pool, cogather::gather(upto(3), meet)) == std::vector<bool>(3, true));
  }
  SECTION("tasks on another pool") {
    asio::thread_pool other(2);
    CHECK(test::get_on(pool, cogather::gather(upto(100), fn, {.executor = other})) ==
          squares(100));
  }
  SECTION("a tuple") {
    const auto [a, b, c] = test::get_on(
        pool, cogather::gather(square(tasks, 5), tasks.count(test::sleep(1ms)),
                               test::value_after(std::string("x"), 1ms)));
    CHECK(a == 25);
    CHECK(b == std::monostate());
    CHECK(c == "x");
  }
  SECTION("a tuple of outcomes") {
    const auto [a, b] = test::get_on(
        pool, cogather::gather_settled(square(tasks, 5),
                                       test::fail_after<int>(std::runtime_error("b"), 1ms)));
    CHECK(a.value() == 25);
    CHECK(b.message() == "b");
  }
  SECTION("gather_settled") {
    auto bad = [&](int i) -> asio::awaitable<int> {
      co_await irregular(i);
      if (i % 2) throw std::runtime_error(std::to_string(i));
      co_return i;
    };
    const auto outcomes = test::get_on(pool, cogather::gather_settled(upto(200), bad));
    REQUIRE(outcomes.size() == 200);
    for (std::size_t i = 0; i != 200; ++i) {
      if (i % 2) {
        CHECK(outcomes[i].message() == std::to_string(i));
      } else {
        CHECK(outcomes[i].value_or(-1) == static_cast<int>(i));
      }
    }
  }
  SECTION("the first failure") {
    for (int round = 0; round != 50; ++round) {
      auto bad = [&](int i) -> asio::awaitable<void> {
        const census::token here(tasks);
        co_await irregular(i + round);
        if (i == 6) throw std::out_of_range("six");
        co_await test::never();
      };
      CHECK_THROWS_AS(test::get_on(pool, cogather::gather(upto(20), bad)), std::out_of_range);
      CHECK(tasks.balanced());
    }
  }
  SECTION("cancelled") {
    auto never = [&](int) { return tasks.count(test::never()); };
    call<void> caller(pool, cogather::gather(upto(10), never));
    REQUIRE(eventually([&] { return tasks.live() == 10; }));
    std::this_thread::sleep_for(5ms);  // all wait
    caller.cancel();
    CHECK_THROWS_AS(caller.get(), asio::system_error);
    CHECK(tasks.balanced());
  }
  SECTION("with_timeout") {
    for (int round = 0; round != 40; ++round) {
      CHECK(test::get_on(pool, cogather::with_timeout(square(tasks, round), 10s)) ==
            round * round);
      CHECK_THROWS_AS(test::get_on(pool, cogather::with_timeout(tasks.count(test::never()), 1ms)),
                      cogather::timeout_error);
    }
    auto all = cogather::gather(upto(20), fn);
    CHECK(test::get_on(pool, cogather::with_timeout(std::move(all), 10s)) == squares(20));
    auto never = [&](int) { return tasks.count(test::never()); };
    auto stuck = cogather::gather(upto(20), never);
    CHECK_THROWS_AS(test::get_on(pool, cogather::with_timeout(std::move(stuck), 5ms)),
                    cogather::timeout_error);
  }
  SECTION("retry") {
    auto flaky = [&](std::size_t attempt) -> asio::awaitable<std::size_t> {
      co_await irregular(2);
      if (attempt < 3) throw std::runtime_error("again");
      co_return attempt;
    };
    const cogather::retry_policy policy{.initial_delay = 100us};
    CHECK(test::get_on(pool, cogather::retry(policy, flaky)) == 3);
    auto each = [&](int) { return cogather::retry(policy, flaky); };
    CHECK(test::get_on(pool, cogather::gather(upto(50), each)) ==
          std::vector<std::size_t>(50, 3));
  }
  SECTION("nested") {
    auto row = [&](int) { return cogather::gather(upto(10), fn, {.limit = 3}); };
    const auto rows = test::get_on(pool, cogather::gather(upto(10), row, {.limit = 4}));
    CHECK(rows == std::vector<std::vector<int>>(10, squares(10)));
    auto spread = [&](int) { return cogather::gather(upto(10), fn, {.executor = world.pool()}); };
    CHECK(test::get_on(pool, cogather::gather(upto(10), spread)) == rows);
  }
  SECTION("of one thread") {
    asio::thread_pool single(1);
    const asio::any_io_executor one = single.get_executor();
    CHECK(test::get_on(one, cogather::gather(upto(50), fn)) == squares(50));
    CHECK(test::get_on(one, cogather::gather(upto(50), fn, {.executor = single})) == squares(50));
  }
  SECTION("of the system") {
    const asio::any_io_executor system = asio::system_executor();
    CHECK(test::get_on(system, cogather::gather(upto(50), fn)) == squares(50));
  }
  CHECK(tasks.balanced());
}

TEST_CASE("threads: a caller on a strand of the pool that runs the tasks", "[threads]") {
  threads world(4);
  census tasks;
  auto fn = [&](int i) { return square(tasks, i); };
  const asio::any_io_executor strand = asio::make_strand(world.pool());
  SECTION("in parallel") {
    CHECK(test::get_on(strand, cogather::gather(upto(300), fn,
                                                {.limit = 10, .executor = world.pool()})) ==
          squares(300));
  }
  SECTION("not in parallel") {
    std::atomic<int> inside{0};
    std::atomic<bool> together{false};
    auto alone = [&](int i) -> asio::awaitable<int> {
      if (++inside != 1) together = true;
      std::this_thread::yield();
      --inside;
      return fn(i);
    };
    CHECK(test::get_on(strand, cogather::gather(upto(300), alone)) == squares(300));
    CHECK_FALSE(together);
  }
  SECTION("several strands, stopped") {
    std::vector<call<void>> callers;
    auto never = [&](int i) -> asio::awaitable<void> {
      const census::token here(tasks);
      if (i == 5) co_await test::fail_after(std::out_of_range("five"), 2ms);
      co_await test::never();
    };
    for (int i = 0; i != 10; ++i) {
      const asio::any_io_executor own = asio::make_strand(world.pool());
      callers.emplace_back(own, cogather::gather(upto(8), never, {.executor = world.pool()}));
    }
    for (auto& caller : callers) CHECK_THROWS_AS(caller.get(), std::out_of_range);
  }
  SECTION("cancelled there") {
    auto never = [&](int) { return tasks.count(test::never()); };
    call<void> caller(strand, cogather::gather(upto(10), never, {.executor = world.pool()}));
    REQUIRE(eventually([&] { return tasks.live() == 10; }));
    asio::post(strand, [&] { caller.cancel(); });
    CHECK_THROWS_AS(caller.get(), asio::system_error);
  }
  CHECK(tasks.balanced());
}

// Teardown

TEST_CASE("threads: the pool is destroyed in the middle, then the caller's context", "[threads]") {
  census tasks;
  std::atomic<long> live_at_end{-1};
  cogather::semaphore permits(100);
  auto fn = [&](int i) -> asio::awaitable<test::tracked> {
    const census::token here(tasks);
    if (i % 4 != 3) co_await irregular(i);
    if (i % 4 == 3) co_await test::never();
    co_return test::tracked(i);
  };

  SECTION("at any time") {
    for (int round = 0; round != 100; ++round) {
      live_at_end = -1;
      {
        threads world(3);
        auto body = [&]() -> asio::awaitable<void> {
          const at_end guard(tasks, live_at_end);
          co_await cogather::gather(
              upto(40), fn,
              {.limit = 8, .shared_limit = &permits, .executor = world.pool()});
        };
        call<void> caller(world.home(), body());
        world.run_until([&] { return tasks.live() >= 1; });
        world.io().poll();
        if (round % 2) std::this_thread::sleep_for(std::chrono::microseconds(round * 5));
        world.destroy_pool();
      }
      CHECK(live_at_end == 0);
      CHECK(tasks.balanced());
      CHECK(test::tracked_count::live() == 0);
      CHECK(permits.available() == 100);
    }
  }
  SECTION("while reports are on their way home, which goes on") {
    threads world(2);
    auto quick = [&](int i) -> asio::awaitable<int> {
      const census::token here(tasks);
      co_return i;
    };
    auto body = [&]() -> asio::awaitable<void> {
      const at_end guard(tasks, live_at_end);
      co_await cogather::gather(upto(9), quick, {.limit = 2, .executor = world.pool()});
    };
    call<void> caller(world.home(), body());
    world.io().poll_one();
    REQUIRE(eventually([&] { return tasks.ended() == 2; }));
    std::this_thread::sleep_for(5ms);
    world.destroy_pool();
    world.io().poll();
    CHECK_FALSE(caller.ended());
    CHECK(tasks.started() == 2);
  }
  SECTION("and the caller is cancelled after it") {
    threads world(2);
    auto never = [&](int) { return tasks.count(test::never()); };
    auto body = [&]() -> asio::awaitable<void> {
      const at_end guard(tasks, live_at_end);
      co_await cogather::gather(upto(3), never, {.executor = world.pool()});
    };
    call<void> caller(world.home(), body());
    world.run_until([&] { return tasks.live() == 3; });
    world.destroy_pool();
    world.io().poll();
    CHECK(tasks.balanced());
    caller.cancel();
    world.io().restart();
    world.io().poll();
    CHECK_FALSE(caller.ended());
  }
  SECTION("of a nested run, whose outer one is cancelled after it") {
    threads world(2);
    auto never = [&](int) { return tasks.count(test::never()); };
    auto body = [&]() -> asio::awaitable<void> {
      const at_end guard(tasks, live_at_end);
      co_await cogather::gather(cogather::gather(upto(3), never, {.executor = world.pool()}),
                                tasks.count(test::never()));
    };
    call<void> caller(world.home(), body());
    world.run_until([&] { return tasks.live() == 4; });
    world.destroy_pool();
    if (world.io().stopped()) world.io().restart();
    world.io().poll();
    CHECK(tasks.live() == 1);
    caller.cancel();
    world.io().restart();
    world.io().poll();
    CHECK(tasks.balanced());
    CHECK(live_at_end == 0);
  }
  SECTION("while another thread runs the caller's context") {
    for (int round = 0; round != 50; ++round) {
      live_at_end = -1;
      {
        threads world(2);
        std::thread runner;
        {
          auto body = [&]() -> asio::awaitable<void> {
            const at_end guard(tasks, live_at_end);
            co_await cogather::gather(std::views::iota(0), fn,
                                      {.limit = 6, .executor = world.pool()});
          };
          call<void> caller(world.home(), body());
          runner = std::thread([&] { world.io().run(); });
          const bool begun = eventually([&] { return tasks.live() >= 1; });
          CHECK(begun);
          std::this_thread::sleep_for(std::chrono::microseconds(round * 10));
          world.destroy_pool();
          world.io().stop();
          runner.join();
        }
      }
      CHECK(live_at_end == 0);
      CHECK(tasks.balanced());
      CHECK(test::tracked_count::live() == 0);
    }
  }
  SECTION("while another thread destroys a run that has finished") {
    for (int round = 0; round != 5; ++round) {
      threads world(2);
      std::atomic<bool> complete{false};
      auto report = [&](const cogather::progress& p) {
        if (p.succeeded == 3000) complete = true;
      };
      auto quick = [](int i) { return test::ready(i); };
      {
        const call<std::vector<int>> caller(
            world.home(), cogather::gather(upto(3000), quick,
                                           {.executor = world.pool(), .on_progress = report}));
        std::thread runner([&] { world.io().run(); });
        CHECK(eventually([&] { return complete.load(); }));
        world.destroy_pool();
        world.io().stop();
        runner.join();
      }
    }
  }
  CHECK(test::tracked_count::live() == 0);
}

TEST_CASE("threads: a pool is destroyed with its callers", "[threads]") {
  census tasks;
  std::atomic<long> live_at_end{-1};
  cogather::semaphore permits(5);
  auto fn = [&](int i) -> asio::awaitable<test::tracked> {
    const census::token here(tasks);
    co_await irregular(i);
    co_return test::tracked(i);
  };
  for (int round = 0; round != 60; ++round) {
    live_at_end = -1;
    {
      threads world(3);
      auto body = [&]() -> asio::awaitable<void> {
        const at_end guard(tasks, live_at_end);
        auto endless = cogather::gather(std::views::iota(0), fn,
                                        {.limit = 8, .shared_limit = &permits});
        co_await cogather::with_timeout(std::move(endless), 1h);
      };
      // A strand must not outlive its pool.
      const auto where = [&]() -> asio::any_io_executor {
        if (round % 2) return asio::make_strand(world.pool());
        return world.raw_pool();
      };
      const long before = tasks.started();
      const call<void> caller(where(), body());
      const bool begun = eventually([&] { return tasks.started() > before + round; });
      CHECK(begun);
      std::this_thread::sleep_for(std::chrono::microseconds(round * 10));
      world.destroy_pool();
      CHECK_FALSE(caller.ended());
    }
    CHECK(live_at_end == 0);
    CHECK(tasks.balanced());
    CHECK(test::tracked_count::live() == 0);
    CHECK(permits.available() == 5);
  }
}

// What cannot be made safe

#if !defined(NDEBUG) && !defined(TEST_THREAD_SANITIZER)
namespace {

// In a process of its own: an io_context that two threads run, without a strand.
void run_bare_io_context() {
  asio::io_context io;
  auto fn = [](int) -> asio::awaitable<void> {
    std::this_thread::sleep_for(2ms);  // at home, so that the other thread comes in between
    return nap(100us);
  };
  auto body = [&]() -> asio::awaitable<void> { co_await cogather::gather(upto(500), fn); };
  const call<void> caller(asio::any_io_executor(io.get_executor()), body());
  std::thread other([&] { io.run(); });
  io.run();
  other.join();
}

}  // namespace

TEST_CASE("threads: a debug build notices a bare io_context of several threads", "[threads]") {
  int out[2];
  REQUIRE(::pipe(out) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);  // not the handler of Catch2
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(out[1], STDERR_FILENO);
    ::alarm(30);
    run_bare_io_context();
    ::_exit(0);
  }
  ::close(out[1]);
  std::string said;
  char buffer[256];
  for (ssize_t n = 0; (n = ::read(out[0], buffer, sizeof buffer)) > 0;) {
    said.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(out[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CHECK_THAT(said, test::contains("must be sequential"));
}
#endif
