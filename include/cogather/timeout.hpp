// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/scope.hpp>
#include <cogather/detail/slot.hpp>

#include <asio/basic_waitable_timer.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace cogather {

/// A time limit expired: `asio::system_error` with `asio::error::timed_out`, so that it can be
/// told from a cancellation.
class timeout_error : public asio::system_error {
 public:
  timeout_error()
      : asio::system_error(asio::error::make_error_code(asio::error::timed_out),
                           "cogather: time limit expired") {}
};

/// Runs `task`, but no longer than `limit`, which is measured from the `co_await`.
///
/// *Completion*: when the task has ended, with its value. On expiry the task is stopped (terminal
/// cancellation) and awaited.
/// *Errors*: `timeout_error` when it was stopped by the limit and ended with
/// `operation_aborted`; a value it returned nevertheless, or another error, is passed on. A limit
/// of zero or less throws `timeout_error` and never starts the task. `duration::max()` is no limit.
/// *Cancellation*: of the caller reaches the task with the same type, and stays
/// `operation_aborted`.
/// *Threads*: the task runs on the caller's executor; on a raw `thread_pool`, on a strand of its
/// own over it.
/// Python: `asyncio.wait_for`.
template <class T, class Executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<T, Executor> with_timeout(
    asio::awaitable<T, Executor> task, std::chrono::duration<Rep, Period> limit);

/// The same with a point in time. One that has passed throws and never starts the task;
/// `time_point::max()` is no limit. Python: `asyncio.timeout_at`.
template <class T, class Executor>
[[nodiscard]] asio::awaitable<T, Executor> with_deadline(
    asio::awaitable<T, Executor> task, std::chrono::steady_clock::time_point deadline);

// Implementation

namespace detail {

/// Either a length of time, to be measured from when it is needed, or a point in time.
class time_limit {
 public:
  using clock = std::chrono::steady_clock;

  template <class Rep, class Period>
  explicit time_limit(std::chrono::duration<Rep, Period> length) noexcept {
    // Compared as floating point, since `hours::max()` in nanoseconds overflows.
    using seconds = std::chrono::duration<double>;
    if (!(length > length.zero())) {
      length_ = clock::duration::zero();
    } else if (seconds(length) >= seconds(clock::duration::max())) {
      length_ = clock::duration::max();
    } else {
      length_ = std::chrono::ceil<clock::duration>(length);
    }
  }
  explicit time_limit(clock::time_point deadline) noexcept : deadline_(deadline) {}

  /// `max()` where there is no limit.
  clock::time_point deadline(clock::time_point now) const noexcept {
    if (!length_) return deadline_;
    return *length_ < clock::time_point::max() - now ? now + *length_ : clock::time_point::max();
  }

 private:
  std::optional<clock::duration> length_;
  clock::time_point deadline_;
};

/// A scope of one task and a timer that stops it.
template <class Executor>
class deadline_scope final : public scope<Executor> {
 public:
  deadline_scope(worker<Executor>& task, time_limit::clock::time_point deadline)
      : task_(task), deadline_(deadline) {
    this->adopt(task);
  }

  /// What to throw when the task has no value; `error` is its own, null where it never ran.
  [[noreturn]] void fail(const std::exception_ptr& error) const {
    if (failure_) std::rethrow_exception(failure_);
    if (error && !is_aborted(error)) std::rethrow_exception(error);
    if (expired_ && !this->caller_cancelled()) throw timeout_error();
    if (error) std::rethrow_exception(error);
    throw_aborted();
  }

 private:
  using clock = time_limit::clock;
  using timer = asio::basic_waitable_timer<clock, asio::wait_traits<clock>, Executor>;
  using unit = typename scope<Executor>::unit;
  using held = typename scope<Executor>::held;

  struct timer_fired {
    unit u;
    deadline_scope* self;
    void operator()(asio::error_code error) {
      const held keep(std::move(u));
      if (!error) self->expire();
    }
  };

  void launch() noexcept override {
    if (this->stopping()) return;
    try {
      timer_.emplace(this->home(), deadline_);
      timer_->async_wait(timer_fired{unit(*this), this});
    } catch (...) {
      failure_ = std::current_exception();
      return;
    }
    this->spawn(task_);
  }

  void ended(worker<Executor>&, std::exception_ptr failure) noexcept override {
    failure_ = std::move(failure);
    over_ = true;
    timer_->cancel();
  }

  // A cancellation of the caller does not lift the limit: the task may not hear its type.
  void expire() noexcept {
    if (over_) return;  // while this was on its way
    expired_ = true;
    this->stop(asio::cancellation_type::terminal);
  }

  worker<Executor>& task_;
  clock::time_point deadline_;
  std::optional<timer> timer_;
  std::exception_ptr failure_;  // to set the run up
  bool over_ = false;
  bool expired_ = false;
};

/// A worker for one task.
template <class T, class Executor>
class single_task final : public worker<Executor> {
 public:
  explicit single_task(asio::awaitable<T, Executor> task) : task_(std::move(task)) {}

  bool succeeded() noexcept { return static_cast<bool>(value_); }
  const std::exception_ptr& error() const noexcept { return error_; }
  T value() {
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }

 private:
  asio::awaitable<void, Executor> body() override {
    if (!this->begin()) co_return;
    auto fresh = this->fresh_state();
    co_await std::move(fresh);
    this->enter_task();
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(task_);
        value_.emplace();
      } else {
        value_.emplace(co_await std::move(task_));
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    this->leave_task();
  }

  asio::awaitable<T, Executor> task_;
  slot<std::conditional_t<std::is_void_v<T>, std::monostate, T>> value_;
  std::exception_ptr error_;
};

template <class T, class Executor>
asio::awaitable<T, Executor> run_limited(asio::awaitable<T, Executor> task, time_limit limit) {
  const auto now = time_limit::clock::now();
  const auto deadline = limit.deadline(now);
  if (deadline <= now) throw timeout_error();
  if (deadline == time_limit::clock::time_point::max()) co_return co_await std::move(task);

  single_task<T, Executor> only(std::move(task));
  deadline_scope<Executor> scope(only, deadline);
  co_await scope.run();
  if (!only.succeeded()) scope.fail(only.error());
  co_return only.value();
}

}  // namespace detail

template <class T, class Executor, class Rep, class Period>
asio::awaitable<T, Executor> with_timeout(asio::awaitable<T, Executor> task,
                                          std::chrono::duration<Rep, Period> limit) {
  return detail::run_limited(std::move(task), detail::time_limit(limit));
}

template <class T, class Executor>
asio::awaitable<T, Executor> with_deadline(asio::awaitable<T, Executor> task,
                                           std::chrono::steady_clock::time_point deadline) {
  return detail::run_limited(std::move(task), detail::time_limit(deadline));
}

}  // namespace cogather
