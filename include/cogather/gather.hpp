// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/callback.hpp>
#include <cogather/detail/closure.hpp>
#include <cogather/detail/executor.hpp>
#include <cogather/detail/gather_job.hpp>
#include <cogather/semaphore.hpp>
#include <cogather/settled.hpp>

#include <array>
#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cogather {

/// How `gather` and its relatives run their tasks. Refers to what it names, owns nothing.
struct gather_options {
  /// Tasks alive at any moment; 0 is `std::invalid_argument`.
  std::size_t limit = unlimited;
  /// Each task also holds one permit of this semaphore. A worker keeps its permit for its next
  /// task while nobody else waits for one.
  semaphore* shared_limit = nullptr;
  /// Run the tasks here, in parallel, each on a strand of its own, instead of on the caller's
  /// executor: `{.executor = pool}`.
  executor_ref executor = {};
  /// `gather_settled` only: stop once more than this many tasks have failed. Given to `gather`
  /// it is `std::invalid_argument`.
  std::size_t max_failures = unlimited;
  /// Called on the caller's executor each time a task has ended. What it throws ends the run.
  callback<void(const progress&)> on_progress = {};
};
static_assert(std::is_trivially_destructible_v<gather_options>,
              "g++ 12 destroys a braced temporary in a co_await expression twice");

// In all that follows:
//
// A *range* of awaitables is a container passed as an rvalue, or a view that makes each
// awaitable when it is dereferenced. It is pulled on the caller's executor, one element when a
// slot is free, never ahead: with `limit = k` at most `k` tasks exist, and an endless input works.
// `items` and `fn` may be lvalues, which are referred to and must outlive the call, or rvalues,
// which the call owns; owned items are passed to `fn` as rvalues. An item lives until its task
// has ended, so `fn` may take it by reference.
//
// Completion: when all tasks have ended - frames destroyed, permits given back. Results stand in
//   input order. Empty input completes at once.
// Errors: `std::invalid_argument` for bad options; what advancing the range or `on_progress`
//   throws ends the run, is rethrown when all tasks have ended.
// Cancellation: of the caller reaches every running task with the same type; nothing new is
//   started, all are awaited. A caller that was cancelled before starts nothing.
// Threads: the caller's executor must be sequential (an `io_context` run by one thread, or a
//   strand), or a raw `thread_pool`, over which a strand is then made. With `executor` the tasks
//   run in parallel; range, `fn`, `on_progress` and results stay with the caller.
// Teardown: destroying the execution context in the middle of a run destroys the tasks, then the
//   caller. With `executor` on another context, that context is the one to destroy first.

/// Runs awaitables concurrently: all their values, in order; `std::monostate` for `void`.
///
/// *Errors*: the first failure, by time, stops the others and is rethrown, the same exception
/// object, when they have ended. *Cancellation*: throws `operation_aborted`, or the earlier
/// failure; returns normally if every task finished anyway.
/// Python: `await asyncio.gather(a, b)`.
template <class Executor, class... Ts>
[[nodiscard]] auto gather(asio::awaitable<Ts, Executor>... tasks);

/// The same for a range: `awaitable<std::vector<T>>`, `awaitable<void>` where `T` is `void`.
template <std::ranges::input_range Range>
[[nodiscard]] auto gather(Range&& tasks, gather_options options = {});

/// The same for what `fn(item) -> awaitable<R>` makes of each item.
template <std::ranges::input_range Items, class Function>
[[nodiscard]] auto gather(Items&& items, Function&& fn, gather_options options = {});

/// Runs awaitables concurrently and keeps every outcome: a tuple of `settled<T>`.
///
/// *Errors*: no task stops another, and none makes this throw; what `fn` or dereferencing the
/// range throws is that element's error. With `max_failures = n` the run stops as soon as
/// `n + 1` tasks have failed: what was running becomes `cancelled`, what was not pulled
/// `not_started` (for a sized range; any other has fewer outcomes).
/// *Cancellation*: returns the outcomes there are, in the same way; the caller's own state stops
/// it at its next `co_await`.
/// Python: `await asyncio.gather(..., return_exceptions=True)`.
template <class Executor, class... Ts>
[[nodiscard]] auto gather_settled(asio::awaitable<Ts, Executor>... tasks);

/// The same for a range: `awaitable<std::vector<settled<T>>>`.
template <std::ranges::input_range Range>
[[nodiscard]] auto gather_settled(Range&& tasks, gather_options options = {});

/// The same for what `fn(item) -> awaitable<R>` makes of each item.
template <std::ranges::input_range Items, class Function>
[[nodiscard]] auto gather_settled(Items&& items, Function&& fn, gather_options options = {});

// Implementation

