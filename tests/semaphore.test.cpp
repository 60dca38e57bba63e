// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include <cogather/semaphore.hpp>

#include <cogather/gather.hpp>
#include <cogather/timeout.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <asio/version.hpp>
#if ASIO_VERSION >= 102300
#include <asio/deferred.hpp>
#endif
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
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
using cogather::permit;
using cogather::semaphore;
using cancel = asio::cancellation_type;
using order = std::vector<int>;

static_assert(!std::is_copy_constructible_v<permit>);
static_assert(!std::is_copy_assignable_v<permit>);
static_assert(std::is_nothrow_move_constructible_v<permit>);
static_assert(std::is_nothrow_move_assignable_v<permit>);
static_assert(!std::is_copy_constructible_v<semaphore>);
static_assert(!std::is_convertible_v<std::size_t, semaphore>, "the constructor is explicit");

// Acquires, notes its name, and holds what it got for a while.
awaitable<void> user(semaphore& s, order& notes, int name, std::size_t n = 1,
                     std::chrono::milliseconds hold = 10ms) {
  const permit held = co_await s.acquire(n);
  notes.push_back(name);
  co_await test::sleep(hold);
}

void check_free(const semaphore& s, std::size_t capacity) {
  CHECK(s.capacity() == capacity);
  CHECK(s.available() == capacity);
  CHECK(s.waiting() == 0);
}

// Where a permit goes, for those who wait without a coroutine.
struct receiver {
  std::optional<asio::error_code> error = std::nullopt;
  permit got = {};
  int calls = 0;

  auto handler() {
    return [this](asio::error_code e, permit p) {
      error = e;
      got = std::move(p);
      ++calls;
    };
  }
};

}  // namespace

TEST_CASE("a semaphore starts with all permits, none used, nobody waiting", "[semaphore]") {
  check_free(semaphore(3), 3);
  check_free(semaphore(0), 0);
}

TEST_CASE("a permit is had at once while some are free, and given back on destruction",
          "[semaphore]") {
  test::loop loop;
  semaphore s(3);
  const auto body = [&s]() -> awaitable<void> {
    {
      const permit one = co_await s.acquire();
      CHECK(static_cast<bool>(one));
      CHECK(one.count() == 1);
      CHECK(s.available() == 2);
      const permit two = co_await s.acquire(2);
      CHECK(two.count() == 2);
      CHECK(s.available() == 0);
      CHECK(s.capacity() == 3);
    }
    CHECK(s.available() == 3);
  };
  loop.get(body());
}

TEST_CASE("a permit can be released early, once", "[permit]") {
  semaphore s(2);
  std::optional<permit> p = s.try_acquire(2);
  REQUIRE(p.has_value());
  p->release();
  CHECK(s.available() == 2);
  CHECK(p->count() == 0);
  CHECK_FALSE(static_cast<bool>(*p));
  p->release();
  p.reset();
  check_free(s, 2);
}

TEST_CASE("a moved permit is given back once, and an assigned one gives back its own first",
          "[permit]") {
  semaphore s(3);
  semaphore other(1);
  {
    permit a = *s.try_acquire(2);
    permit b = std::move(a);
    CHECK(a.count() == 0);
    CHECK(b.count() == 2);
    permit c = *other.try_acquire();
    c = std::move(b);
    CHECK(other.available() == 1);
    CHECK(s.available() == 1);
    auto& self = c;
    c = std::move(self);
    CHECK(c.count() == 2);
    c = permit();
    CHECK(s.available() == 3);
  }
  check_free(s, 3);
  check_free(other, 1);
}

TEST_CASE("a permit may outlive the semaphore", "[permit]") {
  std::optional<permit> p;
  {
    semaphore s(1);
    p = s.try_acquire();
  }
  REQUIRE(p.has_value());
  CHECK(p->count() == 1);
  p.reset();
}

TEST_CASE("waiters are served in the order they came", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  for (int i = 0; i < 5; ++i) loop.spawn(user(s, notes, i));
  loop.run_ready();
  CHECK(notes == order{0});
  CHECK(s.waiting() == 4);
  loop.run();
  CHECK(notes == order{0, 1, 2, 3, 4});
  CHECK(loop.elapsed() == 50ms);
  check_free(s, 1);
}

