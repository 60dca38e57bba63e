// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>

#include <cstddef>
#include <new>
#include <utility>

namespace cogather::detail {

/// What `asio::cancellation_signal` is, but it keeps its slot's handler in place, so that
/// starting a worker allocates nothing for it.
///
/// One thread at a time. After `emit` has called the handler it touches nothing, so the handler
/// may end whatever owns this.
class cancellation_cell {
 public:
  cancellation_cell() noexcept = default;
  cancellation_cell(const cancellation_cell&) = delete;
  cancellation_cell& operator=(const cancellation_cell&) = delete;
  ~cancellation_cell() { clear(); }

  void emit(asio::cancellation_type type) {
    if (call_) call_(storage_, type);
  }

  /// Meets Asio's `CancellationSlot` requirements.
  class slot_type {
   public:
    explicit slot_type(cancellation_cell& cell) noexcept : cell_(&cell) {}

    template <class Handler, class... Args>
    Handler& emplace(Args&&... args) {
      return cell_->emplace<Handler>(std::forward<Args>(args)...);
    }
    template <class Handler>
    std::decay_t<Handler>& assign(Handler&& handler) {
      return emplace<std::decay_t<Handler>>(std::forward<Handler>(handler));
    }
    void clear() { cell_->clear(); }
    bool is_connected() const noexcept { return true; }
    bool has_handler() const noexcept { return cell_->call_ != nullptr; }
    friend bool operator==(const slot_type& a, const slot_type& b) noexcept = default;

   private:
    cancellation_cell* cell_;
  };

  slot_type slot() noexcept { return slot_type(*this); }

 private:
  static constexpr std::size_t capacity = 8 * sizeof(void*);

  template <class Handler, class... Args>
  Handler& emplace(Args&&... args) {
    static_assert(sizeof(Handler) <= capacity && alignof(Handler) <= alignof(std::max_align_t),
                  "cogather: the cancellation handler of co_spawn has grown");
    clear();
    auto* const handler =
        ::new (static_cast<void*>(storage_)) Handler(std::forward<Args>(args)...);
    call_ = [](void* object, asio::cancellation_type type) {
      (*std::launder(static_cast<Handler*>(object)))(type);
    };
    destroy_ = [](void* object) noexcept { std::launder(static_cast<Handler*>(object))->~Handler(); };
    return *handler;
  }

  void clear() noexcept {
    call_ = nullptr;
    if (auto* const destroy = std::exchange(destroy_, nullptr)) destroy(storage_);
  }

  void (*call_)(void*, asio::cancellation_type) = nullptr;
  void (*destroy_)(void*) noexcept = nullptr;
  alignas(std::max_align_t) std::byte storage_[capacity];
};

}  // namespace cogather::detail
