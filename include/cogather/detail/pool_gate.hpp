// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/executor.hpp>

#include <asio/execution_context.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace cogather::detail {

/// What stands between the execution context of a pool and those who hand it work from another
/// context, which may still be running when the pool is destroyed.
///
/// Whoever posts to the pool holds the mutex, and does not post once the gate is closed. Whoever
/// keeps something that must not outlive the pool is told when it closes.
class pool_gate {
 public:
  class user {
   public:
    user(const user&) = delete;
    user& operator=(const user&) = delete;

   protected:
    user() = default;
    ~user() = default;

   private:
    friend class pool_gate;
    /// The context is shutting down. Under the mutex.
    virtual void pool_gone() noexcept = 0;

    user* previous_ = nullptr;
    user* next_ = nullptr;
  };

  std::mutex& mutex() noexcept { return mutex_; }

  // All below: under the mutex.

  bool closed() const noexcept { return closed_; }

  void add(user& u) noexcept {
    u.next_ = first_;
    if (first_) first_->previous_ = &u;
    first_ = &u;
  }

  void remove(user& u) noexcept {
    (u.previous_ ? u.previous_->next_ : first_) = u.next_;
    if (u.next_) u.next_->previous_ = u.previous_;
  }

  void close() noexcept {
    closed_ = true;
    for (user* u = first_; u; u = u->next_) u->pool_gone();
  }

  /// The gate of the context that `executor` belongs to.
  static std::shared_ptr<pool_gate> of(const asio::any_io_executor& executor);

 private:
  std::mutex mutex_;
  user* first_ = nullptr;
  bool closed_ = false;
};

class pool_gate_service final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;

  explicit pool_gate_service(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void shutdown() noexcept override {
    const std::lock_guard lock(gate->mutex());
    gate->close();
  }

  // Shared, since a user may outlive the pool.
  const std::shared_ptr<pool_gate> gate = std::make_shared<pool_gate>();
};

inline std::shared_ptr<pool_gate> pool_gate::of(const asio::any_io_executor& executor) {
  return service_of<pool_gate_service>(executor).gate;
}

}  // namespace cogather::detail
