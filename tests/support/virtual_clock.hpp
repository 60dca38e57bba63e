// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Virtual time for everything in the program that asks std::chrono::steady_clock.
//
// The test program defines steady_clock::now() itself, and timerfd_settime() too, by which Asio
// asks the kernel to be woken for its earliest timer. Real time is the default. While a
// virtual_time lives, now() stands still, and Asio's timers fire when, and only when, advance()
// passes their expiry. Since the wake-ups come through here, the next expiry is known: a test
// jumps straight to it.
//
// - Create the virtual_time before the execution contexts it is to steer, and destroy it after
//   them. At most one lives at a time.
// - advance() may be called from any thread, and wakes contexts that block in run().
// - What waits by the system, not by Asio (condition_variable::wait_for, sleep_until), must not
//   be used meanwhile: it would wait for a now() that does not move.
// - steady_clock only: system_timer stays on real time.
// - Asio counts in whole microseconds: a timer that is less than one away fires when one is over.
#pragma once

#include <asio/detail/config.hpp>
#include <chrono>
#include <optional>

#if !defined(__GLIBCXX__)
#error "virtual time replaces libstdc++'s steady_clock::now(); this standard library is another"
#endif
#if !defined(ASIO_HAS_TIMERFD)
#error "virtual time steers the timerfd of Asio's epoll reactor; this Asio is built without it"
#endif

namespace test {

class virtual_time {
 public:
  using clock = std::chrono::steady_clock;
  using duration = clock::duration;
  using time_point = clock::time_point;

  virtual_time();  // Starts at the real time. Throws std::logic_error when there is another.
  ~virtual_time();
  virtual_time(const virtual_time&) = delete;
  virtual_time& operator=(const virtual_time&) = delete;

  void advance(duration by);

  // Does nothing to the clock when `to` is past, but still wakes what is due.
  void advance_to(time_point to);

  static time_point now() noexcept { return clock::now(); }

  // When the earliest timer of any context wants to be woken. That may be before its expiry, as
  // Asio wakes at least every five minutes and leaves the wake-up of a cancelled timer standing.
  // Nothing when no timer was ever waited for.
  static std::optional<time_point> next_wakeup();
};

}  // namespace test
