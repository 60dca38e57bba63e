// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// The tests' own tools: that they work, and that they can fail.
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_error.hpp>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/replay.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace std::chrono_literals;
using test::census;
using clock_type = std::chrono::steady_clock;

timespec real_now() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts;
}

template <class F>
double real_seconds(F f) {
  const timespec a = real_now();
  f();
  const timespec b = real_now();
  return static_cast<double>(b.tv_sec - a.tv_sec) +
         static_cast<double>(b.tv_nsec - a.tv_nsec) * 1e-9;
}

asio::awaitable<void> note_after(std::vector<int>& notes, int note, std::chrono::milliseconds d) {
  co_await test::sleep(d);
  notes.push_back(note);
}

asio::awaitable<void> yields(int& turns, int n) {
  for (turns = 0; turns < n; ++turns) co_await test::yield();
}

// Scenarios for the replay: first a good one, then one broken in each way the replay looks for.

asio::awaitable<void> good(test::loop&, census& tasks) {
  const test::tracked object(1);
  co_await tasks.count(test::sleep(5ms));
  co_await tasks.count(test::yield());
  try {
    co_await tasks.count(test::fail_after(std::runtime_error("planned"), 3ms));
  } catch (const std::runtime_error&) {
  }
  co_await tasks.count(test::deaf_sleep(2ms));
}

// Keeps what it holds until the context is gone, coroutines and all.
class keeper : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit keeper(asio::execution_context& context) : asio::execution_context::service(context) {}

  std::vector<census::token> tokens;

 private:
  void shutdown() override {}
};

asio::awaitable<void> leaks_when_stopped(test::loop& loop, census& tasks) {
  auto& kept = asio::use_service<keeper>(loop.context()).tokens;
  kept.emplace_back(tasks);
  co_await test::sleep(5ms);
  kept.clear();
}

asio::awaitable<void> hangs_when_cancelled() {
  try {
    co_await test::sleep(5ms);
  } catch (const asio::system_error&) {
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  if (!!(co_await asio::this_coro::cancellation_state).cancelled()) co_await test::never();
}

asio::awaitable<void> marks_after(census::token token, std::chrono::milliseconds d) {
  co_await test::sleep(d);
  token.mark();
}

asio::awaitable<void> leaves_a_child(test::loop& loop, census& tasks) {
  loop.spawn(marks_after(census::token(tasks), 20ms));
  co_await test::sleep(5ms);
}

asio::awaitable<void> marks_later(census& tasks) {
  co_await test::yield();
  tasks.mark();
}

asio::awaitable<void> runs_late(test::loop& loop, census& tasks) {
  co_await test::sleep(5ms);
  loop.spawn(marks_later(tasks));
}

asio::awaitable<void> forgets_a_timer(test::loop& loop, census&) {
  loop.spawn(test::sleep(20ms));
  co_await test::sleep(5ms);
}

asio::awaitable<void> never_ends(test::loop&, census&) {
  for (;;) co_await test::yield();
}

asio::awaitable<void> waits_forever(test::loop&, census&) { co_await test::never(); }

asio::awaitable<void> sleeps_twice() {
  co_await test::sleep(5ms);
  co_await test::sleep(5ms);
}

// A caller that listens to everything, whatever it was given.
asio::awaitable<void> hears_all() {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  co_await test::sleep(5ms);
}

}  // namespace

TEST_CASE("virtual time drives an Asio timer without sleeping", "[support]") {
  const double took = real_seconds([] {
    test::virtual_time time;
    asio::io_context context;
    const auto start = clock_type::now();
    asio::steady_timer timer(context, 1h);
    bool fired = false;
    timer.async_wait([&](asio::error_code) { fired = true; });

    CHECK(context.poll() == 0);
    CHECK(test::virtual_time::next_wakeup() == start + 5min);  // Asio's longest wait
    time.advance(1h - 1us);
    CHECK(context.poll() == 0);
    CHECK_FALSE(fired);
    time.advance(1us);
    CHECK(context.poll() == 1);
    CHECK(fired);
    CHECK(clock_type::now() == start + 1h);
  });
  CHECK(took < 60);
}