TEST_CASE("try_acquire takes what is free, or nothing", "[semaphore]") {
  semaphore s(2);
  auto one = s.try_acquire();
  REQUIRE(one.has_value());
  CHECK_FALSE(s.try_acquire(2).has_value());
  auto two = s.try_acquire();
  REQUIRE(two.has_value());
  CHECK_FALSE(s.try_acquire().has_value());
  one.reset();
  CHECK(s.try_acquire().has_value());
}

TEST_CASE("try_acquire never overtakes a waiter, even where it would fit", "[semaphore]") {
  test::loop loop;
  semaphore s(3);
  order notes;
  auto held = s.try_acquire(2);
  loop.spawn(user(s, notes, 1, 3));
  loop.run_ready();
  CHECK(s.available() == 1);
  CHECK_FALSE(s.try_acquire().has_value());
  held.reset();
  loop.run();
  CHECK(notes == order{1});
  CHECK(s.try_acquire(3).has_value());
}

TEST_CASE("try_acquire never overtakes a waiter that is granted but not resumed", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  auto held = s.try_acquire();
  loop.spawn(user(s, notes, 1));
  loop.run_ready();
  held.reset();
  CHECK(s.waiting() == 0);
  CHECK(s.available() == 0);
  CHECK_FALSE(s.try_acquire().has_value());
  loop.run();
  CHECK(notes == order{1});
  check_free(s, 1);
}

TEST_CASE("a large waiter at the head is not starved by small ones behind it", "[semaphore]") {
  test::loop loop;
  semaphore s(4);
  order notes;
  loop.spawn(user(s, notes, 0, 1));
  loop.spawn(user(s, notes, 1, 4));
  for (int i = 2; i < 6; ++i) loop.spawn(user(s, notes, i, 1));
  loop.run_for(5ms);
  CHECK(notes == order{0});
  CHECK(s.available() == 3);
  CHECK(s.waiting() == 5);
  loop.run();
  CHECK(notes == order{0, 1, 2, 3, 4, 5});
  CHECK(loop.elapsed() == 30ms);
  check_free(s, 4);
}

TEST_CASE("one release wakes every waiter that then fits", "[semaphore]") {
  test::loop loop;
  semaphore s(4);
  order notes;
  auto held = s.try_acquire(4);
  loop.spawn(user(s, notes, 1, 1));
  loop.spawn(user(s, notes, 2, 2));
  loop.spawn(user(s, notes, 3, 2));
  loop.run_ready();
  held.reset();
  loop.run_ready();
  CHECK(notes == order{1, 2});
  CHECK(s.available() == 1);
  loop.run();
  CHECK(notes == order{1, 2, 3});
  check_free(s, 4);
}

TEST_CASE("zero permits, or more than there are, are invalid_argument", "[semaphore]") {
  test::loop loop;
  semaphore s(2);
  receiver none;
  const auto bad = [&](std::size_t n, const std::string& text) {
    CHECK_THROWS_MATCHES(loop.get(s.acquire(n)), std::invalid_argument, test::says(text));
    CHECK_THROWS_MATCHES(s.try_acquire(n), std::invalid_argument, test::says(text));
    CHECK_THROWS_MATCHES(s.async_acquire(n, none.handler()), std::invalid_argument,
                         test::says(text));
  };
  bad(0, "n is 0");
  bad(3, "n is 3");
  bad(std::numeric_limits<std::size_t>::max(), "capacity of 2");
  const auto held = s.try_acquire(2);
  bad(3, "n is 3");
  s.resize(0);
  bad(0, "n is 0");
  CHECK(none.calls == 0);
}

TEST_CASE("a waiter is never resumed inside the call that releases", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  receiver r;
  auto held = s.try_acquire();
  loop.spawn(user(s, notes, 1));
  loop.run_ready();
  s.async_acquire(1, asio::bind_executor(loop.executor(), r.handler()));
  asio::post(loop.executor(), [&] {
    held->release();
    CHECK(notes.empty());
    s.resize(2);
    CHECK(notes.empty());
    CHECK(r.calls == 0);
  });
  loop.run_ready();
  CHECK(notes == order{1});
  CHECK(r.calls == 1);
}

