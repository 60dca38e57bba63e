// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// What a gathered task costs, beside the same awaits in a plain loop and beside hand-written
// co_spawn with a counter. Compare rows of one run: the times belong to the machine.
#include <cogather/cogather.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <vector>

namespace {

using asio::awaitable;

constexpr int count = 100'000;

// The tasks.

awaitable<int> ready(int i) { co_return i; }  // never suspends

awaitable<int> one_turn(int i) {  // one turn of the loop
  co_await asio::post(asio::use_awaitable);
  co_return i;
}

awaitable<int> one_turn_or_fail(int i) {  // every tenth fails
  co_await asio::post(asio::use_awaitable);
  if (i % 10 == 0) throw std::runtime_error("every tenth");
  co_return i;
}

awaitable<int> one_turn_with_timeout(int i) {
  return cogather::with_timeout(one_turn(i), std::chrono::minutes(1));
}

// The ways to run them. Each gives the sum of the results, so that none is for nothing.

using task = awaitable<int> (*)(int);

awaitable<long> in_a_loop(task make) {
  long sum = 0;
  for (int i = 0; i < count; ++i) {
    try {
      sum += co_await make(i);
    } catch (const std::runtime_error&) {
    }
  }
  co_return sum;
}

template <std::size_t Limit>
awaitable<long> gathered(task make) {
  const auto results =
      co_await cogather::gather(std::views::iota(0, count), make, {.limit = Limit});
  co_return std::accumulate(results.begin(), results.end(), 0L);
}

template <std::size_t Limit>
awaitable<long> settled(task make) {
  const auto results =
      co_await cogather::gather_settled(std::views::iota(0, count), make, {.limit = Limit});
  long sum = 0;
  for (const auto& result : results) sum += result.value_or(0);
  co_return sum;
}

template <std::size_t Limit>
awaitable<long> with_every_option(task make) {
  cogather::semaphore permits(Limit);
  std::size_t seen = 0;
  const auto watch = [&seen](const cogather::progress& p) { seen = p.succeeded; };
  const auto results =
      co_await cogather::gather(std::views::iota(0, count), make,
                                {.limit = Limit, .shared_limit = &permits, .on_progress = watch});
  co_return std::accumulate(results.begin(), results.end(), static_cast<long>(seen) - count);
}

// By hand: a co_spawn each, with a signal each so that they could be stopped, and a counter.
awaitable<long> spawned_by_hand(task make) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer all_done(executor, asio::steady_timer::time_point::max());
  std::vector<int> results(count);
  std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
  int left = count;
  for (int i = 0; i < count; ++i) {
    signals.push_back(std::make_unique<asio::cancellation_signal>());
    auto done = [&results, &left, &all_done, i](const std::exception_ptr&, int result) {
      results[static_cast<std::size_t>(i)] = result;
      if (--left == 0) all_done.cancel();
    };
    asio::co_spawn(executor, make(i), asio::bind_cancellation_slot(signals.back()->slot(), done));
  }
  try {
    co_await all_done.async_wait(asio::use_awaitable);
  } catch (const asio::system_error&) {
  }
  co_return std::accumulate(results.begin(), results.end(), 0L);
}

void run(benchmark::State& state, awaitable<long> (*way)(task), task make) {
  for (auto _ : state) {
    asio::io_context io(1);
    long sum = 0;
    asio::co_spawn(io, way(make), [&sum](const std::exception_ptr& error, long result) {
      if (error) std::rethrow_exception(error);
      sum = result;
    });
    io.run();
    if (sum == 0) state.SkipWithError("the results are missing");
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * count);
}

constexpr auto unlimited = cogather::unlimited;

BENCHMARK_CAPTURE(run, ready_loop, in_a_loop, ready);
BENCHMARK_CAPTURE(run, ready_gather_limit_100, gathered<100>, ready);
BENCHMARK_CAPTURE(run, ready_gather_unlimited, gathered<unlimited>, ready);

BENCHMARK_CAPTURE(run, turn_loop, in_a_loop, one_turn);
BENCHMARK_CAPTURE(run, turn_gather_limit_100, gathered<100>, one_turn);
BENCHMARK_CAPTURE(run, turn_gather_limit_1000, gathered<1000>, one_turn);
BENCHMARK_CAPTURE(run, turn_settled_limit_100, settled<100>, one_turn);
BENCHMARK_CAPTURE(run, turn_every_option_limit_100, with_every_option<100>, one_turn);
BENCHMARK_CAPTURE(run, turn_timeout_limit_100, gathered<100>, one_turn_with_timeout);

BENCHMARK_CAPTURE(run, turn_spawned_by_hand, spawned_by_hand, one_turn);
BENCHMARK_CAPTURE(run, turn_gather_unlimited, gathered<unlimited>, one_turn);

BENCHMARK_CAPTURE(run, failing_loop, in_a_loop, one_turn_or_fail);
BENCHMARK_CAPTURE(run, failing_settled_limit_100, settled<100>, one_turn_or_fail);

}  // namespace

BENCHMARK_MAIN();