TEST_CASE("the steady clock is real before and after virtual time", "[support]") {
  const auto before = clock_type::now();
  {
    test::virtual_time time;
    const auto frozen = clock_type::now();
    while (real_seconds([] {}) == 0) {
    }
    CHECK(clock_type::now() == frozen);
    CHECK_THROWS_AS(test::virtual_time(), std::logic_error);
    time.advance(24h);
    time.advance_to(frozen);  // past: does nothing
    CHECK(clock_type::now() == frozen + 24h);
  }
  const auto after = clock_type::now();
  CHECK(after >= before);
  CHECK(after < before + 1h);

  asio::io_context context;
  asio::steady_timer timer(context, 1ms);
  timer.async_wait([](asio::error_code) {});
  CHECK(context.run() == 1);
}

TEST_CASE("timers fire in order of expiry, and an expired one at once", "[support]") {
  test::loop loop;
  std::vector<int> notes;
  loop.spawn(note_after(notes, 3, 30ms));
  loop.spawn(note_after(notes, 1, 10ms));
  loop.spawn(note_after(notes, 2, 20ms));
  loop.spawn(note_after(notes, 0, 0ms));
  loop.spawn(note_after(notes, -1, -5ms));
  loop.run_ready();
  CHECK(notes.size() == 2);
  CHECK(loop.elapsed() == 0ms);
  loop.run_for(20ms);
  CHECK(notes.size() == 4);
  CHECK(loop.elapsed() == 20ms);
  loop.run();
  CHECK(notes == std::vector<int>{-1, 0, 1, 2, 3});
  CHECK(loop.elapsed() == 30ms);
}

TEST_CASE("advancing from another thread wakes a context that runs", "[support]") {
  test::virtual_time time;
  asio::io_context context;
  asio::steady_timer timer(context, 10min);
  clock_type::time_point fired;
  timer.async_wait([&](asio::error_code) { fired = clock_type::now(); });
  const auto start = clock_type::now();
  std::atomic<bool> done{false};
  std::thread runner([&] {
    context.run();
    done = true;
  });
  while (!done) {
    time.advance(1min);
    std::this_thread::yield();
  }
  runner.join();
  CHECK(fired >= start + 10min);
}

TEST_CASE("step executes exactly one handler", "[support]") {
  test::loop loop;
  int turns = -1;
  const auto handle = loop.spawn(yields(turns, 3));
  CHECK_FALSE(handle.started());
  for (int i = 0; i < 3; ++i) {
    CHECK(loop.step());  // the start, and then a turn each
    CHECK(turns == i);
  }
  CHECK_FALSE(handle.done());
  CHECK(loop.step());
  CHECK(handle.done());
  CHECK_FALSE(loop.step());
  CHECK(loop.steps() == 4);

  std::vector<int> notes;
  loop.spawn(note_after(notes, 1, 10ms));
  loop.spawn(note_after(notes, 2, 10ms));
  CHECK(loop.step());
  CHECK(loop.step());
  CHECK(loop.elapsed() == 0ms);
  CHECK(loop.step());
  CHECK(loop.elapsed() == 10ms);
  CHECK(notes.size() == 1);
}

TEST_CASE("a loop reports a hang instead of hanging", "[support]") {
  test::loop loop;
  const auto handle = loop.spawn(test::never());
  CHECK_THROWS_AS(loop.run(), test::hang);
  handle.cancel();
  loop.run();
  CHECK(test::aborted(handle.error()));
  CHECK_THROWS_MATCHES(loop.run_until([] { return false; }), test::hang, test::says("no work"));

  const auto guard = asio::make_work_guard(loop.context());
  CHECK_THROWS_MATCHES(loop.run(), test::hang, test::says("nothing is ready"));
}

TEST_CASE("get gives values of any kind and rethrows errors", "[support]") {
  test::loop loop;
  CHECK(loop.get(test::value_after(7, 50min)) == 7);
  CHECK(loop.elapsed() == 50min);
  CHECK(loop.get(test::ready(std::make_unique<int>(3))) != nullptr);
  CHECK(loop.get(test::value_after(test::tracked_no_default(5), 1ms)) == 5);
  CHECK(loop.get(test::ready(test::tracked_throwing_move(6))) == 6);
  CHECK_THROWS_AS(loop.get(test::fail_after<int>(std::range_error("x"), 1ms)), std::range_error);
  CHECK_THROWS_AS(loop.get(test::fail(42)), int);
  using io = asio::io_context::executor_type;
  CHECK(loop.get(test::value_after<io>(8, 1ms)) == 8);
  loop.get(test::yield<io>());
  CHECK(test::tracked_count::live() == 0);

  const auto original = std::make_exception_ptr(std::runtime_error("the very object"));
  const auto failed = loop.spawn(test::fail_after(original, 1ms));
  loop.run();
  CHECK(failed.error() == original);
  CHECK(test::what(failed.error()) == "the very object");
}

