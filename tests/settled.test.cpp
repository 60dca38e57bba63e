// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// The outcomes of tasks, and the small types that options are made of.
#include <cogather/gather.hpp>
#include <cogather/settled.hpp>

#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/census.hpp"
#include "support/loop.hpp"

namespace {

using cogather::aggregate_error;
using cogather::callback;
using cogather::executor_ref;
using cogather::failed;
using cogather::partition;
using cogather::settled;
using cogather::task_status;
using cogather::throw_if_failed;

template <class Error>
std::exception_ptr made(Error error) {
  return std::make_exception_ptr(std::move(error));
}

template <class T>
settled<T> value(T v) {
  return settled<T>(std::in_place, std::move(v));
}

template <class T>
settled<T> error(const std::string& text, task_status status = task_status::error) {
  return settled<T>(made(std::runtime_error(text)), status);
}

template <class F>
std::exception_ptr thrown_by(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

struct base_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct derived_error : base_error {
  using base_error::base_error;
};

static_assert(std::is_same_v<settled<int>::value_type, int>);
static_assert(std::is_same_v<settled<void>::value_type, void>);
static_assert(std::is_copy_constructible_v<settled<int>>);
static_assert(!std::is_copy_constructible_v<settled<test::tracked_move_only>>);
static_assert(std::is_nothrow_move_constructible_v<settled<test::tracked_no_default>>);
static_assert(!std::is_convertible_v<settled<int>, bool>, "operator bool is explicit");
static_assert(std::is_base_of_v<std::runtime_error, aggregate_error>);
static_assert(std::is_nothrow_copy_constructible_v<aggregate_error>);

static_assert(std::is_trivially_destructible_v<callback<void()>>);
static_assert(std::is_trivially_copyable_v<callback<void()>>);
static_assert(std::is_trivially_destructible_v<executor_ref>);
static_assert(std::is_trivially_copyable_v<executor_ref>);
static_assert(!std::is_constructible_v<callback<void(int)>, void (*)()>);
static_assert(!std::is_constructible_v<executor_ref, int&>);

int doubled(int n) { return 2 * n; }

}  // namespace

TEST_CASE("a settled value is present, true and free of error", "[settled]") {
  const settled<int> s = value(7);
  CHECK(s.status() == task_status::value);
  CHECK(s.has_value());
  CHECK(static_cast<bool>(s));
  CHECK(*s == 7);
  CHECK(s.value() == 7);
  CHECK(s.value_or(9) == 7);
  CHECK(s.error() == nullptr);
  CHECK(s.message().empty());
  CHECK_FALSE(s.failed_with<std::exception>());
}

TEST_CASE("a settled error is false and keeps the task's own exception", "[settled]") {
  const auto original = made(derived_error("broken"));
  const settled<int> s(original);
  CHECK(s.status() == task_status::error);
  CHECK_FALSE(s.has_value());
  CHECK_FALSE(static_cast<bool>(s));
  CHECK(s.error() == original);
  CHECK(s.message() == "broken");
  CHECK(s.value_or(9) == 9);
  CHECK(thrown_by([&] { (void)s.value(); }) == original);
}

TEST_CASE("failed_with tells the error's class, its bases and no other", "[settled]") {
  const settled<void> s(made(derived_error("broken")));
  CHECK(s.failed_with<derived_error>());
  CHECK(s.failed_with<base_error>());
  CHECK(s.failed_with<std::exception>());
  CHECK_FALSE(s.failed_with<std::logic_error>());
  CHECK_FALSE(s.failed_with<int>());
}

TEST_CASE("a throw that is no std::exception is carried like any other", "[settled]") {
  const settled<std::string> s(made(42));
  CHECK(s.status() == task_status::error);
  CHECK(s.failed_with<int>());
  CHECK_FALSE(s.failed_with<std::exception>());
  CHECK_FALSE(s.message().empty());
  CHECK_THROWS_AS((void)s.value(), int);
  CHECK(s.value_or("nothing") == "nothing");
}

TEST_CASE("what never ran has an error that is operation_aborted", "[settled]") {
  const settled<int> number;
  const settled<void> nothing;
  CHECK(number.status() == task_status::not_started);
  CHECK(nothing.status() == task_status::not_started);
  CHECK_FALSE(number.has_value());
  REQUIRE(number.error() != nullptr);
  CHECK(test::aborted(number.error()));
  CHECK(test::aborted(nothing.error()));
  CHECK(number.failed_with<asio::system_error>());
  CHECK_FALSE(number.message().empty());
  CHECK(test::aborted(thrown_by([&] { (void)number.value(); })));
  CHECK(test::aborted(thrown_by([&] { nothing.value(); })));
}

TEST_CASE("settled<void> has a value that is nothing, or an error to rethrow", "[settled]") {
  const settled<void> done(std::in_place);
  CHECK(done.has_value());
  CHECK(done.error() == nullptr);
  CHECK(done.message().empty());
  CHECK_NOTHROW(done.value());
  const auto original = made(std::runtime_error("broken"));
  CHECK(thrown_by([&] { settled<void>(original).value(); }) == original);
}

TEST_CASE("a settled value is reached by reference, const or not, and moved from an rvalue",
          "[settled]") {
  settled<std::string> s = value<std::string>("abc");
  static_assert(std::is_same_v<decltype(*s), std::string&>);
  static_assert(std::is_same_v<decltype(*std::as_const(s)), const std::string&>);
  static_assert(std::is_same_v<decltype(*std::move(s)), std::string&&>);
  static_assert(std::is_same_v<decltype(s.value()), std::string&>);
  static_assert(std::is_same_v<decltype(std::as_const(s).value()), const std::string&>);
  static_assert(std::is_same_v<decltype(std::move(s).value()), std::string&&>);
  s->push_back('d');
  *s += 'e';
  s.value() += 'f';
  CHECK(std::as_const(s)->size() == 6);
  CHECK(&*s == &s.value());
  const std::string taken = *std::move(s);
  CHECK(taken == "abcdef");
}

TEST_CASE("a settled value may be move-only and not default-constructible", "[settled]") {
  const long before = test::tracked_count::live();
  {
    settled<test::tracked_no_default> s(std::in_place, 5);
    settled<test::tracked_no_default> moved = std::move(s);
    CHECK(moved.value() == 5);
    const test::tracked_no_default out = std::move(moved).value();
    CHECK(out == 5);
    settled<test::tracked_no_default> none(made(std::runtime_error("broken")));
    CHECK(std::move(none).value_or(test::tracked_no_default(6)) == 6);
    settled<test::tracked_no_default> some(std::in_place, 7);
    CHECK(std::move(some).value_or(test::tracked_no_default(6)) == 7);
  }
  CHECK(test::tracked_count::live() == before);
}

TEST_CASE("value_or leaves an lvalue as it was and converts the fallback", "[settled]") {
  const auto s = value<std::string>("abc");
  CHECK(s.value_or("x") == "abc");
  CHECK(*s == "abc");
  CHECK(error<std::string>("broken").value_or("x") == "x");
  static_assert(std::is_same_v<decltype(s.value_or("x")), std::string>);
}

TEST_CASE("a copy of a settled outcome shares the exception object", "[settled]") {
  const auto s = error<int>("broken", task_status::cancelled);
  const auto copy = s;
  CHECK(copy.error() == s.error());
  CHECK(copy.status() == task_status::cancelled);
}

TEST_CASE("partition splits values and failures in input order, each with its index", "[settled]") {
  std::vector<settled<std::string>> outcomes;
  outcomes.push_back(value<std::string>("a"));
  outcomes.push_back(error<std::string>("one"));
  outcomes.push_back(value<std::string>("c"));
  outcomes.push_back(error<std::string>("three", task_status::cancelled));
  outcomes.emplace_back();
  const auto second = outcomes[1].error();
  const auto [ok, bad] = partition(std::move(outcomes));

  REQUIRE(ok.size() == 2);
  CHECK(ok[0].index == 0);
  CHECK(ok[0].value == "a");
  CHECK(ok[1].index == 2);
  CHECK(ok[1].value == "c");
  REQUIRE(bad.size() == 3);
  CHECK(bad[0].index == 1);
  CHECK(bad[0].status == task_status::error);
  CHECK(bad[0].error == second);
  CHECK(bad[1].index == 3);
  CHECK(bad[1].status == task_status::cancelled);
  CHECK(bad[2].index == 4);
  CHECK(bad[2].status == task_status::not_started);
  CHECK(test::aborted(bad[2].error));
}

TEST_CASE("partition moves values and needs neither a copy nor a default", "[settled]") {
  std::vector<settled<test::tracked_no_default>> outcomes;
  outcomes.emplace_back(std::in_place, 1);
  outcomes.emplace_back(made(std::runtime_error("broken")));
  const auto [ok, bad] = partition(std::move(outcomes));
  REQUIRE(ok.size() == 1);
  CHECK(ok[0].value == 1);
  CHECK(bad.size() == 1);
}

TEST_CASE("partition of void outcomes gives the indices alone", "[settled]") {
  std::vector<settled<void>> outcomes;
  outcomes.emplace_back(made(std::runtime_error("broken")));
  outcomes.emplace_back(std::in_place);
  const auto [ok, bad] = partition(outcomes);
  REQUIRE(ok.size() == 1);
  CHECK(ok[0].index == 1);
  REQUIRE(bad.size() == 1);
  CHECK(bad[0].index == 0);
}

TEST_CASE("partition of bool outcomes and of nothing", "[settled]") {
  std::vector<settled<bool>> outcomes;
  outcomes.push_back(value(false));
  outcomes.push_back(value(true));
  const auto [ok, bad] = partition(std::move(outcomes));
  REQUIRE(ok.size() == 2);
  CHECK_FALSE(ok[0].value);
  CHECK(ok[1].value);
  CHECK(bad.empty());
  const auto [none, neither] = partition(std::vector<settled<int>>());
  CHECK(none.empty());
  CHECK(neither.empty());
}

TEST_CASE("throw_if_failed is silent when every outcome has a value", "[settled]") {
  std::vector<settled<int>> outcomes;
  CHECK_NOTHROW(throw_if_failed(outcomes));
  outcomes.push_back(value(1));
  CHECK_NOTHROW(throw_if_failed(outcomes));
  CHECK_NOTHROW(throw_if_failed(std::tuple(value(1), settled<void>(std::in_place))));
  CHECK_NOTHROW(throw_if_failed(std::tuple<>()));
}

TEST_CASE("throw_if_failed throws all failures of a vector, in input order", "[settled]") {
  std::vector<settled<int>> outcomes;
  outcomes.push_back(value(1));
  outcomes.push_back(error<int>("first"));
  outcomes.emplace_back();
  outcomes.push_back(error<int>("last", task_status::cancelled));
  try {
    throw_if_failed(outcomes);
    FAIL("nothing was thrown");
  } catch (const aggregate_error& e) {
    REQUIRE(e.failures().size() == 3);
    CHECK(e.failures()[0].index == 1);
    CHECK(e.failures()[0].error == outcomes[1].error());
    CHECK(e.failures()[1].index == 2);
    CHECK(e.failures()[1].status == task_status::not_started);
    CHECK(test::aborted(e.failures()[1].error));
    CHECK(e.failures()[2].index == 3);
    CHECK(e.failures()[2].status == task_status::cancelled);
    CHECK_THAT(std::string(e.what()), test::contains("3") && test::contains("first"));
  }
}

TEST_CASE("throw_if_failed takes a tuple of different types", "[settled]") {
  const std::tuple outcomes(value(1), settled<void>(made(std::logic_error("void"))),
                            settled<test::tracked_no_default>());
  try {
    throw_if_failed(outcomes);
    FAIL("nothing was thrown");
  } catch (const aggregate_error& e) {
    REQUIRE(e.failures().size() == 2);
    CHECK(e.failures()[0].index == 1);
    CHECK(e.failures()[0].error == std::get<1>(outcomes).error());
    CHECK(e.failures()[1].index == 2);
  }
}

TEST_CASE("the text of an aggregate error stays short however many tasks failed", "[settled]") {
  std::vector<failed> failures;
  for (std::size_t i = 0; i < 1000; ++i) {
    failures.push_back({i, task_status::error, made(std::runtime_error("broken"))});
  }
  failures.push_back({1000, task_status::error, made(7)});
  const aggregate_error all(std::move(failures));
  const aggregate_error copy = all;
  CHECK(copy.failures().size() == 1001);
  CHECK_THAT(std::string(copy.what()), test::contains("1001"));
  CHECK(std::string(copy.what()).size() < 300);
}

TEST_CASE("a callback refers to a named callable and does not copy it", "[callback]") {
  int calls = 0;
  auto counting = [&calls, kept = std::make_unique<int>(1)](int n) { return calls += n + *kept; };
  const callback<int(int)> f = counting;
  CHECK(f(2) == 3);
  CHECK(f(2) == 6);
  const callback<int(int)> copy = f;
  CHECK(copy(0) == 7);
  CHECK(calls == 7);

  std::function<int(int)> named = doubled;
  const callback<int(int)> g = named;
  named = [](int n) { return -n; };
  CHECK(g(4) == -4);

  const auto unchanging = [&calls](int n) { return n - calls; };
  const callback<int(int)> h = unchanging;
  CHECK(h(8) == 1);
}

TEST_CASE("a callback holds a function or a captureless lambda", "[callback]") {
  const callback<int(int)> from_function = doubled;
  CHECK(from_function(4) == 8);
  const callback<int(int)> from_pointer = &doubled;
  CHECK(from_pointer(5) == 10);
  callback<int(int)> from_lambda = [](int n) { return n + 1; };
  CHECK(from_lambda(5) == 6);
  from_lambda = [](int n) { return n + 2; };
  CHECK(from_lambda(5) == 7);
}

TEST_CASE("a callback calls what has another signature, and drops a result nobody wants",
          "[callback]") {
  int calls = 0;
  auto counting = [&calls](long n) { return calls += static_cast<int>(n); };
  const callback<void(int)> named = counting;
  named(2);
  CHECK(calls == 2);
  const callback<double(int)> generic = [](auto n) { return n / 2; };
  CHECK(generic(5) == 2.0);
  const callback<void(const std::string&)> by_value = [](std::string text) { text.clear(); };
  std::string kept = "kept";
  by_value(kept);
  CHECK(kept == "kept");
}

TEST_CASE("a callback is empty by default, from nullptr and from a null function", "[callback]") {
  CHECK_FALSE(static_cast<bool>(callback<void()>()));
  CHECK_FALSE(static_cast<bool>(callback<void()>(nullptr)));
  int (*none)(int) = nullptr;
  CHECK_FALSE(static_cast<bool>(callback<int(int)>(none)));
  CHECK(static_cast<bool>(callback<int(int)>(doubled)));
}

TEST_CASE("a callback passes arguments on without copies", "[callback]") {
  auto take = [](test::tracked_move_only t, const std::string& s) {
    return t.value() + static_cast<int>(s.size());
  };
  const callback<int(test::tracked_move_only, const std::string&)> f = take;
  CHECK(f(test::tracked_move_only(3), "four") == 7);
}

TEST_CASE("an executor_ref refers to a named executor or context", "[executor_ref]") {
  asio::io_context context;
  asio::thread_pool pool(1);
  CHECK_FALSE(static_cast<bool>(executor_ref()));

  const executor_ref to_context = context;
  REQUIRE(static_cast<bool>(to_context));
  CHECK(to_context.get() == asio::any_io_executor(context.get_executor()));

  auto executor = context.get_executor();
  CHECK(executor_ref(executor).get() == asio::any_io_executor(executor));

  const auto strand = asio::make_strand(pool);
  CHECK(executor_ref(strand).get() == asio::any_io_executor(strand));

  asio::any_io_executor any = executor;
  const executor_ref to_any = any;
  CHECK(to_any.get() == any);
  any = strand;
  CHECK(to_any.get() == any);

  const executor_ref copy = to_context;
  CHECK(copy.get() == to_context.get());
}
