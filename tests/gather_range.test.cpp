// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// gather: how it pulls a range, and how long it keeps an item.
#include <cogather/gather.hpp>

#include <algorithm>
#include <cstddef>
#include <forward_list>
#include <iterator>
#include <limits>
#include <list>
#include <memory>
#include <ranges>
#include <span>
#include <sstream>
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
using cogather::unlimited;
using test::milliseconds;
using test::tracked;
using test::tracked_count;

milliseconds ms(int n) { return milliseconds(n); }

// The numbers 0, 1, 2, ..., size - 1, single-pass, which notes how far it was read and from when
// on; a negative size is endless.
struct source {
  int size;
  int begun = 0;
  int advanced = 0;
  int read = 0;

  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit iterator(source& s) : source_(&s) {}
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;

    int operator*() const { return ++source_->read, source_->advanced; }
    iterator& operator++() {
      ++source_->advanced;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      return i.source_->advanced == i.source_->size;
    }

   private:
    source* source_;
  };

  iterator begin() {
    ++begun;
    return iterator(*this);
  }
  std::default_sentinel_t end() const { return {}; }
};

asio::awaitable<std::string> use_later(const std::string& text) {
  co_await test::yield();
  co_await test::sleep(1ms);
  co_return text + "!";
}

asio::awaitable<int> value_later(const tracked& t) {
  co_await test::sleep(1ms);
  co_return t.value();
}

asio::awaitable<int> take(tracked t) {
  co_await test::sleep(1ms);
  co_return t.value();
}

// Notices in its destructor, at the end of its coroutine, whether the item still lives.
struct last_look {
  const tracked& item;
  int& seen;
  ~last_look() { seen += item.value(); }
};

asio::awaitable<void> look_until_the_end(const tracked& t, int& seen) {
  const last_look look{t, seen};
  co_await test::sleep(1ms);
}

std::vector<tracked> three() {
  std::vector<tracked> items;
  for (int i = 0; i < 3; ++i) items.emplace_back(i);
  tracked_count::reset();
  return items;
}

// A function object whose coroutines use it after they have suspended.
class multiplier {
 public:
  explicit multiplier(int factor) : factor_(factor) {}

  asio::awaitable<int> operator()(int i) const {
    co_await test::sleep(1ms);
    co_return i * factor_.value();
  }

 private:
  tracked factor_;
};

}  // namespace

TEST_CASE("gather: the range is not touched before gather is awaited", "[gather][range]") {
  source items{3};
  auto all = gather(items, [](int i) { return test::ready(i); });
  CHECK(items.begun == 0);
  test::loop loop;
  CHECK(loop.get(std::move(all)) == std::vector{0, 1, 2});
  CHECK(items.begun == 1);
  CHECK(items.read == 3);
}

TEST_CASE("gather: an element is pulled when a slot is free, and not before", "[gather][range]") {
  test::loop loop;
  source items{10};
  test::census tasks;
  auto fn = [&](int i) { return tasks.count(test::value_after(i, 10ms)); };
  auto caller = loop.spawn(gather(items, fn, {.limit = 3}));
  for (int round = 1; round <= 3; ++round) {
    loop.run_for(round == 1 ? 5ms : 10ms);
    CHECK(items.read == 3 * round);
    CHECK(items.advanced == 3 * round - 1);
    CHECK(tasks.live() == 3);
  }
  loop.run();
  CHECK(items.read == 10);
  CHECK(tasks.peak() == 3);
  CHECK(caller.value().size() == 10);
  CHECK(loop.elapsed() == 40ms);
}

TEST_CASE("gather: with limit k at most k tasks exist, started or not", "[gather][range]") {
  const int k = GENERATE(1, 2, 7);
  test::loop loop;
  test::census existing;
  auto task = [](test::census::token, int i) -> asio::awaitable<int> {
    if (i % 3 != 0) co_await test::sleep(ms(i % 5));
    co_return i;
  };
  auto fn = [&](int i) { return task(test::census::token(existing), i); };
  const auto limit = static_cast<std::size_t>(k);
  CHECK(loop.get(gather(std::views::iota(0, 50), fn, {.limit = limit})).size() == 50);
  CHECK(existing.peak() == k);
  CHECK(existing.live() == 0);
}

