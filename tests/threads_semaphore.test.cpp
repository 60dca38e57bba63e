// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// A semaphore between threads: whatever happens, no permit is lost or doubled.
#include <cogather/gather.hpp>
#include <cogather/semaphore.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/threads.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::permit;
using cogather::semaphore;
using test::call;
using test::census;
using test::eventually;
using test::threads;

// How many permits are held, by the count of those who hold them.
class ledger {
 public:
  explicit ledger(std::size_t capacity) : capacity_(capacity) {}

  void take(std::size_t n) noexcept {
    if (held_.fetch_add(n) + n > capacity_) exceeded_ = true;
    ++takes_;
  }
  void give(std::size_t n) noexcept { held_ -= n; }

  bool exceeded() const noexcept { return exceeded_; }
  std::size_t held() const noexcept { return held_; }
  std::size_t takes() const noexcept { return takes_; }

 private:
  std::size_t capacity_;
  std::atomic<std::size_t> held_{0};
  std::atomic<std::size_t> takes_{0};
  std::atomic<bool> exceeded_{false};
};

// Takes and gives back `times` times, and sometimes sleeps in between.
asio::awaitable<void> use(semaphore& permits, ledger& book, int who, int times) {
  const int most = static_cast<int>(permits.capacity()) - 1;
  for (int i = 0; i != times; ++i) {
    const auto n = static_cast<std::size_t>((who + i) % most + 1);
    permit held = co_await permits.acquire(n);
    book.take(n);
    if ((who + i) % 4 == 0) co_await asio::post(asio::use_awaitable);
    if ((who + i) % 16 == 5) {
      asio::steady_timer timer(co_await asio::this_coro::executor, 20us);
      co_await timer.async_wait(asio::use_awaitable);
    }
    book.give(n);
    if (i % 2) held.release();
  }
}

}  // namespace

TEST_CASE("semaphore threads: many coroutines on a pool", "[threads][semaphore]") {
  threads world(4);
  semaphore permits(4);
  ledger book(4);
  std::vector<call<void>> users;
  for (int i = 0; i != 24; ++i) {
    if (i % 2) {
      users.emplace_back(asio::any_io_executor(asio::make_strand(world.pool())),
                         use(permits, book, i, 80));
    } else {
      users.emplace_back(world.raw_pool(), use(permits, book, i, 80));
    }
  }
  for (auto& user : users) user.get();
  CHECK_FALSE(book.exceeded());
  CHECK(book.takes() == 24 * 80);
  CHECK(permits.available() == 4);
  CHECK(permits.waiting() == 0);
}

TEST_CASE("semaphore threads: users are cancelled at any time", "[threads][semaphore]") {
  threads world(4);
  semaphore permits(3);
  ledger book(3);
  int cancelled = 0;
  for (int round = 0; round != 20; ++round) {
    std::vector<asio::any_io_executor> strands;
    std::vector<call<void>> users;
    // A user that is cancelled while it holds permits leaves the book unbalanced: no suspension
    // in between here.
    const auto one = [](semaphore& s, ledger& b, int who) -> asio::awaitable<void> {
      for (int i = 0; i != 200; ++i) {
        const auto n = static_cast<std::size_t>((who + i) % 3 + 1);
        const permit held = co_await s.acquire(n);
        b.take(n);
        std::this_thread::yield();
        b.give(n);
      }
    };
    for (int i = 0; i != 12; ++i) {
      strands.emplace_back(asio::make_strand(world.pool()));
      users.emplace_back(strands.back(), one(permits, book, i));
    }
    for (std::size_t i = 0; i < 12; i += 2) {
      std::this_thread::sleep_for(std::chrono::microseconds(round));
      asio::post(strands[i], [&user = users[i]] { user.cancel(); });
    }
    for (auto& user : users) {
      try {
        user.get();
      } catch (const asio::system_error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        ++cancelled;
      }
    }
    CHECK_FALSE(book.exceeded());
    CHECK(book.held() == 0);
    CHECK(permits.available() == 3);
    CHECK(permits.waiting() == 0);
  }
  CHECK(cancelled > 0);
}

TEST_CASE("semaphore threads: plain threads, callbacks and a changing capacity",
          "[threads][semaphore]") {
  threads world(2);
  semaphore permits(5);
  ledger book(5);  // never more than the largest capacity
  std::atomic<int> pending{0};
  std::vector<std::thread> plain;
  for (int t = 0; t != 3; ++t) {
    plain.emplace_back([&, t] {
      for (int i = 0; i != 400; ++i) {
        if ((i + t) % 2) {
          if (std::optional<permit> held = permits.try_acquire()) {
            book.take(1);
            book.give(1);
          }
        } else {
          ++pending;
          // Without an executor: completes on a thread of the system's.
          permits.async_acquire(1, [&](const std::error_code&, permit held) {
            book.take(held.count());
            book.give(held.count());
            held.release();
            --pending;
          });
        }
      }
    });
  }
  plain.emplace_back([&] {
    for (int i = 0; i != 200; ++i) {
      permits.resize(static_cast<std::size_t>(i % 6));
      std::this_thread::sleep_for(10us);
    }
    permits.resize(5);
  });
  for (auto& thread : plain) thread.join();
  CHECK(eventually([&] { return pending == 0; }));
  CHECK_FALSE(book.exceeded());
  CHECK(permits.available() == 5);
  CHECK(permits.waiting() == 0);
}

