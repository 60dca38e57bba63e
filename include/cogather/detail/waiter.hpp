// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The queue of everything that waits for something to become free.
//
// A waiter stands in two lists: its queue, guarded by the queue's mutex, which decides when it
// is woken; and the list of its execution context, which ends it when that context shuts down
// before anybody woke it. So two coroutines that wait for each other are still torn down.
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/executor.hpp>

#include <asio/associated_executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/system_executor.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

namespace cogather::detail {

class waiter_queue;
class waiter_service;

/// One place in a `waiter_queue`. It owns itself from `enqueue` until `wake` or `drop`.
class waiter {
 public:
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  std::size_t weight() const noexcept { return weight_; }

 protected:
  enum class phase {
    queued,
    granted,    // what it asked for is its own
    cancelled,  // while it was queued
    revoked     // cancelled when it had been granted already
  };

  waiter(std::shared_ptr<waiter_queue> queue, waiter_service* service, std::size_t weight)
      : queue_(std::move(queue)), service_(service), weight_(weight) {}
  ~waiter() = default;

  waiter_queue& queue() const noexcept { return *queue_; }

  /// Guarded by the queue's mutex.
  phase phase_ = phase::queued;

 private:
  friend class waiter_queue;
  friend class waiter_service;

  /// Posts the completion to the waiter's own executor. Called without any lock.
  virtual void wake() noexcept = 0;
  /// Destroys the waiter, and so whatever waits in it. Called without any lock.
  virtual void drop() noexcept = 0;

  std::shared_ptr<waiter_queue> queue_;
  waiter_service* service_;  // null where the executor has no context
  std::size_t weight_;
  waiter* previous_ = nullptr;
  waiter* next_ = nullptr;
  waiter* previous_in_service_ = nullptr;
  waiter* next_in_service_ = nullptr;
};

/// The waiters of one execution context.
class waiter_service final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;

  explicit waiter_service(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void shutdown() noexcept override;

 private:
  friend class waiter_queue;

  bool add(waiter& w) {
    const std::lock_guard lock(mutex_);
    if (down_) return false;
    w.next_in_service_ = first_;
    if (first_) first_->previous_in_service_ = &w;
    first_ = &w;
    return true;
  }

  void remove(waiter& w) noexcept {
    const std::lock_guard lock(mutex_);
    (w.previous_in_service_ ? w.previous_in_service_->next_in_service_ : first_) =
        w.next_in_service_;
    if (w.next_in_service_) w.next_in_service_->previous_in_service_ = w.previous_in_service_;
  }

  std::mutex mutex_;  // taken after a queue's mutex, never before
  waiter* first_ = nullptr;
  bool down_ = false;
  // Threads that are waking a waiter of this context: it must not die under their `post`.
  std::atomic<std::size_t> waking_{0};
};

/// A FIFO of waiters. What it takes to serve the first one is for the derived class to say.
class waiter_queue : public std::enable_shared_from_this<waiter_queue> {
 public:
  waiter_queue(const waiter_queue&) = delete;
  waiter_queue& operator=(const waiter_queue&) = delete;

 protected:
  friend class waiter_service;

  waiter_queue() = default;
  virtual ~waiter_queue() = default;

  /// Whether the first waiter can be served; if so, takes what it asks for. Under the lock.
  virtual bool serve(std::size_t weight) noexcept = 0;

  // All below: under the lock.
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  /// Serves `w` at once where nobody is before it. Then it is the caller's to wake.
  bool serve_now(waiter& w) noexcept {
    if (!empty() || !serve(w.weight_)) return false;
    w.phase_ = waiter::phase::granted;
    return true;
  }

  /// Appends `w`. False where its context is being shut down: then `w` is the caller's to drop.
  bool enqueue(waiter& w) {
    if (w.service_ && !w.service_->add(w)) return false;
    w.previous_ = last_;
    (last_ ? last_->next_ : first_) = &w;
    last_ = &w;
    ++size_;
    return true;
  }

  /// Waiters taken out of the queue, to be woken once the lock is released.
  class wake_list {
   public:
    wake_list() = default;
    wake_list(const wake_list&) = delete;
    wake_list& operator=(const wake_list&) = delete;
    ~wake_list() {
      while (waiter* const w = first_) {
        first_ = w->next_;
        waiter_service* const service = w->service_;
        w->wake();
        if (service && service->waking_.fetch_sub(1) == 1) service->waking_.notify_all();
      }
    }

   private:
    friend class waiter_queue;
    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
  };

  /// Serves from the front whatever can be served. A large waiter at the head is not overtaken.
  void serve_waiters(wake_list& woken) noexcept {
    while (first_ && serve(first_->weight_)) {
      first_->phase_ = waiter::phase::granted;
      take_out(*first_, woken);
    }
  }

  /// Cancels `w`. If it is still in the queue it leaves it, and those behind it move up; if it
  /// was served already its completion is on its way, and will find out.
  void cancel(waiter& w, wake_list& woken) noexcept {
    if (w.phase_ == waiter::phase::granted) w.phase_ = waiter::phase::revoked;
    if (w.phase_ != waiter::phase::queued) return;
    w.phase_ = waiter::phase::cancelled;
    take_out(w, woken);
    serve_waiters(woken);
  }

  mutable std::mutex mutex_;

 private:
  /// Ends the waiters of a context that is shutting down. Takes the lock.
  void evict(waiter_service& service) noexcept {
    waiter* evicted = nullptr;
    {
      wake_list woken;
      const std::lock_guard lock(mutex_);
      for (waiter* w = first_; w;) {
        waiter* const next = w->next_;
        if (w->service_ == &service) {
          unlink(*w);
          w->next_ = evicted;
          evicted = w;
        }
        w = next;
      }
      serve_waiters(woken);
    }
    while (waiter* const w = evicted) {
      evicted = w->next_;
      w->drop();
    }
  }

  void take_out(waiter& w, wake_list& woken) noexcept {
    // Counted before its context forgets the waiter, so that the context waits for the wake-up.
    if (w.service_) w.service_->waking_.fetch_add(1);
    unlink(w);
    (woken.last_ ? woken.last_->next_ : woken.first_) = &w;
    woken.last_ = &w;
  }

  void unlink(waiter& w) noexcept {
    (w.previous_ ? w.previous_->next_ : first_) = w.next_;
    (w.next_ ? w.next_->previous_ : last_) = w.previous_;
    w.previous_ = w.next_ = nullptr;
    --size_;
    if (w.service_) w.service_->remove(w);
  }

  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
  std::size_t size_ = 0;
};

inline void waiter_service::shutdown() noexcept {
  for (;;) {
    std::shared_ptr<waiter_queue> queue;
    {
      const std::lock_guard lock(mutex_);
      down_ = true;
      if (!first_) break;
      queue = first_->queue_;
    }
    queue->evict(*this);
  }
  while (const std::size_t waking = waking_.load()) waking_.wait(waking);
}

/// Where a handler resumes. One that names no executor gets the system's: what it waits for may
/// be released by any thread, and must not run inside that.
template <class Handler>
using resume_executor_t = asio::associated_executor_t<Handler, asio::system_executor>;

template <class Handler>
resume_executor_t<Handler> resume_executor(const Handler& handler) noexcept {
  return asio::get_associated_executor(handler, asio::system_executor());
}

/// The list of an executor's context; null where the executor has none.
template <class Executor>
waiter_service* waiters_of(const Executor& executor) {
  if constexpr (asio::can_query<const Executor&, asio::execution::context_t>::value) {
    return &service_of<waiter_service>(executor);
  } else {
    return nullptr;
  }
}

}  // namespace cogather::detail