TEST_CASE("a free permit is not handed to a callback inside async_acquire", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  receiver r;
  asio::post(loop.executor(), [&] {
    s.async_acquire(1, asio::bind_executor(loop.executor(), r.handler()));
    CHECK(r.calls == 0);
    CHECK(s.available() == 0);
  });
  loop.run();
  CHECK(r.calls == 1);
  CHECK(r.error == asio::error_code());
  CHECK(r.got.count() == 1);
}

TEST_CASE("a waiter resumes on its own executor, whoever releases", "[semaphore]") {
  test::loop loop;
  asio::io_context other;
  semaphore s(1);
  order notes;
  bool on_strand = false;
  const auto strand = asio::make_strand(loop.executor());
  const auto body = [&]() -> awaitable<void> {
    const permit p = co_await s.acquire();
    on_strand = strand.running_in_this_thread();
  };
  auto held = s.try_acquire();
  loop.spawn_on(asio::any_io_executor(strand), body());
  loop.run_ready();
  asio::post(other, [&] { held.reset(); });
  other.run();
  CHECK_FALSE(on_strand);
  loop.run();
  CHECK(on_strand);
  check_free(s, 1);
}

TEST_CASE("a cancelled waiter leaves the queue, and those behind it move up", "[semaphore]") {
  const auto type = GENERATE(cancel::terminal, cancel::partial, cancel::total);
  test::loop loop;
  semaphore s(3);
  order notes;
  auto held = s.try_acquire(2);
  const auto large = loop.spawn(user(s, notes, 1, 3), test::any_cancellation);
  loop.spawn(user(s, notes, 2, 1));
  loop.run_ready();
  CHECK(s.waiting() == 2);
  large.cancel(type);
  CHECK(s.waiting() == 0);
  loop.run();
  CHECK(test::aborted(large.error()));
  CHECK(notes == order{2});
  held.reset();
  check_free(s, 3);
}

TEST_CASE("waiters cancelled at the front, in the middle and at the back leave the others in order",
          "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  auto held = s.try_acquire();
  std::vector<test::spawned<void>> users;
  for (int i = 0; i < 6; ++i) users.push_back(loop.spawn(user(s, notes, i)));
  loop.run_ready();
  users[2].cancel();
  users[0].cancel();
  users[5].cancel();
  loop.run_ready();
  CHECK(s.waiting() == 3);
  held.reset();
  loop.run();
  CHECK(notes == order{1, 3, 4});
  check_free(s, 1);
}

TEST_CASE("a granted waiter that is cancelled before it resumes passes its permits on",
          "[semaphore]") {
  test::loop loop;
  semaphore s(2);
  order notes;
  auto held = s.try_acquire(2);
  const auto first = loop.spawn(user(s, notes, 1, 2));
  loop.spawn(user(s, notes, 2, 1));
  loop.spawn(user(s, notes, 3, 1));
  loop.run_ready();
  held.reset();
  CHECK(s.waiting() == 2);  // the first is granted
  first.cancel();
  loop.run_ready();
  CHECK(test::aborted(first.error()));
  CHECK(notes == order{2, 3});
  loop.run();
  check_free(s, 2);
}

TEST_CASE("a granted waiter that is cancelled twice gives back once", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  asio::cancellation_signal signal;
  receiver r;
  auto held = s.try_acquire();
  s.async_acquire(1, asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(loop.executor(), r.handler())));
  held.reset();
  signal.emit(cancel::total);
  signal.emit(cancel::terminal);
  loop.run();
  CHECK(r.calls == 1);
  CHECK(r.error == asio::error::operation_aborted);
  CHECK(r.got.count() == 0);
  check_free(s, 1);
  signal.emit(cancel::terminal);  // late: nothing to cancel
  check_free(s, 1);
}

TEST_CASE("a cancelled caller fails even when permits are free", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  const auto body = [&s]() -> awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await test::deaf_sleep(5ms);
    bool aborted = false;
    try {
      const permit p = co_await s.acquire();
    } catch (const asio::system_error& e) {
      aborted = e.code() == asio::error::operation_aborted;
    }
    CHECK(aborted);
    CHECK(s.available() == 1);
  };
  const auto caller = loop.spawn(body());
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(caller.succeeded());
}

TEST_CASE("a cancelled caller that throws for it takes no permit either", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  const auto body = [&]() -> awaitable<void> {
    co_await test::deaf_sleep(5ms);
    co_await user(s, notes, 1);
  };
  const auto caller = loop.spawn(body());
  loop.run_for(1ms);
  caller.cancel();
  loop.run();
  CHECK(test::aborted(caller.error()));
  CHECK(notes.empty());
  check_free(s, 1);
}

