// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Counts what a test starts: tasks (test::census) and objects (test::tracked and its kin).
// Everything here may be used from several threads at once.
#pragma once

#include <asio/awaitable.hpp>
#include <atomic>
#include <compare>
#include <cstddef>
#include <ostream>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace test {

// The tasks of a test: how many started, live, ended, and lived at once at most. It must outlive
// its tokens.
//
//   asio::awaitable<int> task(test::census& c) {        // counts from the first run of the body
//     const test::census::token here(c);
//     ...
//   }
//   co_await gather(c.count(test::value_after(1, 5ms)), ...);         // the same from outside
//   asio::awaitable<int> task(test::census::token) {...}  task(test::census::token(c));
//                                                        // counts from the call: tasks that exist
class census {
 public:
  // One task. Held by its coroutine frame, so counted until the frame is destroyed.
  class token {
   public:
    explicit token(census& c) noexcept : census_(&c) { c.enter(); }
    token(token&& other) noexcept : census_(std::exchange(other.census_, nullptr)) {}
    token& operator=(token&&) = delete;
    ~token() {
      if (census_ != nullptr) census_->leave();
    }

    // "The task's code runs now": a run after the end of everything is seen by it.
    void mark() const noexcept { census_->mark(); }

   private:
    census* census_;
  };

  census() = default;
  census(const census&) = delete;
  census& operator=(const census&) = delete;

  // The same task, counted from its first run until its frame is gone.
  template <class T, class Executor>
  asio::awaitable<T, Executor> count(asio::awaitable<T, Executor> task) {
    const token here(*this);
    auto running = std::move(task);  // a local, and after the token: so it is destroyed before
    co_return co_await std::move(running);
  }

  void mark() noexcept { marks_.fetch_add(1); }

  long started() const noexcept { return started_.load(); }
  long live() const noexcept { return live_.load(); }
  long peak() const noexcept { return peak_.load(); }
  long ended() const noexcept { return ended_.load(); }
  long marks() const noexcept { return marks_.load(); }  // starts count as marks too
  bool balanced() const noexcept { return live() == 0 && started() == ended(); }

  friend std::ostream& operator<<(std::ostream& out, const census& c) {
    return out << "started " << c.started() << ", live " << c.live() << ", peak " << c.peak()
               << ", ended " << c.ended();
  }

 private:
  void enter() noexcept {
    mark();
    started_.fetch_add(1);
    const long now = live_.fetch_add(1) + 1;
    long peak = peak_.load();
    while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
    }
  }

  void leave() noexcept {
    live_.fetch_sub(1);
    ended_.fetch_add(1);
  }

  std::atomic<long> started_{0};
  std::atomic<long> live_{0};
  std::atomic<long> peak_{0};
  std::atomic<long> ended_{0};
  std::atomic<long> marks_{0};
};

// All tracked objects of the program, of whatever kind.
struct tracked_count {
  static long live() noexcept { return live_.load(); }
  static long copies() noexcept { return copies_.load(); }
  static long moves() noexcept { return moves_.load(); }
  static void reset() noexcept { copies_ = moves_ = 0; }

  // The n-th move from now of a tracked_throwing_move throws std::runtime_error("move"); 0: none.
  static void throw_on_move(long n) noexcept { until_throw_ = n; }

 private:
  template <int>
  friend class basic_tracked;

  inline static std::atomic<long> live_{0};
  inline static std::atomic<long> copies_{0};
  inline static std::atomic<long> moves_{0};
  inline static std::atomic<long> until_throw_{0};
};

inline constexpr int tracked_copyable = 1;
inline constexpr int tracked_default_constructible = 2;
inline constexpr int tracked_move_may_throw = 4;

// An int that is counted while it lives. Moved from, it is -1. A second destruction aborts: no
// sanitizer sees one inside a coroutine frame, and some compilers generate them.
template <int Traits>
class basic_tracked {
  static constexpr bool copyable = (Traits & tracked_copyable) != 0;
  static constexpr bool may_throw = (Traits & tracked_move_may_throw) != 0;

 public:
  basic_tracked() noexcept
    requires((Traits & tracked_default_constructible) != 0)
      : basic_tracked(0) {}

  explicit basic_tracked(int value) noexcept : value_(value) { tracked_count::live_.fetch_add(1); }

  basic_tracked(const basic_tracked& other) noexcept
    requires copyable
      : basic_tracked(other.value()) {
    tracked_count::copies_.fetch_add(1);
  }

  basic_tracked(basic_tracked&& other) noexcept(!may_throw) : value_(take(other)) {
    tracked_count::live_.fetch_add(1);
  }

  basic_tracked& operator=(const basic_tracked& other) noexcept
    requires copyable
  {
    value_ = other.value();
    tracked_count::copies_.fetch_add(1);
    return *this;
  }

  basic_tracked& operator=(basic_tracked&& other) noexcept(!may_throw) {
    value_ = take(other);
    return *this;
  }

  ~basic_tracked() {
    if (std::exchange(guard_, destroyed) != alive) std::terminate();
    tracked_count::live_.fetch_sub(1);
  }

  int value() const noexcept { return value_; }

  friend auto operator<=>(const basic_tracked& a, const basic_tracked& b) noexcept {
    return a.value_ <=> b.value_;
  }
  friend bool operator==(const basic_tracked& a, const basic_tracked& b) noexcept {
    return a.value_ == b.value_;
  }
  friend bool operator==(const basic_tracked& a, int b) noexcept { return a.value_ == b; }
  friend std::ostream& operator<<(std::ostream& out, const basic_tracked& t) {
    return out << "tracked(" << t.value_ << ")";
  }

 private:
  static constexpr unsigned alive = 0x600d600d;
  static constexpr unsigned destroyed = 0xdeaddead;

  static int take(basic_tracked& from) noexcept(!may_throw) {
    if constexpr (may_throw) {
      if (tracked_count::until_throw_.load() > 0 && tracked_count::until_throw_.fetch_sub(1) == 1) {
        throw std::runtime_error("move");
      }
    }
    tracked_count::moves_.fetch_add(1);
    return std::exchange(from.value_, -1);
  }

  int value_;
  // Volatile, or the compiler drops the last write to an object that dies.
  volatile unsigned guard_ = alive;
};

using tracked = basic_tracked<tracked_copyable | tracked_default_constructible>;
using tracked_move_only = basic_tracked<tracked_default_constructible>;
using tracked_no_default = basic_tracked<0>;  // and move-only
using tracked_throwing_move = basic_tracked<tracked_default_constructible | tracked_move_may_throw>;

}  // namespace test
