// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The part of a gather that knows the types: a crew with a source and results.
#pragma once

#include <cogather/detail/crew.hpp>
#include <cogather/detail/slot.hpp>
#include <cogather/detail/source.hpp>
#include <cogather/settled.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace cogather::detail {

/// Values that come in any order, put in order. What is complete from the front stands in the
/// result already; only what came early waits beside it. (Where a move may throw, everything
/// waits: then nothing but `take` moves a value that is not being put.)
template <class T>
class ordered {
 public:
  /// Room for `count` values, within reason: that many may never come.
  void expect(std::size_t count) { done_.reserve(std::min(count, std::size_t{1} << 16)); }

  /// Makes the value at `index`. When that throws, nothing has changed.
  template <class... Args>
  void put(std::size_t index, Args&&... args) {
    constexpr bool movable = std::is_nothrow_move_constructible_v<T>;
    if (movable && index == done_.size() && early_.empty()) {
      done_.emplace_back(std::forward<Args>(args)...);
      return;
    }
    const std::size_t offset = index - done_.size();
    if (early_.size() <= offset) early_.resize(offset + 1);
    early_[offset] = new T(std::forward<Args>(args)...);
    if constexpr (movable) move_up();
  }

  /// Everything, once all is there. `rescue()` makes a value from the exception that moving one
  /// has thrown, or passes it on.
  template <class Rescue>
  std::vector<T> take(Rescue rescue) {
    done_.reserve(done_.size() + early_.size());
    for (; !early_.empty(); pop()) {
      try {
        done_.push_back(std::move(front()));
      } catch (...) {
        done_.push_back(rescue());
      }
    }
    return std::move(done_);
  }

  ordered() = default;
  ordered(const ordered&) = delete;
  ordered& operator=(const ordered&) = delete;
  ~ordered() {
    for (void* value : early_) delete static_cast<T*>(value);
  }

 private:
  void move_up() noexcept {
    try {
      for (; !early_.empty() && early_.front(); pop()) done_.push_back(std::move(front()));
    } catch (...) {
      // No memory now: they go on waiting.
    }
  }

  T& front() noexcept { return *static_cast<T*>(early_.front()); }
  void pop() noexcept {
    delete &front();
    early_.pop_front();
  }

  std::vector<T> done_;
  // What belongs at done_.size() and after, where it is there already. Untyped, so that not every
  // call pays for a deque of its own when it is compiled.
  std::deque<void*> early_;
};

/// The results of `gather`: values only.
template <class T>
struct strict_results {
  static constexpr bool strict = true;
  using type = std::vector<T>;

  void expect(std::size_t count) { values.expect(count); }
  void value(std::size_t index, slot<T>& result) { values.put(index, std::move(*result)); }
  void failure(std::size_t, task_status, std::exception_ptr) noexcept {}
  type take(std::optional<std::size_t>) {
    return values.take([]() -> T { throw; });
  }

  ordered<T> values;
};

template <>
struct strict_results<void> {
  static constexpr bool strict = true;
  using type = void;

  void expect(std::size_t) noexcept {}
  void value(std::size_t, slot<std::monostate>&) noexcept {}
  void failure(std::size_t, task_status, std::exception_ptr) noexcept {}
  void take(std::optional<std::size_t>) noexcept {}
};

/// The results of `gather_settled`: an outcome for every element that was pulled, and, where the
/// number of elements is known, for the others too.
template <class T>
struct settled_results {
  static constexpr bool strict = false;
  using type = std::vector<settled<T>>;
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  void expect(std::size_t count) { outcomes.expect(count); }
  void value(std::size_t index, slot<stored>& result) {
    outcomes.put(index, std::in_place, std::move(*result));
  }
  void failure(std::size_t index, task_status status, std::exception_ptr error) {
    outcomes.put(index, std::move(error), status);
  }
  type take(std::optional<std::size_t> total) {
    type all = outcomes.take([] { return settled<T>(std::current_exception()); });
    while (total && all.size() < *total) all.emplace_back();
    return all;
  }

  ordered<settled<T>> outcomes;
};

template <class Source, class Results>
class gather_job final : public crew<typename Source::executor> {
  using executor = typename Source::executor;
  using base = crew<executor>;
  using value_type = typename Source::result;
  using stored = std::conditional_t<std::is_void_v<value_type>, std::monostate, value_type>;

 public:
  gather_job(Source&& source, crew_rules rules)
      : base(std::move(rules)), source_(std::move(source)) {}

  /// The results, or what the run has to throw.
  typename Results::type results() {
    this->conclude();
    return results_.take(this->total());
  }

  // For the crew.

  struct task final : base::worker_type {
    explicit task(gather_job& j) noexcept : job(j) {}
    asio::awaitable<void, executor> body() override { return job.work(*this); }
    using base::worker_type::begin;
    using base::worker_type::enter_task;
    using base::worker_type::leave_task;
    using base::worker_type::fresh_state;
    using base::worker_type::state_lost;

    gather_job& job;
    slot<typename Source::item> item;  // outlives the task, which may refer to it
    slot<asio::awaitable<value_type, executor>> awaitable;
    slot<stored> value;
  };

  bool advance() override { return source_.advance(); }

  void pull(typename base::worker_type& w) override { pull(static_cast<task&>(w)); }
  void pull(task& w) {
    w.awaitable.emplace_from([&] { return source_.make(w.item); });
  }

  void store_value(typename base::worker_type& w) override { store_value(static_cast<task&>(w)); }
  void store_value(task& w) { results_.value(w.index, w.value); }

  void clear(typename base::worker_type& w) noexcept override { clear(static_cast<task&>(w)); }
  void clear(task& w) noexcept {
    w.value.reset();
    w.awaitable.reset();
    w.item.reset();
  }

 private:
  std::optional<std::size_t> count() override {
    const std::optional<std::size_t> total = source_.count();
    if (total) results_.expect(*total);
    return total;
  }
  bool may_look_ahead() const noexcept override { return Source::may_look_ahead; }
  typename base::worker_type* make_worker() override { return new task(*this); }
  void store_failure(std::size_t index, task_status status, std::exception_ptr error) override {
    results_.failure(index, status, std::move(error));
  }

  /// The coroutine of a worker.
  asio::awaitable<void, executor> work(task& w) {
    if (!w.begin()) {
      w.ran = false;
      co_return;
    }
    do {
      if (w.state_lost()) {
        auto fresh = w.fresh_state();
        co_await std::move(fresh);
      }
      co_await asio::this_coro::throw_if_cancelled(true);
      w.enter_task();
      try {
        if constexpr (std::is_void_v<value_type>) {
          co_await std::move(*w.awaitable);
          w.value.emplace();
        } else {
          w.value.emplace(co_await std::move(*w.awaitable));
        }
      } catch (...) {
        w.error = std::current_exception();
      }
    } while (w.leave_task() && next(w));
  }

  /// The next element into `w`, when its last one is done with.
  bool next(task& w) noexcept {
    if (this->parallel()) return false;  // home sees to it
    const exclusive::section inside(this->one_thread());
    this->deliver_to(*this, w);
    while (this->quick()) {
      if (this->pull_from(*this, w)) return true;
    }
    return this->take_next(w);
  }

  Source source_;
  Results results_;
};

}  // namespace cogather::detail
