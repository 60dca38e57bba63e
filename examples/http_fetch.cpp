// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// The same HTTP requests three times: one after the other, all at once, and at most 20 at a time.
// Some of the URLs answer 503, and one does not answer at all; the others must not suffer from it.
//
//   http_fetch                                      200 requests to a server of its own
//   http_fetch https://example.org/ ...             your URLs
//   http_fetch --file urls.txt --limit 50
//
// What cogather does here stands in two places: `fetcher::get` (one request: a time limit for each
// try, and further tries after a failure) and `gathered` (all requests).
#include <cogather/cogather.hpp>

#include <CLI/CLI.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "support/http_client.hpp"
#include "support/http_server.hpp"
#include "support/open_files.hpp"
#include "support/progress_bar.hpp"
#include "support/stopwatch.hpp"

namespace {

using examples::behaviour;
using std::chrono::milliseconds;

// ---- What the command line asks for -------------------------------------------------------------

struct settings {
  std::vector<std::string> urls;  // empty: start a server and ask that
  std::vector<std::string> modes;
  std::size_t count = 200;
  std::size_t limit = 20;
  std::size_t retries = 2;
  unsigned delay = 200;    // milliseconds
  unsigned timeout = 500;  // milliseconds
  double failure_rate = 0.04;
  double hang_rate = 0.005;
};

bool wants(const settings& s, const char* mode) {
  return std::find(s.modes.begin(), s.modes.end(), mode) != s.modes.end();
}

// ---- One request --------------------------------------------------------------------------------

// What a second try may cure: a server in trouble, and one that took too long.
bool worth_another_try(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const cogather::timeout_error&) {
    return true;
  } catch (const examples::http_error& e) {
    return e.status() >= 500;
  } catch (...) {
    return false;
  }
}

class fetcher {
 public:
  fetcher(examples::http_client& client, const settings& s) : client_(client), settings_(s) {}

  asio::awaitable<examples::http_response> get(const std::string& url) {
    // Named, because `retry` takes callbacks by reference: they must live until it has ended.
    const auto one_try = [this, &url] {
      return cogather::with_timeout(client_.get(url), milliseconds(settings_.timeout));
    };
    const auto count = [this](std::size_t, std::exception_ptr, std::chrono::nanoseconds) {
      ++retried_;
    };
    co_return co_await cogather::retry({.max_attempts = settings_.retries + 1,
                                        .initial_delay = milliseconds(50),
                                        .retry_if = worth_another_try,
                                        .on_retry = count},
                                       one_try);
  }

  std::size_t retried() const { return retried_; }

 private:
  examples::http_client& client_;
  const settings& settings_;
  std::size_t retried_ = 0;
};

// ---- All requests -------------------------------------------------------------------------------

// One for each URL, in the order of the URLs: what went wrong, or null.
using outcomes = std::vector<std::exception_ptr>;

asio::awaitable<outcomes> one_after_the_other(fetcher& f, const std::vector<std::string>& urls,
                                              examples::progress_bar& bar) {
  outcomes result;
  for (const auto& url : urls) {
    try {
      co_await f.get(url);
      result.push_back(nullptr);
    } catch (...) {
      result.push_back(std::current_exception());
    }
    bar.update(result.size());
  }
  co_return result;
}

asio::awaitable<outcomes> gathered(fetcher& f, const std::vector<std::string>& urls,
                                   std::size_t limit, examples::progress_bar& bar) {
  const auto get = [&f](const std::string& url) { return f.get(url); };
  const auto show = [&bar](const cogather::progress& p) { bar.update(p.succeeded + p.failed); };
  auto settled =
      co_await cogather::gather_settled(urls, get, {.limit = limit, .on_progress = show});
  outcomes result;
  for (const auto& s : settled) result.push_back(s.error());
  co_return result;
}

// ---- One run over all of them, measured ---------------------------------------------------------

struct run_report {
  std::string mode;
  double seconds = 0;
  std::size_t succeeded = 0;
  std::size_t failed = 0;
  std::size_t timed_out = 0;
  std::size_t retried = 0;
  outcomes errors{};
};

bool timed_out(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const cogather::timeout_error&) {
    return true;
  } catch (...) {
    return false;
  }
}

asio::awaitable<run_report> measure(std::string mode, const settings& s,
                                    const std::vector<std::string>& urls, bool use_proxy) {
  // A new client, so that no run finds the open connections of the one before.
  examples::http_client client(co_await asio::this_coro::executor, {.use_proxy = use_proxy});
  fetcher f(client, s);
  run_report report{.mode = mode};
  {
    examples::progress_bar bar(mode, urls.size());
    const examples::stopwatch watch;
    if (mode == "sequential") {
      report.errors = co_await one_after_the_other(f, urls, bar);
    } else {
      const std::size_t limit = mode == "bounded" ? s.limit : cogather::unlimited;
      report.errors = co_await gathered(f, urls, limit, bar);
    }
    report.seconds = watch.seconds();
  }
  for (const auto& error : report.errors) {
    ++(!error ? report.succeeded : timed_out(error) ? report.timed_out : report.failed);
  }
  report.retried = f.retried();
  co_return report;
}

