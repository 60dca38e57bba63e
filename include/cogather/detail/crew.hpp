// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// A crew is a scope whose workers take their tasks from one source.
//
// A worker is resident: when its task ends it takes the next element itself, so that a task
// costs no spawn. `launch()` adds workers while there is an element to start, a slot of `limit`
// and a permit. It pulls the element, spawns a worker for it, and goes on when that worker
// suspends; a worker that never suspends has by then done all the work. A worker that finds
// nothing it may start ends.
//
// In a parallel crew a worker runs one task, reports home, and home launches the next: the
// source and the results are touched at home only.
//
// This class knows nothing of the types of elements and results. What does is derived from it,
// and kept thin: `gather_job`.
#pragma once

#include <cogather/detail/callback.hpp>
#include <cogather/detail/scope.hpp>
#include <cogather/detail/semaphore_state.hpp>
#include <cogather/settled.hpp>

#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace cogather {

/// No limit.
inline constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// How far a run has got. Counters only grow.
struct progress {
  std::size_t started;    ///< tasks that were started
  std::size_t succeeded;  ///< tasks that ended with a value
  std::size_t failed;     ///< tasks that ended without one
  std::optional<std::size_t> total;  ///< the size of the input, where it is known beforehand
};

namespace detail {

/// What governs a run, whatever its types.
struct crew_rules {
  bool strict = true;  // the first failure ends the run and is its result
  std::size_t limit = unlimited;
  std::size_t max_failures = unlimited;
  std::shared_ptr<semaphore_state> semaphore;
  callback<void(const progress&)> on_progress;
};

/// A worker with the element it was given.
template <class Executor>
class crew_worker : public worker<Executor> {
 public:
  std::size_t index = 0;     // of the element in the input
  std::exception_ptr error;  // of its task
  bool loaded = false;       // it has an element whose outcome was not delivered
  bool ran = false;          // whose task was started
  crew_worker* next_idle = nullptr;
};

template <class Executor>
class crew : public scope<Executor> {
 public:
  /// Runs everything. Then `conclude` says how it went.
  asio::awaitable<void, Executor> work_through(executor_ref where) {
    total_ = count();
    return this->run(where);
  }

 protected:
  using scope_type = scope<Executor>;
  using worker_type = crew_worker<Executor>;

  ~crew() {
    // Torn down in the middle of a run: the workers are gone, their permits are not.
    if (permits_ != 0) rules_.semaphore->give_back(permits_);
  }

  explicit crew(crew_rules rules) : rules_(std::move(rules)) {
    if (rules_.limit == 0) throw std::invalid_argument("cogather: limit is 0");
    if (rules_.strict && rules_.max_failures != unlimited) {
      throw std::invalid_argument(
          "cogather: max_failures is for gather_settled; gather stops at the first failure");
    }
    quick_ = !rules_.semaphore;
  }

  // The source and the results, of types that only the derived class knows. All at home.

  /// The size of the input, if it is known without consuming it.
  virtual std::optional<std::size_t> count() = 0;
  /// Moves on to the next element; false at the end.
  virtual bool advance() = 0;
  /// Whether `advance` may be called just to look, because it consumes nothing.
  virtual bool may_look_ahead() const noexcept = 0;
  /// Makes the task of the current element, in `w`. What it throws is the element's error.
  virtual void pull(worker_type& w) = 0;
  /// A new worker, which is this class's to delete.
  virtual worker_type* make_worker() = 0;
  /// Takes the value out of `w`, whose task succeeded.
  virtual void store_value(worker_type& w) = 0;
  /// Notes that the element at `index` has no value.
  virtual void store_failure(std::size_t index, task_status status, std::exception_ptr error) = 0;
  /// Destroys what is left of the element in `w`.
  virtual void clear(worker_type& w) noexcept = 0;

  /// Whether a worker at home may take the next element without asking further.
  bool quick() const noexcept { return quick_; }

  /// The current element into `w`, which then has a task to run. `source` has `advance` and
  /// `pull`: the derived class itself, or this one, through its virtual functions. False where
  /// there was nothing, or nothing came of it; ask again while `quick()`, or `may_start()`.
  template <class Source, class Worker>
  bool pull_from(Source& source, Worker& w) noexcept {
    if (!look_ahead(source)) return false;
    positioned_ = false;
    w.index = pulled_++;
    ++running_;
    quick_ = false;  // the user's code may get back to us
    pulling_ = true;
    try {
      source.pull(w);
    } catch (...) {
      w.error = std::current_exception();
    }
    pulling_ = false;
    if (relaunch_) launch_again();
    w.loaded = true;
    w.ran = !w.error && !this->stopping();
    if (!w.ran) return deliver(w), false;
    quick_ = !rules_.semaphore;
    return true;
  }