TEST_CASE("semaphore threads: a waiter resumes where it belongs", "[threads][semaphore]") {
  threads world(2);
  semaphore permits(1);
  permit first = permits.try_acquire().value();
  test::thread_log resumed;
  const auto wait = [&]() -> asio::awaitable<void> {
    const permit held = co_await permits.acquire();
    resumed.note();
  };
  SECTION("on its own thread, and not inside the release") {
    call<void> waiter(world.home(), wait());
    world.run_until([&] { return permits.waiting() == 1; });
    std::thread releaser([&] { first.release(); });
    releaser.join();
    CHECK(resumed.size() == 0);
    CHECK(permits.available() == 0);  // it is the waiter's already
    world.finish(waiter);
    CHECK(resumed.only(std::this_thread::get_id()));
  }
  SECTION("granted on one thread, cancelled on another before it could resume") {
    call<void> waiter(world.home(), wait());
    world.run_until([&] { return permits.waiting() == 1; });
    std::thread releaser([&] { first.release(); });
    releaser.join();
    waiter.cancel();
    CHECK_THROWS_AS(world.finish(waiter), asio::system_error);
    CHECK(resumed.size() == 0);
  }
  SECTION("a callback, on the executor that is bound to it") {
    permits.async_acquire(1, asio::bind_executor(world.io(), [&](const std::error_code&, permit) {
                            resumed.note();
                          }));
    std::thread releaser([&] { first.release(); });
    releaser.join();
    world.run_until([&] { return resumed.size() != 0; });
    CHECK(resumed.only(std::this_thread::get_id()));
  }
  CHECK(permits.available() == 1);
}

TEST_CASE("semaphore threads: contexts are destroyed while others release",
          "[threads][semaphore]") {
  semaphore permits(3);
  census waiters;
  ledger book(3);
  threads world(2);
  for (int round = 0; round != 60; ++round) {
    std::vector<call<void>> users;
    for (int i = 0; i != 4; ++i) {
      users.emplace_back(asio::any_io_executor(asio::make_strand(world.pool())),
                         use(permits, book, i % 2, 40));
    }
    {
      asio::io_context io;
      const auto wait = [&](std::size_t n) -> asio::awaitable<void> {
        const census::token here(waiters);
        const permit held = co_await permits.acquire(n);
        co_await test::never();
      };
      std::vector<call<void>> doomed;
      for (std::size_t i = 0; i != 3; ++i) {
        doomed.emplace_back(asio::any_io_executor(io.get_executor()), wait(i % 2 + 1));
      }
      io.poll();
      std::this_thread::sleep_for(std::chrono::microseconds(round * 3));
      io.poll();
    }
    CHECK(waiters.live() == 0);
    for (auto& user : users) user.get();
    CHECK(permits.available() == 3);
    CHECK(permits.waiting() == 0);
  }
}

TEST_CASE("semaphore threads: a run that is destroyed gives its permits back",
          "[threads][semaphore]") {
  semaphore permits(3);
  census tasks;
  auto never = [&](int) { return tasks.count(test::never()); };
  const auto body = [&](cogather::gather_options options) -> asio::awaitable<void> {
    co_await cogather::gather(std::views::iota(0), never, options);
  };
  SECTION("on one context") {
    asio::io_context other;
    const auto wait = [&]() -> asio::awaitable<void> {
      const permit held = co_await permits.acquire(3);
    };
    std::optional<asio::io_context> io(std::in_place);
    const call<void> caller(asio::any_io_executor(io->get_executor()),
                            body({.shared_limit = &permits}));
    io->poll();
    CHECK(permits.available() == 0);
    call<void> waiter(asio::any_io_executor(other.get_executor()), wait());
    other.poll();
    io.reset();
    other.run_for(test::patience);
    CHECK(waiter.ended());
  }
  SECTION("on a pool and another context") {
    threads world(2);
    const call<void> caller(world.home(),
                            body({.shared_limit = &permits, .executor = world.pool()}));
    world.run_until([&] { return tasks.live() == 3; });
    CHECK(permits.available() == 0);
    world.destroy_pool();
  }
  CHECK(permits.available() == 3);
  CHECK(permits.waiting() == 0);
  CHECK(tasks.balanced());
}