TEST_CASE("a larger capacity wakes those who now fit", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  for (int i = 0; i < 4; ++i) loop.spawn(user(s, notes, i));
  loop.run_ready();
  s.resize(3);
  CHECK(s.capacity() == 3);
  loop.run_ready();
  CHECK(notes == order{0, 1, 2});
  CHECK(s.waiting() == 1);
  loop.run();
  check_free(s, 3);
}

TEST_CASE("a smaller capacity interrupts nobody, and nothing is available until enough is back",
          "[semaphore]") {
  test::loop loop;
  semaphore s(4);
  order notes;
  std::vector<permit> held;
  for (int i = 0; i < 4; ++i) held.push_back(*s.try_acquire());
  s.resize(2);
  CHECK(s.capacity() == 2);
  CHECK(s.available() == 0);
  loop.spawn(user(s, notes, 1));
  held.pop_back();
  CHECK(s.available() == 0);
  loop.run_ready();
  held.pop_back();
  CHECK(s.available() == 0);
  loop.run_ready();
  CHECK(notes.empty());
  CHECK_FALSE(s.try_acquire().has_value());
  held.pop_back();
  loop.run();
  CHECK(notes == order{1});
  CHECK(s.available() == 1);
  held.clear();
  check_free(s, 2);
}

TEST_CASE("a waiter that no longer fits keeps its place", "[semaphore]") {
  test::loop loop;
  semaphore s(3);
  order notes;
  auto held = s.try_acquire();
  loop.spawn(user(s, notes, 1, 3));
  loop.spawn(user(s, notes, 2, 1));
  loop.run_ready();
  s.resize(2);
  held.reset();
  loop.run_ready();
  CHECK(notes.empty());
  CHECK(s.waiting() == 2);
  CHECK(s.available() == 2);
  CHECK_FALSE(s.try_acquire().has_value());
  s.resize(3);
  loop.run();
  CHECK(notes == order{1, 2});
  check_free(s, 3);
}

TEST_CASE("a capacity of zero pauses: everyone waits, whatever they ask for", "[semaphore]") {
  test::loop loop;
  semaphore s(2);
  order notes;
  s.resize(0);
  CHECK(s.available() == 0);
  CHECK_FALSE(s.try_acquire().has_value());
  loop.spawn(user(s, notes, 1, 1));
  loop.spawn(user(s, notes, 2, 5));
  loop.spawn(user(s, notes, 3, 1));
  loop.run_ready();
  CHECK(s.waiting() == 3);
  s.resize(2);
  loop.run_for(20ms);
  CHECK(notes == order{1});
  CHECK(s.waiting() == 2);
  s.resize(5);
  loop.run();
  CHECK(notes == order{1, 2, 3});
  check_free(s, 5);
}

TEST_CASE("a pause that begins while permits are held ends with them intact", "[semaphore]") {
  semaphore s(2);
  auto held = s.try_acquire(2);
  s.resize(0);
  held.reset();
  CHECK(s.available() == 0);
  s.resize(2);
  check_free(s, 2);
}

TEST_CASE("the largest capacity works", "[semaphore]") {
  constexpr auto all = std::numeric_limits<std::size_t>::max();
  semaphore s(all);
  {
    const auto held = s.try_acquire(all);
    REQUIRE(held.has_value());
    CHECK_FALSE(s.try_acquire().has_value());
  }
  check_free(s, all);
}

TEST_CASE("async_acquire waits with a callback", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  receiver r;
  auto held = s.try_acquire();
  s.async_acquire(1, asio::bind_executor(loop.executor(), r.handler()));
  CHECK(s.waiting() == 1);
  loop.run_ready();
  CHECK(r.calls == 0);
  held.reset();
  loop.run();
  CHECK(r.calls == 1);
  CHECK(r.error == asio::error_code());
  CHECK(r.got.count() == 1);
  r.got.release();
  check_free(s, 1);
}

