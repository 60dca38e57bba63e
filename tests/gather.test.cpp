// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: what it returns, for which types, and the shape of a call. Failures, cancellation,
// ranges, limits and executors have files of their own.
#include <cogather/gather.hpp>

#include <algorithm>
#include <asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::gather_options;
using cogather::unlimited;
using test::milliseconds;

template <class Awaitable>
using result_of = typename cogather::detail::awaitable_traits<Awaitable>::value_type;

milliseconds ms(int n) { return milliseconds(n); }

asio::awaitable<int> twice_after_1ms(int i) {
  co_await test::sleep(1ms);
  co_return 2 * i;
}

asio::awaitable<std::unique_ptr<int>> boxed(int i, milliseconds d) {
  co_await test::sleep(d);
  co_return std::make_unique<int>(i);
}

template <class Tracked>
asio::awaitable<Tracked> tracked_after(int i, milliseconds d) {
  co_await test::sleep(d);
  co_return Tracked(i);
}

struct service {
  int base;
  asio::awaitable<int> fetch() {
    co_await test::sleep(1ms);
    co_return base;
  }
};

}  // namespace

TEST_CASE("gather: results stand in input order, whatever order tasks end in", "[gather]") {
  std::vector<int> delays = {1, 2, 3, 4, 5};
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u, 3u, 5u);
  do {
    test::loop loop;
    auto fn = [&](std::size_t i) {
      return test::value_after(static_cast<int>(i) * 10, ms(delays[i]));
    };
    const std::vector<int> results =
        loop.get(gather(std::views::iota(std::size_t{0}, delays.size()), fn, {.limit = limit}));
    REQUIRE(results == std::vector<int>{0, 10, 20, 30, 40});
  } while (std::ranges::next_permutation(delays).found);
}

TEST_CASE("gather: tasks run concurrently", "[gather]") {
  test::loop loop;
  CHECK(loop.get(gather(test::value_after(1, 30ms), test::value_after(2, 20ms))) ==
        std::tuple(1, 2));
  CHECK(loop.elapsed() == 30ms);
}

TEST_CASE("gather: tasks start in input order", "[gather]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 3u);
  test::loop loop;
  std::vector<int> started;
  auto fn = [&](int i) -> asio::awaitable<void> {
    started.push_back(i);
    if (i % 3 != 0) co_await test::sleep(ms(10 - i));
  };
  loop.get(gather(std::views::iota(0, 10), fn, {.limit = limit}));
  std::vector<int> expected(10);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(started == expected);
}

TEST_CASE("gather: bool results", "[gather]") {
  test::loop loop;
  auto fn = [](int i) { return test::value_after(i % 3 == 0, ms(200 - i)); };
  const std::vector<bool> results = loop.get(gather(std::views::iota(0, 130), fn));
  REQUIRE(results.size() == 130);
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i] == (i % 3 == 0));
}

TEST_CASE("gather: of awaitable<void> is an awaitable<void>", "[gather]") {
  test::loop loop;
  test::census tasks;
  auto all = gather(test::list(tasks.count(test::sleep(2ms)), tasks.count(test::sleep(1ms))));
  static_assert(std::is_same_v<decltype(all), asio::awaitable<void>>);
  loop.get(std::move(all));
  CHECK(tasks.ended() == 2);
}

