// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The state of a semaphore. It is shared by the semaphore, its permits and its waiters, so that
// none of them has to outlive another.
#pragma once

#include <cogather/detail/waiter.hpp>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/executor_work_guard.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace cogather::detail {

class semaphore_state final : public waiter_queue {
 public:
  explicit semaphore_state(std::size_t capacity) : capacity_(capacity) {}

  /// Throws where `n` permits can never be had. A capacity of 0 is a pause, not a refusal.
  void check(std::size_t n) const {
    const std::size_t limit = capacity();
    if (n == 0) throw std::invalid_argument("cogather::semaphore: n is 0");
    if (limit != 0 && n > limit) {
      throw std::invalid_argument("cogather::semaphore: n is " + std::to_string(n) +
                                  ", more than the capacity of " + std::to_string(limit));
    }
  }

  bool try_take(std::size_t n) noexcept {
    const std::lock_guard lock(mutex_);
    return empty() && serve(n);
  }

  void give_back(std::size_t n) noexcept {
    wake_list woken;  // wakes when the lock is released
    const std::lock_guard lock(mutex_);
    used_ -= n;
    serve_waiters(woken);
  }

  /// Whether one who holds a permit may go on with it for the next task rather than give it
  /// back: nobody else waits, and no more is held than there is.
  bool may_keep(std::size_t own_waiters) const noexcept {
    const std::lock_guard lock(mutex_);
    return used_ <= capacity_ && size() <= own_waiters;
  }

  std::size_t capacity() const noexcept {
    const std::lock_guard lock(mutex_);
    return capacity_;
  }

  std::size_t available() const noexcept {
    const std::lock_guard lock(mutex_);
    return free();
  }

  std::size_t waiting() const noexcept {
    const std::lock_guard lock(mutex_);
    return size();
  }

  void resize(std::size_t capacity) noexcept {
    wake_list woken;
    const std::lock_guard lock(mutex_);
    capacity_ = capacity;
    serve_waiters(woken);
  }

 private:
  template <class Handler>
  friend class semaphore_waiter;

  std::size_t free() const noexcept { return capacity_ > used_ ? capacity_ - used_ : 0; }

  bool serve(std::size_t n) noexcept override {
    if (n > free()) return false;
    used_ += n;
    return true;
  }

  std::size_t capacity_;
  std::size_t used_ = 0;
};

/// A completion handler that waits for permits: `handler(error_code, granted)`, where `granted`
/// permits are then the handler's to give back.
template <class Handler>
class semaphore_waiter final : public waiter {
 public:
  static void start(std::shared_ptr<semaphore_state> state, std::size_t n, Handler handler) {
    std::unique_ptr<semaphore_waiter> self(new semaphore_waiter(state, n, std::move(handler)));
    if (auto slot = asio::get_associated_cancellation_slot(self->handler_); slot.is_connected()) {
      slot.assign(canceller{self.get()});
    }
    bool served = false;
    {
      const std::lock_guard lock(state->mutex_);
      served = state->serve_now(*self);
      if (!served && state->enqueue(*self)) self.release();
    }
    if (served) self.release()->wake();
    // Neither: the context is shutting down, and takes the handler with it.
  }

 private:
  using executor_type = resume_executor_t<Handler>;

  struct canceller {
    semaphore_waiter* self;
    void operator()(asio::cancellation_type) const noexcept {
      semaphore_state& state = self->state();
      semaphore_state::wake_list woken;
      const std::lock_guard lock(state.mutex_);
      state.cancel(*self, woken);
    }
  };

  struct completion {
    std::unique_ptr<semaphore_waiter> self;
    void operator()() { complete(std::move(self)); }
  };

  friend std::default_delete<semaphore_waiter>;

  semaphore_waiter(const std::shared_ptr<semaphore_state>& state, std::size_t n, Handler&& handler)
      : waiter(state, waiters_of(resume_executor(handler)), n),
        work_(resume_executor(handler)),
        handler_(std::move(handler)) {}

  ~semaphore_waiter() {
    if (phase_ == phase::granted || phase_ == phase::revoked) state().give_back(weight());
  }

  semaphore_state& state() const noexcept { return static_cast<semaphore_state&>(queue()); }

  void wake() noexcept override {
    completion done{std::unique_ptr<semaphore_waiter>(this)};
    const auto executor = work_.get_executor();
    try {
      asio::post(executor, std::move(done));
    } catch (...) {
      // No memory to resume it with: it ends as if its context had been destroyed.
    }
  }

  void drop() noexcept override { delete this; }

  static void complete(std::unique_ptr<semaphore_waiter> self) {
    semaphore_state& state = self->state();
    if (auto slot = asio::get_associated_cancellation_slot(self->handler_); slot.is_connected()) {
      slot.clear();
    }
    std::size_t granted = 0;
    {
      const std::lock_guard lock(state.mutex_);
      if (self->phase_ == phase::granted) {
        granted = self->weight();
        self->phase_ = phase::cancelled;  // the handler's now
      }
    }
    const auto work = std::move(self->work_);
    Handler handler(std::move(self->handler_));
    self.reset();
    std::move(handler)(granted ? asio::error_code()
                               : asio::error::make_error_code(asio::error::operation_aborted),
                       granted);
  }

  asio::executor_work_guard<executor_type> work_;
  Handler handler_;
};

}  // namespace cogather::detail
