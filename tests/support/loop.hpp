// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// An event loop on virtual time that a test steps by hand, and a few small awaitables.
//
//   test::loop loop;
//   CHECK(loop.get(test::value_after(7, 5min)) == 7);       // takes no time
//   auto caller = loop.spawn(scenario());
//   loop.run_for(3ms);  caller.cancel();  loop.run();
//   CHECK(test::aborted(caller.error()));
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "virtual_clock.hpp"

namespace test {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// Work is outstanding, but nothing will ever happen.
class hang : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::string what(const std::exception_ptr& error);  // "" for null
bool aborted(const std::exception_ptr& error);      // asio::error::operation_aborted

inline constexpr asio::cancellation_type any_cancellation = asio::cancellation_type::terminal |
                                                            asio::cancellation_type::partial |
                                                            asio::cancellation_type::total;

namespace detail {

struct spawn_state {
  asio::cancellation_signal signal;
  asio::cancellation_type accepted = asio::cancellation_type::terminal;
  asio::cancellation_type pending = asio::cancellation_type::none;
  bool started = false;
  bool done = false;  // the completion handler has run
  bool over = false;  // or never will, its context being gone
  std::exception_ptr error;
  std::function<void()> on_frame_gone;

  void cancel(asio::cancellation_type type);
};

template <class T>
struct spawn_value : spawn_state {
  std::optional<T> value;
};

template <>
struct spawn_value<void> : spawn_state {};

// No associated executor: Asio then delivers an emit at once, and not by a handler of its own, so
// that a test cancels between exactly two handlers.
struct spawn_handler {
  using cancellation_slot_type = asio::cancellation_slot;

  std::shared_ptr<spawn_state> state;

  cancellation_slot_type get_cancellation_slot() const noexcept { return state->signal.slot(); }

  void operator()(const std::exception_ptr& error) const {
    state->error = error;
    state->done = state->over = true;
  }
};

struct spawn_filter {
  asio::cancellation_type accepted;

  asio::cancellation_type operator()(asio::cancellation_type type) const noexcept {
    return type & accepted;
  }
};

class frame_guard {
 public:
  explicit frame_guard(spawn_state& s) noexcept : state_(&s) {}
  frame_guard(const frame_guard&) = delete;
  frame_guard& operator=(const frame_guard&) = delete;
  ~frame_guard() {
    if (state_->on_frame_gone) state_->on_frame_gone();
  }

 private:
  spawn_state* state_;
};

// The loop keeps the state, so a reference will do.
template <class T, class Executor>
asio::awaitable<void, Executor> spawn_body(spawn_value<T>& state,
                                           asio::awaitable<T, Executor> task) {
  const frame_guard guard(state);
  auto running = std::move(task);  // after the guard: so its frame is destroyed before
  state.started = true;
  if (state.accepted != asio::cancellation_type::terminal) {
    const spawn_filter filter{state.accepted};
    co_await asio::this_coro::reset_cancellation_state(filter);
  }
  if (const auto heard = state.pending & state.accepted; heard != asio::cancellation_type::none) {
    // From 1.27 to 1.30.0 a coroutine that fails in its first run, and was cancelled by then,
    // throws out of the loop.
    co_await asio::post(asio::use_awaitable_t<Executor>());
    state.signal.emit(heard);
  }
  if constexpr (std::is_void_v<T>) {
    co_await std::move(running);
  } else {
    T value = co_await std::move(running);
    state.value.emplace(std::move(value));
  }
}

}  // namespace detail

// What became of a spawned awaitable. Copies refer to the same one. Outlives the loop.
template <class T>
class spawned {
 public:
  explicit spawned(std::shared_ptr<detail::spawn_value<T>> state) : state_(std::move(state)) {}

  bool started() const noexcept { return state_->started; }
  bool done() const noexcept { return state_->done; }
  std::exception_ptr error() const noexcept { return state_->error; }
  bool succeeded() const noexcept { return done() && error() == nullptr; }

  // Rethrows the error. The value is given away: once.
  T value() const {
    if (!done()) throw std::logic_error("test::spawned: has not ended");
    if (error()) std::rethrow_exception(error());
    if constexpr (!std::is_void_v<T>) {
      T result = std::move(state_->value.value());
      state_->value.reset();
      return result;
    }
  }

  // Takes effect before this returns, unless the awaitable has not started: then as it starts.
  void cancel(asio::cancellation_type type = asio::cancellation_type::terminal) const {
    state_->cancel(type);
  }

  // Called as soon as the awaitable's frame is gone, its completion or its destruction.
  void on_frame_gone(std::function<void()> f) const { state_->on_frame_gone = std::move(f); }

 private:
  std::shared_ptr<detail::spawn_value<T>> state_;
};

class loop {
 public:
  using clock = std::chrono::steady_clock;
  using duration = clock::duration;

  loop();
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  asio::io_context& context() { return *context_; }
  asio::io_context::executor_type executor() { return context_->get_executor(); }
  virtual_time& clock_control() noexcept { return time_; }