TEST_CASE("cancel reaches what the awaitable listens to", "[support]") {
  test::loop loop;
  SECTION("at once, between two handlers") {
    const auto handle = loop.spawn(test::sleep(10ms));
    loop.run_for(3ms);
    handle.cancel();
    loop.run_ready();
    CHECK(test::aborted(handle.error()));
    CHECK(loop.elapsed() == 3ms);
    handle.cancel();  // nothing any more
  }
  SECTION("before the start") {
    const auto handle = loop.spawn(test::sleep(10ms));
    handle.cancel();
    loop.run();
    CHECK(test::aborted(handle.error()));
    CHECK(loop.elapsed() == 0ms);
  }
  SECTION("terminal only, unless told") {
    const auto deaf = loop.spawn(test::sleep(10ms));
    const auto open = loop.spawn(test::sleep(10ms), test::any_cancellation);
    loop.run_ready();
    deaf.cancel(asio::cancellation_type::partial);
    open.cancel(asio::cancellation_type::partial);
    loop.run();
    CHECK(deaf.succeeded());
    CHECK(test::aborted(open.error()));
  }
  SECTION("not a deaf sleep") {
    const auto handle = loop.spawn(test::deaf_sleep(10ms));
    loop.run_ready();
    handle.cancel();
    loop.run();
    CHECK(handle.succeeded());
    CHECK(loop.elapsed() == 10ms);
  }
}

TEST_CASE("a handle outlives the context and the loop", "[support]") {
  std::optional<test::loop> loop(std::in_place);
  census tasks;
  const auto handle = loop->spawn(tasks.count(test::value_after(test::tracked(1), 10ms)));
  long live_at_end = -1;
  handle.on_frame_gone([&] { live_at_end = tasks.live(); });
  loop->run_ready();
  CHECK(tasks.live() == 1);
  loop->destroy();
  CHECK(live_at_end == 0);
  CHECK(tasks.balanced());
  CHECK_FALSE(loop->step());
  loop.reset();
  CHECK_FALSE(handle.done());
  CHECK_THROWS_AS(handle.value(), std::logic_error);
  handle.cancel();
  CHECK(test::tracked_count::live() == 0);
}

TEST_CASE("a census counts tasks, and their peak", "[support]") {
  test::loop loop;
  census tasks;
  loop.spawn(tasks.count(test::sleep(1ms)));
  loop.spawn(tasks.count(test::sleep(2ms)));
  const auto created = marks_after(census::token(tasks), 1ms);
  CHECK(tasks.started() == 1);  // counted from the call; the other two have not run
  loop.run_ready();
  CHECK(tasks.live() == 3);
  loop.run();
  loop.get(tasks.count(test::ready(1)));
  CHECK(tasks.started() == 4);
  CHECK(tasks.peak() == 3);
  CHECK(tasks.live() == 1);
  CHECK_FALSE(tasks.balanced());
}

TEST_CASE("tracked objects count their lives", "[support]") {
  STATIC_REQUIRE(std::is_copy_constructible_v<test::tracked>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<test::tracked_move_only>);
  STATIC_REQUIRE(std::is_default_constructible_v<test::tracked_move_only>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<test::tracked_no_default>);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<test::tracked_no_default>);
  STATIC_REQUIRE_FALSE(std::is_nothrow_move_constructible_v<test::tracked_throwing_move>);

  test::tracked_count::reset();
  test::tracked a(1);
  const test::tracked b = a;
  const test::tracked c = std::move(a);
  CHECK(test::tracked_count::live() == 3);
  CHECK(test::tracked_count::copies() == 1);
  CHECK(test::tracked_count::moves() == 1);
  CHECK(b == c);
  CHECK(a == -1);

  test::tracked_throwing_move t(2);
  test::tracked_count::throw_on_move(2);
  test::tracked_throwing_move u = std::move(t);
  CHECK_THROWS_AS(test::tracked_throwing_move(std::move(u)), std::runtime_error);
  CHECK(u == 2);
  CHECK(test::tracked_count::live() == 5);
}

