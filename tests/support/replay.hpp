// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Stop it anywhere: runs a scenario again and again, and stops it after 0, 1, 2, ... handlers, by
// cancelling its caller and by destroying its io_context.
//
//   asio::awaitable<void> scenario(test::loop&, test::census& c) {
//     co_await cogather::gather(c.count(test::value_after(1, 5ms)), c.count(test::never()));
//   }
//   test::stop_everywhere(scenario);
//
// Required of every run, wherever it is stopped:
// - nothing hangs, and no handler throws out of the loop;
// - when the caller's frame goes, no task that the census counts lives: children die first;
// - once the caller has ended, no task starts or marks, no timer is still waited for, and what is
//   left of the work runs out;
// - while and after the io_context is destroyed, no task starts or marks;
// - in the end started == ended, and no tracked object lives.
// A memory error or leak is for the sanitizers to find.
//
// A scenario must do the same each time. What it counts in the census are the tasks of its caller,
// not what it may spawn on the loop by its side. State that a check wants to see lives in a
// callable that is passed by std::ref and makes it anew in each call.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "census.hpp"
#include "loop.hpp"

namespace test {

enum class stop_kind {
  none,     // the undisturbed run
  cancel,   // once
  nag,      // cancel, and again after every further handler
  destroy,  // the io_context
  cancel_then_destroy
};

// One run, as its check sees it when everything is over. CHECK and REQUIRE may be used there; the
// message tells which run it was.
struct stopped_run {
  stop_kind kind = stop_kind::none;
  std::size_t after = 0;  // handlers executed before the stop
  asio::cancellation_type type = asio::cancellation_type::none;
  bool heard = true;                // the caller lets that type through
  std::size_t then = 0;             // cancel_then_destroy: handlers between the two
  bool ended = false;               // the caller ended: false where the context was destroyed
  std::exception_ptr error;         // of the caller
  std::chrono::nanoseconds took{};  // virtual time from the stop to the caller's end
  const census* tasks = nullptr;

  std::string text() const;
};

struct stop_plan {
  // The types to cancel with. Each but terminal is tried twice: with a caller that lets it
  // through, and with one that does not, which then must not notice anything.
  std::vector<asio::cancellation_type> types = {asio::cancellation_type::terminal};
  bool cancel = true;
  bool nag = true;
  bool destroy = true;
  std::size_t destroy_after_cancel = 2;  // up to so many handlers after it; 0 leaves this out
  std::size_t max_handlers = 10'000;     // more in one run is a fault
  std::chrono::nanoseconds patience = std::chrono::hours(1);
};

inline const stop_plan every_type{.types = {asio::cancellation_type::terminal,
                                            asio::cancellation_type::partial,
                                            asio::cancellation_type::total}};

struct stop_report {
  std::string fault;         // empty if there was none; else the first, and its run
  std::size_t handlers = 0;  // of the undisturbed run, until its caller ended
  std::size_t runs = 0;
};

using stop_scenario = std::function<asio::awaitable<void>(loop&, census&)>;
using stop_check = std::function<void(const stopped_run&)>;

// The search alone, which fails no test: stops at the first fault.
stop_report find_fault(const stop_scenario& scenario, const stop_check& check = {},
                       const stop_plan& plan = {});

// Fails the test on a fault.
stop_report stop_everywhere(const stop_scenario& scenario, const stop_check& check = {},
                            const stop_plan& plan = {});

}  // namespace test
