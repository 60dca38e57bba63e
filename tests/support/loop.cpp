// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include "loop.hpp"

#include <asio/error.hpp>
#include <asio/system_error.hpp>

namespace test {

std::string what(const std::exception_ptr& error) {
  if (error == nullptr) return "";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "not a std::exception";
  }
}

bool aborted(const std::exception_ptr& error) {
  if (error == nullptr) return false;
  try {
    std::rethrow_exception(error);
  } catch (const asio::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

namespace detail {

// An emit before the start would be lost or worse in some versions of Asio: it is kept for the
// body. One after the end would reach memory that is gone.
void spawn_state::cancel(asio::cancellation_type type) {
  if (over) return;
  if (!started) {
    pending = pending | type;
  } else {
    signal.emit(type);
  }
}

}  // namespace detail

loop::loop() : context_(std::make_unique<asio::io_context>()) {}

loop::~loop() { destroy(); }

bool loop::poll_one() {
  context_->restart();
  if (context_->poll_one() == 0) return false;
  ++steps_;
  return true;
}

bool loop::step() {
  if (context_ == nullptr) return false;
  const auto idle_since = now();
  while (!poll_one()) {
    if (context_->stopped()) return false;
    const auto next = virtual_time::next_wakeup();
    if (!next) throw hang("test::loop: work is outstanding, nothing is ready, and no timer runs");
    if (*next - idle_since > patience_) {
      throw hang("test::loop: work is outstanding, but nothing happens for too long");
    }
    time_.advance_to(*next);
  }
  return true;
}

void loop::run() {
  while (step()) {
  }
}

bool loop::run_ready() {
  bool any = false;
  while (context_ != nullptr && poll_one()) any = true;
  return any;
}

void loop::run_for(duration d) {
  const auto end = now() + d;
  for (;;) {
    run_ready();
    const auto next = virtual_time::next_wakeup();
    if (!next || *next > end) break;
    time_.advance_to(*next);
  }
  time_.advance_to(end);
  run_ready();
}

void loop::destroy() {
  for (const auto& state : spawned_) state->over = true;
  context_.reset();
}

}  // namespace test
