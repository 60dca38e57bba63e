// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Tasks of unusual behaviour, for the tests of what runs them.
#pragma once

#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/system_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "loop.hpp"

namespace test {

// A vector of awaitables, which no initializer list can make.
template <class T, class Executor, class... More>
std::vector<asio::awaitable<T, Executor>> list(asio::awaitable<T, Executor> first, More... more) {
  std::vector<asio::awaitable<T, Executor>> all;
  all.reserve(1 + sizeof...(More));
  all.push_back(std::move(first));
  (all.push_back(std::move(more)), ...);
  return all;
}

using heard_types = std::vector<asio::cancellation_type>;

// Lasts `d` whatever happens, and notes each cancellation that reaches it.
inline asio::awaitable<void> listen(heard_types& heard, milliseconds d) {
  auto state = co_await asio::this_coro::cancellation_state;
  auto note = [&heard](asio::cancellation_type type) { heard.push_back(type); };
  state.slot().assign(note);
  co_await deaf_sleep(d);
}

// Notes the type of the cancellation that ends it.
inline asio::awaitable<void> until_cancelled(heard_types& heard) {
  try {
    co_await never();
  } catch (const asio::system_error&) {
  }
  heard.push_back((co_await asio::this_coro::cancellation_state).cancelled());
  throw asio::system_error(asio::error::make_error_code(asio::error::operation_aborted));
}

// When cancelled, takes another `d` to tidy up, and then ends as cancelled.
inline asio::awaitable<void> slow_to_stop(milliseconds work, milliseconds d) {
  std::exception_ptr stopped;
  try {
    co_await sleep(work);
  } catch (const asio::system_error&) {
    stopped = std::current_exception();
  }
  if (stopped) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await deaf_sleep(d);
    std::rethrow_exception(stopped);
  }
}

// Something to wait for that resumes its one waiter inside open(), or inside the very emit that
// cancels it, and not by a handler of its own.
class gate {
 public:
  gate() = default;
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;

  asio::awaitable<void> wait() {
    const asio::use_awaitable_t<> token;
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(asio::error_code)>(
        initiation{this}, token);
  }

  bool waiting() const noexcept { return resume_ != nullptr; }
  void open() { finish({}); }

 private:
  struct initiation {
    gate* self;
    template <class Handler>
    void operator()(Handler&& handler) const {
      auto slot = asio::get_associated_cancellation_slot(handler);
      using stored = std::decay_t<Handler>;
      auto kept = std::make_shared<stored>(std::forward<Handler>(handler));
      self->resume_ = [kept](asio::error_code error) {
        stored last(std::move(*kept));
        std::move(last)(error);
      };
      if (slot.is_connected()) {
        gate* const g = self;
        slot.assign([g](asio::cancellation_type) { g->finish(asio::error::operation_aborted); });
      }
    }
  };

  void finish(asio::error_code error) {
    if (!resume_) return;
    const auto resume = std::exchange(resume_, nullptr);
    resume(error);
  }

  std::function<void(asio::error_code)> resume_;
};

// Calls f() in a thread with a small stack, so that recursion that grows with the work crashes.
void on_small_stack(const std::function<void()>& f);

}  // namespace test