TEST_CASE("a waiting callback keeps its context running", "[semaphore]") {
  asio::io_context context;
  semaphore s(1);
  receiver r;
  auto held = s.try_acquire();
  s.async_acquire(1, asio::bind_executor(context.get_executor(), r.handler()));
  context.poll();
  CHECK_FALSE(context.stopped());
  held.reset();
  context.run();
  CHECK(r.calls == 1);
  CHECK(context.stopped());
}

TEST_CASE("async_acquire is cancelled through the handler's slot", "[semaphore]") {
  const auto type = GENERATE(cancel::terminal, cancel::partial, cancel::total);
  test::loop loop;
  semaphore s(1);
  asio::cancellation_signal signal;
  receiver r;
  auto held = s.try_acquire();
  s.async_acquire(1, asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(loop.executor(), r.handler())));
  signal.emit(type);
  CHECK(r.calls == 0);
  CHECK(s.waiting() == 0);
  loop.run();
  CHECK(r.calls == 1);
  CHECK(r.error == asio::error::operation_aborted);
  CHECK(r.got.count() == 0);
  held.reset();
  check_free(s, 1);
}

TEST_CASE("async_acquire takes use_awaitable, redirect_error and move-only handlers",
          "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  const auto body = [&s]() -> awaitable<void> {
    {
      const permit p = co_await s.async_acquire(1, asio::use_awaitable);
      CHECK(p.count() == 1);
      CHECK(s.available() == 0);
    }
    asio::error_code error = asio::error::eof;
    const permit p = co_await s.async_acquire(1, asio::redirect_error(asio::use_awaitable, error));
    CHECK_FALSE(error);
    CHECK(p.count() == 1);
  };
  loop.get(body());
  check_free(s, 1);

#if ASIO_VERSION >= 102300
  const auto deferring = [&s]() -> awaitable<void> {
    auto later = s.async_acquire(1, asio::deferred);
    CHECK(s.available() == 1);
    const permit p = co_await std::move(later);
    CHECK(p.count() == 1);
    CHECK(s.available() == 0);
  };
  loop.get(deferring());
  check_free(s, 1);
#endif

  bool called = false;
  s.async_acquire(1, asio::bind_executor(loop.executor(),
                                         [&called, kept = std::make_unique<int>(1)](
                                             asio::error_code, permit) { called = *kept == 1; }));
  loop.run();
  CHECK(called);
  check_free(s, 1);
}

TEST_CASE("async_acquire takes use_future, and the permit lives in the future", "[semaphore]") {
  semaphore s(1);
  std::future<permit> first = s.async_acquire(1, asio::use_future);
  std::future<permit> second = s.async_acquire(1, asio::use_future);
  {
    const permit p = first.get();
    CHECK(p.count() == 1);
    CHECK(s.waiting() == 1);
  }
  {
    const permit p = second.get();
    CHECK(p.count() == 1);
    CHECK(s.available() == 0);
  }
  check_free(s, 1);
}

TEST_CASE("a handler without an executor is called by another thread, not inside the release",
          "[semaphore]") {
  semaphore s(1);
  auto held = s.try_acquire();
  std::promise<std::thread::id> where;
  s.async_acquire(1, [&where](asio::error_code, permit p) {
    p.release();
    where.set_value(std::this_thread::get_id());
  });
  held.reset();
  CHECK(where.get_future().get() != std::this_thread::get_id());
  check_free(s, 1);
}

TEST_CASE("the semaphore may be destroyed while waiters wait and permits are held", "[semaphore]") {
  test::loop loop;
  order notes;
  std::optional<permit> held;
  {
    semaphore s(1);
    held = s.try_acquire();
    for (int i = 0; i < 3; ++i) loop.spawn(user(s, notes, i));
    loop.run_ready();
  }
  held.reset();
  loop.run();
  CHECK(notes == order{0, 1, 2});
}

TEST_CASE("the context may be destroyed before the semaphore, with waiters and holders",
          "[semaphore]") {
  semaphore s(2);
  order notes;
  {
    test::loop loop;
    for (int i = 0; i < 5; ++i) loop.spawn(user(s, notes, i));
    loop.run_ready();
    CHECK(s.waiting() == 3);
  }
  CHECK(notes == order{0, 1});
  check_free(s, 2);
}

