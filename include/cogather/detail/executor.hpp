// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>

#include <asio/execution_context.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <asio/thread_pool.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace cogather {

/// A reference to a *named* executor or execution context, for option structs: trivially
/// copyable and destructible. What it refers to must outlive the call it is given to.
/// Empty by default.
class executor_ref {
 public:
  constexpr executor_ref() noexcept = default;

  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, executor_ref> &&
             (std::is_convertible_v<std::remove_cvref_t<T>&, asio::execution_context&> ||
              std::is_constructible_v<asio::any_io_executor, const std::remove_cvref_t<T>&>))
  executor_ref(T&& named) noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(named)))),
        get_([](void* object) -> asio::any_io_executor {
          auto& target = *static_cast<std::remove_reference_t<T>*>(object);
          if constexpr (std::is_convertible_v<std::remove_cvref_t<T>&, asio::execution_context&>) {
            return target.get_executor();
          } else {
            return target;
          }
        }) {
    static_assert(std::is_lvalue_reference_v<T>,
                  "cogather: an executor_ref does not own its executor: give the executor a name "
                  "and pass that, or pass the execution context itself");
  }

  constexpr explicit operator bool() const noexcept { return get_ != nullptr; }

  /// The executor. Precondition: not empty.
  asio::any_io_executor get() const { return get_(object_); }

 private:
  void* object_ = nullptr;
  asio::any_io_executor (*get_)(void*) = nullptr;
};

namespace detail {

/// How many handlers an executor may run at the same time, as far as its type tells.
enum class concurrency { sequential, parallel };

template <class Executor>
inline constexpr bool is_raw_pool = false;
template <class Allocator, unsigned int Bits>
inline constexpr bool is_raw_pool<asio::thread_pool::basic_executor_type<Allocator, Bits>> = true;
template <class Blocking, class Relationship, class Allocator>
inline constexpr bool
    is_raw_pool<asio::basic_system_executor<Blocking, Relationship, Allocator>> = true;

/// A raw pool of one thread is as good as a strand; a strand, or an `io_context`, promises it.
template <class Executor>
concurrency concurrency_of(const Executor& executor) {
  if constexpr (is_raw_pool<Executor>) {
    return asio::query(executor, asio::execution::occupancy) == 1 ? concurrency::sequential
                                                                  : concurrency::parallel;
  } else {
    return concurrency::sequential;
  }
}

// `target<T>()` of Asio 1.22 does not look at the type, so it is compared first.
template <class Executor>
bool holds_parallel(const asio::any_io_executor& executor) {
  return executor.target_type() == typeid(Executor) &&
         concurrency_of(*executor.target<Executor>()) == concurrency::parallel;
}

// A pool's executor has one type for each set of its properties, of which there are four.
template <unsigned int... Bits>
bool holds_parallel_pool(const asio::any_io_executor& executor,
                         std::integer_sequence<unsigned int, Bits...>) {
  return (holds_parallel<asio::thread_pool::basic_executor_type<std::allocator<void>, Bits>>(
              executor) ||
          ...);
}

inline concurrency concurrency_of(const asio::any_io_executor& executor) {
  const bool parallel =
      holds_parallel_pool(executor, std::make_integer_sequence<unsigned int, 16>()) ||
      holds_parallel<asio::system_executor>(executor);
  return parallel ? concurrency::parallel : concurrency::sequential;
}

/// A service of ours for the context of `executor`. Services shut down in the reverse order of their
/// creation, and until ours has done so others may post to the strands of that context: so the
/// strands' own service is created first.
template <class Service, class Executor>
Service& service_of(const Executor& executor) {
  asio::execution_context& context = asio::query(executor, asio::execution::context);
  if (!asio::has_service<Service>(context)) static_cast<void>(asio::make_strand(executor));
  return asio::use_service<Service>(context);
}

/// Whether a coroutine on this executor type can be moved to a strand.
template <class Executor>
inline constexpr bool can_hold_strand = std::is_same_v<Executor, asio::any_io_executor>;

/// Tells threads apart.
#if defined(__GNUC__)
[[gnu::noinline]]
#endif
inline const void* this_thread_mark() noexcept {
  static thread_local const char here = 0;
  const void* mark = &here;
#if defined(__GNUC__)
  // A coroutine may go on in another thread, but clang takes the address for a constant of the
  // whole function (and so it does with `std::this_thread::get_id()`).
  asm volatile("" : "+r"(mark) : : "memory");
#endif
  return mark;
}

/// Whether the code that asks runs on a given sequential executor. Null: the executor cannot
/// tell; then to be on the thread one was on before is good enough.
template <class Executor>
using running_here = bool (*)(const Executor&);

template <class Executor>
running_here<Executor> running_here_of(const Executor& executor) noexcept {
  if constexpr (requires { executor.running_in_this_thread(); }) {
    return [](const Executor& e) { return e.running_in_this_thread(); };
  } else {
    return nullptr;
  }
}

template <class Target>
running_here<asio::any_io_executor> running_here_if(const asio::any_io_executor& executor) noexcept {
  if (executor.target_type() != typeid(Target)) return nullptr;
  return [](const asio::any_io_executor& e) {
    return e.target<Target>()->running_in_this_thread();
  };
}

// An io_context needs no asking, being run by one thread. A strand goes from thread to thread,
// and a task may leave it without leaving the thread.
inline running_here<asio::any_io_executor> running_here_of(
    const asio::any_io_executor& executor) noexcept {
  if (const auto f = running_here_if<asio::strand<asio::any_io_executor>>(executor)) return f;
  if (const auto f = running_here_if<asio::strand<asio::thread_pool::executor_type>>(executor)) {
    return f;
  }
  return running_here_if<asio::strand<asio::io_context::executor_type>>(executor);
}

/// Whether the code that asks runs on `executor`, as far as that can tell.
template <class Executor>
bool runs_on(const Executor& executor) noexcept {
  const auto here = running_here_of(executor);
  return !here || here(executor);
}

inline bool runs_on(const asio::any_io_executor& executor) noexcept {
  auto here = running_here_of(executor);
  if (!here) here = running_here_if<asio::io_context::executor_type>(executor);
  if (!here) here = running_here_if<asio::thread_pool::executor_type>(executor);
  return !here || here(executor);
}

/// Runs everything where it stands: for completion handlers that only keep count.
struct inline_executor {
  template <class F>
  void execute(F&& function) const {
    std::forward<F>(function)();
  }
  // "Never blocks the caller" is true of the handlers it is used for, and lets Asio `post` to it.
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  friend constexpr bool operator==(const inline_executor&, const inline_executor&) noexcept {
    return true;
  }
  friend constexpr bool operator!=(const inline_executor&, const inline_executor&) noexcept {
    return false;
  }
};

}  // namespace detail
}  // namespace cogather
