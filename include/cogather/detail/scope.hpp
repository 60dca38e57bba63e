// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The engine: it starts coroutines, stops them, and resumes its caller when all have ended.
//
// Who owns what. A `scope` lives in the frame of its caller, which waits in `run()`; the waiting
// caller is held by the scope as a `continuation`. So the two own each other, and something else
// must end them: the *units*. Whatever is under way on behalf of the scope - a worker's
// coroutine, a posted message, an operation with a handler of ours - owns one unit, by value, in
// its handler. A handler that runs redeems its unit; one that is destroyed without having run,
// because its context is going down, reports it lost. The last unit, however it ends, resumes
// the caller, or destroys it if any unit was lost. Hence workers always end before the caller.
//
// Who runs where. *Home* is where the scope's own state is touched: the caller's executor, or,
// when that is a pool that runs handlers in parallel, a strand of its own over it. Workers run at
// home too, unless the scope is *parallel*: then each runs on a strand of its own over the pool,
// and scope and worker talk by posting to each other.
//
// Who stops whom. Each worker has a cancellation cell. `stop()` emits to every worker that is in
// a task; the caller's own cancellation does the same through a forwarder in its slot.
#pragma once

#include <cogather/detail/asio.hpp>
#include <cogather/detail/cancellation_cell.hpp>
#include <cogather/detail/continuation.hpp>
#include <cogather/detail/exclusive.hpp>
#include <cogather/detail/executor.hpp>
#include <cogather/detail/pool_gate.hpp>

#include <asio/prefer.hpp>
#include <asio/strand.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

namespace cogather::detail {

template <class Executor>
class scope;

/// A place for one coroutine that a scope runs. It may be used again when its coroutine has
/// ended.
template <class Executor>
class worker {
 public:
  worker() = default;
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  virtual ~worker() = default;

  /// Whether the coroutine was asked to stop while it was in a task.
  bool signalled() const noexcept { return signalled_; }

 protected:
  friend class scope<Executor>;

  /// Makes the coroutine.
  virtual asio::awaitable<void, Executor> body() = 0;

  // The coroutine calls these, on its own executor.

  /// First of all: whether to run at all. False when the scope was stopped meanwhile.
  bool begin() noexcept;
  /// Around each task. A task may leave the executor it was started on, and then takes its
  /// worker along; false says so. There is nothing left to do but to end, which leads home.
  void enter_task() noexcept {
    thread_ = this_thread_mark();
    in_task_ = true;
  }
  bool leave_task() noexcept;

  /// Whether the cancellation state must be set, again, before the next task.
  bool state_lost() const noexcept { return state_lost_; }
  /// To be awaited for that. Every type of cancellation gets through to the task.
  auto fresh_state() noexcept {
    return asio::this_coro::reset_cancellation_state(
        state_watch(*this), [](asio::cancellation_type type) noexcept { return type; });
  }

 private:
  /// Notices when a task replaces the coroutine's cancellation state, which the next task would
  /// otherwise inherit: the state dies, and with it this filter.
  class state_watch {
   public:
    explicit state_watch(worker& w) noexcept : lost_(&w.state_lost_) { w.state_lost_ = false; }
    state_watch(state_watch&& other) noexcept : lost_(std::exchange(other.lost_, nullptr)) {}
    ~state_watch() {
      if (lost_) *lost_ = true;
    }
    asio::cancellation_type operator()(asio::cancellation_type type) const noexcept { return type; }

   private:
    bool* lost_;
  };

  scope<Executor>* scope_ = nullptr;
  worker* next_ = nullptr;  // in the scope's list of all its workers

  // At home.
  bool busy_ = false;

  // On the worker's executor; at home where that is the same.
  bool starting_ = false;  // inside co_spawn, before `begin`
  bool in_task_ = false;
  bool signalled_ = false;
  bool state_lost_ = true;
  const void* thread_ = nullptr;
  std::exception_ptr failure_;  // of the coroutine itself, not of a task