TEST_CASE("gather: move-only results", "[gather]") {
  test::loop loop;
  auto fn = [](int i) { return boxed(i, ms(10 - i)); };
  const auto results = loop.get(gather(std::views::iota(0, 5), fn));
  REQUIRE(results.size() == 5);
  for (int i = 0; i < 5; ++i) CHECK(*results[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("gather: results that are not default-constructible", "[gather]") {
  test::loop loop;
  {
    auto fn = [](int i) { return tracked_after<test::tracked_no_default>(i, ms(10 - i)); };
    const auto results = loop.get(gather(std::views::iota(0, 5), fn));
    REQUIRE(results.size() == 5);
    for (int i = 0; i < 5; ++i) CHECK(results[static_cast<std::size_t>(i)] == i);
    CHECK(test::tracked_count::live() == 5);
  }
  CHECK(test::tracked_count::live() == 0);
}

TEST_CASE("gather: a result whose move throws is a failure, wherever it is moved", "[gather]") {
  bool thrown = true;
  for (int n = 1; thrown; ++n) {
    test::loop loop;
    auto fn = [](int i) { return tracked_after<test::tracked_throwing_move>(i, ms(10 - i)); };
    auto caller = loop.spawn(gather(std::views::iota(0, 3), fn));
    loop.run_for(5ms);  // all are under way
    test::tracked_count::throw_on_move(n);
    loop.run();
    test::tracked_count::throw_on_move(0);
    REQUIRE(caller.done());
    thrown = !caller.succeeded();
    if (thrown) CHECK(test::what(caller.error()) == "move");
    REQUIRE(n < 100);
    if (!thrown) CHECK(caller.value().size() == 3);
    CHECK(test::tracked_count::live() == 0);
  }
}

TEST_CASE("gather: of a pack is a tuple, with std::monostate for void", "[gather]") {
  test::loop loop;
  auto all = gather(test::value_after(std::string("a"), 3ms), test::sleep(1ms), boxed(7, 2ms),
                    tracked_after<test::tracked_no_default>(8, 1ms), test::ready(true));
  static_assert(
      std::is_same_v<result_of<decltype(all)>,
                     std::tuple<std::string, std::monostate, std::unique_ptr<int>,
                                test::tracked_no_default, bool>>);
  const auto [text, nothing, number, object, flag] = loop.get(std::move(all));
  CHECK(text == "a");
  CHECK(*number == 7);
  CHECK(object == 8);
  CHECK(flag);
  CHECK(loop.elapsed() == 3ms);
}

TEST_CASE("gather: of one awaitable is a tuple of one", "[gather]") {
  test::loop loop;
  CHECK(loop.get(gather(test::ready(3))) == std::tuple(3));
}

TEST_CASE("gather: a pack starts in order and keeps the first failure", "[gather]") {
  test::loop loop;
  test::census tasks;
  const auto error = std::make_exception_ptr(std::runtime_error("no"));
  auto caller = loop.spawn(gather(tasks.count(test::value_after(1, 50ms)),
                                  tasks.count(test::fail_after<std::string>(error, 5ms)),
                                  tasks.count(test::never())));
  loop.run();
  CHECK(caller.error() == error);
  CHECK(loop.elapsed() == 5ms);
  CHECK(tasks.started() == 3);
  CHECK(tasks.live() == 0);
}

TEST_CASE("gather: empty input gives an empty result at once", "[gather]") {
  test::loop loop;
  loop.get(test::ready(0));
  const std::size_t one_coroutine = loop.steps();

  CHECK(loop.get(gather(std::vector<asio::awaitable<int>>())).empty());
  CHECK(loop.steps() == 2 * one_coroutine);
  CHECK(loop.get(gather(std::vector<int>(), twice_after_1ms)).empty());
  CHECK(loop.get(gather(std::views::iota(0, 0) | std::views::transform(twice_after_1ms))).empty());
  loop.get(gather(std::vector<asio::awaitable<void>>(), {.limit = 1}));
  CHECK(loop.steps() == 5 * one_coroutine);
}

TEST_CASE("gather: limit 0 is an invalid argument", "[gather]") {
  test::loop loop;
  test::census tasks;
  CHECK_THROWS_MATCHES(
      loop.get(gather(test::list(tasks.count(test::ready(1))), {.limit = 0})),
      std::invalid_argument, test::says("limit"));
  CHECK_THROWS_AS(loop.get(gather(std::vector<int>(), twice_after_1ms, {.limit = 0})),
                  std::invalid_argument);
  CHECK(tasks.started() == 0);
}

TEST_CASE("gather: max_failures is an invalid argument", "[gather]") {
  test::loop loop;
  test::census tasks;
  CHECK_THROWS_MATCHES(
      loop.get(gather(test::list(tasks.count(test::ready(1))), {.max_failures = 0})),
      std::invalid_argument, test::says("max_failures"));
  CHECK(tasks.started() == 0);
}

TEST_CASE("gather: options may have a name", "[gather]") {
  test::loop loop;
  const gather_options constant{.limit = 1};
  gather_options options{.limit = 1};
  CHECK(loop.get(gather(std::vector{1, 2}, twice_after_1ms, options)) == std::vector{2, 4});
  CHECK(loop.elapsed() == 2ms);
  CHECK(loop.get(gather(test::list(twice_after_1ms(1), twice_after_1ms(2)), options)) ==
        std::vector{2, 4});
  CHECK(loop.get(gather(test::list(twice_after_1ms(1), twice_after_1ms(2)), constant)) ==
        std::vector{2, 4});
  CHECK(loop.elapsed() == 6ms);
}

TEST_CASE("gather: fn may be anything that can be invoked", "[gather]") {
  test::loop loop;
  SECTION("a function") {
    CHECK(loop.get(gather(std::vector{1, 2}, twice_after_1ms)) == std::vector{2, 4});
    CHECK(loop.get(gather(std::vector{1, 2}, &twice_after_1ms)) == std::vector{2, 4});
  }
  SECTION("a pointer to a member function") {
    std::vector<service> services = {{1}, {2}};
    CHECK(loop.get(gather(services, &service::fetch)) == std::vector{1, 2});
  }
  SECTION("a mutable function object, referred to") {
    auto counter = [calls = 0](int i) mutable { return test::ready(100 * ++calls + i); };
    CHECK(loop.get(gather(std::vector{1, 2}, counter)) == std::vector{101, 202});
    CHECK(loop.get(gather(std::vector{1, 2}, counter)) == std::vector{301, 402});
  }
  SECTION("a constant one") {
    const auto same = [](int i) { return test::ready(i); };
    CHECK(loop.get(gather(std::vector{1, 2}, same)) == std::vector{1, 2});
  }
}

TEST_CASE("gather: nests", "[gather]") {
  test::loop loop;
  test::census tasks;
  auto leaf = [&](int i) { return tasks.count(test::value_after(i, ms(20 - i))); };
  auto row = [&](int i) { return gather(std::views::iota(4 * i, 4 * i + 4), leaf, {.limit = 3}); };
  auto table = [&](int n) { return gather(std::views::iota(0, n), row, {.limit = 2}); };
  const auto results = loop.get(gather(table(2), table(3), leaf(19)));
  using rows = std::vector<std::vector<int>>;
  CHECK(std::get<0>(results) == rows{{0, 1, 2, 3}, {4, 5, 6, 7}});
  CHECK(std::get<1>(results) == rows{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}});
  CHECK(tasks.live() == 0);
}

TEST_CASE("gather: a million tasks that never suspend use constant stack", "[gather]") {
  constexpr int million = 1'000'000;
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 100u);
  const bool shared = GENERATE(false, true);
  long long sum = 0;
  test::on_small_stack([&] {
    asio::io_context context;
    cogather::semaphore gate(10);
    auto fn = [](int i) { return test::ready(i); };
    auto add_up = [&]() -> asio::awaitable<void> {
      cogather::semaphore* const permits = shared ? &gate : nullptr;
      const std::vector<int> all = co_await gather(
          std::views::iota(0, million), fn, {.limit = limit, .shared_limit = permits});
      sum = std::accumulate(all.begin(), all.end(), 0LL);
    };
    auto rethrow = [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    };
    asio::co_spawn(context, add_up(), rethrow);
    context.run();
  });
  CHECK(sum == 1LL * million * (million - 1) / 2);
}

TEST_CASE("gather: many tasks that all suspend use constant stack", "[gather]") {
  constexpr int many = 20'000;
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 100u);
  long ended = 0;
  test::on_small_stack([&] {
    asio::io_context context;
    test::census tasks;
    auto fn = [&](int i) { return i % 2 == 0 ? tasks.count(test::yield()) : test::yield(); };
    auto rethrow = [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    };
    asio::co_spawn(context, gather(std::views::iota(0, many), fn, {.limit = limit}), rethrow);
    context.run();
    ended = tasks.ended();
  });
  CHECK(ended == many / 2);
}
