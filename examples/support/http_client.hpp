// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// An HTTP client for the examples: libcurl does the HTTP, Asio does the waiting.
#pragma once

// Before Asio, of which older versions do not know the standard library, and so allocate in another
// way, where no header of it was included earlier. All files of a program must agree on that.
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

namespace examples {

struct http_response {
  long status = 0;
  std::string url;  ///< where the answer came from, after redirects
  std::string body;
};

/// No answer: the URL is wrong, nobody listens, the connection broke, the answer was too long.
class transport_error : public std::runtime_error {
 public:
  transport_error(const std::string& url, const std::string& reason)
      : std::runtime_error(url + ": " + reason) {}
};

/// An answer, but not the one that was hoped for: its status is 400 or more.
class http_error : public std::runtime_error {
 public:
  http_error(const std::string& url, long status)
      : std::runtime_error(url + ": HTTP status " + std::to_string(status)), status_(status) {}
  long status() const noexcept { return status_; }

 private:
  long status_;
};

struct http_client_options {
  bool throw_on_error_status = true;        ///< false: a status of 400 or more is a response, too
  std::size_t max_body = 16 * 1024 * 1024;  ///< bytes; a longer answer is a transport_error
  long max_redirects = 5;
  bool use_proxy = true;  ///< the one that `http_proxy` and the like name, if any
};

/// GETs over http and https, with redirects and a pool of connections that are kept alive.
///
/// *Threads.* The executor must be sequential (an `io_context` that one thread runs, or a strand),
/// and everything below is called there.
///
/// *Lifetime.* The client and its execution context may be destroyed in either order, also while
/// requests are under way. If the client goes first, they end with `operation_aborted`; if the
/// context goes first, the coroutines that wait for them are destroyed with it.
class http_client {
 public:
  explicit http_client(asio::any_io_executor executor, http_client_options options = {});
  ~http_client();
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// *Completion*: the response, after redirects. Nothing starts before the result is awaited.
  /// *Errors*: `transport_error`, `http_error`.
  /// *Cancellation*: of any type; the request is dropped at once and with it its connection, and
  /// the caller resumes with `operation_aborted`, never inside the call that cancelled it.
  asio::awaitable<http_response> get(std::string url);

 private:
  class connections;
  std::shared_ptr<connections> connections_;
};

}  // namespace examples