  // Parallel scopes: the worker's strand while it runs, under the mutex of the pool's gate. It is
  // dropped where the coroutine ends, and so does not outlive its context.
  std::optional<Executor> strand_;

  cancellation_cell cell_;  // last: its destruction writes to `state_lost_`
};

template <class Executor>
class scope : private pool_gate::user {
 public:
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

  /// Starts, waits, and returns when nothing is under way any more. For the caller's coroutine.
  /// Never throws because of a worker; throws where no safe home can be had.
  /// `where`: run the workers there in parallel; empty: at home.
  asio::awaitable<void, Executor> run(executor_ref where = {});

  /// Any thread.
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

 protected:
  scope() = default;
  ~scope();

  // What the derived class does, all of it at home.

  /// Starts what can be started. Called once when all is set up, and whenever asked for.
  virtual void launch() noexcept = 0;
  /// The coroutine of `w` has ended; `failure` is what it threw, which no task did.
  virtual void ended(worker<Executor>& w, std::exception_ptr failure) noexcept = 0;
  /// Nothing may start any more; workers are about to be asked to stop.
  virtual void stopped() noexcept {}

  // What it calls, all of it at home.

  bool parallel() const noexcept { return parallel_; }
  const Executor& home() const noexcept { return *home_; }

  /// Whether the caller was cancelled, on entry or while it waited.
  bool caller_cancelled() const noexcept { return cancelled_; }

  /// Makes `w` a worker of this scope. It must live as long as the scope.
  void adopt(worker<Executor>& w) noexcept {
    w.scope_ = this;
    (last_worker_ ? last_worker_->next_ : workers_) = &w;
    last_worker_ = &w;
  }

  /// Runs the coroutine of `w`. Its end is reported to `ended`, perhaps before this returns.
  void spawn(worker<Executor>& w) noexcept;

  /// Asks everyone who is in a task to stop. Nothing starts any more.
  void stop(asio::cancellation_type type) noexcept;

  class held;

  /// A unit: see above. Move-only; goes into the handler of whatever is under way.
  class unit {
   public:
    explicit unit(scope& s) noexcept : scope_(&s) { s.units_.fetch_add(1); }
    /// One that was counted already.
    unit(std::adopt_lock_t, scope& s) noexcept : scope_(&s) {}
    unit(unit&& other) noexcept : scope_(std::exchange(other.scope_, nullptr)) {}
    unit& operator=(unit&&) = delete;
    ~unit() {
      if (scope_) scope_->lost();
    }

   private:
    friend class held;
    friend class scope;
    scope* scope_;
  };

  /// A unit that keeps the scope alive for a while, and is then over.
  class held {
   public:
    explicit held(scope& s) noexcept : held(unit(s)) {}
    explicit held(unit&& u) noexcept : scope_(*std::exchange(u.scope_, nullptr)) {}
    held(const held&) = delete;
    held& operator=(const held&) = delete;
    ~held() { scope_.release(); }
    scope& operator*() const noexcept { return scope_; }
    scope* operator->() const noexcept { return &scope_; }

   private:
    scope& scope_;
  };

  /// Calls `launch` from a fresh handler.
  void launch_later() noexcept { post_home(launch_message{unit(*this)}); }

  exclusive& one_thread() noexcept { return one_thread_; }

 private:
  friend class worker<Executor>;

  struct launch_message {
    unit u;
    void operator()() {
      const held self(std::move(u));
      const exclusive::section inside(self->one_thread_);
      self->launch();
    }
  };

  struct ended_message {
    unit u;
    worker<Executor>* w;
    void operator()() {
      const held self(std::move(u));
      self->worker_ended(*w);
    }
  };

  struct stop_message {
    unit u;
    asio::cancellation_type type;
    void operator()() {
      const held self(std::move(u));
      self->cancelled_ = true;
      self->stop(type);
    }
  };

  struct signal_message {
    unit u;
    worker<Executor>* w;
    asio::cancellation_type type;
    void operator()() {
      const held self(std::move(u));
      w->scope_->signal_here(*w, type);
    }
  };

