// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// Where tasks come from: a range of awaitables, or a range of items and a function.
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/slot.hpp>

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>

namespace cogather::detail {

/// Walks a range lazily: it is not advanced before the next element is wanted.
/// `Range` is `R&` when the caller keeps the range, `R` when this owns it.
template <class Range>
class cursor {
  using range = std::remove_reference_t<Range>;

 public:
  explicit cursor(Range&& r) : range_(std::forward<Range>(r)) {}
  // Only before the first `advance`.
  cursor(cursor&& other) : range_(std::forward<Range>(other.range_)) {}
  cursor& operator=(cursor&&) = delete;

  std::optional<std::size_t> count() {
    if constexpr (std::ranges::sized_range<range>) {
      return static_cast<std::size_t>(std::ranges::size(range_));
    } else {
      return std::nullopt;
    }
  }

  bool advance() {
    if (!at_) {
      at_.emplace_from([this] { return std::ranges::begin(range_); });
    } else {
      ++*at_;
    }
    return *at_ != std::ranges::end(range_);
  }

  static constexpr bool may_look_ahead = std::ranges::forward_range<range>;

  /// The current element, as the library hands it on: an rvalue where this owns the container,
  /// or where a single-pass range keeps the element in a buffer that the next one overwrites;
  /// else what the iterator gives.
  decltype(auto) element() {
    if constexpr (moves) {
      return std::ranges::iter_move(*at_);
    } else {
      return **at_;
    }
  }

 private:
  // A view, even an owned one, shows elements of somebody else.
  static constexpr bool owns = !std::is_lvalue_reference_v<Range> && !std::ranges::view<range> &&
                               !std::ranges::borrowed_range<range>;
  static constexpr bool by_reference = std::is_reference_v<std::ranges::range_reference_t<range>>;
  static constexpr bool moves =
      by_reference && (owns || !std::ranges::forward_range<range>);

  Range range_;
  slot<std::ranges::iterator_t<range>> at_;
};

/// Elements that are awaitables already.
template <class Range>
class task_source : public cursor<Range> {
  using element_type = std::ranges::range_value_t<std::remove_reference_t<Range>>;

 public:
  using result = awaited_t<element_type>;
  using executor = executor_of_t<element_type>;
  struct item {};  // nothing has to live as long as the task

  using cursor<Range>::cursor;

  asio::awaitable<result, executor> make(slot<item>&) { return this->element(); }
};

/// How an item of `Range` is kept until its task has ended, and passed to the function.
template <class Range>
struct item_traits {
  using range = std::remove_reference_t<Range>;
  using element_type = decltype(std::declval<cursor<Range>&>().element());

  // A reference is good as long as the range is, except into the buffer of a single-pass range.
  static constexpr bool stays =
      std::is_reference_v<element_type> && std::ranges::forward_range<range>;

  /// What needs a place of its own.
  using item = std::conditional_t<
      stays, std::monostate,
      std::conditional_t<std::is_reference_v<element_type>, std::ranges::range_value_t<range>,
                         std::remove_cv_t<element_type>>>;
  using argument = std::conditional_t<stays, element_type, item&&>;
};

template <class Range>
using item_argument_t = typename item_traits<Range>::argument;

/// Items, each made into an awaitable by a function.
template <class Range, class Function>
class item_source : public cursor<Range> {
  static constexpr bool stays = item_traits<Range>::stays;
  using awaitable = std::invoke_result_t<Function&, item_argument_t<Range>>;

 public:
  using result = awaited_t<awaitable>;
  using executor = executor_of_t<awaitable>;
  using item = typename item_traits<Range>::item;

  item_source(Range&& r, Function&& f)
      : cursor<Range>(std::forward<Range>(r)), function_(std::forward<Function>(f)) {}
  item_source(item_source&& other)
      : cursor<Range>(std::move(other)), function_(std::forward<Function>(other.function_)) {}

  asio::awaitable<result, executor> make(slot<item>& place) {
    if constexpr (stays) {
      return std::invoke(function_, this->element());
    } else {
      item& kept = place.emplace_from([this]() -> decltype(auto) { return this->element(); });
      return std::invoke(function_, std::move(kept));
    }
  }

 private:
  Function function_;
};

}  // namespace cogather::detail