  /// The next element into `w`, whose last one is done with; false: nothing to start now.
  bool take_next(worker_type& w) noexcept {
    give_back_permits(true);
    while (may_start()) {
      if (pull_from(*this, w)) return true;
    }
    give_back_permits(false);
    return false;
  }

  /// The outcome of `w`, whose task has ended or never ran, goes where it belongs. `sink` has
  /// `store_value` and `clear`, as `source` in `pull_from`.
  template <class Sink, class Worker>
  void deliver_to(Sink& sink, Worker& w) noexcept {
    if (!w.error && w.ran) {
      try {
        sink.store_value(w);
      } catch (...) {
        w.error = std::current_exception();
      }
    }
    if (w.error || !w.ran) return deliver_failure(w);
    w.loaded = false;
    --running_;
    ++succeeded_;
    sink.clear(w);
    if (rules_.on_progress) report();
  }

  void deliver(worker_type& w) noexcept { deliver_to(*this, w); }

  /// Throws what the run has to throw.
  void conclude() {
    if (failure_) std::rethrow_exception(failure_);
    if (rules_.strict && this->caller_cancelled() && !complete()) throw_aborted();
  }

  std::optional<std::size_t> total() const noexcept { return total_; }

 private:
  using unit = typename scope_type::unit;
  using held = typename scope_type::held;

  /// The completion handler of the wait for a permit.
  struct permit_granted {
    permit_granted(unit&& taken, crew* whose) noexcept : u(std::move(taken)), self(whose) {}
    permit_granted(permit_granted&& other) noexcept
        : u(std::move(other.u)), self(std::exchange(other.self, nullptr)) {}
    ~permit_granted() {
      if (self) self->no_longer_waiting();
    }

    unit u;
    crew* self;

    using executor_type = Executor;
    executor_type get_executor() const noexcept { return self->home(); }
    using cancellation_slot_type = cancellation_cell::slot_type;
    cancellation_slot_type get_cancellation_slot() const noexcept {
      return self->permit_wait_.slot();
    }

    void operator()(asio::error_code, std::size_t granted) {
      const held keep(std::move(u));
      crew& run = *std::exchange(self, nullptr);
      const exclusive::section inside(run.one_thread());
      run.no_longer_waiting();
      run.permits_ += granted;
      run.launch();
    }
  };

  void no_longer_waiting() noexcept {
    waiting_ = false;
    permit_wait_.slot().clear();
  }

  void launch() noexcept override {
    if (launching_) return;  // the loop below will see
    launching_ = true;
    while (alive_ < rules_.limit && may_start()) {
      worker_type* const w = idle_worker();
      if (!w) break;
      if (!pull_from(*this, *w)) {
        put_back(*w);
        continue;
      }
      ++alive_;
      this->spawn(*w);
    }
    launching_ = false;
    give_back_permits(false);
  }

  void ended(worker<Executor>& w, std::exception_ptr failure) noexcept override {
    auto& done = static_cast<worker_type&>(w);
    --alive_;
    if (failure) done.error = std::move(failure);  // it could not run its task
    if (done.loaded) deliver(done);
    put_back(done);
    give_back_permits(true);
    launch();
  }

  void stopped() noexcept override {
    quick_ = false;
    stop_waiting();
  }

  /// Whether there is an element, and leave to start it.
  bool may_start() noexcept {
    if (pulling_) relaunch_ = true;  // re-entered from the user's range or function
    if (pulling_ || this->stopping()) return false;
    return look_ahead(*this) && open_gate();
  }

  template <class Source>
  bool look_ahead(Source& source) noexcept {
    if (positioned_) return true;
    if (exhausted_) return false;
    const bool was_quick = std::exchange(quick_, false);
    pulling_ = true;
    try {
      positioned_ = source.advance();
      exhausted_ = !positioned_;
    } catch (...) {
      exhausted_ = true;
      run_failed(std::current_exception());
    }
    pulling_ = false;
    if (exhausted_) {
      stop_waiting();
      return false;
    }
    if (this->stopping()) return false;
    quick_ = was_quick;
    return true;
  }