TEST_CASE("gather: an endless range that makes its awaitables ends at a failure",
          "[gather][range]") {
  test::loop loop;
  test::census tasks;
  int made = 0;
  auto make = [&](int i) {
    ++made;
    return tasks.count(i == 20 ? test::fail<int>(std::runtime_error("20"))
                               : test::value_after(i, 1ms));
  };
  CHECK_THROWS_MATCHES(
      loop.get(gather(std::views::iota(0) | std::views::transform(make), {.limit = 4})),
      std::runtime_error, test::says("20"));
  CHECK(made == 21);
  CHECK(tasks.peak() == 4);
  CHECK(tasks.live() == 0);
}

TEST_CASE("gather: a sized range may be larger than memory", "[gather][range]") {
  test::loop loop;
  auto make = [](long long i) {
    return i == 20 ? test::fail<int>(std::runtime_error("20")) : test::ready(1);
  };
  constexpr long long size = std::numeric_limits<long long>::max() / 2;
  CHECK_THROWS_MATCHES(loop.get(gather(std::views::iota(0LL, size), make, {.limit = 4})),
                       std::runtime_error, test::says("20"));
}

TEST_CASE("gather: ranges of each kind", "[gather][range]") {
  test::loop loop;
  auto fn = [](int i) { return test::value_after(i, ms(10 - i)); };
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 2u);
  const std::vector<int> expected = {1, 2, 3};
  const cogather::gather_options options{.limit = limit};
  SECTION("an array") {
    const int items[] = {1, 2, 3};
    CHECK(loop.get(gather(items, fn, options)) == expected);
  }
  SECTION("a constant container") {
    const std::vector<int> items = {1, 2, 3};
    CHECK(loop.get(gather(items, fn, options)) == expected);
  }
  SECTION("a list, passed by move") {
    CHECK(loop.get(gather(std::list{1, 2, 3}, fn, options)) == expected);
  }
  SECTION("a range that does not know its size") {
    std::forward_list items = {1, 2, 3};
    CHECK(loop.get(gather(items, fn, options)) == expected);
    auto even = std::views::iota(1, 7) | std::views::filter([](int i) { return i % 2 == 0; }) |
                std::views::transform([](int i) { return i / 2; });
    CHECK(loop.get(gather(even, fn, options)) == expected);
    CHECK(loop.get(gather(std::move(even), fn, options)) == expected);
  }
  SECTION("a range of proxies") {
    const std::vector<bool> items = {true, false, true};
    auto same = [](bool b) { return test::value_after(b, 1ms); };
    CHECK(loop.get(gather(items, same, options)) == items);
    CHECK(loop.get(gather(std::vector<bool>(items), same, options)) == items);
  }
  SECTION("a single-pass range, referred to and owned") {
    source items{3};
    CHECK(loop.get(gather(items, fn, options)) == std::vector{0, 1, 2});
    CHECK(loop.get(gather(source{3}, fn, options)) == std::vector{0, 1, 2});
  }
  SECTION("a view with a name") {
    auto tasks = std::views::iota(1, 4) | std::views::transform(fn);
    CHECK(loop.get(gather(tasks, options)) == expected);
    CHECK(loop.get(gather(tasks, options)) == expected);
  }
}

TEST_CASE("gather: a view that moves awaitables out of a container", "[gather][range]") {
  test::loop loop;
  auto all = test::list(test::ready(1), test::value_after(2, 1ms));
  std::ranges::subrange moved(std::move_iterator(all.begin()), std::move_iterator(all.end()));
  CHECK(loop.get(gather(moved)) == std::vector{1, 2});
}

TEST_CASE("gather: elements of a single-pass range's buffer are moved to a value",
          "[gather][range]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  std::istringstream text("one two three a-long-string-that-needs-memory-of-its-own five");
  CHECK(loop.get(gather(std::views::istream<std::string>(text), use_later, {.limit = limit})) ==
        std::vector<std::string>{"one!", "two!", "three!",
                                 "a-long-string-that-needs-memory-of-its-own!", "five!"});
}

TEST_CASE("gather: items passed as an lvalue are referred to", "[gather][range]") {
  test::loop loop;
  auto items = three();
  std::vector<const tracked*> seen;
  auto fn = [&](tracked& t) {
    seen.push_back(&t);
    return value_later(t);
  };
  CHECK(loop.get(gather(items, fn)) == std::vector{0, 1, 2});
  CHECK(seen == std::vector<const tracked*>{&items[0], &items[1], &items[2]});
  CHECK(tracked_count::moves() == 0);
  CHECK(tracked_count::copies() == 0);

  CHECK(loop.get(gather(items, take)) == std::vector{0, 1, 2});
  CHECK(tracked_count::copies() == 3);
  CHECK(items == three());
}

