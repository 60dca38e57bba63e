// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace cogather {

template <class Signature>
class callback;

/// A reference to a callable, for option structs: trivially copyable and destructible, so it
/// owns nothing.
///
/// It refers to a *named* callable, which must outlive the call it is given to, or holds a
/// function pointer or a captureless lambda. Empty by default.
template <class R, class... Args>
class callback<R(Args...)> {
 public:
  constexpr callback() noexcept = default;
  constexpr callback(std::nullptr_t) noexcept {}

  /// A function, or a captureless lambda, which is one.
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, callback> &&
             std::is_convertible_v<F, R (*)(Args...)>)
  constexpr callback(F&& function) noexcept
      : call_([](target to, Args... args) -> R { return to.function(std::forward<Args>(args)...); }) {
    to_.function = static_cast<R (*)(Args...)>(function);
  }

  /// A named callable.
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, callback> &&
             !std::is_convertible_v<F, R (*)(Args...)> && std::is_invocable_r_v<R, F&, Args...>)
  constexpr callback(F&& callable) noexcept
      : call_([](target to, Args... args) -> R {
          return std::invoke(*static_cast<std::remove_reference_t<F>*>(to.object),
                             std::forward<Args>(args)...);
        }) {
    static_assert(std::is_lvalue_reference_v<F>,
                  "cogather: a callback does not own its callable, so this temporary would be gone "
                  "when it is called: give the callable a name and pass that");
    to_.object = const_cast<void*>(static_cast<const void*>(std::addressof(callable)));
  }

  constexpr explicit operator bool() const noexcept { return call_ != nullptr; }

  R operator()(Args... args) const { return call_(to_, std::forward<Args>(args)...); }

 private:
  union target {
    void* object = nullptr;
    R (*function)(Args...);
  };

  R (*call_)(target, Args...) = nullptr;
  target to_ = {};
};

}  // namespace cogather
