// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather and gather_settled on awaitables of other executors than any_io_executor.
#include <cogather/gather.hpp>

#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "support/loop.hpp"
#include "support/tasks.hpp"

namespace {

using namespace std::chrono_literals;
using cogather::gather;
using cogather::gather_settled;
using test::milliseconds;

milliseconds ms(int n) { return milliseconds(n); }

}  // namespace

TEST_CASE("gather: runs on awaitables of any executor, and stays on its type", "[gather]") {
  test::loop loop;
  using io = asio::io_context::executor_type;
  SECTION("io_context::executor_type") {
    auto fn = [](int i) { return test::value_after<io>(i, ms(5 - i)); };
    auto all = gather(std::views::iota(0, 4), fn, {.limit = 2});
    static_assert(std::is_same_v<decltype(all), asio::awaitable<std::vector<int>, io>>);
    CHECK(loop.get(std::move(all)) == std::vector{0, 1, 2, 3});

    auto pair = gather(test::ready<io>(1), test::sleep<io>(1ms));
    static_assert(
        std::is_same_v<decltype(pair), asio::awaitable<std::tuple<int, std::monostate>, io>>);
    CHECK(std::get<0>(loop.get(std::move(pair))) == 1);

    auto kept = gather_settled(test::fail<int, io>(42), test::ready<io>(1));
    const auto outcomes = loop.get(std::move(kept));
    CHECK(std::get<0>(outcomes).failed_with<int>());
    CHECK(*std::get<1>(outcomes) == 1);

    auto list = gather(test::list(test::value_after<io>(1, 1ms), test::ready<io>(2)));
    static_assert(std::is_same_v<decltype(list), asio::awaitable<std::vector<int>, io>>);
    CHECK(loop.get(std::move(list)) == std::vector{1, 2});
  }
  SECTION("a strand's") {
    using strand = asio::strand<io>;
    auto all = gather(test::list(test::value_after<strand>(1, 2ms), test::ready<strand>(2)));
    static_assert(std::is_same_v<decltype(all), asio::awaitable<std::vector<int>, strand>>);
    auto caller = loop.spawn_on(asio::make_strand(loop.executor()), std::move(all));
    loop.run();
    CHECK(caller.value() == std::vector{1, 2});
  }
  SECTION("a semaphore with them") {
    cogather::semaphore gate(1);
    auto fn = [](int i) { return test::value_after<io>(i, 1ms); };
    CHECK(loop.get(gather(std::views::iota(0, 3), fn, {.shared_limit = &gate})) ==
          std::vector{0, 1, 2});
    CHECK(loop.elapsed() == 3ms);
  }
  SECTION("an executor option, which needs one that can hold a strand") {
    auto other = asio::make_strand(loop.context());
    auto fn = [](int i) { return test::ready<io>(i); };
    CHECK_THROWS_AS(loop.get(gather(std::views::iota(0, 3), fn, {.executor = other})),
                    std::invalid_argument);
  }
}
