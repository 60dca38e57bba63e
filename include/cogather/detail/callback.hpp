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
  template <class F>
  static constexpr bool stateless =
      std::is_empty_v<std::remove_cvref_t<F>> &&
      std::is_default_constructible_v<std::remove_cvref_t<F>> &&
      std::is_trivially_destructible_v<std::remove_cvref_t<F>>;
  template <class F>
  static constexpr bool accepts =
      !std::is_same_v<std::remove_cvref_t<F>, callback> &&
      !std::is_pointer_v<std::decay_t<F>> && std::is_invocable_r_v<R, F&, Args...>;

 public:
  constexpr callback() noexcept = default;
  constexpr callback(std::nullptr_t) noexcept {}

  /// A function.
  template <class F>
    requires(std::is_function_v<F> && std::is_invocable_r_v<R, F*, Args...>)
  callback(F* function) noexcept {
    if (!function) return;
    to_.function = reinterpret_cast<void (*)()>(function);
    call_ = [](target to, Args... args) -> R {
      return call(reinterpret_cast<F*>(to.function), std::forward<Args>(args)...);
    };
  }

  /// A captureless lambda, or another function object without a state.
  template <class F>
    requires(!std::is_lvalue_reference_v<F> && stateless<F> && accepts<F>)
  constexpr callback(F&&) noexcept
      : call_([](target, Args... args) -> R { return call(F(), std::forward<Args>(args)...); }) {}

  /// A named callable.
  template <class F>
    requires((std::is_lvalue_reference_v<F> || !stateless<F>) && accepts<F>)
  constexpr callback(F&& callable) noexcept
      : call_([](target to, Args... args) -> R {
          return call(*static_cast<std::remove_reference_t<F>*>(to.object),
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
  template <class F>
  static R call(F&& f, Args... args) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(f, std::forward<Args>(args)...);
    } else {
      return std::invoke(f, std::forward<Args>(args)...);
    }
  }

  union target {
    void* object = nullptr;
    void (*function)();
  };

  R (*call_)(target, Args...) = nullptr;
  target to_ = {};
};

}  // namespace cogather