  /// One permit more than there are running tasks, so that one more may start.
  bool open_gate() noexcept {
    if (!rules_.semaphore || permits_ > running_) return true;
    if (waiting_) return false;
    if (rules_.semaphore->try_take(1)) {
      ++permits_;
      return true;
    }
    try {
      waiting_ = true;
      semaphore_waiter<permit_granted>::start(rules_.semaphore, 1,
                                              permit_granted(unit(*this), this));
    } catch (...) {
      waiting_ = false;
      run_failed(std::current_exception());
    }
    return false;
  }

  /// Permits without a task. One may be kept for the next task when nobody else wants it.
  void give_back_permits(bool keep_one) noexcept {
    if (permits_ <= running_) return;
    const std::size_t spare = permits_ - running_;
    if (keep_one && spare == 1 && rules_.semaphore->may_keep(waiting_ ? 1 : 0)) return;
    permits_ -= spare;
    rules_.semaphore->give_back(spare);
  }

  void stop_waiting() noexcept {
    if (waiting_) permit_wait_.emit(asio::cancellation_type::terminal);
  }

  /// The run is over: all is stopped, and `error` will be thrown, unless the caller of a strict
  /// run was cancelled before.
  void run_failed(std::exception_ptr error) noexcept {
    if (!failure_ && !(rules_.strict && this->caller_cancelled())) failure_ = std::move(error);
    if (!this->stopping()) this->stop(asio::cancellation_type::terminal);
  }

  void deliver_failure(worker_type& w) noexcept {
    w.loaded = false;
    --running_;
    std::exception_ptr error = std::exchange(w.error, nullptr);
    clear(w);
    if (!error) {
      store(w.index, task_status::not_started, nullptr);
      return;
    }
    ++failed_;
    if (rules_.strict) {
      run_failed(std::move(error));
    } else {
      const bool cancelled = w.signalled() && is_aborted(error);
      store(w.index, cancelled ? task_status::cancelled : task_status::error, std::move(error));
      if (!cancelled && ++errors_ > rules_.max_failures && !this->stopping()) {
        this->stop(asio::cancellation_type::terminal);
      }
    }
    if (rules_.on_progress) report();
  }

  void store(std::size_t index, task_status status, std::exception_ptr error) noexcept {
    if (rules_.strict) return;  // the results are of no use
    try {
      store_failure(index, status, std::move(error));
    } catch (...) {
      run_failed(std::current_exception());
    }
  }

  void report() noexcept {
    try {
      rules_.on_progress(progress{pulled_, succeeded_, failed_, total_});
    } catch (...) {
      rules_.on_progress = {};  // not again
      run_failed(std::current_exception());
    }
  }

  /// Whether every element became a value.
  bool complete() noexcept {
    if (succeeded_ != pulled_) return false;
    if (exhausted_ || pulled_ == total_) return true;
    if (positioned_ || !may_look_ahead()) return false;
    try {
      return !advance();
    } catch (...) {
      return false;
    }
  }

  void launch_again() noexcept {
    relaunch_ = false;
    if (!launching_) this->launch_later();
  }

  worker_type* idle_worker() noexcept {
    if (idle_) {
      worker_type* const w = std::exchange(idle_, idle_->next_idle);
      return w;
    }
    try {
      workers_.emplace_back();  // first: it may throw
      workers_.back().reset(make_worker());
      this->adopt(*workers_.back());
      return workers_.back().get();
    } catch (...) {
      run_failed(std::current_exception());
      return nullptr;
    }
  }

  void put_back(worker_type& w) noexcept {
    w.next_idle = idle_;
    idle_ = &w;
  }

  crew_rules rules_;
  std::optional<std::size_t> total_;

  std::vector<std::unique_ptr<worker_type>> workers_;
  worker_type* idle_ = nullptr;
  std::size_t alive_ = 0;    // workers
  std::size_t running_ = 0;  // elements pulled and not yet delivered
  std::size_t pulled_ = 0;
  std::size_t succeeded_ = 0;
  std::size_t failed_ = 0;
  std::size_t errors_ = 0;  // of the failed, those not cancelled

  bool quick_ = false;
  bool positioned_ = false;  // the source stands at an element that was not pulled
  bool exhausted_ = false;
  bool pulling_ = false;    // inside the user's range or function
  bool launching_ = false;  // inside the loop of `launch`
  bool relaunch_ = false;   // somebody wanted to start something while `pulling_`

  std::size_t permits_ = 0;
  bool waiting_ = false;
  cancellation_cell permit_wait_;

  std::exception_ptr failure_;
};

}  // namespace detail
}  // namespace cogather