void print(const run_report& r) {
  std::printf("%-12s %9.2f s %10zu %10zu %10zu %10zu\n", r.mode.c_str(), r.seconds, r.succeeded,
              r.failed, r.timed_out, r.retried);
  std::fflush(stdout);
}

asio::awaitable<std::vector<run_report>> measure_all(const settings& s,
                                                     const std::vector<std::string>& urls,
                                                     examples::http_server* server) {
  std::printf("%-12s %11s %10s %10s %10s %10s\n", "", "time", "succeeded", "failed", "timed out",
              "retried");
  std::vector<run_report> reports;
  for (const char* mode : {"sequential", "unbounded", "bounded"}) {
    if (!wants(s, mode)) continue;
    if (server) server->forget_recoveries();
    reports.push_back(co_await measure(mode, s, urls, /*use_proxy=*/server == nullptr));
    print(reports.back());
  }
  co_return reports;
}

// ---- What the built-in server is asked ----------------------------------------------------------

// Which request meets what: the given shares, spread evenly, so the same each time.
std::vector<behaviour> plan(const settings& s) {
  const auto share = [&s](double rate) {
    return static_cast<std::size_t>(std::llround(rate * static_cast<double>(s.count)));
  };
  const std::size_t hanging = share(s.hang_rate);
  const std::size_t troubled = std::min(hanging + share(s.failure_rate), s.count);
  const std::size_t lasting = hanging + (troubled - std::min(hanging, troubled)) / 2;
  std::vector<behaviour> result(s.count, behaviour::answers);
  for (std::size_t i = 0; i < troubled; ++i) {
    result[i * s.count / troubled] = i < hanging   ? behaviour::hangs
                                     : i < lasting ? behaviour::fails
                                                   : behaviour::recovers;
  }
  return result;
}

void print_plan(const settings& s, const std::vector<behaviour>& plan) {
  const auto many = [&plan](behaviour b) { return std::count(plan.begin(), plan.end(), b); };
  std::printf("%zu GETs from a web server on 127.0.0.1 that takes %u ms for each.\n", plan.size(),
              s.delay);
  std::printf("On purpose %td URLs answer 503 once, %td answer 503 always, %td never answer.\n",
              many(behaviour::recovers), many(behaviour::fails), many(behaviour::hangs));
}

// A URL that fails has to fail, and any other must not.
bool as_planned(behaviour planned, const std::exception_ptr& error, const settings& s) {
  switch (planned) {
    case behaviour::hangs:
      return error && timed_out(error);
    case behaviour::fails:
      return error && !timed_out(error);
    case behaviour::recovers:
      return s.retries > 0 ? !error : error && !timed_out(error);
    default:
      return !error;
  }
}

bool as_planned(const std::vector<behaviour>& plan, const run_report& r, const settings& s) {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!as_planned(plan[i], r.errors[i], s)) return false;
  }
  return true;
}

// ---- The end of the story -----------------------------------------------------------------------

std::string why(const std::string& url, const std::exception_ptr& error, const settings& s) {
  try {
    std::rethrow_exception(error);
  } catch (const cogather::timeout_error&) {
    return url + ": no answer within " + std::to_string(s.timeout) + " ms";
  } catch (const std::exception& e) {
    return e.what();
  }
}

// Each URL once, however many of the runs it failed in.
void print_failures(const std::vector<std::string>& urls, const std::vector<run_report>& reports,
                    const settings& s) {
  for (std::size_t i = 0; i < urls.size(); ++i) {
    const auto failed = std::find_if(reports.begin(), reports.end(),
                                     [i](const run_report& r) { return r.errors[i] != nullptr; });
    if (failed == reports.end()) continue;
    std::fprintf(stderr, "failed: %s\n", why(urls[i], failed->errors[i], s).c_str());
  }
}

void print_gain(const std::vector<run_report>& reports, std::size_t limit) {
  const run_report* sequential = nullptr;
  const run_report* best = nullptr;
  for (const auto& r : reports) (r.mode == "sequential" ? sequential : best) = &r;
  if (!sequential || !best || best->succeeded == 0) return;
  const std::string how =
      best->mode == "bounded" ? "at most " + std::to_string(limit) + " at a time" : "all at once";
  std::printf("One after the other %.2f s; gathered, %s, %.2f s: %.1f times as fast.\n",
              sequential->seconds, how.c_str(), best->seconds, sequential->seconds / best->seconds);
}

asio::awaitable<int> fetch_from_own_server(const settings& s) {
  examples::http_server server({.delay = milliseconds(s.delay)});
  const auto planned = plan(s);
  std::vector<std::string> urls;
  for (const behaviour b : planned) urls.push_back(server.url(b, urls.size()));

  print_plan(s, planned);
  std::printf("Each try may take %u ms; after a 503 or a timeout up to %zu more follow.\n\n",
              s.timeout, s.retries);
  const auto reports = co_await measure_all(s, urls, &server);
  std::printf("\n");

  const bool fine = std::all_of(reports.begin(), reports.end(),
                                [&](const run_report& r) { return as_planned(planned, r, s); });
  if (fine) {
    std::printf("Only those failed that were meant to, and no other request was lost.\n");
  } else {
    print_failures(urls, reports, s);
    std::fprintf(stderr, "Requests failed that were not meant to, or the other way round.\n");
  }
  print_gain(reports, s.limit);
  co_return fine ? 0 : 1;
}

