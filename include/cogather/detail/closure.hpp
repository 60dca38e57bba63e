// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// g++ before 13 destroys some temporaries of a `co_await` expression twice, among them a lambda
// with captures that have destructors. Such a lambda is turned away at compile time, because at
// run time it is a use after free. Define COGATHER_ALLOW_CLOSURE_TEMPORARIES to switch this off.
#pragma once

#include <string_view>
#include <type_traits>

namespace cogather::detail {

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13 && \
    !defined(COGATHER_ALLOW_CLOSURE_TEMPORARIES)

template <class T>
constexpr bool is_closure() {
  return std::string_view(__PRETTY_FUNCTION__).find("<lambda") != std::string_view::npos;
}

/// Whether an argument of type `F&&` may be written inside a `co_await` expression.
/// A function object made by a constructor is safe; a trivially destructible one always is.
template <class F>
inline constexpr bool safe_in_co_await =
    std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<F> || !is_closure<F>();

#else

template <class F>
inline constexpr bool safe_in_co_await = true;

#endif

}  // namespace cogather::detail
