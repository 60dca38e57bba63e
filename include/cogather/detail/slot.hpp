// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <memory>
#include <new>
#include <utility>

namespace cogather::detail {

/// Room for one `T`, which need be neither movable nor assignable.
template <class T>
class slot {
 public:
  slot() noexcept {}
  slot(const slot&) = delete;
  slot& operator=(const slot&) = delete;
  ~slot() { reset(); }

  /// Makes the object from `args`. Precondition: empty.
  template <class... Args>
  T& emplace(Args&&... args) {
    ::new (static_cast<void*>(std::addressof(object_))) T(std::forward<Args>(args)...);
    full_ = true;
    return object_;
  }

  /// Makes the object from what `make()` returns, without a move. Precondition: empty.
  template <class F>
  T& emplace_from(F&& make) {
    ::new (static_cast<void*>(std::addressof(object_))) T(std::forward<F>(make)());
    full_ = true;
    return object_;
  }

  void reset() noexcept {
    if (std::exchange(full_, false)) object_.~T();
  }

  explicit operator bool() const noexcept { return full_; }
  T& operator*() noexcept { return object_; }

 private:
  union {
    T object_;
  };
  bool full_ = false;
};

}  // namespace cogather::detail