asio::awaitable<int> fetch_own_urls(const settings& s) {
  const auto reports = co_await measure_all(s, s.urls, nullptr);
  std::printf("\n");
  print_failures(s.urls, reports, s);
  print_gain(reports, s.limit);
  const bool fine = std::all_of(reports.begin(), reports.end(),
                                [](const run_report& r) { return r.succeeded == r.errors.size(); });
  co_return fine ? 0 : 1;
}

// ---- Command line -------------------------------------------------------------------------------

void read_urls(const std::string& file, std::vector<std::string>& urls) {
  std::ifstream lines(file);
  if (!lines) throw CLI::ValidationError("--file", "cannot read " + file);
  for (std::string line; std::getline(lines, line);) {
    std::string url;
    if (std::istringstream(line) >> url && !url.starts_with('#')) urls.push_back(url);
  }
}

// All at once means two sockets for each request, one of them the server's.
void check_open_files(const settings& s) {
  const std::size_t all = s.urls.empty() ? s.count : s.urls.size();
  const std::size_t at_once = wants(s, "unbounded") ? all : std::min(all, s.limit);
  const std::size_t allowed = examples::raise_open_file_limit();
  if (2 * at_once + 50 > allowed) {
    throw CLI::ValidationError(
        std::to_string(at_once) + " requests at once",
        "too many for the " + std::to_string(allowed) + " files that this process may open");
  }
}

// A number between two bounds. The help shows its default, not the names of C++ types.
template <class T>
CLI::Option* number(CLI::App& app, const char* name, T& value, T low, T high, const char* unit,
                    const char* help) {
  return app.add_option(name, value, help)
      ->check(CLI::Range(low, high).description(""))
      ->type_name(unit)
      ->capture_default_str();
}

void parse(CLI::App& app, int argc, char** argv, settings& s) {
  std::string file;
  app.description(
      "Fetches the same URLs one after the other, all at once, and a few at a time, and says how\n"
      "long each took. Without URLs of yours it starts a web server on 127.0.0.1 and asks that.");
  app.add_option("url", s.urls, "URLs to fetch (http or https)")->type_name("");
  app.add_option("--file", file, "read URLs from a file, one on each line")
      ->check(CLI::ExistingFile.description(""))
      ->type_name("FILE");
  app.add_option("--modes", s.modes,
                 "which runs, separated by commas: sequential, unbounded, bounded\n"
                 "(all three; with URLs of yours sequential and bounded)")
      ->delimiter(',')
      ->allow_extra_args(false)  // what follows is a URL
      ->check(CLI::IsMember({"sequential", "unbounded", "bounded"}).description(""))
      ->type_name("LIST");
  number<std::size_t>(app, "--limit", s.limit, 1, 10000, "N", "requests at a time, if bounded");
  number(app, "--timeout", s.timeout, 1u, 600000u, "MS", "how long one try may take");
  number<std::size_t>(app, "--retries", s.retries, 0, 100, "N",
                      "further tries after a 5xx or a timeout");
  const std::vector<CLI::Option*> of_the_server = {
      number<std::size_t>(app, "--count", s.count, 1, 100000, "N", "requests"),
      number(app, "--delay", s.delay, 0u, 600000u, "MS", "what an answer takes"),
      number(app, "--failure-rate", s.failure_rate, 0.0, 1.0, "SHARE",
             "URLs that answer 503; half of them recover when they are asked again"),
      number(app, "--hang-rate", s.hang_rate, 0.0, 1.0, "SHARE", "URLs that never answer")};
  for (auto* const option : of_the_server) option->group("Built-in server");
  app.parse(argc, argv);

  const bool own_urls = !file.empty() || !s.urls.empty();
  if (!file.empty()) read_urls(file, s.urls);
  if (own_urls && s.urls.empty()) throw CLI::ValidationError("--file", file + " has no URLs");
  for (const auto* const option : of_the_server) {
    if (own_urls && option->count() > 0) {
      throw CLI::ValidationError(option->get_name(), "is of no use when you name URLs yourself");
    }
  }
  if (s.modes.empty() && own_urls) s.modes = {"sequential", "bounded"};
  if (s.modes.empty()) s.modes = {"sequential", "unbounded", "bounded"};
  check_open_files(s);
}

int run(const settings& s) {
  int status = 1;
  asio::io_context context;
  asio::co_spawn(context, s.urls.empty() ? fetch_from_own_server(s) : fetch_own_urls(s),
                 [&status](std::exception_ptr error, int result) {
                   if (error) std::rethrow_exception(error);
                   status = result;
                 });
  context.run();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app;
  settings s;
  try {
    parse(app, argc, argv, s);
    return run(s);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "http_fetch: " << e.what() << '\n';
    return 1;
  }
}
