// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include "virtual_clock.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

std::atomic<bool> is_virtual{false};
std::atomic<std::int64_t> virtual_now{0};  // nanoseconds since the clock's epoch

// What now() last told this thread. Asio computes "wake me in so long" from it at once, so adding
// the two gives the very expiry, even if another thread has moved the clock in between. Used once:
// without any timer left Asio does not ask for the time, and an old answer would mislead.
thread_local std::optional<std::int64_t> last_told;

std::int64_t real_now() noexcept {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

struct wakeup {
  int fd;
  std::int64_t at;
};

struct wakeups {
  std::mutex mutex;
  std::vector<wakeup> pending;
};

// Never destroyed: contexts with static storage may still ask while the program exits.
wakeups& registry() {
  static wakeups& the_one = *new wakeups;
  return the_one;
}

long set_real_timer(int fd, int flags, const itimerspec* spec, itimerspec* old) noexcept {
  return ::syscall(SYS_timerfd_settime, fd, flags, spec, old);
}

// Makes the descriptor readable, and returns when it is: the kernel fires even an expired timer a
// little later, and a test that sometimes sees it and sometimes not cannot be replayed.
void wake(int fd) noexcept {
  itimerspec at_once{};
  at_once.it_value.tv_nsec = 1;
  if (set_real_timer(fd, TFD_TIMER_ABSTIME, &at_once, nullptr) != 0) return;  // closed since
  pollfd readable{fd, POLLIN, 0};
  ::poll(&readable, 1, 1000);
}

void wake_due(std::int64_t now) {
  wakeups& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto due = std::stable_partition(all.pending.begin(), all.pending.end(),
                                         [now](const wakeup& w) { return w.at > now; });
  std::for_each(due, all.pending.end(), [](const wakeup& w) { wake(w.fd); });
  all.pending.erase(due, all.pending.end());
}

void forget_all() {
  wakeups& all = registry();
  const std::lock_guard lock(all.mutex);
  all.pending.clear();
}

}  // namespace

std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
  if (!is_virtual.load(std::memory_order_acquire)) return time_point(nanoseconds(real_now()));
  const std::int64_t ns = virtual_now.load(std::memory_order_acquire);
  last_told = ns;
  return time_point(nanoseconds(ns));
}

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* spec,
                               itimerspec* old) noexcept {
  if (!is_virtual.load(std::memory_order_acquire)) {
    return static_cast<int>(set_real_timer(fd, flags, spec, old));
  }
  wakeups& all = registry();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.pending, [fd](const wakeup& w) { return w.fd == fd; });
  // Disarming also takes back a wake-up that has already fired, as settime always does.
  const itimerspec never{};
  if (const long failed = set_real_timer(fd, 0, &never, old); failed != 0) {
    return static_cast<int>(failed);
  }
  const std::int64_t after =
      std::int64_t{spec->it_value.tv_sec} * 1'000'000'000 + spec->it_value.tv_nsec;
  if (after == 0) return 0;
  const std::int64_t now = virtual_now.load(std::memory_order_acquire);
  // Asio gives an absolute time only to say "at once".
  const bool absolute = (flags & TFD_TIMER_ABSTIME) != 0;
  const std::int64_t at = absolute ? after : last_told.value_or(now) + after;
  last_told.reset();
  if (at <= now) {
    wake(fd);
  } else {
    all.pending.push_back({fd, at});
  }
  return 0;
}

namespace test {

virtual_time::virtual_time() {
  static_assert(std::is_same_v<duration, std::chrono::nanoseconds>);
  if (is_virtual.load()) throw std::logic_error("test::virtual_time: one is alive already");
  forget_all();
  virtual_now.store(real_now());
  is_virtual.store(true);
}

virtual_time::~virtual_time() {
  is_virtual.store(false);
  forget_all();
}

void virtual_time::advance(duration by) {
  wake_due(virtual_now.fetch_add(by.count(), std::memory_order_acq_rel) + by.count());
}

void virtual_time::advance_to(time_point to) {
  const std::int64_t target = to.time_since_epoch().count();
  std::int64_t was = virtual_now.load(std::memory_order_acquire);
  while (was < target && !virtual_now.compare_exchange_weak(was, target)) {
  }
  wake_due(std::max(was, target));
}

std::optional<virtual_time::time_point> virtual_time::next_wakeup() {
  wakeups& all = registry();
  const std::lock_guard lock(all.mutex);
  if (all.pending.empty()) return std::nullopt;
  const auto first = std::min_element(all.pending.begin(), all.pending.end(),
                                      [](const wakeup& a, const wakeup& b) { return a.at < b.at; });
  return time_point(duration(first->at));
}

}  // namespace test
