// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: the first failure ends it.
#include <cogather/gather.hpp>

#include <asio/error.hpp>
#include <asio/system_error.hpp>
#include <cstddef>
#include <exception>
#include <iterator>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::progress;
using cogather::unlimited;
using test::milliseconds;

milliseconds ms(int n) { return milliseconds(n); }

std::exception_ptr failure(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

// 0, 1, 2, ...: throws where it is told to.
struct fragile {
  int begin_throws = 0;
  int advance_throws_at = -1;
  int compare_throws_at = -1;
  int read_throws_at = -1;

  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    explicit iterator(const fragile& f) : f_(&f) {}

    int operator*() const {
      if (at_ == f_->read_throws_at) throw std::runtime_error("read");
      return at_;
    }
    iterator& operator++() {
      if (at_ == f_->advance_throws_at) throw std::runtime_error("advance");
      ++at_;
      return *this;
    }
    iterator operator++(int) {
      const iterator old = *this;
      ++*this;
      return old;
    }
    bool operator==(const iterator& other) const = default;
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      if (i.at_ == i.f_->compare_throws_at) throw std::runtime_error("compare");
      return i.at_ == 10;
    }

   private:
    const fragile* f_ = nullptr;
    int at_ = 0;
  };

  iterator begin() const {
    if (begin_throws != 0) throw std::runtime_error("begin");
    return iterator(*this);
  }
  std::default_sentinel_t end() const { return {}; }
};

}  // namespace

