// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/backoff.hpp>
#include <cogather/detail/callback.hpp>
#include <cogather/detail/closure.hpp>

#include <asio/basic_waitable_timer.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace cogather {

/// When and how to try again. Refers to what it names, owns nothing.
struct retry_policy {
  /// The first try included; 0 is `std::invalid_argument`.
  std::size_t max_attempts = 3;
  /// The back-off before the second try; each further one is `multiplier` as long, at most
  /// `max_delay`. Delays saturate, they never overflow. Negative ones are `std::invalid_argument`.
  std::chrono::nanoseconds initial_delay = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max_delay = std::chrono::seconds(10);
  double multiplier = 2.0;
  /// From 0 to 1: each delay `d` is drawn from [(1 - jitter) d, d].
  double jitter = 0.5;
  /// Since the first try began: no further try starts, and no back-off ends, after this.
  std::chrono::nanoseconds max_elapsed = std::chrono::nanoseconds::max();
  /// Whether an error is worth another try; by default every one is.
  callback<bool(std::exception_ptr)> retry_if = {};
  /// Before each back-off: which try failed (from 1), with what, and how long the back-off is.
  callback<void(std::size_t attempt, std::exception_ptr, std::chrono::nanoseconds delay)> on_retry =
      {};
};
static_assert(std::is_trivially_destructible_v<retry_policy>,
              "g++ 12 destroys a braced temporary in a co_await expression twice");

/// Calls `fn()` or `fn(attempt)`, `attempt` from 1, awaits what it returns, and does so again, after
/// a back-off, when that throws.
///
/// `fn` may be an lvalue, which must outlive the call, or an rvalue, which the call owns.
/// *Completion*: with the value of the first try that succeeds.
/// *Errors*: the last error, unchanged, when tries or time are used up or `retry_if` says no; what
/// `fn` itself throws counts as a failed try; what `retry_if` or `on_retry` throws is passed on;
/// `std::invalid_argument` for a bad policy.
/// *Cancellation*: of the caller reaches the running try, is never retried, and ends a back-off
/// at once.
/// *Threads*: everything runs on the caller's executor.
template <class Function>
[[nodiscard]] auto retry(retry_policy policy, Function&& fn);

// Implementation

namespace detail {

inline void check_not_negative(const char* name, std::chrono::nanoseconds value) {
  if (value.count() >= 0) return;
  throw std::invalid_argument("cogather::retry: " + std::string(name) + " is " +
                              std::to_string(value.count()) + " ns, less than 0");
}

inline void check(const retry_policy& policy) {
  if (policy.max_attempts == 0) throw std::invalid_argument("cogather::retry: max_attempts is 0");
  check_not_negative("initial_delay", policy.initial_delay);
  check_not_negative("max_delay", policy.max_delay);
  check_not_negative("max_elapsed", policy.max_elapsed);
  if (!(policy.jitter >= 0.0 && policy.jitter <= 1.0)) {
    throw std::invalid_argument("cogather::retry: jitter is " + std::to_string(policy.jitter) +
                                ", not from 0 to 1");
  }
  if (!(policy.multiplier >= 0.0)) {
    throw std::invalid_argument("cogather::retry: multiplier is " +
                                std::to_string(policy.multiplier) + ", not 0 or more");
  }
}

template <class Function>
decltype(auto) try_once(Function& fn, std::size_t attempt) {
  if constexpr (std::is_invocable_v<Function&, std::size_t>) {
    return std::invoke(fn, attempt);
  } else {
    return std::invoke(fn);
  }
}

/// What `retry` does between two tries. Throws `error` where there is to be no other.
class retry_loop {
 public:
  using clock = std::chrono::steady_clock;

  explicit retry_loop(const retry_policy& policy)
      : policy_(policy),
        backoff_(policy.initial_delay, policy.multiplier, policy.max_delay),
        begin_(clock::now()) {}

  std::size_t attempt() const noexcept { return attempt_; }

  /// When the next try may start.
  clock::time_point next(const std::exception_ptr& error, bool cancelled) {
    if (cancelled || attempt_ == policy_.max_attempts ||
        (policy_.retry_if && !policy_.retry_if(error))) {
      std::rethrow_exception(error);
    }
    const auto delay = with_jitter(backoff_.next(), policy_.jitter);
    const auto now = clock::now();
    if (delay > left(now)) std::rethrow_exception(error);
    if (policy_.on_retry) policy_.on_retry(attempt_, error, delay);
    ++attempt_;
    return delay < clock::time_point::max() - now ? now + delay : clock::time_point::max();
  }

  /// After the back-off, which may have ended late.
  void wake_up(const std::exception_ptr& error) const {
    if (left(clock::now()).count() < 0) std::rethrow_exception(error);
  }

 private:
  using duration = std::chrono::nanoseconds;

  /// How much of `max_elapsed` is left; below zero when it is over.
  duration left(clock::time_point now) const noexcept {
    return policy_.max_elapsed == duration::max() ? duration::max()
                                                  : policy_.max_elapsed - (now - begin_);
  }

  const retry_policy& policy_;
  backoff backoff_;
  clock::time_point begin_;
  std::size_t attempt_ = 1;
};

/// `Function` is `F&` when the caller keeps the function, `F` when this owns it.
template <class Result, class Executor, class Function>
asio::awaitable<Result, Executor> retry_with(retry_policy policy, Function fn) {
  using clock = retry_loop::clock;
  check(policy);
  retry_loop loop(policy);
  for (;;) {
    std::exception_ptr error;
    try {
      co_return co_await try_once(fn, loop.attempt());
    } catch (...) {
      error = std::current_exception();
    }
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto when = loop.next(error, cancellation.cancelled() != no_cancellation);
    const auto executor = co_await asio::this_coro::executor;
    asio::basic_waitable_timer<clock, asio::wait_traits<clock>, Executor> timer(executor, when);
    const asio::use_awaitable_t<Executor> token;
    co_await timer.async_wait(token);
    loop.wake_up(error);
  }
}

}  // namespace detail

template <class Function>
auto retry(retry_policy policy, Function&& fn) {
  static_assert(detail::safe_in_co_await<Function>,
                "cogather: g++ before 13 destroys this temporary lambda twice when it stands in a "
                "co_await expression: give the lambda a name and pass it as an lvalue");
  static_assert(std::is_invocable_v<Function&> || std::is_invocable_v<Function&, std::size_t>,
                "cogather: retry calls fn() or fn(attempt)");
  using awaitable = decltype(detail::try_once(fn, std::size_t()));
  static_assert(detail::awaitable_type<awaitable>,
                "cogather: fn must return an asio::awaitable, that is, be a coroutine");
  return detail::retry_with<detail::awaited_t<awaitable>, detail::executor_of_t<awaitable>,
                            Function>(policy, std::forward<Function>(fn));
}

}  // namespace cogather
