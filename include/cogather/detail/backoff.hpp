// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace cogather::detail {

/// Exponential back-off: `initial`, then each time `multiplier` as long, never longer than `max`.
/// Reckoned in floating point and capped, so that it saturates and never overflows.
class backoff {
 public:
  using duration = std::chrono::nanoseconds;

  backoff(duration initial, double multiplier, duration max) noexcept
      : next_(as_double(initial)), multiplier_(multiplier), max_(max) {}

  /// The next delay, before jitter.
  duration next() noexcept {
    const double current = std::min(next_, as_double(max_));
    next_ = current * multiplier_;
    // `max_` itself may not be representable as a double.
    return current < as_double(max_) ? duration(static_cast<duration::rep>(current)) : max_;
  }

 private:
  static double as_double(duration d) noexcept { return static_cast<double>(d.count()); }

  double next_;
  double multiplier_;
  duration max_;
};

/// Drawn evenly from [(1 - jitter) d, d].
inline std::chrono::nanoseconds with_jitter(std::chrono::nanoseconds d, double jitter) {
  if (jitter == 0.0 || d.count() == 0) return d;
  static thread_local std::minstd_rand random{std::random_device{}()};
  const double share = jitter * std::uniform_real_distribution<double>()(random);
  const auto off = static_cast<std::chrono::nanoseconds::rep>(share * static_cast<double>(d.count()));
  return d - std::chrono::nanoseconds(std::min(off, d.count()));
}

}  // namespace cogather::detail