  // Starts at the next step. `accepted`: the cancellation that the coroutine lets through.
  template <class T, class Executor>
  spawned<T> spawn(asio::awaitable<T, Executor> task,
                   asio::cancellation_type accepted = asio::cancellation_type::terminal) {
    return spawn_on(Executor(executor()), std::move(task), accepted);
  }

  // On a strand of the loop, say.
  template <class T, class Executor>
  spawned<T> spawn_on(const Executor& where, asio::awaitable<T, Executor> task,
                      asio::cancellation_type accepted = asio::cancellation_type::terminal) {
    auto state = std::make_shared<detail::spawn_value<T>>();
    state->accepted = accepted;
    spawned_.push_back(state);
    asio::co_spawn(where, detail::spawn_body<T, Executor>(*state, std::move(task)),
                   detail::spawn_handler{state});
    return spawned<T>(std::move(state));
  }

  // Spawns, steps until it has ended, and gives its value or throws its error.
  template <class T, class Executor>
  T get(asio::awaitable<T, Executor> task) {
    const spawned<T> handle = spawn(std::move(task));
    run_until([&handle] { return handle.done(); });
    return handle.value();
  }

  // Executes exactly one handler; first moves time to the next timer if nothing is ready. False
  // when no work is left (after destroy(), too). Throws hang.
  bool step();

  void run();        // Steps until no work is left. Throws hang.
  bool run_ready();  // Executes all that is ready without moving time. False if nothing was.
  void run_for(duration d);  // All that happens in that span of time, then now() is at its end.

  // Steps until pred(). Throws hang, also when the work runs out before.
  template <class Predicate>
  void run_until(Predicate pred) {
    while (!pred()) {
      if (!step()) throw hang("test::loop: no work left, and the condition does not hold");
    }
  }

  clock::time_point now() const noexcept { return clock::now(); }
  duration elapsed() const noexcept { return now() - start_; }
  std::size_t steps() const noexcept { return steps_; }  // handlers executed so far

  // How much virtual time without any handler counts as a hang; an hour unless told.
  void patience(duration d) noexcept { patience_ = d; }

  // Destroys the io_context with everything in it. Handles stay valid.
  void destroy();

 private:
  bool poll_one();

  virtual_time time_;
  clock::time_point start_ = clock::now();
  duration patience_ = std::chrono::hours(1);
  std::size_t steps_ = 0;
  // Their signals hold cells that coroutines point to: must outlive the context.
  std::vector<std::shared_ptr<detail::spawn_state>> spawned_;
  std::unique_ptr<asio::io_context> context_;
};

namespace detail {

template <class Executor>
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

}  // namespace detail

// Each exists for awaitables of any executor: sleep<asio::io_context::executor_type>(1ms).

template <class Executor = asio::any_io_executor>
asio::awaitable<void, Executor> sleep(milliseconds d) {
  detail::timer<Executor> t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(asio::use_awaitable_t<Executor>());
}

// Cannot be cancelled. (What the coroutine does next can.)
template <class Executor = asio::any_io_executor>
asio::awaitable<void, Executor> deaf_sleep(milliseconds d) {
  detail::timer<Executor> t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(
      asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable_t<Executor>()));
}

// One turn of the loop.
template <class Executor = asio::any_io_executor>
asio::awaitable<void, Executor> yield() {
  co_await asio::post(asio::use_awaitable_t<Executor>());
}

// Waits until it is cancelled.
template <class Executor = asio::any_io_executor>
asio::awaitable<void, Executor> never() {
  detail::timer<Executor> t(co_await asio::this_coro::executor,
                            std::chrono::steady_clock::time_point::max());
  co_await t.async_wait(asio::use_awaitable_t<Executor>());
}

// A value at once, after no suspension at all.
template <class Executor = asio::any_io_executor, class T>
asio::awaitable<T, Executor> ready(T value) {
  co_return value;
}

template <class Executor = asio::any_io_executor, class T>
asio::awaitable<T, Executor> value_after(T value, milliseconds d) {
  co_await sleep<Executor>(d);
  co_return value;
}

// fail_after<int>(std::runtime_error("no"), 5ms) is an awaitable<int>. Given an exception_ptr, it
// throws that very object.
template <class T = void, class Executor = asio::any_io_executor, class Error>
asio::awaitable<T, Executor> fail_after(Error error, milliseconds d) {
  co_await sleep<Executor>(d);
  if constexpr (std::is_same_v<Error, std::exception_ptr>) {
    std::rethrow_exception(error);
  } else {
    throw error;
  }
}

// Throws without suspending.
template <class T = void, class Executor = asio::any_io_executor, class Error>
asio::awaitable<T, Executor> fail(Error error) {
  (void)co_await asio::this_coro::executor;  // makes it a coroutine
  if constexpr (std::is_same_v<Error, std::exception_ptr>) {
    std::rethrow_exception(error);
  } else {
    throw error;
  }
}

}  // namespace test