  struct start_message {
    unit u;
    worker<Executor>* w;
    Executor strand;
    void operator()() {
      scope& self = *w->scope_;
      {
        const std::lock_guard lock(self.gate_->mutex());
        w->strand_.emplace(strand);
      }
      self.start_on(strand, *w, std::move(u));
    }
  };

  struct resume_message {
    continuation caller;
    void operator()() { caller(); }
  };

  /// In the cancellation slot of the caller while it waits. Slot and scope may die in any order,
  /// when a context is destroyed, and tell each other.
  struct forwarder {
    explicit forwarder(scope* s) noexcept : self(s) { s->forwarder_ = this; }
    forwarder(const forwarder&) = delete;
    forwarder& operator=(const forwarder&) = delete;
    ~forwarder() {
      if (self) self->forwarder_ = nullptr;
    }

    scope* self;

    void operator()(asio::cancellation_type type) const noexcept {
      // All may have ended already, and the caller be on its way.
      if (!self || !self->try_hold()) return;
      unit u(std::adopt_lock, *self);
      if (self->remote_home_) {
        self->post_home(stop_message{std::move(u), type});
      } else {
        stop_message{std::move(u), type}();
      }
    }
  };

  /// The completion handler of a worker's coroutine.
  struct worker_handler_base {
    unit u;
    worker<Executor>* w;

    worker_handler_base(unit&& taken, worker<Executor>* whose) noexcept
        : u(std::move(taken)), w(whose) {}
    worker_handler_base(worker_handler_base&& other) noexcept
        : u(std::move(other.u)), w(std::exchange(other.w, nullptr)) {}
    ~worker_handler_base() {
      if (w) w->scope_->worker_lost(*w, u);
    }

    using cancellation_slot_type = cancellation_cell::slot_type;
    cancellation_slot_type get_cancellation_slot() const noexcept { return w->cell_.slot(); }

    void operator()(std::exception_ptr failure) {
      worker<Executor>& done = *std::exchange(w, nullptr);
      done.scope_->worker_done(done, std::move(u), std::move(failure));
    }
  };
  struct inline_worker_handler : worker_handler_base {
    using worker_handler_base::worker_handler_base;
    using executor_type = inline_executor;
    executor_type get_executor() const noexcept { return {}; }
  };
  using worker_handler = std::conditional_t<spawn_prefers_plain_handler, worker_handler_base,
                                            inline_worker_handler>;

  struct park_caller {
    scope* self;
    template <class Handler>
    void operator()(Handler&& handler) const {
      self->caller_ = continuation(std::forward<Handler>(handler));
      if (self->away_) self->launch_later();
      self->release();
    }
  };

  void choose_home(const Executor& caller, executor_ref where);
  void pool_gone() noexcept override { pool_.reset(); }
  void leave_gate() noexcept;
  bool at_home(const worker<Executor>& w) const {
    return running_here_ ? running_here_(*home_) : w.thread_ == this_thread_mark();
  }
  void start_on(const Executor& executor, worker<Executor>& w, unit&& u) noexcept;
  void signal_here(worker<Executor>& w, asio::cancellation_type type) noexcept;
  void worker_done(worker<Executor>& w, unit&& u, std::exception_ptr failure) noexcept;
  void worker_ended(worker<Executor>& w) noexcept;
  void worker_lost(worker<Executor>& w, unit& u) noexcept;
  void lost() noexcept;
  bool try_hold() noexcept;
  void release() noexcept;
  void finish() noexcept;

  template <class Message>
  void post_home(Message message) noexcept {
    const Executor home = *home_;  // `*this` may be gone before `post` returns
    try {
      asio::post(home, std::move(message));
    } catch (...) {
      // The message is gone, and its unit lost: no memory to go on with.
    }
  }

  std::optional<Executor> caller_executor_;
  std::optional<Executor> home_;
  running_here<Executor> running_here_ = nullptr;
  std::optional<Executor> pool_;  // holds work, so that the pool does not end between two tasks
  std::shared_ptr<pool_gate> gate_;
  bool parallel_ = false;
  bool remote_home_ = false;  // home is not the caller's executor
  bool away_ = false;         // `run` does not run at home
  bool cancelled_ = false;

  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<std::size_t> units_{0};
  continuation caller_;