TEST_CASE("stop_everywhere passes a good scenario, stopped after every handler", "[support]") {
  std::size_t stops = 0;
  std::size_t aborted = 0;
  const auto check = [&](const test::stopped_run& run) {
    ++stops;
    if (test::aborted(run.error)) ++aborted;
    CHECK(run.tasks->balanced());
    if (run.kind == test::stop_kind::none) CHECK(run.ended);
    if (run.kind == test::stop_kind::destroy && run.after == 0) CHECK(run.tasks->started() == 0);
    if (run.kind == test::stop_kind::cancel && run.heard) CHECK(run.took <= 2ms);
  };
  const auto report = test::stop_everywhere(good, check, test::every_type);
  // The start, and the end of each wait.
  CHECK(report.handlers == 5);
  CHECK(stops > 5 * report.handlers);
  CHECK(aborted > 0);
}

TEST_CASE("the search finds every kind of fault, and says where", "[support]") {
  using test::find_fault;
  SECTION("a live token") {
    const std::string fault = find_fault(leaks_when_stopped).fault;
    CHECK_THAT(fault, test::contains("cancelled (terminal) after k = 1 handlers"));
    CHECK_THAT(fault, test::contains("tasks live after their caller: started 1, live 1"));
  }
  SECTION("a tracked object that is left") {
    std::vector<test::tracked> kept;
    const auto leak = [&](test::loop&, census&) {
      kept.emplace_back(1);
      return test::sleep(1ms);
    };
    CHECK_THAT(find_fault(leak).fault, test::contains("undisturbed: 1 tracked objects"));
  }
  SECTION("a hang after a cancellation only") {
    const auto scenario = [](test::loop&, census&) { return hangs_when_cancelled(); };
    test::stop_plan plan;
    plan.nag = false;
    const std::string fault = find_fault(scenario, {}, plan).fault;
    CHECK_THAT(fault, test::contains("cancelled (terminal) after k = 1 handlers: hangs"));
  }
  SECTION("a hang without any stop") {
    CHECK_THAT(find_fault(waits_forever).fault, test::contains("undisturbed: hangs"));
  }
  SECTION("a run without end") {
    CHECK_THAT(find_fault(never_ends).fault, test::contains("does not end"));
  }
  SECTION("a child that outlives its caller") {
    CHECK_THAT(find_fault(leaves_a_child).fault, test::contains("tasks live after their caller"));
  }
  SECTION("a child that is destroyed after its caller") {
    test::stop_plan plan;
    plan.types.clear();
    const std::string fault = find_fault(leaks_when_stopped, {}, plan).fault;
    CHECK_THAT(fault, test::contains("context destroyed after k = 1 handlers"));
    CHECK_THAT(fault, test::contains("1 tasks outlived their caller"));
  }
  SECTION("something that runs late") {
    CHECK_THAT(find_fault(runs_late).fault, test::contains("a task ran after the caller"));
  }
  SECTION("a timer that is left running") {
    CHECK_THAT(find_fault(forgets_a_timer).fault, test::contains("a timer was still running"));
  }
  SECTION("an exception out of the loop") {
    const auto scenario = [](test::loop& loop, census&) {
      asio::post(loop.context(), [] { throw std::runtime_error("escaped"); });
      return sleeps_twice();
    };
    CHECK_THAT(find_fault(scenario).fault, test::contains("left the loop: escaped"));
  }
  SECTION("a caller that listens to what it must not") {
    const auto scenario = [](test::loop&, census&) { return hears_all(); };
    CHECK_THAT(find_fault(scenario, {}, test::every_type).fault,
               test::contains("(partial, not let through) after k = 1"));
  }
  SECTION("and nothing in a scenario without fault") {
    const auto scenario = [](test::loop&, census&) { return sleeps_twice(); };
    const auto report = find_fault(scenario, {}, test::every_type);
    CHECK(report.fault.empty());
    CHECK(report.handlers == 3);
  }
}
