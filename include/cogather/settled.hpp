// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/asio.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cogather {

/// How a task ended.
enum class task_status {
  value,       ///< it returned
  error,       ///< it threw
  cancelled,   ///< it was asked to stop, and ended with `operation_aborted`
  not_started  ///< it never ran
};

/// The outcome of one task: its value, or why there is none.
///
/// `T` may be `void`, move-only, or not default-constructible. A default-constructed object
/// is `not_started`. Like a `std::optional`, an object may be used by one thread at a time.
template <class T>
class [[nodiscard]] settled {
  static_assert(!std::is_reference_v<T>, "cogather: a task cannot return a reference");
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
  static constexpr bool has_type = !std::is_void_v<T>;

 public:
  using value_type = T;

  settled() noexcept = default;

  /// A value, made in place from `args`.
  template <class... Args>
  explicit settled(std::in_place_t, Args&&... args)
      : value_(std::in_place, std::forward<Args>(args)...), status_(task_status::value) {}

  /// No value. `error` is not null, `status` is not `value`.
  explicit settled(std::exception_ptr error, task_status status = task_status::error) noexcept
      : error_(std::move(error)), status_(status) {}

  task_status status() const noexcept { return status_; }
  bool has_value() const noexcept { return status_ == task_status::value; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value, unchecked. Precondition: `has_value()`.
  stored& operator*() & noexcept requires has_type { return *value_; }
  const stored& operator*() const& noexcept requires has_type { return *value_; }
  stored&& operator*() && noexcept requires has_type { return std::move(*value_); }
  const stored&& operator*() const&& noexcept requires has_type { return std::move(*value_); }
  stored* operator->() noexcept requires has_type { return &*value_; }
  const stored* operator->() const noexcept requires has_type { return &*value_; }

  /// The value. Where there is none, rethrows the task's own exception.
  stored& value() & requires has_type { return check(), *value_; }
  const stored& value() const& requires has_type { return check(), *value_; }
  stored&& value() && requires has_type { return check(), std::move(*value_); }
  const stored&& value() const&& requires has_type { return check(), std::move(*value_); }
  void value() const& requires(!has_type) { check(); }

  /// The value, or `fallback` where there is none.
  template <class U>
  stored value_or(U&& fallback) const& requires has_type {
    return has_value() ? *value_ : static_cast<stored>(std::forward<U>(fallback));
  }
  template <class U>
  stored value_or(U&& fallback) && requires has_type {
    return has_value() ? std::move(*value_) : static_cast<stored>(std::forward<U>(fallback));
  }

  /// What the task threw; `asio::system_error(operation_aborted)` where it was cancelled or
  /// never ran; null exactly when `has_value()`.
  std::exception_ptr error() const noexcept {
    return status_ == task_status::not_started ? detail::aborted_error() : error_;
  }

  /// Whether the error is an `E` or derives from one (Python: `isinstance(result, E)`).
  template <class E>
  bool failed_with() const {
    if (has_value()) return false;
    try {
      std::rethrow_exception(error());
    } catch (const E&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  /// `what()` of the error, "" when `has_value()`.
  std::string message() const;

 private:
  void check() const {
    if (!has_value()) std::rethrow_exception(error());
  }

  std::optional<stored> value_;
  std::exception_ptr error_;
  task_status status_ = task_status::not_started;
};

/// A value and the position of its task in the input.
template <class T>
struct succeeded {
  std::size_t index;
  T value;
};

template <>
struct succeeded<void> {
  std::size_t index;
};

/// A task without a value: its position in the input, how it ended, and its error (not null).
struct failed {
  std::size_t index;
  task_status status;
  std::exception_ptr error;
};

/// Several tasks failed. `what()` counts them and quotes the first few, each by its index.
class aggregate_error : public std::runtime_error {
 public:
  explicit aggregate_error(std::vector<failed> failures);

  /// Every failure, in input order.
  const std::vector<failed>& failures() const noexcept { return *failures_; }

 private:
  std::shared_ptr<const std::vector<failed>> failures_;  // an exception is copied without throwing
};

/// Splits outcomes into the values and the failures, both in input order, each with its index:
/// `auto [ok, bad] = partition(std::move(outcomes));`
template <class T>
std::pair<std::vector<succeeded<T>>, std::vector<failed>> partition(
    std::vector<settled<T>> outcomes);

/// Throws `aggregate_error` when any outcome has no value.
template <class T>
void throw_if_failed(const std::vector<settled<T>>& outcomes);
template <class... Ts>
void throw_if_failed(const std::tuple<settled<Ts>...>& outcomes);

// Implementation

namespace detail {

inline std::string message_of(const std::exception_ptr& error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

inline std::string describe(const std::vector<failed>& failures) {
  constexpr std::size_t quoted = 5;
  std::string text = std::to_string(failures.size());
  text += failures.size() == 1 ? " task failed" : " tasks failed";
  for (std::size_t i = 0; i < failures.size() && i < quoted; ++i) {
    text += i == 0 ? ": [" : "; [";
    text += std::to_string(failures[i].index) + "] ";
    if (failures[i].status == task_status::not_started) text += "not started: ";
    text += message_of(failures[i].error);
  }
  if (failures.size() > quoted) text += "; ...";
  return text;
}

template <class T>
void collect_failure(std::vector<failed>& failures, std::size_t index, const settled<T>& outcome) {
  if (!outcome.has_value()) failures.push_back({index, outcome.status(), outcome.error()});
}

inline void throw_if_any(std::vector<failed> failures) {
  if (!failures.empty()) throw aggregate_error(std::move(failures));
}

}  // namespace detail

template <class T>
std::string settled<T>::message() const {
  return detail::message_of(error());
}

inline aggregate_error::aggregate_error(std::vector<failed> failures)
    : std::runtime_error(detail::describe(failures)),
      failures_(std::make_shared<const std::vector<failed>>(std::move(failures))) {}

template <class T>
std::pair<std::vector<succeeded<T>>, std::vector<failed>> partition(
    std::vector<settled<T>> outcomes) {
  std::pair<std::vector<succeeded<T>>, std::vector<failed>> parts;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].has_value()) {
      detail::collect_failure(parts.second, i, outcomes[i]);
    } else if constexpr (std::is_void_v<T>) {
      parts.first.push_back({i});
    } else {
      parts.first.push_back({i, *std::move(outcomes[i])});
    }
  }
  return parts;
}

template <class T>
void throw_if_failed(const std::vector<settled<T>>& outcomes) {
  std::vector<failed> failures;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    detail::collect_failure(failures, i, outcomes[i]);
  }
  detail::throw_if_any(std::move(failures));
}

template <class... Ts>
void throw_if_failed(const std::tuple<settled<Ts>...>& outcomes) {
  std::vector<failed> failures;
  std::apply(
      [&](const auto&... outcome) {
        std::size_t index = 0;
        (detail::collect_failure(failures, index++, outcome), ...);
      },
      outcomes);
  detail::throw_if_any(std::move(failures));
}

}  // namespace cogather