TEST_CASE("gather: rethrows the first failure by time, the same exception object",
          "[gather][failure]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 3u);
  test::loop loop;
  const auto second = failure("second");
  const auto first = failure("first");
  auto caller = loop.spawn(
      gather(test::list(test::value_after(0, 1ms), test::fail_after<int>(second, 9ms),
                        test::fail_after<int>(first, 5ms)),
             {.limit = limit}));
  loop.run();
  CHECK(caller.error() == first);
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("gather: of two failures at the same time the earlier one counts", "[gather][failure]") {
  test::loop loop;
  const auto first = failure("first");
  auto caller = loop.spawn(gather(test::list(test::fail<int>(first), test::fail<int>(42))));
  loop.run();
  CHECK(caller.error() == first);
}

TEST_CASE("gather: a thrown 42 is a failure like any other", "[gather][failure]") {
  test::loop loop;
  test::census tasks;
  CHECK_THROWS_AS(
      loop.get(gather(test::list(tasks.count(test::never()), test::fail_after(42, 1ms)))), int);
  CHECK(tasks.balanced());
  CHECK_THROWS_AS(loop.get(gather(test::fail<int>(42), test::ready(1))), int);
}

TEST_CASE("gather: operation_aborted that a task throws by itself is a failure, not a hole",
          "[gather][failure]") {
  test::loop loop;
  const auto aborted = std::make_exception_ptr(
      asio::system_error(asio::error::make_error_code(asio::error::operation_aborted)));
  test::heard_types heard;
  auto caller = loop.spawn(gather(test::list(test::until_cancelled(heard),
                                             test::fail_after(aborted, 5ms))));
  loop.run();
  CHECK(caller.error() == aborted);
  CHECK(heard.size() == 1);
}

TEST_CASE("gather: a failure stops each sibling once, and waits for it", "[gather][failure]") {
  test::loop loop;
  test::heard_types a, b;
  test::census tasks;
  auto caller = loop.spawn(gather(
      test::list(tasks.count(test::listen(a, 30ms)),
                 tasks.count(test::fail_after(failure("first"), 10ms)),
                 tasks.count(test::fail_after(failure("at the same time"), 10ms)),
                 tasks.count(test::listen(b, 50ms)),
                 tasks.count(test::slow_to_stop(1h, 25ms)))));
  loop.run_for(49ms);
  CHECK_FALSE(caller.done());
  CHECK(tasks.live() == 1);
  loop.run();
  CHECK(test::what(caller.error()) == "first");
  CHECK(a == test::heard_types{asio::cancellation_type::terminal});
  CHECK(b == test::heard_types{asio::cancellation_type::terminal});
  CHECK(tasks.live() == 0);
  CHECK(loop.elapsed() == 50ms);
}

TEST_CASE("gather: a cancellation of the caller after a failure is forwarded as well",
          "[gather][failure]") {
  test::loop loop;
  test::heard_types heard;
  const auto error = failure("no");
  auto caller = loop.spawn(gather(test::listen(heard, 30ms), test::fail_after(error, 10ms)),
                           test::any_cancellation);
  loop.run_for(20ms);
  caller.cancel(asio::cancellation_type::partial);
  loop.run_for(1ms);
  caller.cancel(asio::cancellation_type::total);
  loop.run();
  CHECK(heard == test::heard_types{asio::cancellation_type::terminal,
                                   asio::cancellation_type::partial,
                                   asio::cancellation_type::total});
  CHECK(caller.error() == error);
  CHECK(loop.elapsed() == 30ms);
}

TEST_CASE("gather: after a failure nothing is pulled any more", "[gather][failure]") {
  test::loop loop;
  test::census tasks;
  std::vector<int> pulled;
  auto fn = [&](int i) {
    pulled.push_back(i);
    return tasks.count(i == 1 ? test::fail_after<int>(failure("1"), 5ms)
                              : test::value_after(i, 7ms));
  };
  CHECK_THROWS_MATCHES(loop.get(gather(std::views::iota(0), fn, {.limit = 3})),
                       std::runtime_error, test::says("1"));
  CHECK(pulled == std::vector{0, 1, 2});
  CHECK(loop.elapsed() == 5ms);
}

TEST_CASE("gather: a failure at once lets nothing else start", "[gather][failure]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u);
  test::loop loop;
  test::census tasks;
  CHECK_THROWS_MATCHES(
      loop.get(gather(test::list(tasks.count(test::fail<int>(failure("at once"))),
                                 tasks.count(test::ready(1))),
                      {.limit = limit})),
      std::runtime_error, test::says("at once"));
  CHECK(tasks.started() == 1);
}

TEST_CASE("gather: siblings that succeed while they are stopped change nothing",
          "[gather][failure]") {
  test::loop loop;
  const auto error = failure("no");
  auto caller = loop.spawn(gather(test::deaf_sleep(30ms), test::fail_after(error, 10ms)));
  loop.run();
  CHECK(caller.error() == error);
}

TEST_CASE("gather: errors after the first are dropped", "[gather][failure]") {
  test::loop loop;
  auto clumsy = []() -> asio::awaitable<void> {
    try {
      co_await test::never();
    } catch (...) {
      throw std::logic_error("while stopping");
    }
  };
  const auto error = failure("no");
  auto caller = loop.spawn(gather(clumsy(), test::fail_after(error, 10ms), clumsy()));
  loop.run();
  CHECK(caller.error() == error);
}

TEST_CASE("gather: an exception from fn is a failure", "[gather][failure]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u);
  const milliseconds lasts = GENERATE(0ms, 5ms);
  test::loop loop;
  test::census tasks;
  const auto error = failure("fn");
  auto fn = [&](int i) {
    if (i == 3) std::rethrow_exception(error);
    return tasks.count(i == 0 ? test::value_after(i, 5ms) : test::value_after(i, lasts));
  };
  auto caller = loop.spawn(gather(std::views::iota(0), fn, {.limit = limit}));
  loop.run();
  CHECK(caller.error() == error);
  CHECK(tasks.started() == 3);
  CHECK(tasks.balanced());
}

TEST_CASE("gather: an exception from the range is a failure", "[gather][failure]") {
  test::loop loop;
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u);
  test::census tasks;
  auto fn = [&](int i) { return tasks.count(test::value_after(i, 1h)); };
  auto now = [&](int i) { return tasks.count(test::value_after(i, ms(i))); };
  struct expectation {
    fragile range;
    const char* text;
    long started;
  };
  const expectation all[] = {{{.begin_throws = 1}, "begin", 0},
                             {{.advance_throws_at = 3}, "advance", 4},
                             {{.compare_throws_at = 0}, "compare", 0},
                             {{.compare_throws_at = 3}, "compare", 3},
                             {{.read_throws_at = 0}, "read", 0},
                             {{.read_throws_at = 3}, "read", 3}};
  for (const auto& [range, text, started] : all) {
    const long before = tasks.started();
    auto caller = loop.spawn(limit == unlimited ? gather(range, fn, {.limit = limit})
                                                : gather(range, now, {.limit = limit}));
    loop.run();
    CHECK(test::what(caller.error()) == text);
    CHECK(tasks.started() - before == started);
    CHECK(tasks.balanced());
  }
  CHECK(loop.elapsed() < 1h);
}

