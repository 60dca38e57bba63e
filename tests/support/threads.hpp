// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// For tests with real threads and real time: virtual time is for one thread only.
// Assertions belong to the test's own thread.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include "loop.hpp"

namespace test {

// Far longer than anything here takes, even under the thread sanitizer.
inline constexpr auto patience = std::chrono::seconds(30);

// Waits, blocking the thread, until pred() holds; false when it never does.
template <class Predicate>
bool eventually(Predicate pred) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!pred()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

// Which threads something ran on.
class thread_log {
 public:
  void note() {
    const std::lock_guard lock(mutex_);
    seen_.insert(std::this_thread::get_id());
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return seen_.size();
  }
  bool has(std::thread::id id) const {
    const std::lock_guard lock(mutex_);
    return seen_.count(id) != 0;
  }
  bool only(std::thread::id id) const { return size() == 1 && has(id); }

 private:
  mutable std::mutex mutex_;
  std::set<std::thread::id> seen_;
};

// A caller that was spawned on any executor, and what became of it.
template <class T>
class call {
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  struct state {
    asio::cancellation_signal signal;
    std::optional<stored> value;
    std::promise<void> promise;
  };

  // No associated executor, so that an emit takes effect at once.
  struct handler {
    using cancellation_slot_type = asio::cancellation_slot;
    std::shared_ptr<state> to;

    cancellation_slot_type get_cancellation_slot() const noexcept { return to->signal.slot(); }
    void operator()(const std::exception_ptr& error) const {
      if (error) {
        to->promise.set_exception(error);
      } else {
        to->promise.set_value();
      }
    }
  };

  template <class Executor>
  static asio::awaitable<void, Executor> fill(std::shared_ptr<state> to,
                                              asio::awaitable<T, Executor> task) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
    } else {
      to->value.emplace(co_await std::move(task));
    }
  }

 public:
  template <class Executor>
  call(const Executor& where, asio::awaitable<T, Executor> task)
      : state_(std::make_shared<state>()), ended_(state_->promise.get_future()) {
    asio::co_spawn(where, fill<Executor>(state_, std::move(task)), handler{state_});
  }

  bool ended() const {
    return ended_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  // Where the caller runs, or while it certainly waits.
  void cancel(asio::cancellation_type type = asio::cancellation_type::terminal) {
    state_->signal.emit(type);
  }

  // Waits, blocking the thread, for the end. Rethrows the error.
  T get() {
    if (ended_.wait_for(patience) != std::future_status::ready) {
      throw hang("the caller never ended");
    }
    ended_.get();
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }

 private:
  std::shared_ptr<state> state_;
  std::future<void> ended_;
};

template <class T, class Executor>
T get_on(const Executor& where, asio::awaitable<T, Executor> task) {
  return call<T>(where, std::move(task)).get();
}

// An io_context that the test's own thread runs, and a pool, which goes first.
class threads {
 public:
  explicit threads(std::size_t n = 4) : pool_(std::in_place, n) {}

  asio::io_context& io() noexcept { return io_; }
  asio::thread_pool& pool() noexcept { return *pool_; }
  asio::any_io_executor home() { return io_.get_executor(); }
  asio::any_io_executor raw_pool() { return pool_->get_executor(); }
  void destroy_pool() { pool_.reset(); }

  // Runs the io_context until pred() holds.
  template <class Predicate>
  void run_until(Predicate pred) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!pred()) {
      if (std::chrono::steady_clock::now() > end) throw hang("the condition never holds");
      if (io_.stopped()) io_.restart();
      io_.run_one_for(std::chrono::milliseconds(1));
    }
  }

  template <class T>
  T finish(call<T>& c) {
    run_until([&c] { return c.ended(); });
    return c.get();
  }

  template <class T, class Executor>
  T get(asio::awaitable<T, Executor> task) {
    call<T> c(Executor(io_.get_executor()), std::move(task));
    return finish(c);
  }

 private:
  asio::io_context io_;
  std::optional<asio::thread_pool> pool_;
};

}  // namespace test
