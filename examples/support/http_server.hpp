// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// A small web server for the examples, so that they need none of the user's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace examples {

/// What the server does with a request. The path of the URL says it.
enum class behaviour {
  answers,   ///< 200, after the delay
  recovers,  ///< 503 at first, 200 when it is asked again
  fails,     ///< 503, always
  hangs,     ///< takes the request and never answers
  moved,     ///< 302 to a URL that answers
};

struct http_server_options {
  std::chrono::milliseconds delay{200};  ///< before each response
  std::size_t failures_before_recovery = 1;
};

/// An HTTP/1.1 server with keep-alive on a free port of 127.0.0.1, in a thread of its own.
///
/// It runs from the end of the constructor, which throws `std::runtime_error` when it cannot
/// listen, until the destructor, which closes all connections and joins the thread. The other
/// members may be called from any thread.
class http_server {
 public:
  explicit http_server(http_server_options options = {});
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  std::uint16_t port() const noexcept;

  /// The URL of item number `item`; each item has a URL of its own.
  std::string url(behaviour wanted, std::size_t item) const;

  /// Whatever has recovered fails again from now on, so that a second run meets what the first met.
  void forget_recoveries();

 private:
  class service;
  std::unique_ptr<service> service_;
};

}  // namespace examples
