// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include "replay.hpp"

#include <optional>
#include <sstream>

#include "catch.hpp"

namespace test {

namespace {

struct fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

const char* name(asio::cancellation_type type) {
  switch (type) {
    case asio::cancellation_type::terminal:
      return "terminal";
    case asio::cancellation_type::partial:
      return "partial";
    case asio::cancellation_type::total:
      return "total";
    default:
      return "mixed";
  }
}

// What tasks have done so far.
struct activity {
  long started;
  long marks;

  explicit activity(const census& c) : started(c.started()), marks(c.marks()) {}

  void require_nothing_since(const census& c, const char* when) const {
    if (c.started() != started) throw fault(std::string("a task started ") + when);
    if (c.marks() != marks) throw fault(std::string("a task ran ") + when);
  }
};

// One run of the scenario. Members in the order of their lives: the census outlives the loop.
class replay {
 public:
  replay(const stop_scenario& scenario, const stop_plan& plan, stopped_run& run)
      : plan_(plan), run_(run) {
    run_.tasks = &tasks_;
    loop_.emplace();
    loop_->patience(plan.patience);
    const bool opened = run.heard && run.type != asio::cancellation_type::terminal;
    caller_.emplace(loop_->spawn(scenario(*loop_, tasks_),
                                 opened ? any_cancellation : asio::cancellation_type::terminal));
    caller_->on_frame_gone([this] { tasks_at_frame_end_ = tasks_.live(); });
  }

  // False if the run was over before `run.after` handlers.
  bool perform() {
    for (std::size_t i = 0; i < run_.after; ++i) {
      if (!step()) return false;
    }
    switch (run_.kind) {
      case stop_kind::none:
        finish();
        break;
      case stop_kind::cancel:
      case stop_kind::nag:
        if (caller_->done()) return false;
        cancel_and_finish();
        break;
      case stop_kind::destroy:
        destroy();
        break;
      case stop_kind::cancel_then_destroy:
        if (caller_->done()) return false;
        caller_->cancel(run_.type);
        for (std::size_t i = 0; i < run_.then && step(); ++i) {
        }
        destroy();
        break;
    }
    return true;
  }

  // Everything is over: nothing may be left.
  void finally() {
    run_.ended = caller_->done();
    run_.error = caller_->error();
    if (loop_) loop_->destroy();
    loop_.reset();
    if (tasks_at_frame_end_.value_or(0) != 0) {
      throw fault(std::to_string(*tasks_at_frame_end_) + " tasks outlived their caller");
    }
    if (!tasks_.balanced()) throw fault("tasks are left: " + to_string(tasks_));
    if (const long more = tracked_count::live() - tracked_before_; more != 0) {
      throw fault(std::to_string(more) + " tracked objects are left");
    }
  }

  std::size_t handlers_until_end() const { return handlers_until_end_; }
  const census& tasks() const { return tasks_; }

 private:
  static std::string to_string(const census& c) {
    std::ostringstream out;
    out << c;
    return out.str();
  }

  bool step() {
    const bool any = loop_->step();
    if (loop_->steps() > plan_.max_handlers) throw fault("does not end: max_handlers reached");
    return any;
  }

  void cancel_and_finish() {
    const auto stopped = loop_->now();
    caller_->cancel(run_.type);
    if (run_.kind == stop_kind::nag) {
      while (!caller_->done() && step()) caller_->cancel(run_.type);
    }
    finish();
    run_.took = ended_at_ - stopped;
  }

  void finish() {
    while (!caller_->done()) {
      if (!step()) throw fault("the work ran out, but the caller has not ended");
    }
    handlers_until_end_ = loop_->steps();
    ended_at_ = loop_->now();
    if (tasks_.live() != 0) throw fault("tasks live after their caller: " + to_string(tasks_));
    const activity before(tasks_);
    try {
      while (step()) {
      }
    } catch (const hang& e) {
      throw fault(std::string("the caller has ended, but not the work: ") + e.what());
    }
    before.require_nothing_since(tasks_, "after the caller had ended");
    if (loop_->now() != ended_at_) throw fault("a timer was still running after the caller's end");
  }

  void destroy() {
    const activity before(tasks_);
    loop_->destroy();
    before.require_nothing_since(tasks_, "while the context was being destroyed");
  }