TEST_CASE("gather: items passed as an rvalue are owned, and passed on as rvalues",
          "[gather][range]") {
  test::loop loop;
  SECTION("by value") { CHECK(loop.get(gather(three(), take)) == std::vector{0, 1, 2}); }
  SECTION("by rvalue reference, good until the task has ended") {
    auto fn = [](tracked&& t) { return value_later(t); };
    CHECK(loop.get(gather(three(), fn)) == std::vector{0, 1, 2});
  }
  SECTION("by reference to const") {
    CHECK(loop.get(gather(three(), value_later)) == std::vector{0, 1, 2});
  }
  SECTION("move-only") {
    auto boxes = std::make_unique<int>(5);
    std::list<std::unique_ptr<int>> items;
    items.push_back(std::move(boxes));
    auto unbox = [](std::unique_ptr<int> p) { return test::ready(*p); };
    CHECK(loop.get(gather(std::move(items), unbox)) == std::vector{5});
  }
  CHECK(tracked_count::copies() == 0);
  CHECK(tracked_count::live() == 0);
}

TEST_CASE("gather: a view passed as an rvalue leaves the elements it shows alone",
          "[gather][range]") {
  test::loop loop;
  const std::vector all = {0, 1, 2};
  auto items = three();
  SECTION("a span") { CHECK(loop.get(gather(std::span(items), take)) == all); }
  SECTION("a constant span") {
    CHECK(loop.get(gather(std::span<const tracked>(items), take)) == all);
  }
  SECTION("all of a container") {
    CHECK(loop.get(gather(std::views::all(items), take)) == all);
  }
  SECTION("a subrange") {
    CHECK(loop.get(gather(std::ranges::subrange(items), take)) == all);
  }
  SECTION("a pipeline") {
    CHECK(loop.get(gather(items | std::views::drop(0) | std::views::take(3), take)) == all);
  }
  CHECK(tracked_count::copies() == 3);
  CHECK(items == three());
}

TEST_CASE("gather: an item that dereferencing makes lives until its task has ended",
          "[gather][range]") {
  const std::size_t limit = GENERATE(as<std::size_t>(), unlimited, 1u, 2u);
  test::loop loop;
  auto name = [](int i) { return "a rather long name, number " + std::to_string(i); };
  auto names = std::views::iota(0, 4) | std::views::transform(name);
  CHECK(loop.get(gather(names, use_later, {.limit = limit})) ==
        std::vector<std::string>{name(0) + "!", name(1) + "!", name(2) + "!", name(3) + "!"});

  int seen = 0;
  auto fn = [&](const tracked& t) { return look_until_the_end(t, seen); };
  auto objects = std::views::iota(1, 5) | std::views::transform([](int i) { return tracked(i); });
  loop.get(gather(objects, fn, {.limit = limit}));
  CHECK(seen == 1 + 2 + 3 + 4);
  CHECK(tracked_count::live() == 0);
}

TEST_CASE("gather: an item that dereferencing makes is gone soon after its task",
          "[gather][range]") {
  test::loop loop;
  long most = 0;
  auto make = [&](int i) {
    most = std::max(most, tracked_count::live());
    return tracked(i);
  };
  auto objects = std::views::iota(0, 20) | std::views::transform(make);
  loop.get(gather(objects, value_later, {.limit = 3}));
  CHECK(most == 2);
}

TEST_CASE("gather: fn passed as an rvalue lives until the tasks have ended", "[gather][range]") {
  test::loop loop;
  {
    auto all = gather(std::views::iota(1, 4), multiplier(10), {.limit = 2});
    CHECK(loop.get(std::move(all)) == std::vector{10, 20, 30});
  }
  CHECK(tracked_count::live() == 0);
}

TEST_CASE("gather: of a range, never awaited, destroys what it owns", "[gather][range]") {
  test::census tasks;
  {
    auto items = gather(three(), take);
    auto product = gather(std::vector{1}, multiplier(2));
    auto list = gather(test::list(tasks.count(test::ready(1))));
  }
  CHECK(tasks.started() == 0);
  CHECK(tracked_count::live() == 0);
}