TEST_CASE("the context may be destroyed after the semaphore, with waiters and holders",
          "[semaphore]") {
  test::loop loop;
  test::census tasks;
  order notes;
  {
    semaphore s(2);
    for (int i = 0; i < 5; ++i) loop.spawn(tasks.count(user(s, notes, i)));
    loop.run_ready();
  }
  loop.destroy();
  CHECK(notes == order{0, 1});
  CHECK(tasks.balanced());
}

TEST_CASE("permits granted to waiters that are never resumed come back with their context",
          "[semaphore]") {
  semaphore s(2);
  test::loop survivor;
  order notes;
  auto held = s.try_acquire(2);
  {
    asio::io_context context;
    order never;
    asio::co_spawn(context, user(s, never, 1, 2), [](std::exception_ptr) {});
    context.poll();
    survivor.spawn(user(s, notes, 2, 1));
    survivor.run_ready();
    CHECK(s.waiting() == 2);
    held.reset();  // granted to the first, whose context does not run any more
    CHECK(s.waiting() == 1);
    CHECK(s.available() == 0);
  }
  CHECK(s.waiting() == 0);
  survivor.run();
  CHECK(notes == order{2});
  check_free(s, 2);
}

TEST_CASE("waiters of a destroyed context make way for those of another", "[semaphore]") {
  semaphore s(2);
  test::loop survivor;
  order notes;
  auto held = s.try_acquire();
  {
    asio::io_context context;
    order never;
    asio::co_spawn(context, user(s, never, 1, 2), [](std::exception_ptr) {});
    context.poll();
    survivor.spawn(user(s, notes, 2, 1));
    survivor.run_ready();
    CHECK(s.waiting() == 2);
  }
  survivor.run();
  CHECK(notes == order{2});
  held.reset();
  check_free(s, 2);
}

TEST_CASE("two coroutines that wait for each other go down with their context", "[semaphore]") {
  test::census tasks;
  semaphore a(1);
  semaphore b(1);
  const auto lock_both = [](semaphore& first, semaphore& second) -> awaitable<void> {
    const permit one = co_await first.acquire();
    co_await test::yield();
    const permit two = co_await second.acquire();
  };
  {
    test::loop loop;
    loop.spawn(tasks.count(lock_both(a, b)));
    loop.spawn(tasks.count(lock_both(b, a)));
    loop.run_ready();
    CHECK(a.waiting() == 1);
    CHECK(b.waiting() == 1);
    CHECK(tasks.live() == 2);
  }
  CHECK(tasks.balanced());
  check_free(a, 1);
  check_free(b, 1);
}

TEST_CASE("a chain of waiters, each holding what the next waits for, goes down with its context",
          "[semaphore]") {
  test::census tasks;
  std::vector<std::unique_ptr<semaphore>> chain;
  for (int i = 0; i < 200; ++i) chain.push_back(std::make_unique<semaphore>(1));
  const auto hold_and_wait = [](semaphore& mine, semaphore& next) -> awaitable<void> {
    const permit held = co_await mine.acquire();
    co_await test::yield();
    const permit wanted = co_await next.acquire();
    co_await test::never();
  };
  {
    test::loop loop;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      loop.spawn(tasks.count(hold_and_wait(*chain[i], *chain[(i + 1) % chain.size()])));
    }
    loop.run_ready();
    CHECK(tasks.live() == 200);
  }
  CHECK(tasks.balanced());
  for (const auto& s : chain) check_free(*s, 1);
}

TEST_CASE("a callback that never gets its permit is destroyed with its context", "[semaphore]") {
  const long before = test::tracked_count::live();
  semaphore s(1);
  auto held = s.try_acquire();
  {
    asio::io_context context;
    auto handler = [object = test::tracked_move_only(1)](asio::error_code, permit) {};
    s.async_acquire(1, asio::bind_executor(context.get_executor(), std::move(handler)));
    CHECK(s.waiting() == 1);
  }
  CHECK(s.waiting() == 0);
  CHECK(test::tracked_count::live() == before);
}