  const stop_plan& plan_;
  stopped_run& run_;
  const long tracked_before_ = tracked_count::live();
  census tasks_;
  std::optional<long> tasks_at_frame_end_;
  std::optional<loop> loop_;
  std::optional<spawned<void>> caller_;
  std::size_t handlers_until_end_ = 0;
  loop::clock::time_point ended_at_{};
};

class search {
 public:
  search(const stop_scenario& scenario, const stop_check& check, const stop_plan& plan)
      : scenario_(scenario), check_(check), plan_(plan) {}

  stop_report all() {
    stopped_run run;
    try {
      one(run);
      const bool aborted_by_itself = aborted(run.error);
      for (const auto type : plan_.types) {
        run = {};
        run.type = type;
        if (plan_.cancel) everywhere(run, stop_kind::cancel);
        if (plan_.nag) everywhere(run, stop_kind::nag);
        if (type != asio::cancellation_type::terminal) {
          run.heard = false;
          unheard(run, aborted_by_itself);
          run.heard = true;
        }
        if (plan_.destroy_after_cancel > 0) {
          for (run.then = 0; run.then <= plan_.destroy_after_cancel; ++run.then) {
            everywhere(run, stop_kind::cancel_then_destroy);
          }
        }
      }
      run = {};
      if (plan_.destroy) everywhere(run, stop_kind::destroy);
    } catch (const fault& e) {
      report_.fault = run.text() + ": " + e.what();
    } catch (const hang& e) {
      report_.fault = run.text() + ": hangs: " + e.what();
    }
    return report_;
  }

 private:
  void everywhere(stopped_run& run, stop_kind kind) {
    run.kind = kind;
    for (run.after = 0; one(run); ++run.after) {
    }
  }

  void unheard(stopped_run& run, bool aborted_by_itself) {
    run.kind = stop_kind::cancel;
    for (run.after = 0; one(run); ++run.after) {
      if (last_handlers_ != report_.handlers || aborted(run.error) != aborted_by_itself) {
        throw fault("a cancellation that the caller does not let through changed the run");
      }
    }
  }

  // False if there was nothing to stop any more.
  bool one(stopped_run& run) {
    run.ended = false;
    run.error = nullptr;
    run.took = {};
    ++report_.runs;
    replay r(scenario_, plan_, run);
    const bool stopped = perform(r);
    r.finally();
    last_handlers_ = r.handlers_until_end();
    if (run.kind == stop_kind::none) report_.handlers = last_handlers_;
    if (stopped && check_) {
      INFO(run.text());
      check_(run);
    }
    run.tasks = nullptr;
    return stopped;
  }

  static bool perform(replay& r) {
    try {
      return r.perform();
    } catch (const fault&) {
      throw;
    } catch (const hang&) {
      throw;
    } catch (const std::exception& e) {
      throw fault(std::string("an exception left the loop: ") + e.what());
    }
  }

  const stop_scenario& scenario_;
  const stop_check& check_;
  const stop_plan& plan_;
  stop_report report_;
  std::size_t last_handlers_ = 0;
};

}  // namespace

std::string stopped_run::text() const {
  const std::string where = " after k = " + std::to_string(after) + " handlers";
  std::string how = name(type);
  if (!heard) how += ", not let through";
  switch (kind) {
    case stop_kind::none:
      break;
    case stop_kind::cancel:
      return "cancelled (" + how + ")" + where;
    case stop_kind::nag:
      return "cancelled (" + how + ") again and again from" + where;
    case stop_kind::destroy:
      return "context destroyed" + where;
    case stop_kind::cancel_then_destroy:
      return "cancelled (" + how + ")" + where + ", context destroyed " + std::to_string(then) +
             " later";
  }
  return "undisturbed";
}

stop_report find_fault(const stop_scenario& scenario, const stop_check& check,
                       const stop_plan& plan) {
  return search(scenario, check, plan).all();
}

stop_report stop_everywhere(const stop_scenario& scenario, const stop_check& check,
                            const stop_plan& plan) {
  stop_report report = find_fault(scenario, check, plan);
  INFO("handlers of the undisturbed run: " << report.handlers);
  if (!report.fault.empty()) FAIL(report.fault);
  SUCCEED();
  return report;
}

}  // namespace test