TEST_CASE("gather: an exception from a view that makes awaitables is a failure",
          "[gather][failure]") {
  test::loop loop;
  test::census tasks;
  auto make = [&](int i) {
    if (i == 2) throw 42;
    return tasks.count(test::value_after(i, 1h));
  };
  CHECK_THROWS_AS(loop.get(gather(std::views::iota(0) | std::views::transform(make))), int);
  CHECK(tasks.started() == 2);
  CHECK(tasks.balanced());
  CHECK(loop.elapsed() == 0ms);
}

TEST_CASE("gather: an exception from on_progress is a failure, and the last report",
          "[gather][failure]") {
  test::loop loop;
  test::census tasks;
  test::heard_types heard;
  int reports = 0;
  const auto error = failure("progress");
  auto on_progress = [&](const progress& p) {
    ++reports;
    if (p.succeeded == 2) std::rethrow_exception(error);
  };
  auto caller = loop.spawn(gather(
      test::list(tasks.count(test::sleep(1ms)), tasks.count(test::sleep(2ms)),
                 tasks.count(test::listen(heard, 3ms)), tasks.count(test::sleep(4ms))),
      {.on_progress = on_progress}));
  loop.run();
  CHECK(caller.error() == error);
  CHECK(reports == 2);
  CHECK(heard.size() == 1);
  CHECK(loop.elapsed() == 3ms);
  CHECK(tasks.balanced());
}

TEST_CASE("gather: an exception from the report of the last task is a failure too",
          "[gather][failure]") {
  test::loop loop;
  auto on_progress = [](const progress& p) {
    if (p.succeeded == p.total) throw std::runtime_error("last");
  };
  CHECK_THROWS_MATCHES(
      loop.get(gather(test::list(test::value_after(1, 1ms), test::ready(2)),
                      {.on_progress = on_progress})),
      std::runtime_error, test::says("last"));
}

TEST_CASE("gather: an exception from on_progress does not replace an earlier failure",
          "[gather][failure]") {
  test::loop loop;
  const auto error = failure("task");
  auto on_progress = [](const progress& p) {
    if (p.failed != 0) throw std::runtime_error("progress");
  };
  auto caller = loop.spawn(gather(test::list(test::never(), test::fail_after(error, 1ms)),
                                  {.on_progress = on_progress}));
  loop.run();
  CHECK(caller.error() == error);
}

TEST_CASE("gather: after a failure the caller goes on as if nothing had been stopped",
          "[gather][failure]") {
  test::loop loop;
  std::optional<std::string> after;
  auto body = [&]() -> asio::awaitable<void> {
    try {
      auto all = gather(test::never(), test::fail_after(failure("no"), 1ms));
      (void)co_await std::move(all);
    } catch (const std::runtime_error&) {
    }
    co_await test::sleep(1ms);
    auto again = gather(test::value_after(1, 1ms), test::value_after(2, 1ms));
    auto both = co_await std::move(again);
    after = std::to_string(std::get<0>(both)) + std::to_string(std::get<1>(both));
  };
  loop.get(body());
  CHECK(after == "12");
}