namespace detail {

inline crew_rules rules_of(const gather_options& options, bool strict) {
  crew_rules rules;
  rules.strict = strict;
  rules.limit = options.limit;
  rules.max_failures = options.max_failures;
  if (options.shared_limit) rules.semaphore = semaphore_access::state(*options.shared_limit);
  rules.on_progress = options.on_progress;
  return rules;
}

template <class Results, class Source>
asio::awaitable<typename Results::type, typename Source::executor> gather_all(
    Source source, gather_options options) {
  gather_job<Source, Results> job(std::move(source), rules_of(options, Results::strict));
  co_await job.work_through(options.executor);
  co_return job.results();
}

template <template <class> class Results, class Range>
auto gather_range(Range&& tasks, gather_options options) {
  using element = std::ranges::range_value_t<Range>;
  static_assert(awaitable_type<element>,
                "cogather: gather(range) takes a range of asio::awaitable; for a range of items "
                "say gather(items, fn), where fn(item) returns an asio::awaitable");
  static_assert(
      !std::is_lvalue_reference_v<decltype(std::declval<cursor<Range>&>().element())>,
      "cogather: an awaitable is awaited once, so gather must own it: pass the vector with "
      "std::move, or a view that makes each awaitable when it is dereferenced");
  using source = task_source<Range>;
  return gather_all<Results<typename source::result>>(source(std::forward<Range>(tasks)), options);
}

template <template <class> class Results, class Items, class Function>
auto gather_items(Items&& items, Function&& fn, gather_options options) {
  using argument = item_argument_t<Items>;
  static_assert(safe_in_co_await<Function>,
                "cogather: g++ before 13 destroys this temporary lambda twice when it stands in a "
                "co_await expression: give the lambda a name and pass it as an lvalue");
  static_assert(std::is_invocable_v<Function&, argument>,
                "cogather: fn cannot be called with an item of this range");
  static_assert(awaitable_type<std::invoke_result_t<Function&, argument>>,
                "cogather: fn must return an asio::awaitable, that is, be a coroutine");
  using source = item_source<Items, Function>;
  return gather_all<Results<typename source::result>>(
      source(std::forward<Items>(items), std::forward<Function>(fn)), options);
}

template <class T>
using stored_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// A task of any type as a task without a result, so that all of a pack are of one type.
template <class T, class Executor>
asio::awaitable<void, Executor> keep(asio::awaitable<T, Executor> task, slot<stored_t<T>>& result) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    result.emplace();
  } else {
    result.emplace(co_await std::move(task));
  }
}

/// The tasks of a pack, owned by somebody else.
template <class Executor>
using pack = std::ranges::subrange<std::move_iterator<asio::awaitable<void, Executor>*>>;

template <template <class> class Results, class Executor, std::size_t N>
auto gather_pack(std::array<asio::awaitable<void, Executor>, N>& tasks) {
  using source = task_source<pack<Executor>>;
  return gather_all<Results<void>>(
      source(pack<Executor>(std::move_iterator(tasks.data()), std::move_iterator(tasks.data() + N))),
      gather_options{});
}

template <class Executor, class... Ts>
asio::awaitable<std::tuple<stored_t<Ts>...>, Executor> gather_tuple(
    asio::awaitable<Ts, Executor>... tasks) {
  std::tuple<slot<stored_t<Ts>>...> results;
  auto kept = std::apply(
      [&](auto&... result) {
        return std::array<asio::awaitable<void, Executor>, sizeof...(Ts)>{
            keep(std::move(tasks), result)...};
      },
      results);
  co_await gather_pack<strict_results>(kept);
  co_return std::apply(
      [](auto&... result) { return std::tuple<stored_t<Ts>...>(std::move(*result)...); }, results);
}

template <class T>
settled<T> settle(const settled<void>& outcome, slot<stored_t<T>>& result) {
  if (!outcome.has_value()) return settled<T>(outcome.error(), outcome.status());
  return settled<T>(std::in_place, std::move(*result));
}

template <class Executor, class... Ts>
asio::awaitable<std::tuple<settled<Ts>...>, Executor> gather_settled_tuple(
    asio::awaitable<Ts, Executor>... tasks) {
  std::tuple<slot<stored_t<Ts>>...> results;
  auto kept = std::apply(
      [&](auto&... result) {
        return std::array<asio::awaitable<void, Executor>, sizeof...(Ts)>{
            keep(std::move(tasks), result)...};
      },
      results);
  const std::vector<settled<void>> outcomes = co_await gather_pack<settled_results>(kept);
  co_return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple<settled<Ts>...>(settle<Ts>(outcomes[I], std::get<I>(results))...);
  }(std::index_sequence_for<Ts...>());
}

}  // namespace detail

template <class Executor, class... Ts>
auto gather(asio::awaitable<Ts, Executor>... tasks) {
  return detail::gather_tuple<Executor, Ts...>(std::move(tasks)...);
}

template <std::ranges::input_range Range>
auto gather(Range&& tasks, gather_options options) {
  return detail::gather_range<detail::strict_results, Range>(std::forward<Range>(tasks), options);
}

template <std::ranges::input_range Items, class Function>
auto gather(Items&& items, Function&& fn, gather_options options) {
  return detail::gather_items<detail::strict_results, Items, Function>(
      std::forward<Items>(items), std::forward<Function>(fn), options);
}

template <class Executor, class... Ts>
auto gather_settled(asio::awaitable<Ts, Executor>... tasks) {
  return detail::gather_settled_tuple<Executor, Ts...>(std::move(tasks)...);
}

template <std::ranges::input_range Range>
auto gather_settled(Range&& tasks, gather_options options) {
  return detail::gather_range<detail::settled_results, Range>(std::forward<Range>(tasks), options);
}

template <std::ranges::input_range Items, class Function>
auto gather_settled(Items&& items, Function&& fn, gather_options options) {
  return detail::gather_items<detail::settled_results, Items, Function>(
      std::forward<Items>(items), std::forward<Function>(fn), options);
}

}  // namespace cogather
