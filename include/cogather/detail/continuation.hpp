// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace cogather::detail {

/// A suspended coroutine, held as the completion handler of the operation it waits for. It is
/// either resumed or, when this object is destroyed, destroyed with its whole stack.
class continuation {
 public:
  continuation() noexcept = default;

  template <class Handler>
    requires(!std::is_same_v<std::remove_cvref_t<Handler>, continuation>)
  explicit continuation(Handler&& handler) : control_(&control<std::decay_t<Handler>>) {
    using stored = std::decay_t<Handler>;
    static_assert(sizeof(stored) <= sizeof(storage_) && alignof(stored) <= alignof(void*) &&
                      std::is_nothrow_move_constructible_v<stored>,
                  "cogather: the handler of use_awaitable has grown");
    ::new (static_cast<void*>(storage_)) stored(std::forward<Handler>(handler));
  }

  continuation(continuation&& other) noexcept : control_(std::exchange(other.control_, nullptr)) {
    if (control_) control_(action::move, other.storage_, storage_);
  }

  continuation& operator=(continuation&& other) noexcept {
    if (this != &other) {
      this->~continuation();
      ::new (static_cast<void*>(this)) continuation(std::move(other));
    }
    return *this;
  }

  ~continuation() {
    if (control_) control_(action::destroy, storage_, nullptr);
  }

  explicit operator bool() const noexcept { return control_ != nullptr; }

  /// Resumes the coroutine here and now.
  void operator()() {
    if (auto* const go = std::exchange(control_, nullptr)) go(action::resume, storage_, nullptr);
  }

 private:
  enum class action { move, destroy, resume };

  template <class Handler>
  static void control(action what, void* from, void* to) {
    auto* const handler = std::launder(static_cast<Handler*>(from));
    Handler taken(std::move(*handler));
    handler->~Handler();
    if (what == action::move) ::new (to) Handler(std::move(taken));
    if (what == action::resume) std::move(taken)();
  }

  alignas(void*) std::byte storage_[2 * sizeof(void*)];
  void (*control_)(action, void*, void*) = nullptr;
};

}  // namespace cogather::detail
