// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/semaphore_state.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace cogather {

namespace detail {
struct semaphore_access;
}

/// Some permits of a `semaphore`, given back on destruction.
///
/// Move-only; an empty one (default-constructed, moved-from or released) holds nothing. It may
/// outlive the semaphore object.
class [[nodiscard]] permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept
      : state_(std::move(other.state_)), count_(std::exchange(other.count_, 0)) {}
  permit& operator=(permit&& other) noexcept;
  ~permit() { release(); }

  /// Gives the permits back now. Waiters that fit are resumed on their own executors, never
  /// inside this call. Any thread.
  void release() noexcept;

  /// How many permits are held.
  std::size_t count() const noexcept { return count_; }
  explicit operator bool() const noexcept { return count_ != 0; }

 private:
  friend struct detail::semaphore_access;
  permit(std::shared_ptr<detail::semaphore_state> state, std::size_t count) noexcept
      : state_(std::move(state)), count_(count) {}

  std::shared_ptr<detail::semaphore_state> state_;
  std::size_t count_ = 0;
};

/// A counting semaphore for coroutines and callbacks: at most `capacity()` permits are held at
/// any moment, waiters are served first come, first served.
///
/// *Fairness*: strictly FIFO. A waiter that asks for many is not overtaken by one behind it that
/// asks for few; `try_acquire` never overtakes a waiter.
/// *Cancellation*: a cancelled waiter leaves the queue and completes with `operation_aborted`;
/// one that had already been granted passes its permits on. None is ever lost or doubled.
/// *Threads*: every member may be called from any thread. A waiter resumes on its own executor,
/// never inside the call that released.
/// *Lifetime*: bound to no executor. Destroying an execution context ends the waiters that live
/// on it and gives back what they held.
class semaphore {
 public:
  /// `permits` may be 0: everyone waits until `resize`.
  explicit semaphore(std::size_t permits);
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Waits for `n` permits.
  /// *Errors*: `std::invalid_argument` when `n` is 0 or more than a capacity that is not 0;
  /// `operation_aborted` when the caller is, or gets, cancelled, even if permits are free.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<permit, Executor> acquire(std::size_t n = 1);

  /// `n` permits if they are free and nobody waits, else nothing. Errors as for `acquire`.
  [[nodiscard]] std::optional<permit> try_acquire(std::size_t n = 1);

  /// `acquire` for any completion token; signature `void(asio::error_code, permit)`. The
  /// handler's associated executor and cancellation slot are used; an executor is asked to
  /// keep running while the wait lasts.
  template <class CompletionToken>
  auto async_acquire(std::size_t n, CompletionToken&& token);

  /// How many permits there are in all.
  std::size_t capacity() const noexcept;
  /// How many of them nobody holds; 0 while more are held than there are after a `resize`.
  std::size_t available() const noexcept;
  /// How many acquirers wait.
  std::size_t waiting() const noexcept;

  /// Changes the capacity and wakes whoever now fits. Shrinking takes nothing from anybody: what
  /// is held beyond the new capacity is not granted again. A waiter that asks for more than the
  /// new capacity keeps its place. 0 pauses: everyone waits.
  void resize(std::size_t permits) noexcept;

 private:
  friend struct detail::semaphore_access;

  std::shared_ptr<detail::semaphore_state> state_;
};

// Implementation

namespace detail {

struct semaphore_access {
  static permit wrap(std::shared_ptr<semaphore_state> state, std::size_t count) noexcept {
    return permit(std::move(state), count);
  }
  static const std::shared_ptr<semaphore_state>& state(const semaphore& s) noexcept {
    return s.state_;
  }
};

/// Turns a `void(error_code, permit)` handler into a `semaphore_waiter`.
struct initiate_acquire {
  template <class Handler>
  struct wrapping {
    std::shared_ptr<semaphore_state> state;
    Handler handler;

    using executor_type = resume_executor_t<Handler>;
    executor_type get_executor() const noexcept { return resume_executor(handler); }

    using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;
    cancellation_slot_type get_cancellation_slot() const noexcept {
      return asio::get_associated_cancellation_slot(handler);
    }

    void operator()(asio::error_code error, std::size_t granted) && {
      std::move(handler)(error, semaphore_access::wrap(std::move(state), granted));
    }
  };

  template <class Handler>
  void operator()(Handler&& handler, std::shared_ptr<semaphore_state> state, std::size_t n) const {
    using wrapped = wrapping<std::decay_t<Handler>>;
    semaphore_waiter<wrapped>::start(state, n, wrapped{state, std::forward<Handler>(handler)});
  }
};

template <class Executor>
asio::awaitable<permit, Executor> acquire(std::shared_ptr<semaphore_state> state, std::size_t n) {
  state->check(n);
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != no_cancellation) throw_aborted();
  if (state->try_take(n)) co_return semaphore_access::wrap(std::move(state), n);
  const asio::use_awaitable_t<Executor> token;
  permit granted = co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&,
                                                 void(asio::error_code, permit)>(
      initiate_acquire(), token, std::move(state), n);
  co_return granted;
}

}  // namespace detail

inline permit& permit::operator=(permit&& other) noexcept {
  if (this != &other) {
    release();
    state_ = std::move(other.state_);
    count_ = std::exchange(other.count_, 0);
  }
  return *this;
}

inline void permit::release() noexcept {
  if (count_ != 0) state_->give_back(std::exchange(count_, 0));
  state_.reset();
}

inline semaphore::semaphore(std::size_t permits)
    : state_(std::make_shared<detail::semaphore_state>(permits)) {}

template <class Executor>
asio::awaitable<permit, Executor> semaphore::acquire(std::size_t n) {
  return detail::acquire<Executor>(state_, n);
}

inline std::optional<permit> semaphore::try_acquire(std::size_t n) {
  state_->check(n);
  if (!state_->try_take(n)) return std::nullopt;
  return detail::semaphore_access::wrap(state_, n);
}

template <class CompletionToken>
auto semaphore::async_acquire(std::size_t n, CompletionToken&& token) {
  state_->check(n);  // before anything is initiated
  return asio::async_initiate<CompletionToken, void(asio::error_code, permit)>(
      detail::initiate_acquire(), token, state_, n);
}

inline std::size_t semaphore::capacity() const noexcept { return state_->capacity(); }
inline std::size_t semaphore::available() const noexcept { return state_->available(); }
inline std::size_t semaphore::waiting() const noexcept { return state_->waiting(); }
inline void semaphore::resize(std::size_t permits) noexcept { state_->resize(permits); }

}  // namespace cogather