TEST_CASE("two hundred thousand waiters in a row use a constant stack", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  long served = 0;
  const auto once = [](semaphore& sem, long& n) -> awaitable<void> {
    const permit p = co_await sem.acquire();
    ++n;
  };
  const auto free = [&]() -> awaitable<void> {
    for (int i = 0; i < 200'000; ++i) co_await once(s, served);
  };
  loop.get(free());
  CHECK(served == 200'000);

  auto held = s.try_acquire();
  for (int i = 0; i < 20'000; ++i) loop.spawn(once(s, served));
  loop.run_ready();
  CHECK(s.waiting() == 20'000);
  held.reset();
  loop.run();
  CHECK(served == 220'000);
}

TEST_CASE("a limit ends the wait for a permit, and takes none", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  auto held = s.try_acquire();
  CHECK_THROWS_AS(loop.get(cogather::with_timeout(s.acquire(), 10ms)), cogather::timeout_error);
  CHECK(s.waiting() == 0);
  held.reset();
  check_free(s, 1);
  CHECK(loop.get(cogather::with_timeout(s.acquire(), 10ms)).count() == 1);
  check_free(s, 1);
}

TEST_CASE("a permit and the expiry of its limit at one moment lose no permit", "[semaphore]") {
  test::loop loop;
  semaphore s(1);
  order notes;
  loop.spawn(user(s, notes, 1, 1, 10ms));
  for (int i = 0; i < 4; ++i) loop.spawn(cogather::with_timeout(user(s, notes, 2, 1, 1ms), 10ms));
  loop.spawn(user(s, notes, 3, 1, 1ms));
  loop.run();
  CHECK(notes.front() == 1);
  CHECK(notes.back() == 3);
  check_free(s, 1);
}

TEST_CASE("permits taken and given back by many threads are all there in the end", "[semaphore]") {
  semaphore s(3);
  std::atomic<int> inside = 0;
  std::atomic<int> peak = 0;
  std::atomic<int> done = 0;
  const auto work = [&]() -> awaitable<void> {
    for (int i = 0; i < 200; ++i) {
      const permit p = co_await s.acquire();
      const int now = ++inside;
      int seen = peak;
      while (seen < now && !peak.compare_exchange_weak(seen, now)) {
      }
      co_await test::yield();
      --inside;
    }
    ++done;
  };
  asio::thread_pool pool(4);
  for (int i = 0; i < 20; ++i) {
    asio::co_spawn(pool, work(), [](std::exception_ptr e) { CHECK(e == nullptr); });
  }
  pool.join();
  CHECK(done == 20);
  CHECK(peak <= 3);
  check_free(s, 3);
}

namespace {

// The semaphore belongs to the test, and must be whole again after each run.
struct sharing {
  semaphore s = semaphore(2);

  awaitable<void> operator()(test::loop&, test::census& c) {
    CHECK(s.available() == 2);
    const auto fn = [this, &c](std::size_t n) -> awaitable<void> {
      const permit p = co_await s.acquire(1 + n % 2);
      co_await c.count(test::sleep(2ms));
    };
    co_await cogather::gather(std::views::iota(std::size_t(0), std::size_t(6)), fn);
  }
};

struct sharing_in_time {
  semaphore s = semaphore(1);

  awaitable<void> operator()(test::loop&, test::census& c) {
    CHECK(s.available() == 1);
    const auto patient = [this, &c]() -> awaitable<void> {
      const permit p = co_await s.acquire();
      co_await c.count(test::sleep(4ms));
    };
    const auto fn = [&patient](int n) -> awaitable<void> {
      try {
        co_await cogather::with_timeout(patient(), std::chrono::milliseconds(3 * n));
      } catch (const cogather::timeout_error&) {
      }
    };
    co_await cogather::gather(std::views::iota(0, 5), fn);
  }
};

template <class Scenario>
void stop_everywhere_and_count() {
  Scenario scenario;
  const std::size_t capacity = scenario.s.capacity();
  const auto check = [&](const test::stopped_run& run) {
    check_free(scenario.s, capacity);
    if (!run.ended) return;
    if (run.kind == test::stop_kind::none || !run.heard) {
      CHECK(run.error == nullptr);
    } else {
      CHECK(run.took == 0ms);
      if (run.error != nullptr) CHECK(test::aborted(run.error));
    }
  };
  test::stop_everywhere(std::ref(scenario), check, test::every_type);
}

}  // namespace

TEST_CASE("holders and waiters may be stopped anywhere, and no permit is lost or doubled",
          "[semaphore][replay]") {
  stop_everywhere_and_count<sharing>();
}

TEST_CASE("waiters with a limit may be stopped anywhere, and no permit is lost or doubled",
          "[semaphore][replay]") {
  stop_everywhere_and_count<sharing_in_time>();
}