  worker<Executor>* workers_ = nullptr;
  worker<Executor>* last_worker_ = nullptr;
  forwarder* forwarder_ = nullptr;
  exclusive one_thread_;
};

// Implementation

template <class Executor>
bool worker<Executor>::begin() noexcept {
  starting_ = false;
  return !scope_->stopping();
}

template <class Executor>
bool worker<Executor>::leave_task() noexcept {
  // Elsewhere than at home this is not to be touched: `stop()` may be looking at it.
  if (!scope_->parallel_ && !scope_->at_home(*this)) return false;
  in_task_ = false;
  return true;
}

template <class Executor>
scope<Executor>::~scope() {
  if (forwarder_) forwarder_->self = nullptr;
  leave_gate();
}

template <class Executor>
asio::awaitable<void, Executor> scope<Executor>::run(executor_ref where) {
  const auto executor = co_await asio::this_coro::executor;
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  if (cancellation.cancelled() != no_cancellation) {
    cancelled_ = true;
    stopping_ = true;
    co_return;
  }
  choose_home(executor, where);

  units_ = 1;  // the caller's own, until it is parked
  // Before anything starts, so that no cancellation is missed; completion of the wait clears it.
  auto slot = cancellation.slot();
  if (slot.is_connected()) slot.template emplace<forwarder>(this);
  // Once cancelled the caller still has to wait, here.
  co_await asio::this_coro::throw_if_cancelled(false);
  // A caller may have left its own executor for another thread.
  away_ = remote_home_ || !runs_on(executor);
  if (!away_) {
    const exclusive::section inside(one_thread_);
    launch();
  }
  if (away_ || units_ != 1) {
    const asio::use_awaitable_t<Executor> token;
    co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(
        park_caller{this}, token);
  } else {
    units_ = 0;
    leave_gate();
    if (slot.is_connected()) slot.clear();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
}

template <class Executor>
void scope<Executor>::choose_home(const Executor& caller, executor_ref where) {
  remote_home_ = concurrency_of(caller) == concurrency::parallel;
  parallel_ = remote_home_ || where;
  caller_executor_.emplace(caller);
  if constexpr (can_hold_strand<Executor>) {
    home_.emplace(remote_home_ ? Executor(asio::make_strand(caller)) : caller);
    if (parallel_) {
      const Executor pool = where ? where.get() : caller;
      auto gate = pool_gate::of(pool);
      const std::lock_guard lock(gate->mutex());
      pool_.emplace(asio::prefer(pool, asio::execution::outstanding_work.tracked));
      gate->add(*this);
      gate_ = std::move(gate);
    }
  } else {
    if (parallel_) {
      throw std::invalid_argument(
          "cogather: tasks in parallel need awaitable<T, any_io_executor>, which can hold a "
          "strand; this awaitable's executor type cannot");
    }
    home_.emplace(caller);
  }
  running_here_ = running_here_of(*home_);
}

// Once nothing is under way: what the pool's shutdown would reach is about to go.
template <class Executor>
void scope<Executor>::leave_gate() noexcept {
  const auto gate = std::exchange(gate_, nullptr);
  if (!gate) return;
  const std::lock_guard lock(gate->mutex());
  gate->remove(*this);
  pool_.reset();
}

template <class Executor>
void scope<Executor>::spawn(worker<Executor>& w) noexcept {
  w.busy_ = true;
  w.signalled_ = false;
  unit u(*this);
  if (!parallel_) {
    start_on(*home_, w, std::move(u));
    return;
  }
  if constexpr (can_hold_strand<Executor>) {
    const std::lock_guard lock(gate_->mutex());
    if (gate_->closed()) return;  // and the unit is lost
    try {
      const Executor strand = asio::make_strand(*pool_);
      asio::post(strand, start_message{std::move(u), &w, strand});
    } catch (...) {
      // As in `post_home`.
    }
  }
}

template <class Executor>
void scope<Executor>::start_on(const Executor& executor, worker<Executor>& w, unit&& u) noexcept {
  // In parallel `w` starts inline, being on its strand; it may end, and `*this` too, any time.
  const bool may_start_later = !parallel_;
  w.starting_ = true;
  w.thread_ = this_thread_mark();
  try {
    worker_handler handler(std::move(u), &w);
    auto coroutine = w.body();
    asio::co_spawn(executor, std::move(coroutine), std::move(handler));
    if (may_start_later) w.starting_ = false;
  } catch (...) {
    w.starting_ = false;
    worker_done(w, unit(*this), std::current_exception());
    release();  // the unit of the handler, which kept quiet since `w` was starting
  }
}

template <class Executor>
void scope<Executor>::worker_done(worker<Executor>& w, unit&& u,
                                  std::exception_ptr failure) noexcept {
  w.failure_ = std::move(failure);
  if (!parallel_ && at_home(w)) {
    const held self(std::move(u));
    worker_ended(w);
    return;
  }
  if (parallel_) {
    const std::lock_guard lock(gate_->mutex());
    w.strand_.reset();
  }
  post_home(ended_message{std::move(u), &w});
}

template <class Executor>
void scope<Executor>::worker_ended(worker<Executor>& w) noexcept {
  const exclusive::section inside(one_thread_);
  w.busy_ = false;
  if (!parallel_) w.in_task_ = false;  // else its strand saw to it, and still may look
  ended(w, std::exchange(w.failure_, nullptr));
}

template <class Executor>
void scope<Executor>::worker_lost(worker<Executor>& w, unit& u) noexcept {
  if (w.starting_) {
    u.scope_ = nullptr;  // `start_on` reports it
    return;
  }
  // Nobody may be signalled in a coroutine that is gone, nor in what it waited for.
  w.in_task_ = false;
  w.cell_.slot().clear();
  if (!parallel_) return;
  const std::lock_guard lock(gate_->mutex());
  w.strand_.reset();
}

template <class Executor>
void scope<Executor>::stop(asio::cancellation_type type) noexcept {
  const held self(*this);  // what ends meanwhile must not be the last
  const exclusive::section inside(one_thread_);
  if (!stopping_.exchange(true)) stopped();
  for (worker<Executor>* w = workers_; w; w = w->next_) {
    if (!w->busy_) continue;
    if (!parallel_) {
      signal_here(*w, type);
      continue;
    }
    const std::lock_guard lock(gate_->mutex());
    // Without a strand it has ended and is on its way home, or will see that it need not begin.
    if (gate_->closed() || !w->strand_) continue;
    try {
      asio::post(*w->strand_, signal_message{unit(*this), w, type});
    } catch (...) {
      // As in `post_home`.
    }
  }
}

template <class Executor>
void scope<Executor>::signal_here(worker<Executor>& w, asio::cancellation_type type) noexcept {
  if (!w.in_task_) return;
  w.signalled_ = true;
  w.cell_.emit(type);
}

template <class Executor>
void scope<Executor>::lost() noexcept {
  abandoned_ = true;
  stopping_ = true;
  release();
}

template <class Executor>
bool scope<Executor>::try_hold() noexcept {
  std::size_t units = units_;
  while (units != 0) {
    if (units_.compare_exchange_weak(units, units + 1)) return true;
  }
  return false;
}

template <class Executor>
void scope<Executor>::release() noexcept {
  if (units_.fetch_sub(1) == 1) finish();
}

template <class Executor>
void scope<Executor>::finish() noexcept {
  leave_gate();
  // From here on `*this` may be gone at any moment: it lives in the caller's frame.
  continuation caller = std::move(caller_);
  if (abandoned_) return;  // destroys the caller
  const Executor executor = *caller_executor_;
  try {
    asio::post(executor, resume_message{std::move(caller)});
  } catch (...) {
    // As in `post_home`.
  }
}

}  // namespace cogather::detail
