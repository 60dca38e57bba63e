// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The one place that knows which Asio this is: its version, its switches, and the small
// pieces of it that every other header needs.
#pragma once

// Before any Asio header: Asio 1.22 allocates in one of two ways, depending on whether a standard
// header came first, and all files of a program must agree.
#include <cstddef>

#include <asio/version.hpp>

// Asio before 1.25 does not recognise clang's coroutines by itself.
#if defined(__clang__) && ASIO_VERSION < 102500 && defined(__cpp_impl_coroutine)
#if !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1
#endif
#if !defined(ASIO_HAS_STD_COROUTINE)
#define ASIO_HAS_STD_COROUTINE 1
#endif
#endif

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/execution.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/system_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#if !defined(ASIO_HAS_CO_AWAIT)
#error "cogather needs asio::awaitable: compile as C++20; with clang and Asio before 1.25 \
include cogather before any Asio header, or define ASIO_HAS_CO_AWAIT and ASIO_HAS_STD_COROUTINE."
#endif
#if ASIO_VERSION < 102201
#error "cogather needs Asio 1.22.1 or newer."
#endif

namespace cogather::detail {

// Since 1.24 a spawned handler without an executor of its own is cancelled and completed
// directly; before, a handler with an inline executor is the cheaper one.
inline constexpr bool spawn_prefers_plain_handler = ASIO_VERSION >= 102400;

template <class T>
struct awaitable_traits;  // only of awaitables

template <class T, class Executor>
struct awaitable_traits<asio::awaitable<T, Executor>> {
  using value_type = T;
  using executor_type = Executor;
};

template <class T>
concept awaitable_type = requires { typename awaitable_traits<std::remove_cvref_t<T>>::value_type; };

template <awaitable_type T>
using awaited_t = typename awaitable_traits<std::remove_cvref_t<T>>::value_type;

template <awaitable_type T>
using executor_of_t = typename awaitable_traits<std::remove_cvref_t<T>>::executor_type;

inline constexpr auto no_cancellation = asio::cancellation_type::none;

// The error of everything that was stopped before it had a result of its own.
[[noreturn]] inline void throw_aborted() {
  throw asio::system_error(asio::error::make_error_code(asio::error::operation_aborted));
}

inline std::exception_ptr aborted_error() noexcept {
  return std::make_exception_ptr(
      asio::system_error(asio::error::make_error_code(asio::error::operation_aborted)));
}

inline bool is_aborted(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const asio::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace cogather::detail
